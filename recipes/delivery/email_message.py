"""A mail as a MIME message that names exactly the recipient meant, whatever its texts contain."""

from __future__ import annotations

import re
import secrets
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

from ...claims.clock import current_clock
from .interface import EmailContent

_ATOM = r"[^\x00-\x20\x7f\s()<>\[\]:;@\\,\"]+"
_ADDRESS = re.compile(
    rf"(?P<local>{_ATOM}|\"(?:[^\x00-\x1f\x7f\"\\]|\\[\"\\])+\")@(?P<domain>{_ATOM}|\[[0-9A-Za-z.:]+\])"
)


def address(email: str, *, display_name: str = "") -> Address:
    """Return one mailbox (RFC 5322, section 3.4); a ValueError for a text that is not exactly one address."""
    found = _ADDRESS.fullmatch(email)
    if found is None:
        raise ValueError(f"not an e-mail address that mail can be sent to: {email!r}")
    local = found["local"]
    username = re.sub(r"\\(.)", r"\1", local[1:-1]) if local.startswith('"') else local
    return Address(display_name=display_name, username=username, domain=found["domain"])


def mime_message(content: EmailContent, sender: Address) -> EmailMessage:
    """Return the message; a ValueError for line breaks in the subject, a name or an address."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = address(content.to_email)
    message["Subject"] = content.subject
    message["Date"] = formatdate(current_clock.get().now_ms() / 1000)
    message["Message-ID"] = f"<{secrets.token_hex(16)}@{sender.domain.strip('[]')}>"
    if not content.is_html:
        message.set_content(content.body)
    elif content.plain_text is None:
        message.set_content(content.body, subtype="html")
    else:
        message.set_content(content.plain_text)
        message.add_alternative(content.body, subtype="html")
    return message
