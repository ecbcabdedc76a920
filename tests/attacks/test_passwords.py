"""Attacks on e-mail and password, each named after what is tried, and bodies that no client would send."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from starlette.testclient import TestClient
from starlette.types import Message, Scope

from coatcheck import App, InputAppInfo, RecipeUserId
from coatcheck.recipes import accountlinking, emailpassword, session
from coatcheck.recipes.emailpassword import InputFormField, InputSignUpFeature
from coatcheck.recipes.exceptions import BadInputError
from coatcheck.server import create_app

from ..kit import Make, Serve, form

ANN = {"email": "ann@example.com", "password": "correct horse 1"}
SIGN_UP, SIGN_IN, ASK, RESET = (
    "/auth/signup",
    "/auth/signin",
    "/auth/user/password/reset/token",
    "/auth/user/password/reset",
)
BASE = "http://localhost:3567"


@pytest.fixture
def app(make_app: Make) -> App:
    """Return an App."""
    return make_app()


@pytest.fixture
def client(app: App, serve: Serve) -> TestClient:
    """Return a client of which Ann has signed up."""
    with app.active():  # by function: a session would cost a signing key in every test
        emailpassword.sync.sign_up("public", ANN["email"], ANN["password"])
    return serve(app)


def opened(database: str) -> Iterator[TestClient]:
    """Open a client on an App whose sign-up form has fields of its own."""
    feature = InputSignUpFeature([InputFormField("age"), InputFormField("nick", optional=True)])
    app = App(
        app_info=InputAppInfo("Fuzzed", BASE, website_domain="http://localhost:3000"),
        recipe_list=[session.init(), emailpassword.init(feature)],
        database=database,
        unsafe_for_tests=True,
    )
    with TestClient(create_app(app, []), base_url=BASE, raise_server_exceptions=False) as client:
        client.post(SIGN_UP, json=form(**ANN, age=1))
        yield client
    app.close()


@pytest.fixture(scope="module")
def in_memory() -> Iterator[TestClient]:
    """Yield a client of an App in memory."""
    yield from opened("sqlite://")


# Getting at another's account


def test_attack_one_field_twice(client: TestClient) -> None:
    """A second `email` or `password`, of which the first is validated and the last is used, is refused
    (docs/protocol.md, rule 20.5).
    """
    for twice in ("email", "password"):
        fields = [*form(**ANN)["formFields"], {"id": twice, "value": "another 1"}]
        for body in ({"formFields": fields}, {"formFields": fields[::-1]}):
            for path in (SIGN_UP, SIGN_IN):
                answer = client.post(path, json=body)
                assert (answer.status_code, answer.json()) == (400, {"message": "Are you sending too many formFields?"})


@pytest.mark.parametrize(
    "email",
    [
        "ann@example.com' or '1'='1",
        'ann@example.com"; drop table coatcheck_login_methods; --',
        "%@example.com",
        "ann@example.com%",
        "_nn@example.com",
        "ann@example.com\0",
        "ann@example.com\u200b",
        "\uff41nn@example.com",
    ],
)
def test_attack_an_address_that_resembles(in_memory: TestClient, email: str) -> None:
    """Quotes, wildcards, look-alikes and what cannot be seen do not reach Ann's account."""
    answer = in_memory.post(SIGN_IN, json=form(email=email, password=ANN["password"]))
    assert answer.json()["status"] in ("WRONG_CREDENTIALS_ERROR", "FIELD_ERROR")
    assert "front-token" not in answer.headers
    assert in_memory.post(SIGN_IN, json=form(**ANN)).json()["status"] == "OK"


@pytest.mark.parametrize("value", [{"$ne": None}, {"$gt": ""}, ["correct horse 1"], True, 1, None, {}])
def test_attack_an_operator_for_a_value(in_memory: TestClient, value: Any) -> None:
    """What is not text is no password and no address (rule 20.5)."""
    for field in ("email", "password"):
        answer = in_memory.post(SIGN_IN, json=form(**{**ANN, field: value}))
        assert (answer.status_code, answer.json()) == (400, {"message": f"{field} value must be a string"})


def test_attack_more_than_the_form_has(make_app: Make, serve: Serve) -> None:
    """Keys beside the form, and fields in place of optional ones, set nothing of the user (rule 20.5)."""
    feature = InputSignUpFeature([InputFormField("nick", optional=True)])
    client = serve(make_app(recipes=[emailpassword.init(feature)]))
    extra = {"user": {"id": "admin"}, "tenantId": "t1", "userContext": {"isAdmin": True}, "isPrimaryUser": True}
    answer = client.post(SIGN_UP, json={**form(**ANN, isPrimaryUser=True), **extra}).json()
    assert answer["user"]["isPrimaryUser"] is False
    assert answer["user"]["tenantIds"] == ["public"]
    assert answer["user"]["id"] != "admin"


def test_attack_the_reset_of_another(app: App, client: TestClient) -> None:
    """A token resets the password of whoever it was made for, whatever else the body says (rule 21.1)."""
    client.post(SIGN_UP, json=form(email="mallory@example.com", password=ANN["password"]))
    client.post(ASK, json=form(email="mallory@example.com"))
    token = app.outbox.last().link.partition("token=")[2].partition("&")[0]
    with app.active():
        ann = accountlinking.sync.get_users_oldest_first("public").users[0]
    body = {
        "token": token,
        "userId": ann.id,
        "email": ANN["email"],
        "tenantId": "public",
        **form(password="mine now 1"),
    }
    assert client.post(RESET, json=body).json() == {"status": "OK"}
    assert client.post(SIGN_IN, json=form(**ANN)).json()["status"] == "OK"


def test_attack_guesses_near_a_token(app: App, client: TestClient) -> None:
    """A token altered anywhere, cut or padded is unknown, and trying does not use it up (rule 21.2)."""
    client.post(ASK, json=form(email=ANN["email"]))
    token = app.outbox.last().link.partition("token=")[2].partition("&")[0]
    altered = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(0, len(token), 9)]
    for forged in (*altered, token[:-1], f"{token}A", f" {token}", f"{token}\n", token.swapcase(), ""):
        body = {"token": forged, **form(password="mine now 1")}
        assert client.post(RESET, json=body).json() == {"status": "RESET_PASSWORD_INVALID_TOKEN_ERROR"}
    assert client.post(RESET, json={"token": token, **form(password="a new one 2")}).json() == {"status": "OK"}


def test_attack_a_twin_of_the_address(app: App, client: TestClient) -> None:
    """A link goes to the account's address, not to one that is only alike when it is normalised (rule 21.7)."""
    client.post(SIGN_UP, json=form(email="mike@example.com", password="correct horse 1"))
    client.post(ASK, json=form(email="Mi\u212ae@example.com"))  # the sign for kelvin, of which k is the small letter
    assert app.outbox.last().to == "mike@example.com"


def test_attack_another_host_in_the_link(app: App, client: TestClient) -> None:
    """The link leads to the configured website, whatever host, origin or forwarding a request claims (rule 21.5)."""
    claims = {"host": "evil.example", "origin": "https://evil.example", "referer": "https://evil.example/",
              "x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}  # fmt: skip
    client.post(ASK, json=form(email=ANN["email"]), headers=claims)
    assert app.outbox.last().link.startswith("http://localhost:3000/auth/reset-password?")


@pytest.mark.parametrize(
    "email",
    [
        "ann@example.com\nBcc: mallory@example.com",
        "ann@example.com,mallory@example.com",
        "ann@example.com mallory@example.com",
        '"ann@example.com"\r\nTo: mallory@example.com',
        "<ann@example.com>",
    ],
)
def test_attack_a_second_recipient(app: App, client: TestClient, email: str) -> None:
    """No address that is two, or that breaks a line, gets a mail or an account."""
    for path in (ASK, SIGN_UP):
        answer = client.post(path, json=form(**({"email": email} if path == ASK else {**ANN, "email": email})))
        assert answer.json()["formFields"] == [{"id": "email", "error": "Email is not valid"}]
    assert len(app.outbox) == 0


# Learning secrets


def test_attack_reading_the_log(make_app: Make, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Neither logs at DEBUG, nor a trace, nor an answer shows a password, be it right, wrong, weak, of a broken body
    or of a request that failed.
    """

    def apis(original: Any) -> Any:
        inner = original.sign_in_post

        async def sign_in_post(form_fields: Any, *rest: Any) -> Any:
            if form_fields[0].value == "boom@example.com":
                raise LookupError("boom")
            return await inner(form_fields, *rest)

        original.sign_in_post = sign_in_post
        return original

    app = make_app(recipes=[emailpassword.init(override=emailpassword.InputOverrideConfig(apis=apis))])
    client, answers = serve(app), list[str]()
    secret = "Tr0ub4dor and 3"
    with caplog.at_level(logging.DEBUG), app.trace() as trace:
        for path, body in (
            (SIGN_UP, form(email=ANN["email"], password=secret)),
            (SIGN_UP, form(email=ANN["email"], password=secret)),
            (SIGN_IN, form(email=ANN["email"], password=secret)),
            (SIGN_IN, form(email=ANN["email"], password=secret + "x")),
            (SIGN_IN, form(email="bob@example.com", password=secret)),
            (SIGN_IN, form(email="boom@example.com", password=secret)),
            (SIGN_UP, form(email="nonsense", password=secret)),
            (RESET, {"token": "t", **form(password=secret)}),
        ):
            answers.append(client.post(path, json=body).text)
        answers.append(client.post(SIGN_IN, content=json.dumps(form(password=secret))[:-2]).text)
        with app.active(), pytest.raises(BadInputError, match="empty") as caught:
            emailpassword.sync.update_email_or_password(RecipeUserId("u"), email="", password=secret)
    shown = [str(trace), repr(trace.calls), caplog.text, *answers, repr(caught.value), str(caught.value)]
    assert "emailpassword.sign_in_post" in shown[0]
    assert not [text for text in shown if "Tr0ub4dor" in text]


def test_attack_reading_reset_tokens(app: App, client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """A trace shows no reset token; the log shows one only where the default delivery writes the link (rule 23.1)."""
    with caplog.at_level(logging.DEBUG), app.trace() as trace:
        client.post(ASK, json=form(email=ANN["email"]))
        token = app.outbox.last().link.partition("token=")[2].partition("&")[0]
        client.post(RESET, json={"token": token, **form(password="a new one 2")})
    assert "emailpassword.consume_password_reset_token" in str(trace)
    assert token[:20] not in str(trace) + repr(trace.calls)
    assert {record.name for record in caplog.records if token[:20] in record.getMessage()} == {"coatcheck.delivery"}


# Wearing the server out


@pytest.mark.parametrize("path", [SIGN_UP, SIGN_IN, ASK, RESET])
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"formFields":' * 50_000,
        b'{"formFields":[' + b'{"id":"x","value":1},' * 30_000 + b'{"id":"x","value":1}]}',
        b'{"formFields":[{"id":"email","value":' + b"9" * 10_000 + b"}]}",
        b'{"formFields":[]}' + b" " * 2_000_000,
        "{}".encode("utf-16"),
        b'\xef\xbb\xbf{"formFields":[]}',
    ],
    ids=["brackets", "objects", "fields", "digits", "spaces", "utf-16", "mark"],
)
def test_attack_a_heavy_body(in_memory: TestClient, path: str, content: bytes) -> None:
    """Deep, long or oddly encoded bodies are refused as malformed, or for what they lack."""
    answer = in_memory.post(path, content=content)
    assert answer.status_code == 400 or answer.json()["status"] == "FIELD_ERROR"


def test_attack_a_client_that_goes_away(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """A client that hangs up in the middle of its body is no error of the server."""
    messages: list[Message] = [
        {"type": "http.request", "body": b'{"form', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []
    scope: Scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": SIGN_IN, "raw_path": SIGN_IN.encode(), "root_path": "", "query_string": b"",
        "headers": [(b"host", b"localhost:3567")], "server": ("127.0.0.1", 3567),
        "client": ("127.0.0.1", 1), "state": {},
    }  # fmt: skip

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    with caplog.at_level(logging.WARNING):
        asyncio.run(create_app(app, [])(scope, receive, send))
    assert [message.get("status") for message in sent] == [400, None]
    assert caplog.text == ""


# Bodies that no client would send


@pytest.fixture
def on_postgres(postgres_url: str) -> Iterator[TestClient]:
    """Yield a client of an App on PostgreSQL, one for all examples of a test."""
    yield from opened(postgres_url)


ids = st.sampled_from(["email", "password", "age", "nick", "", "EMAIL", "\ud800", "__proto__"]) | st.text(max_size=5)
addresses = st.sampled_from(
    ["ann@example.com", "a\0b@example.com", "\ud800@example.com", "x" * 2000 + "@example.com", '"a b"@example.com',
     "a@[1.2.3.4]", "\u0130@example.com", "\U0001f980@example.com"]
)  # fmt: skip
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20) | addresses,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ids, inner, max_size=3),
    max_leaves=6,
)
passwords = st.sampled_from(["correct horse 1", "password\0 1", "\ud800 password 1", "x1" * 60])
fields = st.one_of(
    st.fixed_dictionaries({"id": st.just("email"), "value": addresses}),
    st.fixed_dictionaries({"id": st.just("password"), "value": passwords}),
    st.fixed_dictionaries({"id": ids, "value": any_json}),
    st.fixed_dictionaries({}, optional={"id": any_json, "value": any_json, "x": any_json}),
    any_json,
)
wild = st.fixed_dictionaries(
    {"formFields": st.lists(fields, max_size=4) | any_json},
    optional={"token": any_json, "method": any_json, "shouldTryLinkingWithSessionUser": any_json, "x": any_json},
)
FORMS = {
    SIGN_UP: ("email", "password", "age"),
    "/auth/public/signup": ("email", "password", "age", "nick"),
    SIGN_IN: ("email", "password"),
    ASK: ("email",),
    RESET: ("password",),
}


@st.composite
def complete(draw: st.DrawFn, path: str) -> dict[str, Any]:
    """Draw a body that has what the path asks for, with values that are odd but of the right type."""
    values = {"email": draw(addresses), "password": draw(passwords), "age": draw(any_json), "nick": draw(any_json)}
    return {**form(**{name: values[name] for name in FORMS[path]}), "token": draw(st.text(max_size=100))}


requests = st.sampled_from(sorted(FORMS)).flatmap(
    lambda path: st.tuples(st.just(path), complete(path) | complete(path) | wild | any_json)
)


def check(client: TestClient, path: str, body: Any) -> None:
    """Send a body and see that it is answered: 400 and why, 401, or a status."""
    answer = client.post(path, content=json.dumps(body))
    assert answer.status_code in (200, 400, 401), answer.text
    assert isinstance(answer.json()["message" if answer.status_code != 200 else "status"], str)


@settings(max_examples=300)
@given(sent=requests)
def test_no_body_breaks_the_server(in_memory: TestClient, sent: tuple[str, Any]) -> None:
    """Any JSON, near a form or far from it, has an answer, never a 5xx."""
    check(in_memory, *sent)


@settings(max_examples=60)
@given(sent=requests)
def test_no_body_breaks_postgresql(on_postgres: TestClient, sent: tuple[str, Any]) -> None:
    """The same on PostgreSQL, which is stricter about text."""
    check(on_postgres, *sent)


@settings(max_examples=60)
@given(email=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_no_address_breaks_the_question_whether_it_exists(on_postgres: TestClient, email: str) -> None:
    """Any text may be asked about; only Ann's address, however written, exists (rule 20.12)."""
    answer = on_postgres.get("/auth/emailpassword/email/exists", params={"email": email})
    assert answer.status_code == 200
    assert answer.json() == {"status": "OK", "exists": email.strip().lower() == ANN["email"]}
