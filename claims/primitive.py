"""Claims that hold one value, and the demands one can make of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Generic, TypeVar, overload

from .json_value import copied, same
from .maybe_awaitable import MaybeAwaitable
from .timed import TimedClaim
from .timed_validator import TimedClaimValidator, chosen_age

T = TypeVar("T")


class PrimitiveClaim(TimedClaim[T]):
    """A claim that holds one JSON value: a text, a number, a boolean, an object."""

    # Spelled out one by one, because mypy cannot infer T from the union alone.
    @overload
    def __init__(
        self, key: str, fetch_value: Callable[..., Awaitable[T | None]], default_max_age_in_sec: float | None = None
    ) -> None: ...

    @overload
    def __init__(
        self, key: str, fetch_value: Callable[..., T | None], default_max_age_in_sec: float | None = None
    ) -> None: ...

    @overload
    def __init__(
        self,
        key: str,
        fetch_value: Callable[..., MaybeAwaitable[T | None]],
        default_max_age_in_sec: float | None = None,
    ) -> None: ...

    def __init__(self, key: str, fetch_value: Callable[..., Any], default_max_age_in_sec: float | None = None) -> None:
        super().__init__(key, fetch_value, default_max_age_in_sec)

    @cached_property
    def validators(self) -> PrimitiveClaimValidators[T]:
        """Makes validators for this claim."""
        return PrimitiveClaimValidators(self, self.default_max_age_in_sec)


class PrimitiveClaimValidators(Generic[T]):
    """Makes validators for one claim.

    Every method takes a max age in seconds and, for the case that a session needs two demands of one kind, an id; by
    default the age is the claim's and the id its key.
    """

    def __init__(self, claim: TimedClaim[T], default_max_age_in_sec: float | None = None) -> None:
        self.claim = claim
        self.default_max_age_in_sec = default_max_age_in_sec

    def has_value(
        self, val: T, max_age_in_sec: float | None = None, id_: str | None = None, *, max_age: float | None = None
    ) -> TimedClaimValidator:
        """Demand that the value equals `val`, deeply, and with true told apart from 1."""
        age = chosen_age("max_age_in_sec", max_age_in_sec, max_age)
        expected: T = copied(val)
        return TimedClaimValidator(
            self.claim,
            id_,
            max_age=self.default_max_age_in_sec if age is None else age,
            expectation={"expectedValue": expected},
            accepts=lambda value: same(value, expected),
        )

    def has_fresh_value(self, val: T, max_age_in_sec: float, id_: str | None = None) -> TimedClaimValidator:
        """Demand that the value equals `val` and is at most `max_age_in_sec` seconds old."""
        return self.has_value(val, max_age_in_sec, id_)
