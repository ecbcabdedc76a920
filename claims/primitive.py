"""The built-in claims: one value, true or false, or a list; and the validators that each of them makes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Generic, TypeVar, overload

from .claim import MaybeAwaitable
from .exceptions import ClaimError
from .payload import JSONObject, UserContext, copied_value, same_value
from .timed import TimedClaim, TimedClaimValidator, chosen_age

T = TypeVar("T")


class PrimitiveClaim(TimedClaim[T]):
    """A claim that holds one JSON value: a string, a number, a boolean or an object."""

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

    Every method takes a max age in seconds, by default that of the claim, and an id, by default the claim's key. Two
    demands of one kind need different ids.
    """

    def __init__(self, claim: TimedClaim[T], default_max_age_in_sec: float | None = None) -> None:
        self.claim = claim
        self.default_max_age_in_sec = default_max_age_in_sec

    def has_value(
        self, val: T, max_age_in_sec: float | None = None, id_: str | None = None, *, max_age: float | None = None
    ) -> TimedClaimValidator:
        """Demand that the value equals `val` at every level; true and 1 are different."""
        age = chosen_age("max_age_in_sec", max_age_in_sec, max_age)
        expected: T = copied_value(val)
        return TimedClaimValidator(
            self.claim,
            id_,
            max_age=self.default_max_age_in_sec if age is None else age,
            expectation={"expectedValue": expected},
            accepts=lambda value: same_value(value, expected),
        )

    def has_fresh_value(self, val: T, max_age_in_sec: float, id_: str | None = None) -> TimedClaimValidator:
        """Demand that the value equals `val` and is at most `max_age_in_sec` seconds old."""
        return self.has_value(val, max_age_in_sec, id_)


class BooleanClaim(PrimitiveClaim[bool]):
    """A claim that is true or false; no value is converted, so a fetched 1 stays 1 and is not true."""

    @cached_property
    def validators(self) -> BooleanClaimValidators:
        """Makes validators for this claim."""
        return BooleanClaimValidators(self, self.default_max_age_in_sec)


class BooleanClaimValidators(PrimitiveClaimValidators[bool]):
    """Makes validators for a claim that is true or false."""

    def is_true(self, max_age: float | None = None, id_: str | None = None) -> TimedClaimValidator:
        """Demand the value true."""
        return self.has_value(True, max_age, id_)

    def is_false(self, max_age: float | None = None, id_: str | None = None) -> TimedClaimValidator:
        """Demand the value false."""
        return self.has_value(False, max_age, id_)


E = TypeVar("E")


class PrimitiveArrayClaim(TimedClaim[list[E]], Generic[E]):
    """A claim that holds a list of JSON values, in the order given, duplicates included."""

    @cached_property
    def validators(self) -> PrimitiveArrayClaimValidators[E]:
        """Makes validators for this claim."""
        return PrimitiveArrayClaimValidators(self, self.default_max_age_in_sec)

    def add_to_payload_(
        self, payload: JSONObject, value: Iterable[E], user_context: UserContext | None = None
    ) -> JSONObject:
        """Return a copy of `payload` that holds a list of the elements of `value`, marked with the present time.

        Raises ClaimError if `value` is neither None nor a collection; a string is not a list of letters.
        """
        if value is not None and not _is_list(value):
            raise ClaimError(f"claim {self.key!r} holds a list, not {value!r}")
        return super().add_to_payload_(payload, value if value is None else list(value), user_context)

    def _stored(self, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
        stored = super()._stored(payload)
        return stored if stored is None or isinstance(stored["v"], list | tuple | None) else None


class PrimitiveArrayClaimValidators(Generic[E]):
    """Makes validators for one claim that holds a list.

    Elements are compared at every level; true and 1 are different. A claim without a value fails every demand, that of
    an absence too (docs/protocol.md, rule 13.14). `includes_all`, `includes_any` and `excludes_all` take a collection,
    or one element in place of a list of one.
    """

    def __init__(self, claim: TimedClaim[list[E]], default_max_age_in_sec: float | None = None) -> None:
        self.claim = claim
        self.default_max_age_in_sec = default_max_age_in_sec

    def includes(
        self, val: E, max_age_in_seconds: float | None = None, id_: str | None = None, *, max_age: float | None = None
    ) -> TimedClaimValidator:
        """Demand that `val` is in the list."""
        age = chosen_age("max_age_in_seconds", max_age_in_seconds, max_age)
        element: E = copied_value(val)
        return self._validator("expectedToInclude", element, lambda held: _has(held, element), id_=id_, age=age)

    def excludes(
        self, val: E, max_age_in_seconds: float | None = None, id_: str | None = None, *, max_age: float | None = None
    ) -> TimedClaimValidator:
        """Demand that `val` is not in the list."""
        age = chosen_age("max_age_in_seconds", max_age_in_seconds, max_age)
        element: E = copied_value(val)
        return self._validator("expectedToNotInclude", element, lambda held: not _has(held, element), id_=id_, age=age)

    def includes_all(
        self,
        val: Iterable[E] | E,
        max_age_in_seconds: float | None = None,
        id_: str | None = None,
        *,
        max_age: float | None = None,
    ) -> TimedClaimValidator:
        """Demand that every element of `val` is in the list; an empty `val` demands nothing."""
        age = chosen_age("max_age_in_seconds", max_age_in_seconds, max_age)
        given, wanted = _elements(val)
        return self._validator(
            "expectedToInclude", given, lambda held: all(_has(held, element) for element in wanted), id_=id_, age=age
        )

    def includes_any(
        self,
        val: Iterable[E] | E,
        max_age_in_seconds: float | None = None,
        id_: str | None = None,
        *,
        max_age: float | None = None,
    ) -> TimedClaimValidator:
        """Demand that at least one element of `val` is in the list; an empty `val` always fails."""
        age = chosen_age("max_age_in_seconds", max_age_in_seconds, max_age)
        given, wanted = _elements(val)
        return self._validator(
            "expectedToIncludeAtLeastOneOf",
            given,
            lambda held: any(_has(held, element) for element in wanted),
            id_=id_,
            age=age,
        )

    def excludes_all(
        self,
        val: Iterable[E] | E,
        max_age_in_seconds: float | None = None,
        id_: str | None = None,
        *,
        max_age: float | None = None,
    ) -> TimedClaimValidator:
        """Demand that no element of `val` is in the list; an empty `val` forbids nothing."""
        age = chosen_age("max_age_in_seconds", max_age_in_seconds, max_age)
        given, refused = _elements(val)
        return self._validator(
            "expectedToNotInclude",
            given,
            lambda held: not any(_has(held, element) for element in refused),
            id_=id_,
            age=age,
        )

    def _validator(
        self, expectation: str, val: Any, accepts: Callable[[list[E]], bool], *, id_: str | None, age: float | None
    ) -> TimedClaimValidator:
        return TimedClaimValidator(
            self.claim,
            id_,
            max_age=self.default_max_age_in_sec if age is None else age,
            expectation={expectation: val},
            accepts=accepts,
        )


def _is_list(value: object) -> bool:
    # An object and a string are single JSON values, although Python can iterate over them.
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _elements(val: Any) -> tuple[Any, list[Any]]:
    """Return `val` as the client sees it, and the list of its elements."""
    if _is_list(val):
        elements = copied_value(list(val))
        return elements, elements
    element = copied_value(val)
    return element, [element]


def _has(held: list[E], element: E) -> bool:
    return any(same_value(one, element) for one in held)
