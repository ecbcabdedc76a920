"""Claims that are true or false."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from coatcheck.claims import BooleanClaim, BooleanClaimValidators, ManualClock, PrimitiveClaim
from coatcheck.claims.payload import JSONObject
from coatcheck.claims.timed import TimedClaimValidator

CLAIM = BooleanClaim("2fa-completed", lambda: True)


def reason(validator: TimedClaimValidator, payload: JSONObject) -> JSONObject | None:
    """Return the reason of a refusal, {} for a valid payload."""
    return asyncio.run(validator.validate(payload, {})).reason


def test_it_is_a_primitive_claim_with_more_validators() -> None:
    """BooleanClaim is a PrimitiveClaim whose validators include is_true and is_false."""
    assert isinstance(CLAIM, PrimitiveClaim)
    assert isinstance(CLAIM.validators, BooleanClaimValidators)


def test_true_and_false() -> None:
    """is_true and is_false are has_value of true and false, reasons included (docs/protocol.md, rule 13.11)."""
    yes, no = CLAIM.add_to_payload_({}, True), CLAIM.add_to_payload_({}, False)
    assert reason(CLAIM.validators.is_true(), yes) == {}
    assert reason(CLAIM.validators.is_false(), no) == {}
    assert reason(CLAIM.validators.is_true(), no) == {
        "message": "wrong value",
        "expectedValue": True,
        "actualValue": False,
    }
    assert reason(CLAIM.validators.is_false(), yes) == {
        "message": "wrong value",
        "expectedValue": False,
        "actualValue": True,
    }
    assert reason(CLAIM.validators.is_false(), {}) == {
        "message": "value does not exist",
        "expectedValue": False,
        "actualValue": None,
    }


def test_a_false_value_is_not_fetched_again() -> None:
    """False is a value, not an absence (docs/protocol.md, rule 13.10)."""
    assert not CLAIM.validators.is_true().should_refetch(CLAIM.add_to_payload_({}, False), {})


@pytest.mark.parametrize(("stored", "wanted"), [(1, True), (0, False), ("true", True), ([], False)])
def test_nothing_is_coerced(stored: Any, wanted: bool) -> None:
    """A fetched 1 is stored as 1 and is not true (docs/protocol.md, rule 13.12)."""
    payload = asyncio.run(BooleanClaim(CLAIM.key, lambda: stored).build("user"))
    assert payload[CLAIM.key]["v"] is stored or payload[CLAIM.key]["v"] == stored
    found = reason(CLAIM.validators.has_value(wanted), payload)
    assert found == {"message": "wrong value", "expectedValue": wanted, "actualValue": stored}


def test_true_is_not_one_the_other_way_round() -> None:
    """A stored true does not pass for 1."""
    assert reason(cast("Any", CLAIM.validators).has_value(1), CLAIM.add_to_payload_({}, True)) != {}


def test_the_max_age_is_optional_and_has_one_name(clock: ManualClock) -> None:
    """is_true and is_false take `max_age` first, then an id (docs/protocol.md, rules 13.9 and 13.22)."""
    for make in (CLAIM.validators.is_true, CLAIM.validators.is_false):
        assert make().max_age is None
        assert make(0).max_age == make(max_age=0).max_age == 0
        assert make(1, "mine").id == make(id_="mine").id == "mine"
    aged = BooleanClaim("key", lambda: True, 300)
    payload = aged.add_to_payload_({}, True)
    clock.advance(301)
    assert aged.validators.is_true().should_refetch(payload, {})
    assert not aged.validators.is_true(400).should_refetch(payload, {})
