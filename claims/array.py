"""Claims that hold a list, and the demands one can make of its elements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Generic, TypeVar

from .exceptions import ClaimError
from .json_value import copied, same
from .payload import JSONObject, UserContext
from .timed import TimedClaim
from .timed_validator import TimedClaimValidator, chosen_age

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

        Raises ClaimError if `value` is neither None nor a collection: a text, for one, is not a list of letters.
        """
        if value is not None and not _is_list(value):
            raise ClaimError(f"claim {self.key!r} holds a list, not {value!r}")
        return super().add_to_payload_(payload, value if value is None else list(value), user_context)

    def _stored(self, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
        stored = super()._stored(payload)
        return stored if stored is None or isinstance(stored["v"], list | tuple | None) else None


class PrimitiveArrayClaimValidators(Generic[E]):
    """Makes validators for one claim that holds a list.

    Elements are compared deeply, and with true told apart from 1. A claim without a value fails every demand, also
    that of an absence (docs/protocol.md, rule 13.14). `includes_all`, `includes_any` and `excludes_all` take any
    collection, or one element standing for a list of one.
    """

    def __init__(self, claim: TimedClaim[list[E]], default_max_age_in_sec: float | None = None) -> None:
        self.claim = claim
        self.default_max_age_in_sec = default_max_age_in_sec

    def includes(
        self, val: E, max_age_in_seconds: float | None = None, id_: str | None = None, *, max_age: float | None = None
    ) -> TimedClaimValidator:
        """Demand that `val` is in the list."""
        age = chosen_age("max_age_in_seconds", max_age_in_seconds, max_age)
        element: E = copied(val)
        return self._validator("expectedToInclude", element, lambda held: _has(held, element), id_=id_, age=age)

    def excludes(
        self, val: E, max_age_in_seconds: float | None = None, id_: str | None = None, *, max_age: float | None = None
    ) -> TimedClaimValidator:
        """Demand that `val` is not in the list."""
        age = chosen_age("max_age_in_seconds", max_age_in_seconds, max_age)
        element: E = copied(val)
        return self._validator("expectedToNotInclude", element, lambda held: not _has(held, element), id_=id_, age=age)

    def includes_all(
        self,
        val: Iterable[E] | E,
        max_age_in_seconds: float | None = None,
        id_: str | None = None,
        *,
        max_age: float | None = None,
    ) -> TimedClaimValidator:
        """Demand that every element of `val` is in the list; an empty `val` asks for nothing."""
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
        """Demand that at least one element of `val` is in the list; an empty `val` can never be met."""
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
    # An object and a text are single JSON values, although Python can iterate over them.
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _elements(val: Any) -> tuple[Any, list[Any]]:
    """Return `val` as the client is shown it, and the list it stands for."""
    if _is_list(val):
        elements = copied(list(val))
        return elements, elements
    element = copied(val)
    return element, [element]


def _has(held: list[E], element: E) -> bool:
    return any(same(one, element) for one in held)
