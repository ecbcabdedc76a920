"""Claims stored as a value with its time, {"v": value, "t": milliseconds}, and the validator for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .claim import MaybeAwaitable, SessionClaim
from .clock import current_clock
from .payload import JSONObject, UserContext, copied_value
from .validator import ClaimValidationResult, SessionClaimValidator

T = TypeVar("T")

_LARGEST_TIME = 2**53 - 1  # the integers that every JSON reader keeps exact (RFC 8259, section 6)


class TimedClaim(SessionClaim[T]):
    """A claim stored as {"v", "t"} under its key (docs/protocol.md, rules 13.1 to 13.3).

    `default_max_age_in_sec` (seconds, fractions and infinity allowed) holds for validators that name no age of their
    own (docs/protocol.md, rule 13.9); None means that a value never expires.
    """

    def __init__(
        self,
        key: str,
        fetch_value: Callable[..., MaybeAwaitable[T | None]],
        default_max_age_in_sec: float | None = None,
    ) -> None:
        super().__init__(key, fetch_value)
        self.default_max_age_in_sec = checked_age(default_max_age_in_sec)

    def add_to_payload_(self, payload: JSONObject, value: T, user_context: UserContext | None = None) -> JSONObject:
        """Return a copy of `payload` that holds a copy of `value`, marked with the present time."""
        return {**payload, self.key: {"v": copied_value(value), "t": current_clock.get().now_ms()}}

    def remove_from_payload(self, payload: JSONObject, user_context: UserContext | None = None) -> JSONObject:
        """Return a copy of `payload` without this claim; a payload without it is copied unchanged."""
        return {name: value for name, value in payload.items() if name != self.key}

    def remove_from_payload_by_merge_(self, payload: JSONObject, user_context: UserContext | None = None) -> JSONObject:
        """Return a copy of `payload` in which the key is None, so that merging it into a session deletes the claim."""
        return {**payload, self.key: None}

    def get_value_from_payload(self, payload: JSONObject, user_context: UserContext | None = None) -> T | None:
        """Return a copy of the value in `payload`; None if there is none or it is not a stored claim."""
        stored = self._stored(payload)
        value: T | None = None if stored is None else copied_value(stored["v"])
        return value

    def get_last_refetch_time(self, payload: JSONObject, user_context: UserContext | None = None) -> int | None:
        """Return the milliseconds since the epoch at which the value was put into `payload`, or None."""
        stored = self._stored(payload)
        return None if stored is None else stored["t"]

    def _stored(self, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
        stored = payload.get(self.key)
        if isinstance(stored, Mapping) and "v" in stored and _is_time(stored.get("t")):
            return stored
        return None


def checked_age(max_age: float | None) -> float | None:
    """Return `max_age` (seconds); raise ValueError if it is negative or not a number."""
    if max_age is not None and not max_age >= 0:
        raise ValueError(f"a max age is a number of seconds, zero or more, not {max_age!r}")
    return max_age


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_TIME


class TimedClaimValidator(SessionClaimValidator):
    """Demands a value that is no older than `max_age` seconds and that `accepts` (docs/protocol.md, rule 13.10).

    `expectation` tells the client what was expected, for example {"expectedValue": true}. Without a `max_age` a value
    never expires; with 0 it is fetched for every check.
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
        self._expectation: JSONObject = copied_value(expectation)
        self._accepts = accepts

    def should_refetch(self, payload: JSONObject, user_context: UserContext) -> bool:
        """Whether the value is missing or has expired; always true with a max age of 0."""
        fetched_at = self._claim.get_last_refetch_time(payload, user_context)
        if fetched_at is None or self._claim.get_value_from_payload(payload, user_context) is None:
            return True
        return self.max_age is not None and (self.max_age == 0 or _age(fetched_at) > self.max_age)

    async def validate(self, payload: JSONObject, user_context: UserContext) -> ClaimValidationResult:
        """Check the value in `payload`; a refusal has one of three reasons (docs/protocol.md, rule 13.11).

        {"message": "value does not exist" or "wrong value", "expectedValue": ..., "actualValue": ...} or
        {"message": "expired", "ageInSeconds": ..., "maxAgeInSeconds": ...}.
        """
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
        reason = {"message": message, **copied_value(self._expectation), "actualValue": value}
        return ClaimValidationResult(is_valid=False, reason=reason)


def chosen_age(name: str, age: float | None, max_age: float | None) -> float | None:
    """Return the age given under one of its two names; raise TypeError if both are given."""
    if age is not None and max_age is not None:
        raise TypeError(f"max_age is another name for {name}: give only one of them")
    return max_age if age is None else age


def _age(fetched_at: int) -> float:
    """Return the seconds since `fetched_at` (milliseconds since the epoch)."""
    return (current_clock.get().now_ms() - fetched_at) / 1000
