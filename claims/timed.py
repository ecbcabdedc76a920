"""Claims stored as a value with the time at which it was put there: {"v": value, "t": milliseconds}."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .claim import SessionClaim
from .clock import current_clock
from .json_value import copied
from .maybe_awaitable import MaybeAwaitable
from .payload import JSONObject, UserContext

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
        return {**payload, self.key: {"v": copied(value), "t": current_clock.get().now_ms()}}

    def remove_from_payload(self, payload: JSONObject, user_context: UserContext | None = None) -> JSONObject:
        """Return a copy of `payload` without this claim; it need not have been there."""
        return {name: value for name, value in payload.items() if name != self.key}

    def remove_from_payload_by_merge_(self, payload: JSONObject, user_context: UserContext | None = None) -> JSONObject:
        """Return a copy of `payload` in which the key is None, so that merging it into a session deletes the claim."""
        return {**payload, self.key: None}

    def get_value_from_payload(self, payload: JSONObject, user_context: UserContext | None = None) -> T | None:
        """Return a copy of the value held by `payload`; None where there is none or it is not a stored claim."""
        stored = self._stored(payload)
        value: T | None = None if stored is None else copied(stored["v"])
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
