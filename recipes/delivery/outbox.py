"""The outbox with mails that no server has sent, for tests and development, and mails as MIME messages."""

from __future__ import annotations

import re
import secrets
from collections import deque
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

from ...claims.clock import current_clock
from ..users.user import normalised_email
from .interface import EmailContent

CAPACITY = 1000


@dataclass(frozen=True, slots=True)
class Mail:
    """A delivered mail; `links` are those it asks the reader to follow, `template_vars` what it was made of."""

    to: str
    subject: str
    text: str
    html: str | None
    links: tuple[str, ...]
    template_vars: object

    @classmethod
    def of(cls, content: EmailContent, template_vars: object) -> Mail:
        """Return the mail that was written from template variables."""
        text = content.body if content.plain_text is None else content.plain_text
        html = content.body if content.is_html else None
        links: tuple[str, ...] = tuple(getattr(template_vars, "links", ()))
        return cls(content.to_email, content.subject, text, html, links, template_vars)

    @property
    def link(self) -> str:
        """The first link; LookupError if there is none."""
        return self.links[0]


class Outbox:
    """The last mails delivered by the default service, oldest first; at most `capacity` are kept.

    With `replaces_smtp` it also takes every mail that an SMTPService would hand to its server.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.replaces_smtp = False
        self._mails: deque[Mail] = deque(maxlen=capacity)

    @property
    def mails(self) -> list[Mail]:
        """The mails, oldest first."""
        return list(self._mails)

    def add(self, mail: Mail) -> None:
        """Keep a mail; if there are too many, drop the oldest one."""
        self._mails.append(mail)

    def to(self, email: str) -> list[Mail]:
        """Return the mails to an address, oldest first, in any letter case."""
        wanted = normalised_email(email)
        return [mail for mail in self.mails if normalised_email(mail.to) == wanted]

    def last(self, to: str | None = None) -> Mail:
        """Return the last mail, or the last one to an address; LookupError if there is none."""
        found = self.mails if to is None else self.to(to)
        if not found:
            others = ", ".join(dict.fromkeys(mail.to for mail in self.mails)) or "nobody"
            raise LookupError(f"the outbox has no mail to {to or 'anybody'}; it has mail to {others}")
        return found[-1]

    def clear(self) -> None:
        """Forget all mails."""
        self._mails.clear()

    def __len__(self) -> int:
        return len(self._mails)


# MIME messages


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
    """Return the message, to one recipient; a ValueError for line breaks in the subject, a name or an address."""
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
