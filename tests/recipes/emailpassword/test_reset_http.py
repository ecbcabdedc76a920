"""Resetting a password over HTTP: the mail, its token, and what is refused."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from coatcheck import App, RecipeUserId
from coatcheck.claims import ManualClock
from coatcheck.recipes import accountlinking, emailpassword, session
from coatcheck.recipes.chain.chain import InputOverrideConfig
from coatcheck.recipes.delivery import EmailDeliveryConfig
from coatcheck.recipes.emailpassword.interface import (
    PasswordPolicyViolationError,
)
from coatcheck.recipes.users.user import AccountInfo
from coatcheck.server.asgi import AuthMiddleware

from ...kit import Make, Serve, form
from .steps import ANN, field_error, reset, sign_in, sign_up


def request_reset(client: TestClient, email: str = ANN["email"]) -> Any:
    """Ask for a reset link."""
    return client.post("/auth/user/password/reset/token", json=form(email=email))


def token_in(link: str) -> str:
    """Return the token in a reset link."""
    return parse_qs(urlsplit(link).query)["token"][0]


def test_resetting_a_password(app: App, client: TestClient) -> None:
    """A link reaches the address, and its token sets a new password once (rules 21.1 to 21.5)."""
    user_id = sign_up(client).json()["user"]["id"]
    assert request_reset(client).json() == {"status": "OK"}
    mail = app.outbox.last(ANN["email"])
    link = urlsplit(mail.link)
    assert (link.scheme, link.netloc, link.path) == ("http", "localhost:3000", "/auth/reset-password")
    assert parse_qs(link.query) == {"token": [token_in(mail.link)], "tenantId": ["public"]}
    assert mail.template_vars.user.id == user_id  # type: ignore[attr-defined]
    assert reset(client, token_in(mail.link)).json() == {"status": "OK"}
    assert sign_in(client).json()["status"] == "WRONG_CREDENTIALS_ERROR"
    assert sign_in(client, password="a new password 2").json()["status"] == "OK"
    assert reset(client, token_in(mail.link)).json() == {"status": "RESET_PASSWORD_INVALID_TOKEN_ERROR"}


def test_an_unknown_address_gets_the_same_answer_and_no_mail(app: App, client: TestClient) -> None:
    """Known and unknown addresses cannot be told apart by the answer (rule 21.7)."""
    sign_up(client)
    known, unknown = request_reset(client), request_reset(client, "bob@example.com")
    assert known.json() == unknown.json() == {"status": "OK"}
    assert dict(known.headers) == dict(unknown.headers)
    assert [mail.to for mail in app.outbox.mails] == [ANN["email"]]


def test_everything_about_a_reset_happens_after_the_answer(make_app: Make, serve: Serve) -> None:
    """The token is made and the mail handed over once the answer has left; a failure is logged only (rule 21.7)."""
    order: list[str] = []

    class Broken(emailpassword.EmailDeliveryInterface):
        async def send_email(self, template_vars: Any, user_context: Any) -> None:
            order.append("mail")
            raise OSError("the mail server is away")

    app = make_app(recipes=[emailpassword.init(email_delivery=EmailDeliveryConfig(service=Broken()))])

    async def recording(scope: Any, receive: Any, send: Any) -> None:
        async def noted(message: Any) -> None:
            if message["type"] == "http.response.body":
                order.append("answer")
            await send(message)

        await AuthMiddleware(_nothing, app)(scope, receive, noted)

    client = TestClient(recording, base_url="http://localhost:3567")
    sign_up(client)
    order.clear()
    assert request_reset(client).json() == {"status": "OK"}
    assert order == ["answer", "mail"]
    with app.active(), pytest.raises(OSError, match="away"):
        emailpassword.sync.send_reset_password_email("public", _ann_id(app), ANN["email"])


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no request should get here")


def _ann_id(app: App) -> str:
    users = accountlinking.sync.list_users_by_account_info("public", AccountInfo(email=ANN["email"]))
    return users[0].id


def test_a_token_expires_after_an_hour(app: App, client: TestClient, clock: ManualClock) -> None:
    """A token is good for an hour, not longer."""
    sign_up(client)
    request_reset(client)
    token = token_in(app.outbox.last().link)
    clock.advance(3600)
    assert reset(client, token).json()["status"] == "RESET_PASSWORD_INVALID_TOKEN_ERROR"


def test_one_reset_voids_the_other_tokens(app: App, client: TestClient) -> None:
    """Several tokens may be out; using one voids the rest, and so does changing the password (rule 21.2)."""
    sign_up(client)
    for _ in range(2):
        request_reset(client)
    first, second = (token_in(mail.link) for mail in app.outbox.mails)
    assert reset(client, second).json() == {"status": "OK"}
    assert reset(client, first).json()["status"] == "RESET_PASSWORD_INVALID_TOKEN_ERROR"
    request_reset(client)
    emailpassword.sync.update_email_or_password(RecipeUserId(_ann_id(app)), password="another one 3")
    assert reset(client, token_in(app.outbox.last().link)).json()["status"] == "RESET_PASSWORD_INVALID_TOKEN_ERROR"


def test_a_weak_password_leaves_the_token_good(app: App, client: TestClient) -> None:
    """The form is checked before the token is spent."""
    sign_up(client)
    request_reset(client)
    token = token_in(app.outbox.last().link)
    assert "password" in field_error(reset(client, token, "short"))
    assert emailpassword.sync.reset_password_using_token("public", token, "short") == PasswordPolicyViolationError(
        "Password must contain at least 8 characters, including a number"
    )
    assert reset(client, token).json() == {"status": "OK"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (form(password="good enough 1"), "Please provide the password reset token"),
        ({"token": 1, **form(password="good enough 1")}, "The password reset token must be a string"),
    ],
)
def test_malformed_resets(client: TestClient, body: Any, message: str) -> None:
    """A reset without a token, or with one that is no text, is 400."""
    answer = client.post("/auth/user/password/reset", json=body)
    assert (answer.status_code, answer.json()) == (400, {"message": message})


@pytest.mark.parametrize("token", ["", "unknown", "\udcff", "\0", "x" * 100_000])
def test_unknown_reset_tokens(client: TestClient, token: str) -> None:
    """Any text may be tried as a token, and none works."""
    content = json.dumps({"token": token, **form(password="good enough 1")})
    answer = client.post("/auth/user/password/reset", content=content)
    assert answer.json() == {"status": "RESET_PASSWORD_INVALID_TOKEN_ERROR"}


def test_a_reset_keeps_sessions_and_an_override_may_end_them(make_app: Make, serve: Serve) -> None:
    """Sessions outlive a reset unless an override, which is told the user, ends them."""

    def apis(original: Any) -> Any:
        inner = original.password_reset_post

        async def changed(form_fields: Any, token: str, tenant_id: str, api_options: Any, user_context: Any) -> Any:
            result = await inner(form_fields, token, tenant_id, api_options, user_context)
            await session.revoke_all_sessions_for_user(result.user.id)
            return result

        original.password_reset_post = changed
        return original

    for override, left in ((None, 1), (InputOverrideConfig(apis=apis), 0)):
        app = make_app(recipes=[emailpassword.init(override=override)])
        client = serve(app)
        user_id = sign_up(client).json()["user"]["id"]
        request_reset(client)
        reset(client, token_in(app.outbox.last().link))
        with app.active():
            assert len(session.sync.get_all_session_handles_for_user(user_id)) == left


def test_the_mail_can_be_changed_by_an_override(make_app: Make, serve: Serve) -> None:
    """An override of the delivery service gets the variables and the request's user context, and is in the chain."""

    def delivery(original: Any) -> Any:
        send_email = original.send_email

        async def changed(template_vars: Any, user_context: Any) -> None:
            assert user_context["_default"]["request"].url.path == "/auth/user/password/reset/token"
            template_vars.password_reset_link += "&extra=1"
            await send_email(template_vars, user_context)

        original.send_email = changed
        return original

    app = make_app(recipes=[emailpassword.init(email_delivery=EmailDeliveryConfig(override=delivery))])
    client = serve(app)
    sign_up(client)
    request_reset(client)
    assert app.outbox.last().link.endswith("&extra=1")
    assert "changed" in app.explain("emailpassword.send_email")
