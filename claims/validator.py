"""Validators: what a route demands of a session's claims, and how a refusal is told to the client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from .claim import SessionClaim
from .maybe_awaitable import MaybeAwaitable
from .payload import JSONObject, UserContext


@dataclass(frozen=True, slots=True)
class ClaimValidationResult:
    """The verdict of one validator (docs/protocol.md, rule 13.20).

    `reason` is any JSON object, usually with a "message", or None; a valid result always has the reason {}.
    """

    is_valid: bool
    reason: JSONObject | None = None

    def __post_init__(self) -> None:
        if self.is_valid:
            object.__setattr__(self, "reason", {})


@dataclass(frozen=True, slots=True)
class ClaimValidationError:
    """One failed validator, as a client sees it in a 403; a value, not an exception (docs/protocol.md, rule 13.21)."""

    id_: str
    reason: JSONObject | None = None

    @property
    def id(self) -> str:
        """The validator's id, under the name it has on the wire."""
        return self.id_

    def to_json(self) -> JSONObject:
        """Return `{"id", "reason"}`; without the key "reason" where there is none."""
        return {"id": self.id_} if self.reason is None else {"id": self.id_, "reason": self.reason}


class SessionClaimValidator(ABC):
    """One demand on the access-token payload (docs/protocol.md, rule 13.19).

    Subclass it, implement `validate`, and set `claim` if the value should be fetched where it is missing. Both methods
    may be plain or async; both only look at the payload.
    """

    claim: SessionClaim[Any] | None = None

    def __init__(self, id_: str) -> None:
        self.id = id_

    @abstractmethod
    def validate(self, payload: JSONObject, user_context: UserContext) -> MaybeAwaitable[ClaimValidationResult]:
        """Judge `payload`."""

    def should_refetch(self, payload: JSONObject, user_context: UserContext) -> MaybeAwaitable[bool]:
        """Tell whether the claim is to be fetched before validating: by default, where it has no value.

        Asked only of validators that have a claim.
        """
        return self.claim is not None and self.claim.get_value_from_payload(payload, user_context) is None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"
