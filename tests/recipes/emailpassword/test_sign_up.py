"""Signing up over HTTP: forms, tokens, races, too much to do; and whether an address is taken."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest
from sqlalchemy import Connection

from coatcheck import App
from coatcheck.claims import Clock
from coatcheck.recipes import accountlinking, emailpassword
from coatcheck.recipes.emailpassword import InputFormField, InputSignUpFeature
from coatcheck.recipes.users.login_methods import add_login_method
from coatcheck.recipes.users.user import AccountInfo
from coatcheck.sessions.blocking import HASHES_WAITING_PER_CPU, hashing

from ...kit import Make, Serve, form

ANN = {"email": "ann@example.com", "password": "correct horse 1"}
TAKEN = {"id": "email", "error": "This email already exists. Please sign in instead."}


@pytest.mark.parametrize("path", ["/auth/signup", "/auth/signin"])
@pytest.mark.parametrize("mode", ["cookie", "header", None])
def test_tokens_travel_as_the_client_wishes(make_app: Make, serve: Serve, path: str, mode: str | None) -> None:
    """In cookies or in headers, never both, and the body is the same (docs/protocol.md, rule 9.1)."""
    app = make_app()
    with app.active():
        user = emailpassword.sync.sign_up("public", "bob@example.com", ANN["password"])
    assert isinstance(user, emailpassword.SignUpOkResult)
    body = form(**ANN) if path == "/auth/signup" else form(email="bob@example.com", password=ANN["password"])
    answer = serve(app).post(path, json=body, headers={"st-auth-mode": mode} if mode else {})
    cookies = [cookie.partition("=")[0] for cookie in answer.headers.get_list("set-cookie")]
    assert answer.json()["status"] == "OK"
    assert set(answer.json()) == {"status", "user"}
    assert answer.headers["front-token"]
    assert cookies == (["sAccessToken", "sRefreshToken"] if mode == "cookie" else [])
    assert ("st-access-token" in answer.headers) is (mode != "cookie")
    assert ("st-refresh-token" in answer.headers) is (mode != "cookie")


def test_a_refused_sign_up_hands_out_nothing(make_app: Make, serve: Serve) -> None:
    """Neither a taken address nor a wrong form touches the tokens of the client."""
    client = serve(make_app())
    client.post("/auth/signup", json=form(**ANN), headers={"st-auth-mode": "cookie"})
    for body in (form(**ANN), form(email="x", password="y"), form()):
        answer = client.post("/auth/signup", json=body, headers={"st-auth-mode": "cookie"})
        assert answer.json()["status"] == "FIELD_ERROR"
        assert not {"set-cookie", "front-token", "st-access-token"} & set(answer.headers)


@pytest.mark.parametrize(
    ("password", "error"),
    [
        ("short 1", "Password must contain at least 8 characters, including a number"),
        ("a1" * 50, "Password's length must be lesser than 100 characters"),
        ("12345678", "Password must contain at least one alphabet"),
        ("abcdefgh", "Password must contain at least one number"),
        ("", "Field is not optional"),
    ],
)
def test_each_broken_rule_has_its_text(make_app: Make, serve: Serve, password: str, error: str) -> None:
    """The password policy speaks in fixed words (rule 20.4)."""
    answer = serve(make_app()).post("/auth/signup", json=form(email=ANN["email"], password=password))
    assert answer.json() == {"status": "FIELD_ERROR", "formFields": [{"id": "password", "error": error}]}


def test_a_password_is_taken_as_it_is(make_app: Make, serve: Serve) -> None:
    """Spaces around a password belong to it, and two ways to write an accent are two passwords (rule 22.1)."""
    client = serve(make_app())
    client.post("/auth/signup", json=form(email=ANN["email"], password=" caf\u00e9 123 "))
    for password, status in (
        (" caf\u00e9 123 ", "OK"),
        ("caf\u00e9 123", "WRONG_CREDENTIALS_ERROR"),
        (" cafe\u0301 123 ", "WRONG_CREDENTIALS_ERROR"),
    ):
        answer = client.post("/auth/signin", json=form(email=ANN["email"], password=password))
        assert answer.json()["status"] == status


def test_optional_fields_and_older_validators(make_app: Make, serve: Serve) -> None:
    """An optional field may be left out but is validated when it is there; a validator may be plain and take the
    value alone (rule 20.1).
    """
    feature = InputSignUpFeature(
        [InputFormField("nick", lambda value: None if value.isalpha() else "letters only", optional=True)]
    )
    client = serve(make_app(recipes=[emailpassword.init(feature)]))
    wrong = client.post("/auth/signup", json=form(nick="n1ck", **ANN))
    assert wrong.json()["formFields"] == [{"id": "nick", "error": "letters only"}]
    left_out: list[dict[str, Any]] = [{}, {"nick": ""}, {"nick": None}, {"nick": "nick"}]
    for number, extra in enumerate(left_out):
        body = form(email=f"u{number}@example.com", password=ANN["password"], **extra)
        assert client.post("/auth/signup", json=body).json()["status"] == "OK"


def test_own_rules_for_address_and_password(make_app: Make, serve: Serve) -> None:
    """Own validators replace the default ones, at sign-up and where a password is set anew; the address stays
    required, whatever is said (rules 20.1 and 20.2).
    """

    async def long(value: str, tenant_id: str) -> str | None:
        return None if len(value) > 20 else f"too short for {tenant_id}"

    feature = InputSignUpFeature(
        [InputFormField("password", long), InputFormField("email", lambda value: None, optional=True)]
    )
    client = serve(make_app(recipes=[emailpassword.init(feature)]))
    errors = client.post("/auth/signup", json=form(password="correct horse 1")).json()["formFields"]
    assert errors == [
        {"id": "password", "error": "too short for public"},
        {"id": "email", "error": "Field is not optional"},
    ]
    assert client.post("/auth/signup", json=form(email="no address", password="x" * 21)).json()["status"] == "OK"
    assert client.post("/auth/signin", json=form(email="NO ADDRESS", password="x" * 21)).json()["status"] == "OK"
    reset = client.post("/auth/user/password/reset", json={"token": "t", **form(password="correct horse 1")})
    assert reset.json()["formFields"] == [{"id": "password", "error": "too short for public"}]


@pytest.mark.parametrize("kind", ["file", "postgres"])
def test_simultaneous_sign_ups_on_a_database(
    make_app: Make, serve: Serve, request: pytest.FixtureRequest, kind: str
) -> None:
    """Of simultaneous sign-ups with one address, written in several ways, exactly one wins (rule 19.4)."""
    app = make_app(database=_url(request, kind))
    client, barrier = serve(app), threading.Barrier(6)
    answers: list[Any] = []

    def attempt(email: str) -> None:
        barrier.wait()
        answers.append(client.post("/auth/signup", json=form(email=email, password=ANN["password"])).json())

    emails = ["ann@example.com", "ANN@example.com", " ann@Example.com "] * 2
    threads = [threading.Thread(target=attempt, args=[email]) for email in emails]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer for answer in answers if answer != {"status": "OK", "user": answer.get("user")}]
    assert refused == [{"status": "FIELD_ERROR", "formFields": [TAKEN]}] * 5
    with app.active():
        assert accountlinking.sync.get_user_count() == 1


def _url(request: pytest.FixtureRequest, kind: str) -> str:
    if kind == "file":
        return f"sqlite:///{request.getfixturevalue('tmp_path') / 'x.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


def test_too_many_hashes_at_once_are_status_503(make_app: Make, serve: Serve) -> None:
    """Where too many passwords wait already the answer is 503, for sign-up, sign-in and unknown addresses alike, and
    nothing has happened (rule 22.8).
    """
    app = make_app(unsafe_for_tests=False, clock=Clock())
    client = serve(app)
    client.post("/auth/signup", json=form(**ANN))
    until = threading.Event()

    def attempts() -> list[Any]:
        new = form(email="bob@example.com", password=ANN["password"])
        return [client.post("/auth/signup", json=new)] + [
            client.post("/auth/signin", json=form(email=email, password=ANN["password"]))
            for email in (ANN["email"], "bob@example.com")
        ]

    async def crowd() -> list[Any]:
        limit = (os.cpu_count() or 1) * (1 + HASHES_WAITING_PER_CPU)
        waiting = [asyncio.create_task(hashing(until.wait)) for _ in range(limit)]
        await asyncio.sleep(0)
        try:
            return await asyncio.to_thread(attempts)
        finally:
            until.set()
            await asyncio.gather(*waiting)

    for answer in asyncio.run(crowd()):
        assert answer.status_code == 503
        assert answer.json() == {"message": "the service is unavailable, try again later"}
    signed_up, known, _ = attempts()
    assert signed_up.json()["status"] == known.json()["status"] == "OK"


CREDENTIALS = ("ann@example.com", "correct horse 1")
PATHS = [
    "/auth/emailpassword/email/exists",
    "/auth/public/emailpassword/email/exists",
    "/auth/signup/email/exists",
    "/auth/public/signup/email/exists",
]


@pytest.fixture
def app(make_app: Make) -> App:
    """Return an App in which Ann has an account."""
    made = make_app()
    with made.active():
        emailpassword.sync.sign_up("public", *CREDENTIALS)
    return made


@pytest.mark.parametrize(
    "rid", ["emailpassword", "anti-csrf", "thirdpartyemailpassword", "passwordless", "unknown", ""]
)
def test_every_path_with_every_hint(app: App, serve: Serve, rid: str) -> None:
    """All paths answer alike, whatever `rid` says (docs/protocol.md, rules 18.3 and 20.12)."""
    client = serve(app)
    for path in PATHS:
        for email, exists in ((CREDENTIALS[0], True), ("ANN@EXAMPLE.COM ", True), ("bob@example.com", False)):
            answer = client.get(path, params={"email": email}, headers={"rid": rid})
            assert (answer.status_code, answer.json()) == (200, {"status": "OK", "exists": exists})


@pytest.mark.parametrize(
    "email", ["", "ann", "a\0b", "\x7f", "@", "%", "'; --", "x" * 20_000, "\U0001f980@x.co", "_nn@example.com"]
)
def test_any_text_may_be_asked_about(app: App, serve: Serve, email: str) -> None:
    """The sign-in page asks about whatever was typed: never a refusal, no wildcards (rule 20.12)."""
    answer = serve(app).get(PATHS[0], params={"email": email})
    assert (answer.status_code, answer.json()) == (200, {"status": "OK", "exists": False})


def test_bytes_that_are_no_text(app: App, serve: Serve) -> None:
    """A query that is not UTF-8 names nobody."""
    assert serve(app).get(f"{PATHS[0]}?email=%FF%00").json() == {"status": "OK", "exists": False}


def test_only_this_recipe_and_this_tenant_count(make_app: Make, serve: Serve) -> None:
    """An address known to another recipe, or in another tenant, is free."""
    app = make_app()

    def others(connection: Connection) -> None:
        for tenant_id, recipe_id in (("public", "passwordless"), ("t1", "emailpassword")):
            assert add_login_method(
                connection, tenant_id, recipe_id=recipe_id, account=AccountInfo(email=CREDENTIALS[0]), time_joined=1
            )

    app.database.write(others)
    client = serve(app)
    assert client.get(PATHS[0], params={"email": CREDENTIALS[0]}).json()["exists"] is False
    fields = [{"id": "email", "value": CREDENTIALS[0]}, {"id": "password", "value": CREDENTIALS[1]}]
    assert client.post("/auth/signup", json={"formFields": fields}).json()["status"] == "OK"
    assert client.get(PATHS[0], params={"email": CREDENTIALS[0]}).json()["exists"] is True


def test_an_override_may_keep_it_secret(make_app: Make, serve: Serve) -> None:
    """An application that does not want to tell can override the API, for both paths at once."""

    class Discreet(emailpassword.APIsLayer):
        async def email_exists_get(
            self, email: str, tenant_id: str, api_options: Any, user_context: dict[str, Any]
        ) -> emailpassword.EmailExistsGetOkResult:
            return emailpassword.EmailExistsGetOkResult(exists=False)

    override = emailpassword.InputOverrideConfig(apis=Discreet)
    app = make_app(recipes=[emailpassword.init(override=override)])
    with app.active():
        emailpassword.sync.sign_up("public", *CREDENTIALS)
    for path in PATHS:
        assert serve(app).get(path, params={"email": CREDENTIALS[0]}).json()["exists"] is False
