"""What a way of delivering e-mail is, and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

from ...claims.payload import UserContext
from ..exceptions import NotInitialisedError
from ..kit.services import current_services


@dataclass(slots=True)
class EmailContent:
    """A mail ready to be sent; `body` is HTML unless `is_html` is False, `plain_text` the same without HTML."""

    body: str
    subject: str
    to_email: str
    is_html: bool = True
    plain_text: str | None = None


class EmailTemplate(Protocol):
    """The variables of a mail; each kind of mail has more attributes, which overrides read and change."""

    @property
    def links(self) -> tuple[str, ...]:
        """The links the mail asks the reader to follow."""
        ...

    def content(self, app_name: str) -> EmailContent:
        """Return the mail in this library's own words."""
        ...


class EmailDeliveryInterface(ABC):
    """A service that delivers e-mail; an exception of an application's own service reaches the caller."""

    @abstractmethod
    async def send_email(self, template_vars: Any, user_context: UserContext) -> None:
        """Deliver the mail that the variables describe."""


def default_content(template_vars: EmailTemplate) -> EmailContent:
    """Return a mail in this library's own words, naming the application if one is initialised."""
    try:
        app_name = current_services().info.app_name
    except NotInitialisedError:
        app_name = ""
    return template_vars.content(app_name)
