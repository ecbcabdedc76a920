"""Claims that are either true or false."""

from __future__ import annotations

from functools import cached_property

from .primitive import PrimitiveClaim, PrimitiveClaimValidators
from .timed_validator import TimedClaimValidator


class BooleanClaim(PrimitiveClaim[bool]):
    """A claim that is true or false; nothing is coerced, so a fetched 1 stays 1 and is not true."""

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
