"""What was sent, and what a person would click or type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from coatcheck import App
from coatcheck.recipes import emailpassword, session, thirdpartyemailpassword
from coatcheck.recipes.delivery import (
    EmailContent,
    EmailDeliveryConfig,
    EmailDeliveryInterface,
    SMTPService,
    SMTPServiceInterface,
    SMTPSettings,
    SMTPSettingsFrom,
)
from coatcheck.recipes.delivery.outbox import Mail
from coatcheck.testing import Mailbox, client, make_app, sign_in


@pytest.fixture
def app() -> Iterator[App]:
    """Yield a fresh App."""
    with make_app() as app:
        yield app


@pytest.fixture
def box(app: App) -> Mailbox:
    """Return what the App sends."""
    return Mailbox(app.outbox)


def fields(**values: str) -> dict[str, object]:
    return {"formFields": [{"id": name, "value": value} for name, value in values.items()]}


def forget_password(app: App, email: str) -> None:
    client(app).post("/auth/user/password/reset/token", json=fields(email=email))


def mail(to: str, text: str, *links: str) -> Mail:
    return Mail(to, "Hello", text, None, links, None)


def test_a_forgotten_password_is_reset_with_the_token_of_the_mail(app: App, box: Mailbox) -> None:
    """Link and token of the last mail are those with which its reader sets a new password."""
    sign_in(app, "ann@example.com")
    forget_password(app, "ann@example.com")
    link = urlsplit(box.last.link)
    assert (link.netloc, link.path) == ("localhost:3000", "/auth/reset-password")
    assert box.last.parameters == {"token": box.last.token, "tenantId": "public"}
    reset = {"method": "token", "token": box.last.token, **fields(password="another horse 2")}
    assert client(app).post("/auth/user/password/reset", json=reset).json()["status"] == "OK"
    again = client(app).post("/auth/signin", json=fields(email="ann@example.com", password="another horse 2"))
    assert again.json()["status"] == "OK"


def test_mails_are_found_by_address(app: App, box: Mailbox) -> None:
    """`to` shows the mails to one address, however it is written, and keeps up with those that come later."""
    to_ann = box.to(" ANN@example.com")
    for email in ("ann@example.com", "bob@example.com", "ann@example.com"):
        sign_in(app, email)
        forget_password(app, email)
    assert [message.to for message in box] == ["ann@example.com", "bob@example.com", "ann@example.com"]
    assert [message.to for message in to_ann] == ["ann@example.com"] * 2
    assert to_ann.last == box[2]
    assert to_ann[:1] == [box[0]]
    assert len(box.to("carl@example.com")) == 0


def test_text_messages_are_found_by_number(app: App, box: Mailbox) -> None:
    """What goes to a phone number is found by the number, however it is written."""
    app.outbox.add(mail("+4915112345678", "Your code is 123456"))
    assert box.to("0049 151 123 456 78").last.code == "123456"


def test_a_code_stands_by_itself(app: App, box: Mailbox) -> None:
    """A code is a number of four to eight digits, neither part of a longer text nor of a link."""
    app.outbox.add(
        mail("ann@example.com", "Order 1234567890, http://x.example/9999: enter 4711 or 0815-4711 by 12:30.")
    )
    assert box.last.codes == ("4711",)
    assert box.last.code == "4711"


@pytest.mark.parametrize(
    ("link", "token"),
    [
        ("https://example.com/verify?token=abc&rid=x", "abc"),
        ("https://example.com/verify?rid=passwordless#linkcode", "linkcode"),
        ("https://example.com/verify?rid=x#token=abc", "abc"),
    ],
)
def test_the_token_is_what_the_link_carries(app: App, box: Mailbox, link: str, token: str) -> None:
    """A token travels as a parameter of the link, or in its fragment."""
    app.outbox.add(mail("ann@example.com", link, link))
    assert box.last.token == token


def test_what_is_not_there_is_said(app: App, box: Mailbox) -> None:
    """Where something is missing, the error tells what there is."""
    with pytest.raises(LookupError, match="nothing was sent to anybody; there are messages to nobody"):
        _ = box.last
    app.outbox.add(mail("ann@example.com", "Hello, Ann", "https://example.com/"))
    with pytest.raises(LookupError, match=r"sent to bob@example.com; there are messages to ann@example.com"):
        _ = box.to("bob@example.com").last
    with pytest.raises(LookupError, match=r"'Hello' to ann@example.com has no code"):
        _ = box.last.code
    with pytest.raises(LookupError, match="has no token in its link"):
        _ = box.last.token
    app.outbox.add(mail("ann@example.com", "Hello, Ann"))
    with pytest.raises(LookupError, match="has no link"):
        _ = box.last.link


def test_a_mailbox_can_be_cleared(app: App, box: Mailbox) -> None:
    """Clearing forgets every message."""
    app.outbox.add(mail("ann@example.com", "Hello"))
    box.clear()
    assert len(box) == 0


def test_secrets_are_not_shown(app: App, box: Mailbox) -> None:
    """Printing a mailbox shows who was written to about what, and none of the tokens."""
    sign_in(app, "ann@example.com")
    forget_password(app, "ann@example.com")
    assert "ann@example.com" in repr(box)
    assert box.last.token not in repr(box)


# A mail server that the application names


class LongerLink(EmailDeliveryInterface):
    """A `send_email` override of the delivery."""

    def __init__(self, original: EmailDeliveryInterface) -> None:
        self._original = original

    async def send_email(self, template_vars: Any, user_context: dict[str, Any]) -> None:
        template_vars.password_reset_link += "&from=override"
        await self._original.send_email(template_vars, user_context)


class OwnWords(SMTPServiceInterface):
    """An override of both steps of an SMTPService."""

    def __init__(self, original: SMTPServiceInterface) -> None:
        self._original = original

    async def get_content(self, template_vars: Any, user_context: dict[str, Any]) -> EmailContent:
        return EmailContent(f"Enter 271828, or follow {template_vars.password_reset_link}", "Own words", "", False)

    async def send_raw_email(self, content: EmailContent, user_context: dict[str, Any]) -> None:
        content.to_email = "everybody@example.com"
        await self._original.send_raw_email(content, user_context)


def recipes_with_smtp(*, combined: bool = False, override: Any = None, delivery: Any = None) -> list[Any]:
    """Return a recipe list that names a mail server that is not there."""
    settings = SMTPSettings("127.0.0.1", 1, SMTPSettingsFrom("Shop", "shop@example.com"))
    config = EmailDeliveryConfig(service=SMTPService(settings, override), override=delivery)
    recipe = thirdpartyemailpassword if combined else emailpassword
    return [session.init(), recipe.init(email_delivery=config)]


@pytest.mark.parametrize("combined", [False, True])
def test_the_outbox_stands_in_for_a_mail_server(combined: bool) -> None:
    """No server is asked where the recipe list names one: its mails are in the outbox, links and tokens included."""
    with make_app(recipes_with_smtp(combined=combined)) as app:
        sign_in(app, "ann@example.com")
        forget_password(app, "ann@example.com")
        (message,) = Mailbox(app.outbox)
        assert (message.to, message.subject) == ("ann@example.com", "Password reset instructions")
        assert message.parameters == {"token": message.token, "tenantId": "public"}
        assert message.html is not None


def test_overrides_of_a_mail_that_goes_by_smtp_apply() -> None:
    """What the application makes of mail, steps and variables is what is in the outbox."""
    with make_app(recipes_with_smtp(override=OwnWords, delivery=LongerLink)) as app:
        sign_in(app, "ann@example.com")
        forget_password(app, "ann@example.com")
        (message,) = Mailbox(app.outbox)
        assert (message.to, message.subject, message.html) == ("everybody@example.com", "Own words", None)
        assert message.code == "271828"
        assert message.link.endswith("&from=override")
        assert message.link in message.text


def test_the_outbox_refuses_what_a_mail_server_would_not_be_sent(caplog: pytest.LogCaptureFixture) -> None:
    """A mail that could not be written, here for want of a recipient, is an error as it is in production."""

    class NoRecipient(OwnWords):
        async def send_raw_email(self, content: EmailContent, user_context: dict[str, Any]) -> None:
            await self._original.send_raw_email(content, user_context)

    with make_app(recipes_with_smtp(override=NoRecipient)) as app:
        sign_in(app, "ann@example.com")
        forget_password(app, "ann@example.com")
        assert len(app.outbox) == 0
        assert "not an e-mail address" in caplog.text
