"""The mails that were not sent anywhere: kept in memory, to be read by tests and during development."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

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
        """Keep a mail, in the place of the oldest one if there are too many."""
        self._mails.append(mail)

    def to(self, email: str) -> list[Mail]:
        """Return the mails to an address, oldest first, whatever letter case they were addressed in."""
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
