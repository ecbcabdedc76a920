"""Reset mails over HTTP: the outbox, a service of one's own, overrides, and a real mail server."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.testclient import TestClient

from coatcheck import App, RecipeUserId, current_app
from coatcheck.recipes import emailpassword
from coatcheck.recipes.delivery import EmailDeliveryConfig, SMTPService, SMTPSettings, SMTPSettingsFrom
from coatcheck.recipes.emailpassword.mail import PasswordResetEmailTemplateVars, PasswordResetEmailTemplateVarsUser

from ...kit import Make, Serve, form

ANN = {"email": "ann@example.com", "password": "correct horse 1"}
VARIABLES = PasswordResetEmailTemplateVars(
    PasswordResetEmailTemplateVarsUser("u1", None, "bob@example.com"), "https://example.com/reset", "public"
)


class Own(emailpassword.EmailDeliveryInterface):
    """A service that keeps what it is given, and fails when told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sent: list[Any] = []
        self.error = error

    async def send_email(self, template_vars: Any, user_context: Any) -> None:
        """Keep the variables, the user context and the App at work."""
        self.sent.append((template_vars, user_context, current_app()))
        if self.error is not None:
            raise self.error


def with_delivery(make_app: Make, serve: Serve, **config: Any) -> tuple[App, TestClient, str]:
    """Make an App with this delivery, sign Ann up, and return her id too."""
    app = make_app(recipes=[emailpassword.init(email_delivery=EmailDeliveryConfig(**config))])
    client = serve(app)
    return app, client, client.post("/auth/signup", json=form(**ANN)).json()["user"]["id"]


def ask(client: TestClient, email: str = ANN["email"]) -> None:
    """Ask for a link."""
    answer = client.post("/auth/user/password/reset/token", json=form(email=email))
    assert answer.json() == {"status": "OK"}


def test_the_outbox_has_the_mail(make_app: Make, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """By default a reset mail is in the outbox and in the log, at INFO (docs/protocol.md, rule 23.1)."""
    app, client, user_id = with_delivery(make_app, serve)
    with caplog.at_level(logging.INFO, "coatcheck.delivery"):
        ask(client)
    mail = app.outbox.last(ANN["email"])
    assert (mail.to, mail.subject) == (ANN["email"], "Password reset instructions")
    assert mail.link in mail.text
    assert mail.template_vars == PasswordResetEmailTemplateVars(
        PasswordResetEmailTemplateVarsUser(user_id, RecipeUserId(user_id), ANN["email"]), mail.link, "public"
    )
    [record] = [record for record in caplog.records if record.name == "coatcheck.delivery"]
    assert record.levelno == logging.INFO
    assert repr(mail.link) in record.getMessage()


def test_the_address_is_the_one_that_was_typed(make_app: Make, serve: Serve) -> None:
    """The mail goes where the account's address is, however it was typed."""
    app, client, _ = with_delivery(make_app, serve)
    ask(client, "  ANN@Example.com ")
    assert [mail.to.lower() for mail in app.outbox.mails] == [ANN["email"]]
    assert len(app.outbox.to(ANN["email"])) == 1


def test_a_service_of_ones_own(make_app: Make, serve: Serve) -> None:
    """It gets the variables and the request's user context, with its App at work; the outbox stays empty."""
    own = Own()
    app, client, user_id = with_delivery(make_app, serve, service=own)
    ask(client)
    [(variables, context, at_work)] = own.sent
    assert variables.to_json() == {
        "type": "PASSWORD_RESET",
        "user": {"id": user_id, "recipeUserId": user_id, "email": ANN["email"]},
        "passwordResetLink": variables.password_reset_link,
        "tenantId": "public",
    }
    assert context["_default"]["request"].url.path == "/auth/user/password/reset/token"
    assert at_work is app
    assert len(app.outbox) == 0


def test_an_override_over_a_service_of_ones_own(make_app: Make, serve: Serve) -> None:
    """An override may send some mails elsewhere, or not at all, and pass the rest on."""
    own = Own()

    def override(original: Any) -> Any:
        inner = original.send_email

        async def send_email(template_vars: Any, user_context: Any) -> None:
            if not template_vars.user.email.startswith("muted"):
                await inner(template_vars, user_context)

        original.send_email = send_email
        return original

    _, client, _ = with_delivery(make_app, serve, service=own, override=override)
    client.post("/auth/signup", json=form(email="muted@example.com", password=ANN["password"]))
    for email in ("muted@example.com", ANN["email"]):
        ask(client, email)
    assert [variables.user.email for variables, _, _ in own.sent] == [ANN["email"]]


def test_a_failing_service_troubles_no_client(make_app: Make, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Over HTTP a failure is logged; a caller of the function gets it (rules 21.7 and 23.2)."""
    app, client, user_id = with_delivery(make_app, serve, service=Own(OSError("the mail server is away")))
    ask(client)
    assert "the mail server is away" in caplog.text
    with app.active():
        with pytest.raises(OSError, match="away"):
            emailpassword.sync.send_reset_password_email("public", user_id, ANN["email"])
        with pytest.raises(OSError, match="away"):
            emailpassword.sync.send_email(VARIABLES)


def test_a_failed_delivery_can_be_tried_again(make_app: Make, serve: Serve) -> None:
    """A token that was made for a mail that got lost does not stand in the way of the next one."""
    own = Own(OSError("away"))
    app, client, _ = with_delivery(make_app, serve, service=own)
    ask(client)
    own.error = None
    ask(client)
    link = own.sent[-1][0].password_reset_link
    token = link.partition("token=")[2].partition("&")[0]
    answer = client.post("/auth/user/password/reset", json={"token": token, **form(password="a new password 2")})
    assert answer.json() == {"status": "OK"}
    assert len(app.outbox) == 0


def test_sending_by_function(make_app: Make, serve: Serve) -> None:
    """An application may deliver a mail of its own making through the recipe's service, context included."""
    own, context = Own(), {"mine": True}
    app, _, _ = with_delivery(make_app, serve, service=own)
    with app.active():
        emailpassword.sync.send_email(VARIABLES, context)
    assert own.sent == [(VARIABLES, context, app)]
    assert own.sent[0][1] is context


# Over SMTP


class Kept:
    """A handler of a mail server that keeps what arrives."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Accept a mail."""
        self.envelopes.append(envelope)
        return "250 OK"


@pytest.fixture
def mail_server() -> Iterator[tuple[Kept, int]]:
    """Run a mail server; yield what it keeps, and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    kept = Kept()
    controller = Controller(kept, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield kept, port
    finally:
        controller.stop()


def test_a_reset_by_a_real_mail_server(make_app: Make, serve: Serve, mail_server: tuple[Kept, int]) -> None:
    """A link that arrived over SMTP resets the password; an unknown address makes no mail (rules 21.7 and 23.4)."""
    kept, port = mail_server
    settings = SMTPSettings("127.0.0.1", port, from_=SMTPSettingsFrom("Shop", "shop@example.com"))
    app, client, _ = with_delivery(make_app, serve, service=SMTPService(settings))
    for email in (ANN["email"], "bob@example.com"):
        ask(client, email)
    [envelope] = kept.envelopes
    assert envelope.rcpt_tos == [ANN["email"]]
    assert isinstance(envelope.content, bytes)
    mail = message_from_bytes(envelope.content, EmailMessage, policy=policy.default)
    assert mail["subject"] == "Password reset instructions"
    plain = mail.get_body(("plain",))
    assert plain is not None
    token = plain.get_content().partition("token=")[2].partition("&")[0]
    answer = client.post("/auth/user/password/reset", json={"token": token, **form(password="a new password 2")})
    assert answer.json() == {"status": "OK"}
    assert len(app.outbox) == 0


def test_a_mail_server_that_is_away(make_app: Make, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody who asks for a link notices (rule 21.7)."""
    settings = SMTPSettings("127.0.0.1", 1, from_=SMTPSettingsFrom("Shop", "shop@example.com"))
    _, client, _ = with_delivery(make_app, serve, service=SMTPService(settings))
    ask(client)
    assert "a job after the response failed" in caplog.text
