"""Delivery over SMTP, by the standard library."""

from __future__ import annotations

import ipaddress
import logging
import smtplib
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.headerregistry import Address
from typing import Any

from ...claims.payload import UserContext
from ...sessions.blocking import blocking
from ..exceptions import ConfigurationError, NotInitialisedError
from ..kit.services import current_services
from .interface import EmailContent, EmailDeliveryInterface, default_content
from .outbox import Mail, Outbox, address, mime_message

TIMEOUT_S = 15.0

_logger = logging.getLogger("coatcheck.delivery")

_template_vars: ContextVar[Any] = ContextVar("coatcheck_template_vars", default=None)
"""The template variables of the mail that is being sent, for the outbox that takes it in place of the server."""


@dataclass(frozen=True, slots=True)
class SMTPSettingsFrom:
    """Who the mails are from."""

    name: str
    email: str

    def __post_init__(self) -> None:
        try:
            address(self.email, display_name=self.name)
        except ValueError as error:
            raise ConfigurationError(f"SMTPSettingsFrom: {error}") from error


@dataclass(frozen=True, slots=True)
class SMTPSettings:
    """The mail server.

    `secure` means TLS from the first byte; otherwise TLS begins with STARTTLS where the server offers it. Certificates
    are checked against `ssl_context`, by default the system's authorities. With a password, the login is as `username`
    or else as the sender's address. `timeout_s` (seconds) limits every wait for the server.
    """

    host: str
    port: int
    from_: SMTPSettingsFrom
    password: str | None = field(default=None, repr=False)
    secure: bool | None = None
    username: str | None = None
    ssl_context: ssl.SSLContext | None = field(default=None, kw_only=True)
    timeout_s: float = field(default=TIMEOUT_S, kw_only=True)

    def __post_init__(self) -> None:
        if not self.host:
            raise ConfigurationError("SMTPSettings: host is empty")
        if not 1 <= self.port <= 65535:
            raise ConfigurationError(f"SMTPSettings: port must be a number from 1 to 65535, not {self.port!r}")


class SMTPServiceInterface(ABC):
    """The two steps of sending a mail over SMTP, each of which can be overridden."""

    @abstractmethod
    async def get_content(self, template_vars: Any, user_context: UserContext) -> EmailContent:
        """Return the mail that the variables describe."""

    @abstractmethod
    async def send_raw_email(self, content: EmailContent, user_context: UserContext) -> None:
        """Hand a mail to the server."""


SMTPOverride = Callable[[SMTPServiceInterface], SMTPServiceInterface]


class _SMTPSteps(SMTPServiceInterface):
    def __init__(self, settings: SMTPSettings) -> None:
        self._settings = settings

    async def get_content(self, template_vars: Any, user_context: UserContext) -> EmailContent:
        return default_content(template_vars)

    async def send_raw_email(self, content: EmailContent, user_context: UserContext) -> None:
        outbox = _replacing_outbox()
        if outbox is None:
            await blocking(send_over_smtp, self._settings, content)
        else:
            mime_message(content, _sender(self._settings))  # so that a mail that cannot be sent is an error here, too
            outbox.add(Mail.of(content, _template_vars.get()))


class SMTPService(EmailDeliveryInterface):
    """Sends mails over SMTP; `override` receives the original steps and returns what is used in their place.

    In an App whose outbox `replaces_smtp`, the outbox gets the mails instead of the server.
    """

    def __init__(self, smtp_settings: SMTPSettings, override: SMTPOverride | None = None) -> None:
        steps: SMTPServiceInterface = _SMTPSteps(smtp_settings)
        self.service_implementation = steps if override is None else override(steps)
        if not hasattr(self.service_implementation, "send_raw_email"):
            raise ConfigurationError(
                f"the override of SMTPService returned {self.service_implementation!r}; "
                "it must return the implementation that it got, or another"
            )

    async def send_email(self, template_vars: Any, user_context: UserContext) -> None:
        """Send the mail; errors of the mail server reach the caller."""
        steps = self.service_implementation
        content = await steps.get_content(template_vars=template_vars, user_context=user_context)
        token = _template_vars.set(template_vars)
        try:
            await steps.send_raw_email(content=content, user_context=user_context)
        finally:
            _template_vars.reset(token)


def send_over_smtp(settings: SMTPSettings, content: EmailContent) -> None:
    """Send one mail to its one recipient over a connection of its own (RFC 5321, RFC 3207); blocks."""
    sender = _sender(settings)
    message = mime_message(content, sender)
    with _connect(settings) as server:
        if settings.password is not None:
            server.login(settings.username or settings.from_.email, settings.password)
        server.send_message(message, from_addr=sender.addr_spec, to_addrs=[address(content.to_email).addr_spec])


def _sender(settings: SMTPSettings) -> Address:
    return address(settings.from_.email, display_name=settings.from_.name)


def _replacing_outbox() -> Outbox | None:
    """Return the outbox of the current App if it replaces the server, else None."""
    try:
        outbox = current_services().outbox
    except NotInitialisedError:
        return None
    return outbox if outbox.replaces_smtp else None


def _connect(settings: SMTPSettings) -> smtplib.SMTP:
    context = settings.ssl_context or ssl.create_default_context()
    if settings.secure:
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=settings.timeout_s, context=context)
    server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s)
    try:
        server.ehlo_or_helo_if_needed()
        if server.has_extn("starttls"):
            server.starttls(context=context)
        elif settings.password is not None and not _is_loopback(settings.host):
            _logger.warning("%s offers no TLS: the password of the mail account is sent unencrypted", settings.host)
    except BaseException:
        server.close()
        raise
    return server


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
