"""Claims that hold one value, and those that hold true or false."""

from __future__ import annotations

import asyncio
import math
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from coatcheck.claims import BooleanClaim, BooleanClaimValidators, ManualClock, PrimitiveClaim, RecipeUserId
from coatcheck.claims.payload import JSONObject
from coatcheck.claims.timed import TimedClaimValidator

VALUE = {"foo": 1}
OTHER = {"foo": 2}
MISSING = {"message": "value does not exist", "expectedValue": VALUE, "actualValue": None}


def claim(default_max_age_in_sec: float | None = None, **fetch: Any) -> PrimitiveClaim[Any]:
    """Return a claim under "key" whose value is VALUE."""
    return PrimitiveClaim("key", fetch.get("fetch_value", lambda: VALUE), default_max_age_in_sec)


def reason(validator: TimedClaimValidator, payload: JSONObject) -> JSONObject | None:
    """Return the reason of a refusal, {} for a valid payload."""
    result = asyncio.run(validator.validate(payload, {}))
    assert result.is_valid == (result.reason == {})
    return result.reason


def test_build_with_a_plain_fetch(clock: ManualClock) -> None:
    """The value is stored with the present time (docs/protocol.md, rule 13.1)."""
    assert asyncio.run(claim().build("user", "public", {})) == {"key": {"t": clock.now_ms(), "v": VALUE}}


def test_build_with_an_async_fetch(clock: ManualClock) -> None:
    """An async fetch_value gives the same (docs/protocol.md, rule 13.7)."""
    built = asyncio.run(claim(fetch_value=AsyncMock(return_value=VALUE)).build("user", "public", {}))
    assert built == {"key": {"t": clock.now_ms(), "v": VALUE}}


def test_build_is_adding_to_nothing(clock: ManualClock) -> None:
    """What build gives is what add_to_payload_ puts into an empty payload (docs/protocol.md, rule 13.6)."""
    assert asyncio.run(claim().build("user")) == claim().add_to_payload_({}, VALUE, {})


def test_fetch_is_called_once_with_five_arguments() -> None:
    """A callable that takes anything gets all five by position (docs/protocol.md, rule 13.5)."""
    mock = Mock(return_value=VALUE)
    user = RecipeUserId("user")
    asyncio.run(claim(fetch_value=mock).build("user", user, "public", {}, {}))
    mock.assert_called_once_with("user", user, "public", {}, {})


def test_a_fetched_none_builds_nothing() -> None:
    """None leaves the payload alone (docs/protocol.md, rule 13.7)."""
    assert asyncio.run(claim(fetch_value=Mock(return_value=None)).build("user")) == {}


def test_reading_an_empty_payload() -> None:
    """A missing key is no value and no time (docs/protocol.md, rule 13.2)."""
    assert claim().get_value_from_payload({}) is None
    assert claim().get_last_refetch_time({}) is None


def test_reading_what_was_put_there(clock: ManualClock) -> None:
    """The value and the time come back (docs/protocol.md, rule 13.1)."""
    payload = claim().add_to_payload_({}, VALUE)
    clock.advance(5)
    assert claim().get_value_from_payload(payload) == VALUE
    assert claim().get_last_refetch_time(payload) == clock.now_ms() - 5000


@pytest.mark.parametrize("age", [None, 600, math.inf])
def test_a_missing_value_is_refused(age: float | None) -> None:
    """With and without a max age the reason is the same (docs/protocol.md, rule 13.11)."""
    assert reason(claim().validators.has_value(VALUE, age), {}) == MISSING


@pytest.mark.parametrize("age", [None, 600])
def test_a_wrong_value_is_refused(age: float | None) -> None:
    """A fresh value that differs is named beside the one wanted (docs/protocol.md, rule 13.11)."""
    payload = claim().add_to_payload_({}, VALUE)
    expected = {"message": "wrong value", "expectedValue": OTHER, "actualValue": VALUE}
    assert reason(claim().validators.has_value(OTHER, age), payload) == expected


@pytest.mark.parametrize("age", [None, 600])
def test_a_matching_value_is_valid(age: float | None) -> None:
    """A fresh value equal to the one wanted passes, and the reason is {} (docs/protocol.md, rule 13.20)."""
    payload = claim().add_to_payload_({}, VALUE)
    assert reason(claim().validators.has_value(VALUE, age), payload) == {}


def test_without_a_max_age_a_value_never_expires(clock: ManualClock) -> None:
    """Ten minutes later it is valid and not fetched (docs/protocol.md, rule 13.9)."""
    payload = claim().add_to_payload_({}, VALUE)
    clock.advance(600)
    validator = claim().validators.has_value(VALUE)
    assert reason(validator, payload) == {}
    assert not validator.should_refetch(payload, {})


@pytest.mark.parametrize("age", [None, 600])
def test_a_missing_value_is_fetched(age: float | None) -> None:
    """Without a value a fetch is asked for (docs/protocol.md, rule 13.10)."""
    assert claim().validators.has_value(VALUE, age).should_refetch({}, {})


@pytest.mark.parametrize("age", [None, 600])
def test_a_fresh_value_is_not_fetched(age: float | None) -> None:
    """What the value is does not matter (docs/protocol.md, rule 13.10)."""
    payload = claim().add_to_payload_({}, VALUE)
    assert not claim().validators.has_value(OTHER, age).should_refetch(payload, {})


def test_the_default_age_of_the_claim(clock: ManualClock) -> None:
    """A value older than the claim's default has expired and is fetched, right or wrong (rules 13.9, 13.11)."""
    aged = claim(300)
    payload = aged.add_to_payload_({}, VALUE)
    clock.advance(600)
    expired = {"message": "expired", "ageInSeconds": 600, "maxAgeInSeconds": 300}
    assert reason(aged.validators.has_value(VALUE), payload) == expired
    assert reason(aged.validators.has_value(OTHER), payload) == expired
    assert aged.validators.has_value(OTHER).should_refetch(payload, {})


@pytest.mark.parametrize("age", [601, math.inf])
def test_an_age_of_the_validator_beats_the_default(clock: ManualClock, age: float) -> None:
    """A longer age prevents the fetch and the refusal (docs/protocol.md, rule 13.9)."""
    aged = claim(300)
    payload = aged.add_to_payload_({}, VALUE)
    clock.advance(600)
    validator = aged.validators.has_value(VALUE, age)
    assert not validator.should_refetch(payload, {})
    assert reason(validator, payload) == {}


def test_a_shorter_age_of_the_validator_beats_the_default(clock: ManualClock) -> None:
    """A shorter age than the claim's default asks for a fetch (docs/protocol.md, rule 13.9)."""
    aged = claim(300)
    payload = aged.add_to_payload_({}, VALUE)
    clock.advance(10)
    assert aged.validators.has_value(VALUE, 5).should_refetch(payload, {})
    assert not aged.validators.has_value(VALUE).should_refetch(payload, {})


def test_at_exactly_the_max_age_a_value_is_fresh(clock: ManualClock) -> None:
    """The comparison is strict: one millisecond more and it has expired (docs/protocol.md, rule 13.10)."""
    payload = claim().add_to_payload_({}, VALUE)
    validator = claim().validators.has_value(VALUE, 600)
    clock.advance(600)
    assert not validator.should_refetch(payload, {})
    assert reason(validator, payload) == {}
    clock.advance(0.001)
    assert validator.should_refetch(payload, {})
    assert reason(validator, payload) == {"message": "expired", "ageInSeconds": 600.001, "maxAgeInSeconds": 600}


def test_the_reason_gives_the_age_as_a_float_and_echoes_the_maximum(clock: ManualClock) -> None:
    """`ageInSeconds` is a float; `maxAgeInSeconds` is the number as it was given (docs/protocol.md, rule 13.11)."""
    payload = claim().add_to_payload_({}, VALUE)
    clock.advance(2)
    found = reason(claim().validators.has_value(VALUE, 1), payload)
    assert found is not None
    assert (type(found["ageInSeconds"]), type(found["maxAgeInSeconds"])) == (float, int)


@pytest.mark.parametrize("default", [None, 300, math.inf])
@pytest.mark.parametrize("shift", [-5000, 0, 5000])
def test_a_max_age_of_zero_always_fetches(clock: ManualClock, default: float | None, shift: int) -> None:
    """Zero is not "not given": whatever the time, the claim is fetched (docs/protocol.md, rule 13.9)."""
    payload = {"key": {"v": VALUE, "t": clock.now_ms() + shift}}
    assert claim(default).validators.has_value(VALUE, 0).should_refetch(payload, {})
    assert claim(0).validators.has_value(VALUE).should_refetch(payload, {})


def test_a_max_age_of_zero_in_validate(clock: ManualClock) -> None:
    """A value of this very moment passes, an older one has expired (docs/protocol.md, rule 13.9)."""
    payload = claim().add_to_payload_({}, VALUE)
    validator = claim().validators.has_value(VALUE, 0)
    assert reason(validator, payload) == {}
    clock.advance(0.5)
    assert reason(validator, payload) == {"message": "expired", "ageInSeconds": 0.5, "maxAgeInSeconds": 0}


def test_a_value_from_the_future_is_fresh(clock: ManualClock) -> None:
    """A time ahead of the clock is not older than any age."""
    payload = {"key": {"v": VALUE, "t": clock.now_ms() + 5000}}
    validator = claim().validators.has_value(VALUE, 600)
    assert not validator.should_refetch(payload, {})
    assert reason(validator, payload) == {}


def test_the_id_of_a_validator() -> None:
    """It is the claim's key unless one is given (docs/protocol.md, rule 13.22)."""
    validators = claim().validators
    assert validators.has_value(VALUE).id == validators.has_value(VALUE, None, "").id == "key"
    assert validators.has_value(VALUE, 600, "mine").id == validators.has_value(VALUE, id_="mine").id == "mine"


def test_a_validator_knows_its_claim() -> None:
    """The claim to fetch is on the validator."""
    one = claim()
    assert one.validators.has_value(VALUE).claim is one


def test_the_spellings_of_the_max_age() -> None:
    """`max_age_in_sec` and `max_age` are one parameter; giving both is an error (docs/protocol.md, rule 13.9)."""
    validators = claim(300).validators
    for made in (
        validators.has_value(VALUE, 5),
        validators.has_value(VALUE, max_age_in_sec=5),
        validators.has_value(VALUE, max_age=5),
        validators.has_fresh_value(VALUE, 5),
    ):
        assert made.max_age == 5
    assert validators.has_value(VALUE).max_age == 300
    assert validators.has_value(VALUE, max_age=0).max_age == 0
    with pytest.raises(TypeError, match="max_age is another name for max_age_in_sec"):
        validators.has_value(VALUE, 5, max_age=0)


def test_the_wanted_value_is_copied() -> None:
    """Changing the value given to a validator does not change what it demands (docs/protocol.md, rule 13.8)."""
    wanted = {"foo": 1}
    validator = claim().validators.has_value(wanted)
    wanted["foo"] = 2
    assert reason(validator, claim().add_to_payload_({}, VALUE)) == {}


def test_a_reason_shares_nothing_with_the_payload() -> None:
    """Changing a reason changes neither the payload nor the next reason (docs/protocol.md, rule 13.8)."""
    payload = claim().add_to_payload_({}, VALUE)
    validator = claim().validators.has_value(OTHER)
    found = reason(validator, payload)
    assert found is not None
    found["actualValue"]["foo"] = found["expectedValue"]["foo"] = 9
    assert payload["key"]["v"] == VALUE
    assert reason(validator, payload) == {"message": "wrong value", "expectedValue": OTHER, "actualValue": VALUE}


@pytest.mark.parametrize("default", [None, 300, 0])
def test_a_claim_remembers_its_default(default: float | None) -> None:
    """`default_max_age_in_sec` is readable, and none unless given."""
    assert claim(default).default_max_age_in_sec == default
    assert PrimitiveClaim("key", lambda: 1, default_max_age_in_sec=default).default_max_age_in_sec == default


def test_a_subclass_may_bring_its_own_validators() -> None:
    """`validators` can be replaced by a claim's own, as claims of other recipes do."""

    class Mine(PrimitiveClaim[int]):
        def __init__(self) -> None:
            super().__init__("mine", lambda: 1)
            self.validators = type(self.validators)(self, 7)

    assert Mine().validators.has_value(1).max_age == 7


CLAIM = BooleanClaim("2fa-completed", lambda: True)


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
