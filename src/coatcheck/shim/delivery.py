"""Mail delivery under the names of the SDK, whose classes take a type in brackets: `EmailDeliveryConfig[Vars]`."""

from __future__ import annotations

from typing import Generic, TypeVar

from ..recipes import delivery

T = TypeVar("T")


class EmailDeliveryInterface(delivery.EmailDeliveryInterface, Generic[T]):
    """A way of delivering e-mail."""


class EmailDeliveryConfig(delivery.EmailDeliveryConfig, Generic[T]):
    """Who delivers."""


class SMTPServiceInterface(delivery.SMTPServiceInterface, Generic[T]):
    """The two steps of sending a mail over SMTP."""
