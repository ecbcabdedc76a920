"""Validators of one's own, and how verdicts are told."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from coatcheck.claims import (
    BooleanClaim,
    ClaimValidationError,
    ClaimValidationResult,
    SessionClaim,
    SessionClaimValidator,
)
from coatcheck.claims.payload import JSONObject, UserContext

CLAIM = BooleanClaim("key", lambda: True)


class Always(SessionClaimValidator):
    """Gives the same verdict for every payload."""

    def __init__(self, claim: SessionClaim[Any] | None = None, *, result: ClaimValidationResult | None = None) -> None:
        super().__init__("always")
        self.claim = claim
        self.result = result or ClaimValidationResult(is_valid=True)

    async def validate(self, payload: JSONObject, user_context: UserContext) -> ClaimValidationResult:
        return self.result


def test_a_valid_result_has_an_empty_reason() -> None:
    """Whatever reason was given, a valid result has {} (docs/protocol.md, rule 13.20)."""
    assert ClaimValidationResult(True).reason == {}
    assert ClaimValidationResult(True, {"message": "ignored"}).reason == {}


@pytest.mark.parametrize("reason", [None, {}, {"message": "no"}])
def test_an_invalid_result_keeps_its_reason(reason: JSONObject | None) -> None:
    """An invalid result may have any reason, or none (docs/protocol.md, rule 13.20)."""
    result = ClaimValidationResult(is_valid=False, reason=reason)
    assert not result.is_valid
    assert result.reason == reason


def test_a_failure_on_the_wire() -> None:
    """A failure is its id and its reason, and no key "reason" where there is none (docs/protocol.md, rule 13.21)."""
    assert ClaimValidationError("a", {"message": "no"}).to_json() == {"id": "a", "reason": {"message": "no"}}
    assert ClaimValidationError("a", {}).to_json() == {"id": "a", "reason": {}}
    assert ClaimValidationError("a").to_json() == {"id": "a"}


def test_a_failure_has_both_names_of_its_id() -> None:
    """`id` and `id_` are one; a failure is a value, not an exception."""
    failure = ClaimValidationError(id_="a", reason=None)
    assert failure.id == failure.id_ == "a"
    assert failure == ClaimValidationError("a", None)
    assert not isinstance(failure, BaseException)


def test_the_default_fetch_is_of_what_is_missing() -> None:
    """A validator with a claim asks for a fetch where there is no value, unless it decides itself (rule 13.19)."""
    validator = Always(CLAIM)
    assert validator.should_refetch({}, {})
    assert not validator.should_refetch(CLAIM.add_to_payload_({}, False), {})


def test_without_a_claim_nothing_is_fetched() -> None:
    """A validator has no claim unless it names one (docs/protocol.md, rule 13.19)."""
    assert Always().claim is None
    assert not Always().should_refetch({}, {})


def test_its_id_is_in_its_repr() -> None:
    """A validator shows its class and its id."""
    assert Always().id == "always"
    assert repr(Always()) == "Always('always')"


def test_validate_must_be_written() -> None:
    """A validator that does not validate cannot be made."""
    with pytest.raises(TypeError, match="abstract"):
        cast("Any", SessionClaimValidator)("id")


def test_an_async_validate_can_be_awaited_directly() -> None:
    """Validators are used on their own, too."""
    assert asyncio.run(Always().validate({}, {})).is_valid
