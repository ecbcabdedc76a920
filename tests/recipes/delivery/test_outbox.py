"""Delivery without a mail server: the default service, the outbox, overrides, and the reset mail."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import pytest

from coatcheck.claims.payload import UserContext
from coatcheck.claims.recipe_user_id import RecipeUserId
from coatcheck.recipes.chain.chain import Chain
from coatcheck.recipes.delivery import (
    DefaultEmailService,
    EmailDeliveryConfig,
    EmailDeliveryInterface,
    Mail,
    Outbox,
)
from coatcheck.recipes.emailpassword.mail import (
    PasswordResetEmailTemplateVars,
    PasswordResetEmailTemplateVarsUser,
)
from coatcheck.recipes.exceptions import OverrideError

LINK = "https://example.com/auth/reset-password?token=abc&tenantId=public"


def reset(email: str = "ada@example.com", link: str = LINK) -> PasswordResetEmailTemplateVars:
    """Return what a reset mail says."""
    user = PasswordResetEmailTemplateVarsUser("u1", RecipeUserId("r1"), email)
    return PasswordResetEmailTemplateVars(user, link, "public")


def email_service(config: EmailDeliveryConfig | None, outbox: Outbox) -> EmailDeliveryInterface:
    """Return the service that a recipe with this configuration uses."""
    config = config or EmailDeliveryConfig()
    chain = Chain(
        EmailDeliveryInterface, config.service or DefaultEmailService(outbox), recipe_id="x", kind="email_delivery"
    )
    if config.override is not None:
        chain.apply(config.override)
    return chain.top


def send(service: EmailDeliveryInterface, template_vars: Any, user_context: UserContext | None = None) -> None:
    """Deliver a mail."""
    context: UserContext = {} if user_context is None else user_context
    asyncio.run(service.send_email(template_vars=template_vars, user_context=context))


class Recording(EmailDeliveryInterface):
    """A service of an application's own."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, UserContext]] = []

    async def send_email(self, template_vars: Any, user_context: UserContext) -> None:
        """Keep what was to be sent."""
        self.sent.append((template_vars, user_context))


class Failing(EmailDeliveryInterface):
    """A service that is down."""

    async def send_email(self, template_vars: Any, user_context: UserContext) -> None:
        """Fail."""
        raise ConnectionError("down")


def mail(to: str) -> Mail:
    """Return a mail to somebody."""
    return Mail(to, "subject", "text", None, (), None)


def test_default_service_fills_the_outbox() -> None:
    """By default a mail goes to the outbox, with its links and what it was made of."""
    outbox, template_vars = Outbox(), reset()
    send(DefaultEmailService(outbox), template_vars)
    delivered = outbox.last(to=" Ada@Example.com ")
    assert (delivered.to, delivered.subject) == ("ada@example.com", "Password reset instructions")
    assert (delivered.link, delivered.links) == (LINK, (LINK,))
    assert LINK in delivered.text
    assert delivered.template_vars is template_vars


def test_default_service_writes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """By default recipient and link are in the log, at INFO."""
    with caplog.at_level(logging.INFO, "coatcheck.delivery"):
        send(DefaultEmailService(Outbox()), reset())
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "ada@example.com" in caplog.text
    assert LINK in caplog.text


def test_log_injection(caplog: pytest.LogCaptureFixture) -> None:
    """No address and no link can add a line to the log."""
    with caplog.at_level(logging.INFO, "coatcheck.delivery"):
        send(DefaultEmailService(Outbox()), reset("a\r\nb@example.com", "https://x\nforged"))
    assert "\n" not in caplog.records[0].getMessage()
    assert "\r" not in caplog.records[0].getMessage()


def test_default_service_contacts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default service opens no connection."""

    def connect(self: socket.socket, address: Any) -> None:
        raise AssertionError(f"connected to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    outbox = Outbox()
    send(DefaultEmailService(outbox), reset())
    assert len(outbox) == 1


def test_failures_of_the_default_service_are_logged_only(caplog: pytest.LogCaptureFixture) -> None:
    """When the default service fails, the caller is not troubled, and the log says why."""
    send(DefaultEmailService(Outbox()), object())
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_failures_of_an_own_service_reach_the_caller() -> None:
    """An exception of an application's own service is the caller's."""
    with pytest.raises(ConnectionError, match="down"):
        send(email_service(EmailDeliveryConfig(service=Failing()), Outbox()), reset())


def test_outbox_is_bounded() -> None:
    """An outbox forgets its oldest mails rather than grow."""
    outbox = Outbox(capacity=2)
    for name in ("a", "b", "c"):
        outbox.add(mail(name))
    assert [one.to for one in outbox.mails] == ["b", "c"]
    outbox.clear()
    assert outbox.mails == []


def test_outbox_finds_mails_by_recipient() -> None:
    """The last mail, and the mails to one address, can be found; what is missing is named."""
    outbox = Outbox()
    with pytest.raises(LookupError, match="no mail to anybody; it has mail to nobody"):
        outbox.last()
    for name in ("a@x.y", "b@x.y", "a@x.y"):
        outbox.add(mail(name))
    assert outbox.last() is outbox.mails[2]
    assert outbox.to("A@x.y") == [outbox.mails[0], outbox.mails[2]]
    with pytest.raises(LookupError, match=r"no mail to c@x\.y; it has mail to a@x\.y, b@x\.y"):
        outbox.last(to="c@x.y")


def test_service_of_the_application_is_used() -> None:
    """A configured service receives the variables and the user context themselves."""
    service, template_vars, context = Recording(), reset(), {"k": 1}
    send(email_service(EmailDeliveryConfig(service=service), Outbox()), template_vars, context)
    assert service.sent[0][0] is template_vars
    assert service.sent[0][1] is context


def test_default_is_used_without_configuration() -> None:
    """Without configuration, mails go to the outbox."""
    outbox = Outbox()
    send(email_service(None, outbox), reset())
    assert len(outbox) == 1


def test_override_read_assign_return() -> None:
    """An override may keep the original method, assign another, change the variables, and return what it was given."""

    def override(original: EmailDeliveryInterface) -> EmailDeliveryInterface:
        original_send = original.send_email

        async def send_email(template_vars: Any, user_context: UserContext) -> None:
            template_vars.password_reset_link = template_vars.password_reset_link.replace("example.com", "other.org")
            await original_send(template_vars, user_context)

        original.send_email = send_email  # type: ignore[method-assign]
        return original

    service, outbox = Recording(), Outbox()
    send(email_service(EmailDeliveryConfig(service, override), outbox), reset())
    assert service.sent[0][0].password_reset_link == LINK.replace("example.com", "other.org")
    send(email_service(EmailDeliveryConfig(override=override), outbox), reset())
    assert outbox.last().link == LINK.replace("example.com", "other.org")


def test_override_leaves_a_shared_service_alone() -> None:
    """Two Apps that share a service and override it do not override each other's."""
    calls: list[str] = []

    def override(original: EmailDeliveryInterface) -> EmailDeliveryInterface:
        original_send = original.send_email

        async def send_email(template_vars: Any, user_context: UserContext) -> None:
            calls.append("override")
            await original_send(template_vars=template_vars, user_context=user_context)

        original.send_email = send_email  # type: ignore[method-assign]
        return original

    config = EmailDeliveryConfig(Recording(), override)
    email_service(config, Outbox())
    send(email_service(config, Outbox()), reset())
    assert calls == ["override"]


def test_override_that_returns_nothing() -> None:
    """A forgotten return is an error at init."""
    config = EmailDeliveryConfig(override=lambda original: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(OverrideError):
        email_service(config, Outbox())


def test_reset_mail_names_the_application() -> None:
    """The mail says for whom and where the password is reset, and holds the link, in both forms."""
    content = reset().content("Shop")
    assert (content.subject, content.to_email, content.is_html) == (
        "Password reset instructions",
        "ada@example.com",
        True,
    )
    assert content.plain_text is not None
    assert "for ada@example.com at Shop." in content.plain_text
    assert LINK in content.plain_text
    assert LINK.replace("&", "&amp;") in content.body
    assert " at " not in (reset().content("").plain_text or "")


def test_html_injection() -> None:
    """Nothing in names, addresses or links becomes markup."""
    content = reset('"<b>"@example.com', 'https://x/?a="><script>').content("<i>&Co")
    assert "<b>" not in content.body
    assert "<script>" not in content.body
    assert "<i>" not in content.body
    assert "&lt;i&gt;&amp;Co" in content.body
    assert 'href="https://x/?a=&quot;&gt;&lt;script&gt;"' in content.body


def test_reset_variables_as_json() -> None:
    """The variables have a camelCase form; the recipe user id is left out where there is none yet."""
    template_vars = reset()
    assert template_vars.to_json() == {
        "type": "PASSWORD_RESET",
        "user": {"id": "u1", "email": "ada@example.com", "recipeUserId": "r1"},
        "passwordResetLink": LINK,
        "tenantId": "public",
    }
    template_vars.user.recipe_user_id = None
    assert template_vars.to_json()["user"] == {"id": "u1", "email": "ada@example.com"}
