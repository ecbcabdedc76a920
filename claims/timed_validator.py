"""The validator behind every built-in claim: is there a value, is it fresh, is it right, in this order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .clock import current_clock
from .json_value import copied
from .payload import JSONObject, UserContext
from .timed import TimedClaim, checked_age
from .validator import ClaimValidationResult, SessionClaimValidator

T = TypeVar("T")


class TimedClaimValidator(SessionClaimValidator):
    """Demands a value that is no older than `max_age` seconds and that `accepts` (docs/protocol.md, rule 13.10).

    `expectation` is the one entry that tells the client what was wanted: {"expectedValue": true}. Without a `max_age` a
    value never expires; with 0 it is fetched anew for every check.
    """

    def __init__(
        self,
        claim: TimedClaim[T],
        id_: str | None,
        *,
        max_age: float | None,
        expectation: Mapping[str, Any],
        accepts: Callable[[T], bool],
    ) -> None:
        super().__init__(id_ or claim.key)
        self.claim = self._claim = claim
        self.max_age = checked_age(max_age)
        self._expectation: JSONObject = copied(expectation)
        self._accepts = accepts

    def should_refetch(self, payload: JSONObject, user_context: UserContext) -> bool:
        """Tell whether there is no value, or an expired one; with a max age of 0, always."""
        fetched_at = self._claim.get_last_refetch_time(payload, user_context)
        if fetched_at is None or self._claim.get_value_from_payload(payload, user_context) is None:
            return True
        return self.max_age is not None and (self.max_age == 0 or _age(fetched_at) > self.max_age)

    async def validate(self, payload: JSONObject, user_context: UserContext) -> ClaimValidationResult:
        """Judge the value in `payload`; the reason is one of three (docs/protocol.md, rule 13.11)."""
        value = self._claim.get_value_from_payload(payload, user_context)
        fetched_at = self._claim.get_last_refetch_time(payload, user_context)
        if value is None or fetched_at is None:
            return self._refused("value does not exist", None)
        age = _age(fetched_at)
        if self.max_age is not None and age > self.max_age:
            reason = {"message": "expired", "ageInSeconds": age, "maxAgeInSeconds": self.max_age}
            return ClaimValidationResult(is_valid=False, reason=reason)
        return ClaimValidationResult(is_valid=True) if self._accepts(value) else self._refused("wrong value", value)

    def _refused(self, message: str, value: Any) -> ClaimValidationResult:
        reason = {"message": message, **copied(self._expectation), "actualValue": value}
        return ClaimValidationResult(is_valid=False, reason=reason)


def chosen_age(name: str, age: float | None, max_age: float | None) -> float | None:
    """Return whichever of the two spellings of the age was used; raise TypeError if it was both."""
    if age is not None and max_age is not None:
        raise TypeError(f"max_age is another name for {name}: give only one of them")
    return max_age if age is None else age


def _age(fetched_at: int) -> float:
    """Seconds since `fetched_at` (milliseconds since the epoch)."""
    return (current_clock.get().now_ms() - fetched_at) / 1000
