"""How mails are delivered: to the log and an outbox by default, over SMTP, or by a service of the application's own.

No mail leaves the process unless the application names a mail server (docs/protocol.md, section 23).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...claims.payload import UserContext
from ..kit.recipe import Delivery
from .interface import (
    EmailContent as EmailContent,
    EmailDeliveryInterface as EmailDeliveryInterface,
    EmailTemplate as EmailTemplate,
    default_content,
)
from .outbox import Mail as Mail, Outbox as Outbox
from .smtp import (
    SMTPService as SMTPService,
    SMTPServiceInterface as SMTPServiceInterface,
    SMTPSettings as SMTPSettings,
    SMTPSettingsFrom as SMTPSettingsFrom,
)

EMAIL = Delivery("email", EmailDeliveryInterface, lambda app: DefaultEmailService(app.outbox))
"""Mail, as a delivery that a recipe declares."""

_logger = logging.getLogger("coatcheck.delivery")


@dataclass(frozen=True)
class EmailDeliveryConfig:
    """What delivers: `service`, by default the log and the outbox; `override` receives it and returns a service."""

    service: EmailDeliveryInterface | None = None
    override: Callable[[EmailDeliveryInterface], EmailDeliveryInterface] | None = None


class DefaultEmailService(EmailDeliveryInterface):
    """Writes recipient and links to the log, at INFO, and the mail to the outbox; never fails, never sends."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def send_email(self, template_vars: Any, user_context: UserContext) -> None:
        """Deliver to the log and the outbox; an error is logged and does not reach the caller."""
        try:
            self._deliver(template_vars)
        except Exception:
            _logger.exception("a mail could not be written to the outbox")

    def _deliver(self, template_vars: EmailTemplate) -> None:
        mail = Mail.of(default_content(template_vars), template_vars)
        self._outbox.add(mail)
        # repr() quotes line breaks, so that no address or link can add a line to the log.
        _logger.info("mail %r to %r: %s", mail.subject, mail.to, ", ".join(map(repr, mail.links)))
