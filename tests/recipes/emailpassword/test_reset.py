"""Resetting a password: the link, the life of its token, and what an observer can tell."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import func, select
from starlette.requests import Request
from starlette.testclient import TestClient

from coatcheck import App, InputAppInfo, RecipeUserId
from coatcheck.claims import Clock, ManualClock
from coatcheck.recipes import accountlinking, emailpassword, session
from coatcheck.recipes.emailpassword import rows
from coatcheck.recipes.users.user import AccountInfo
from coatcheck.server import create_app
from coatcheck.server.asgi import AuthMiddleware
from coatcheck.sessions.blocking import HASHES_WAITING_PER_CPU, hashing
from coatcheck.sessions.clean_up import INTERVAL_MS
from coatcheck.sessions.exceptions import HashingBusyError

from ...kit import Make, Serve, form

ANN = {"email": "ann@example.com", "password": "correct horse 1"}
NEW = "a new password 2"
INVALID = {"status": "RESET_PASSWORD_INVALID_TOKEN_ERROR"}
OK = {"status": "OK"}


def ask(client: TestClient, email: str = ANN["email"]) -> Any:
    """Ask for a link."""
    return client.post("/auth/user/password/reset/token", json=form(email=email))


def reset(client: TestClient, token: str, password: str = NEW) -> Any:
    """Set a new password."""
    answer = client.post(
        "/auth/user/password/reset", json={"method": "token", "token": token, **form(password=password)}
    )
    return answer.json()


def asked(app: App, client: TestClient, email: str = ANN["email"]) -> str:
    """Ask for a link and return the token in it."""
    ask(client, email)
    return parse_qs(urlsplit(app.outbox.last().link).query)["token"][0]


def outstanding(app: App) -> int:
    """Return how many tokens there are, expired or not."""
    count = select(func.count()).select_from(rows.reset_tokens)
    return app.database.read(lambda connection: connection.execute(count).scalar_one())


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


# What an observer can tell


@pytest.mark.parametrize("email", [ANN["email"], " ANN@Example.com ", "bob@example.com", "x@y.fakeemail.com"])
def test_every_address_gets_one_answer(client: TestClient, email: str) -> None:
    """Status, body and headers do not tell whether there is an account (docs/protocol.md, rule 21.7)."""
    answer = ask(client, email)
    assert (answer.status_code, answer.json()) == (200, OK)
    assert set(answer.headers) == {"content-length", "content-type", "vary"}


@pytest.mark.parametrize("email", [ANN["email"], "bob@example.com"])
def test_nothing_is_looked_up_before_the_answer(make_app: Make, email: str) -> None:
    """The answer leaves before the account is even looked for, so that its time tells nothing (rule 21.7)."""
    order: list[str] = []

    class Recording(accountlinking.FunctionsLayer):
        async def list_users_by_account_info(
            self, tenant_id: str, account_info: AccountInfo, do_union_of_account_info: bool, user_context: Any
        ) -> Any:
            order.append("looked up")
            return await super().list_users_by_account_info(  # type: ignore[safe-super]
                tenant_id, account_info, do_union_of_account_info, user_context
            )

    override = emailpassword.InputOverrideConfig(functions=Recording)
    app = make_app(recipes=[emailpassword.init(), accountlinking.init(override)])
    inner = AuthMiddleware(create_app(app, []), app)

    async def recording(scope: Any, receive: Any, send: Any) -> None:
        async def noted(message: Any) -> None:
            order.append(message["type"])
            await send(message)

        await inner(scope, receive, noted)

    client = TestClient(recording, base_url="http://localhost:3567")
    client.post("/auth/signup", json=form(**ANN))
    order.clear()
    assert ask(client, email).json() == OK
    assert order == ["http.response.start", "http.response.body", "looked up"]


def test_a_failure_after_the_answer_is_logged(make_app: Make, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """What fails once the answer is out, the look-up included, reaches the log and nobody else (rule 21.7)."""

    def broken(original: Any) -> Any:
        async def list_users_by_account_info(**_: Any) -> Any:
            raise OSError("the database is away")

        original.list_users_by_account_info = list_users_by_account_info
        return original

    override = emailpassword.InputOverrideConfig(functions=broken)
    client = serve(make_app(recipes=[emailpassword.init(), accountlinking.init(override)]))
    assert ask(client).json() == OK
    assert "a job after the response failed" in caplog.text
    assert "the database is away" in caplog.text


# The link


def test_the_link_leads_to_the_website_of_the_request(serve: Serve) -> None:
    """Origin and base path are the website's, where they depend on the request too (rule 21.5)."""

    def origin(request: Request | None, user_context: dict[str, Any]) -> str:
        return "https://default.example" if request is None else f"https://{request.headers['x-shop']}.example"

    app = App(
        app_info=InputAppInfo("Shops", "https://api.example", origin=origin, website_base_path="/account"),
        recipe_list=[session.init(anti_csrf="NONE"), emailpassword.init()],
        database="sqlite://",
        unsafe_for_tests=True,
    )
    client = serve(app)
    user_id = client.post("/auth/signup", json=form(**ANN), headers={"x-shop": "a"}).json()["user"]["id"]
    client.post("/auth/user/password/reset/token", json=form(email=ANN["email"]), headers={"x-shop": "b"})
    assert app.outbox.last().link.startswith("https://b.example/account/reset-password?token=")
    assert app.outbox.last().link.endswith("&tenantId=public")
    with app.active():
        link = emailpassword.sync.create_reset_password_link("public", user_id, ANN["email"])
    assert isinstance(link, str)
    assert link.startswith("https://default.example/account/reset-password?token=")
    app.close()


def test_the_token_needs_no_escaping(app: App, client: TestClient) -> None:
    """A token is url-safe text of at least 64 bytes of randomness, and never the same twice (rule 21.1)."""
    tokens = {asked(app, client) for _ in range(20)}
    assert len(tokens) == 20
    for token in tokens:
        assert len(token) >= 86
        assert token.replace("-", "").replace("_", "").isalnum()
        assert token.isascii()


# The life of a token


@pytest.mark.parametrize(("seconds", "answer"), [(3599.999, OK), (3600, INVALID), (10**9, INVALID)])
def test_a_token_is_good_for_an_hour(
    app: App, client: TestClient, clock: ManualClock, seconds: float, answer: dict[str, str]
) -> None:
    """It is good until an hour has passed, to the millisecond (rules 21.1 and 21.3)."""
    token = asked(app, client)
    clock.advance(seconds)
    assert reset(client, token) == answer
    assert outstanding(app) == 0


def test_an_expired_token_takes_no_other_with_it(app: App, client: TestClient, clock: ManualClock) -> None:
    """Trying an expired token leaves a younger one good (rule 21.3)."""
    old = asked(app, client)
    clock.advance(3000)
    young = asked(app, client)
    clock.advance(600)
    assert reset(client, old) == INVALID
    assert reset(client, young) == OK


def test_a_change_of_address_voids_tokens(app: App, client: TestClient) -> None:
    """A link sent to the old address is worth nothing once the address has changed (rule 21.4)."""
    token = asked(app, client)
    with app.active():
        user = accountlinking.sync.list_users_by_account_info("public", AccountInfo(email=ANN["email"]))[0]
        emailpassword.sync.update_email_or_password(RecipeUserId(user.id), email="carol@example.com")
    assert reset(client, token) == INVALID
    assert reset(client, asked(app, client, "carol@example.com")) == OK
    body = form(email="carol@example.com", password=NEW)
    assert client.post("/auth/signin", json=body).json()["status"] == "OK"


def test_tokens_of_others_stay(app: App, client: TestClient) -> None:
    """One user's reset leaves another's link good (rule 21.2)."""
    client.post("/auth/signup", json=form(email="bob@example.com", password=ANN["password"]))
    anns, bobs = asked(app, client), asked(app, client, "bob@example.com")
    assert reset(client, anns) == OK
    assert client.post("/auth/signin", json=form(email="bob@example.com", password=NEW)).json()["status"] != "OK"
    assert reset(client, bobs) == OK


def test_a_token_for_another_address_is_invalid(app: App, client: TestClient) -> None:
    """A token made for an address the user does not have changes nothing over HTTP (rule 21.1)."""
    with app.active():
        user = accountlinking.sync.list_users_by_account_info("public", AccountInfo(email=ANN["email"]))[0]
        made = emailpassword.sync.create_reset_password_token("public", user.id, "mallory@example.com")
    assert isinstance(made, emailpassword.CreateResetPasswordOkResult)
    assert reset(client, made.token) == INVALID
    assert client.post("/auth/signin", json=form(**ANN)).json()["status"] == "OK"


@pytest.mark.parametrize("kind", ["file", "postgres"])
@pytest.mark.parametrize("tokens", [1, 2])
def test_simultaneous_resets(
    make_app: Make, serve: Serve, request: pytest.FixtureRequest, kind: str, tokens: int
) -> None:
    """Of simultaneous resets, with one token or with several of one user, exactly one succeeds (rule 21.2)."""
    path = request.getfixturevalue("tmp_path") if kind == "file" else None
    app = make_app(database=f"sqlite:///{path}/x.db" if path else request.getfixturevalue("postgres_url"))
    client, barrier, answers = serve(app), threading.Barrier(4), list[tuple[str, Any]]()
    client.post("/auth/signup", json=form(**ANN))
    made = [asked(app, client) for _ in range(tokens)]

    def attempt(number: int) -> None:
        barrier.wait()
        answers.append((f"password {number}", reset(client, made[number % tokens], f"password {number}")))

    threads = [threading.Thread(target=attempt, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = [password for password, answer in answers if answer == OK]
    assert [answer for _, answer in answers if answer != OK] == [INVALID] * 3
    assert client.post("/auth/signin", json=form(email=ANN["email"], password=winner)).json()["status"] == "OK"


# What is stored


def test_a_leaked_database_resets_nothing(make_app: Make, serve: Serve, tmp_path: Path) -> None:
    """The database file holds hashes of passwords and tokens, and neither of them themselves (rule 21.1)."""
    app = make_app(database=f"sqlite:///{tmp_path / 'x.db'}")
    client = serve(app)
    tokens = client.post("/auth/signup", json=form(**ANN)).headers
    token = asked(app, client)
    app.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert hashlib.sha256(token.encode()).hexdigest().encode() in stored
    for secret in (token, ANN["password"], tokens["st-access-token"], tokens["st-refresh-token"]):
        assert secret.encode() not in stored


def test_expired_tokens_are_cleaned_up(app: App, client: TestClient, clock: ManualClock) -> None:
    """Expired tokens go when the App cleans up, others stay (rule 21.6)."""
    for _ in range(3):
        ask(client)
    clock.advance(3600)
    token = asked(app, client)
    assert app.clean_up() == 3
    assert app.clean_up() == 0
    assert reset(client, token) == OK


def test_expired_tokens_go_without_being_asked(app: App, client: TestClient, clock: ManualClock) -> None:
    """Making a token deletes expired ones if the last clean-up is long ago (rules 21.6 and 26.2)."""
    for _ in range(3):
        ask(client)
    clock.advance(INTERVAL_MS / 1000)
    ask(client)
    assert outstanding(app) == 1


# Overrides


def test_a_policy_that_only_the_function_knows(make_app: Make, serve: Serve) -> None:
    """A password that the function refuses is an error of the field, although the form was content."""

    def functions(original: Any) -> Any:
        async def update_email_or_password(**_: Any) -> Any:
            return emailpassword.PasswordPolicyViolationError("this password was used before")

        original.update_email_or_password = update_email_or_password
        return original

    override = emailpassword.InputOverrideConfig(functions=functions)
    app = make_app(recipes=[emailpassword.init(override=override)])
    client = serve(app)
    client.post("/auth/signup", json=form(**ANN))
    error = {"id": "password", "error": "this password was used before"}
    assert reset(client, asked(app, client)) == {"status": "FIELD_ERROR", "formFields": [error]}


def test_a_reset_may_be_refused_with_a_reason(make_app: Make, serve: Serve) -> None:
    """An override may answer that no link is made, and why."""

    def apis(original: Any) -> Any:
        async def generate_password_reset_token_post(**_: Any) -> Any:
            return emailpassword.GeneratePasswordResetTokenPostNotAllowedResponse("ask your administrator")

        original.generate_password_reset_token_post = generate_password_reset_token_post
        return original

    client = serve(make_app(recipes=[emailpassword.init(override=emailpassword.InputOverrideConfig(apis=apis))]))
    assert ask(client).json() == {"status": "PASSWORD_RESET_NOT_ALLOWED", "reason": "ask your administrator"}


def test_a_crowd_of_hashes_does_not_cost_the_token(make_app: Make, serve: Serve) -> None:
    """A new password waits its turn however many wait before it, because the token has been spent (rule 22.8)."""
    app = make_app(unsafe_for_tests=False, clock=Clock())
    until = threading.Event()

    async def change() -> Any:
        signed_up = await emailpassword.sign_up("public", ANN["email"], ANN["password"])
        assert isinstance(signed_up, emailpassword.SignUpOkResult)
        limit = (os.cpu_count() or 1) * (1 + HASHES_WAITING_PER_CPU)
        crowd = [asyncio.create_task(hashing(until.wait)) for _ in range(limit)]
        await asyncio.sleep(0)
        refused = asyncio.create_task(emailpassword.verify_credentials("public", ANN["email"], ANN["password"]))
        changed = asyncio.create_task(emailpassword.update_email_or_password(signed_up.recipe_user_id, password=NEW))
        with pytest.raises(HashingBusyError):
            await refused
        until.set()
        await asyncio.gather(*crowd)
        return await changed

    with app.active():
        assert asyncio.run(change()) == emailpassword.UpdateEmailOrPasswordOkResult()
