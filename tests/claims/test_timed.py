"""Values with a time in a payload: the pure functions, under any input."""

from __future__ import annotations

import asyncio
import math
from copy import deepcopy
from typing import Any, cast

import pytest
from hypothesis import given, strategies as st

from coatcheck.claims import BooleanClaim, ManualClock, PrimitiveArrayClaim, PrimitiveClaim
from coatcheck.claims.payload import JSONObject, same_value
from coatcheck.claims.timed import TimedClaimValidator

KEY = "key"
PRIMITIVE: PrimitiveClaim[Any] = PrimitiveClaim(KEY, lambda: None, 60)
ARRAY: PrimitiveArrayClaim[Any] = PrimitiveArrayClaim(KEY, lambda: None, 60)

numbers = st.integers() | st.floats(allow_nan=False) | st.sampled_from([10**400, -(10**400), 2**53, -(2**53)])
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
stored_claims = json_values | st.fixed_dictionaries({}, optional={"v": json_values, "t": json_values, "x": json_values})
payloads = st.dictionaries(st.text(max_size=3), json_values, max_size=4)


def validators() -> list[TimedClaimValidator]:
    """One of each built-in demand, with and without a max age."""
    ages: list[float | None] = [None, 0, 600, math.inf]
    return [
        made
        for age in ages
        for made in (
            PRIMITIVE.validators.has_value("a", age),
            ARRAY.validators.includes("a", age),
            ARRAY.validators.excludes("a", age),
            ARRAY.validators.includes_all(["a"], age),
            ARRAY.validators.includes_any(["a"], age),
            ARRAY.validators.excludes_all(["a"], age),
        )
    ]


@given(payload=payloads, value=json_values)
def test_payload_functions_never_mutate(payload: JSONObject, value: object) -> None:
    """Each returns a new payload and leaves the given one as it was (docs/protocol.md, rule 13.8)."""
    payload[KEY] = {"v": [1], "t": 1}
    before = deepcopy(payload)
    for claim in (PRIMITIVE, cast("PrimitiveClaim[Any]", ARRAY)):
        new = claim.add_to_payload_(payload, [value])
        removed = claim.remove_from_payload(payload)
        merging = claim.remove_from_payload_by_merge_(payload)
        assert all(result is not payload for result in (new, removed, merging))
        assert payload == before
        assert KEY not in removed
        assert merging == {**before, KEY: None}


@given(payload=payloads, value=json_values)
def test_round_trip(payload: JSONObject, value: object) -> None:
    """What is put in is read back, with a time, and the rest of the payload is as it was."""
    new = PRIMITIVE.add_to_payload_(payload, value)
    assert same_value(PRIMITIVE.get_value_from_payload(new), value)
    assert isinstance(PRIMITIVE.get_last_refetch_time(new), int)
    assert PRIMITIVE.remove_from_payload(new) == PRIMITIVE.remove_from_payload(payload)


@given(payload=payloads, value=st.lists(json_values, max_size=4))
def test_round_trip_of_lists(payload: JSONObject, value: list[object]) -> None:
    """A list is read back in its order, duplicates included (docs/protocol.md, rule 13.1)."""
    assert same_value(ARRAY.get_value_from_payload(ARRAY.add_to_payload_(payload, value)), value)


@given(stored=stored_claims)
def test_anything_in_place_of_a_stored_claim_is_read_without_an_error(stored: object) -> None:
    """Whatever JSON stands under the key, reading and validating give an answer (docs/protocol.md, rule 13.2)."""
    payload = {KEY: stored}
    before = deepcopy(payload)
    for claim in (PRIMITIVE, ARRAY):
        value, time = claim.get_value_from_payload(payload), claim.get_last_refetch_time(payload)
        assert time is None or type(time) is int
        assert value is None or time is not None
    for validator in validators():
        assert validator.should_refetch(payload, {}) in (True, False)
        assert asyncio.run(validator.validate(payload, {})).is_valid in (True, False)
    assert payload == before


ABSENT: list[Any] = [
    None,
    True,
    1,
    "v",
    [],
    ["v", "t"],
    {},
    {"v": "a"},
    {"t": 1},
    {"v": "a", "t": None},
    {"v": "a", "t": True},
    {"v": "a", "t": 1.0},
    {"v": "a", "t": "1"},
    {"v": "a", "t": 2**53},
    {"c": {}, "v": "a"},
]


@pytest.mark.parametrize("stored", ABSENT)
def test_what_is_not_a_stored_claim_is_absent(stored: object) -> None:
    """Without `v` or an integer `t` there is no value and no time, and the claim is fetched (rule 13.2)."""
    payload = {KEY: stored}
    assert PRIMITIVE.get_value_from_payload(payload) is None
    assert PRIMITIVE.get_last_refetch_time(payload) is None
    assert PRIMITIVE.validators.has_value("a").should_refetch(payload, {})


def test_further_entries_are_ignored() -> None:
    """An object with `v`, `t` and more is a stored claim (docs/protocol.md, rule 13.2)."""
    payload = {KEY: {"v": "a", "t": 1, "by": "someone"}}
    assert PRIMITIVE.get_value_from_payload(payload) == "a"
    assert PRIMITIVE.get_last_refetch_time(payload) == 1


def test_null_is_no_value_but_has_a_time(clock: ManualClock) -> None:
    """A stored null reads as no value and keeps its time (docs/protocol.md, rule 13.3)."""
    for claim in (PRIMITIVE, ARRAY):
        payload = claim.add_to_payload_({}, cast("Any", None))
        assert payload == {KEY: {"v": None, "t": clock.now_ms()}}
        assert claim.get_value_from_payload(payload) is None
        assert claim.get_last_refetch_time(payload) == clock.now_ms()


def test_values_are_copied_on_the_way_in_and_out() -> None:
    """Changing what was put in, or what was read, changes no payload (docs/protocol.md, rule 13.8)."""
    value = {"roles": ["a"]}
    payload = PRIMITIVE.add_to_payload_({}, value)
    value["roles"].append("b")
    assert payload[KEY]["v"] == {"roles": ["a"]}
    read = PRIMITIVE.get_value_from_payload(payload)
    assert read is not None
    read["roles"].append("c")
    assert payload[KEY]["v"] == {"roles": ["a"]}


def test_removing_an_absent_claim_does_nothing() -> None:
    """No error, and a copy of the payload as it was (docs/protocol.md, rule 13.8)."""
    payload = {"other": 1}
    result = PRIMITIVE.remove_from_payload(payload)
    assert result == payload
    assert result is not payload


def test_payload_functions_take_a_user_context() -> None:
    """Every payload function accepts a user context, by position, and has no need of it."""
    payload = PRIMITIVE.add_to_payload_({}, "a", {})
    assert PRIMITIVE.get_value_from_payload(payload, {}) == "a"
    assert PRIMITIVE.get_last_refetch_time(payload, {}) is not None
    assert PRIMITIVE.remove_from_payload(payload, {}) == {}
    assert PRIMITIVE.remove_from_payload_by_merge_(payload, {}) == {KEY: None}


@pytest.mark.parametrize("age", [-1, -0.001, math.nan, -math.inf])
def test_a_max_age_is_not_negative(age: float) -> None:
    """A negative age and a NaN are refused at once, as default and as argument (docs/protocol.md, rule 13.9)."""
    with pytest.raises(ValueError, match="zero or more"):
        BooleanClaim(KEY, lambda: True, age)
    with pytest.raises(ValueError, match="zero or more"):
        PRIMITIVE.validators.has_value("a", age)
