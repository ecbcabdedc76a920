"""The mails that an App has sent, with the links to click and the codes to type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload
from urllib.parse import urlsplit

from ..recipes.delivery.outbox import Mail, Outbox
from ..recipes.users.user import normalised_email, normalised_phone_number
from ..server.testing.commands import codes_in, parameters_of


@dataclass(frozen=True, slots=True)
class Message:
    """A mail or, to a phone number, a text message; LookupError for a link, code or token that it does not have."""

    to: str
    subject: str
    text: str = field(repr=False)
    html: str | None = field(repr=False)
    links: tuple[str, ...] = field(repr=False)
    codes: tuple[str, ...] = field(repr=False)
    template_vars: object = field(repr=False)

    @classmethod
    def of(cls, mail: Mail) -> Message:
        """Read a mail."""
        codes = tuple(codes_in(mail.text))
        return cls(mail.to, mail.subject, mail.text, mail.html, mail.links, codes, mail.template_vars)

    @property
    def link(self) -> str:
        """The first link."""
        if not self.links:
            raise self._lookup_error("link")
        return self.links[0]

    @property
    def code(self) -> str:
        """The first code: a number of four to eight digits that stands alone in the text."""
        if not self.codes:
            raise self._lookup_error("code")
        return self.codes[0]

    @property
    def token(self) -> str:
        """The token in the first link: its parameter `token`, or else its fragment."""
        token = parameters_of(self.link).get("token") or urlsplit(self.link).fragment
        if not token:
            raise self._lookup_error("token in its link")
        return token

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the first link, with those of its fragment."""
        return parameters_of(self.link)

    def _lookup_error(self, what: str) -> LookupError:
        return LookupError(f"the message {self.subject!r} to {self.to} has no {what}")


class Mailbox(Sequence[Message]):
    """The messages of an App, or those to one address, oldest first; later messages appear in it, too."""

    def __init__(self, outbox: Outbox, address: str | None = None) -> None:
        self._outbox = outbox
        self._address = address

    def to(self, address: str) -> Mailbox:
        """Return the messages to one e-mail address or phone number, in any spelling of it."""
        return Mailbox(self._outbox, address)

    @property
    def last(self) -> Message:
        """The last message; if there is none, a LookupError lists who has received messages."""
        found = self._messages()
        if not found:
            others = ", ".join(dict.fromkeys(mail.to for mail in self._outbox.mails)) or "nobody"
            raise LookupError(f"nothing was sent to {self._address or 'anybody'}; there are messages to {others}")
        return found[-1]

    def clear(self) -> None:
        """Forget all messages of the App."""
        self._outbox.clear()

    def __len__(self) -> int:
        return len(self._messages())

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages())

    @overload
    def __getitem__(self, index: int) -> Message: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Message]: ...

    def __getitem__(self, index: int | slice) -> Message | Sequence[Message]:
        return self._messages()[index]

    def __repr__(self) -> str:
        return f"<Mailbox {self._messages()!r}>"

    def _messages(self) -> list[Message]:
        return [Message.of(mail) for mail in self._outbox.mails if self._is_addressed(mail)]

    def _is_addressed(self, mail: Mail) -> bool:
        if self._address is None:
            return True
        wanted, actual = (
            {normalised_email(address), normalised_phone_number(address)} for address in (self._address, mail.to)
        )
        return not wanted.isdisjoint(actual)
