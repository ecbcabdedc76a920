"""Claims that hold a list."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from coatcheck.claims import ClaimError, ManualClock, PrimitiveArrayClaim, RecipeUserId
from coatcheck.claims.payload import JSONObject
from coatcheck.claims.timed import TimedClaimValidator

VALUE = ["a"]
WEEK = 7 * 24 * 3600
METHODS = ["includes", "excludes", "includes_all", "includes_any", "excludes_all"]
WANTED = {
    "includes": "expectedToInclude",
    "excludes": "expectedToNotInclude",
    "includes_all": "expectedToInclude",
    "includes_any": "expectedToIncludeAtLeastOneOf",
    "excludes_all": "expectedToNotInclude",
}
HOLDING = {"includes": "a", "excludes": "b", "includes_all": ["a"], "includes_any": ["a", "b"], "excludes_all": ["b"]}
FAILING = {"includes": "b", "excludes": "a", "includes_all": ["a", "b"], "includes_any": ["b"], "excludes_all": ["a"]}


def claim(default_max_age_in_sec: float | None = None, **fetch: Any) -> PrimitiveArrayClaim[Any]:
    """Return a claim under "key" whose value is VALUE."""
    return PrimitiveArrayClaim("key", fetch.get("fetch_value", lambda: VALUE), default_max_age_in_sec)


def make(method: str, *args: Any, of: PrimitiveArrayClaim[Any] | None = None, **kwargs: Any) -> TimedClaimValidator:
    """Make a validator by the name of its method."""
    maker: Callable[..., TimedClaimValidator] = getattr((of or claim()).validators, method)
    return maker(*args, **kwargs)


def reason(validator: TimedClaimValidator, payload: JSONObject) -> JSONObject | None:
    """Return the reason of a refusal, {} for a valid payload."""
    result = asyncio.run(validator.validate(payload, {}))
    assert result.is_valid == (result.reason == {})
    return result.reason


def holding(*elements: Any) -> JSONObject:
    """Return a payload in which the claim holds the elements."""
    return claim().add_to_payload_({}, list(elements))


@pytest.mark.parametrize("fetch", [Mock(return_value=VALUE), AsyncMock(return_value=VALUE)])
def test_build(clock: ManualClock, fetch: Mock) -> None:
    """A plain and an async fetch give the list with the present time (docs/protocol.md, rule 13.1)."""
    built = asyncio.run(claim(fetch_value=fetch).build("user", "public", {}))
    assert built == {"key": {"t": clock.now_ms(), "v": ["a"]}} == claim().add_to_payload_({}, VALUE, {})


def test_fetch_is_called_once_with_five_arguments() -> None:
    """A callable that takes anything gets all five by position (docs/protocol.md, rule 13.5)."""
    mock = Mock(return_value=None)
    user = RecipeUserId("user")
    assert asyncio.run(claim(fetch_value=mock).build("user", user, "public", {}, {})) == {}
    mock.assert_called_once_with("user", user, "public", {}, {})


def test_reading(clock: ManualClock) -> None:
    """An empty payload has neither value nor time; a built one has both (docs/protocol.md, rule 13.1)."""
    assert claim().get_value_from_payload({}) is None
    assert claim().get_last_refetch_time({}) is None
    assert claim().get_value_from_payload(holding("a")) == VALUE
    assert claim().get_last_refetch_time(holding("a")) == clock.now_ms()


def test_a_list_is_kept_as_it_is() -> None:
    """Neither order nor duplicates are changed (docs/protocol.md, rule 13.1)."""
    assert holding("b", "a", "b")["key"]["v"] == ["b", "a", "b"]


@pytest.mark.parametrize("value", [("a",), {"a"}, frozenset("a"), {"a": 1}.keys(), iter("a")])
def test_any_collection_becomes_a_list(value: Any) -> None:
    """What JSON does not know as a list is stored as one."""
    assert claim().add_to_payload_({}, value)["key"]["v"] == ["a"]


@pytest.mark.parametrize("value", ["ab", b"ab", 1, True, {"a": 1}])
def test_a_single_value_is_no_list(value: Any) -> None:
    """A text is not taken for a list of letters: storing it is an error that names the claim."""
    with pytest.raises(ClaimError, match="'key' holds a list"):
        claim().add_to_payload_({}, value)


@pytest.mark.parametrize("stored", ["abc", 1, True, {"a": 1}])
def test_a_stored_value_that_is_no_list_is_absent(stored: Any) -> None:
    """It has neither value nor time, and is fetched (docs/protocol.md, rule 13.2)."""
    payload = {"key": {"v": stored, "t": 1}}
    assert claim().get_value_from_payload(payload) is None
    assert claim().get_last_refetch_time(payload) is None
    assert claim().validators.includes("a").should_refetch(payload, {})


@pytest.mark.parametrize("age", [None, 600])
@pytest.mark.parametrize("method", METHODS)
def test_a_missing_claim_fails_every_demand(method: str, age: float | None) -> None:
    """Also that of an absence: not knowing is not an empty list (docs/protocol.md, rules 13.11 and 13.14)."""
    expected = {"message": "value does not exist", WANTED[method]: HOLDING[method], "actualValue": None}
    assert reason(make(method, HOLDING[method], age), {}) == expected


@pytest.mark.parametrize("age", [None, 600])
@pytest.mark.parametrize("method", METHODS)
def test_a_demand_that_holds(method: str, age: float | None) -> None:
    """A fresh list that meets the demand is valid."""
    assert reason(make(method, HOLDING[method], age), holding("a")) == {}


@pytest.mark.parametrize("age", [None, 600])
@pytest.mark.parametrize("method", METHODS)
def test_a_demand_that_fails(method: str, age: float | None) -> None:
    """The reason shows the demand as given and the list as held (docs/protocol.md, rule 13.11)."""
    expected = {"message": "wrong value", WANTED[method]: FAILING[method], "actualValue": ["a"]}
    assert reason(make(method, FAILING[method], age), holding("a")) == expected


@pytest.mark.parametrize("method", METHODS)
def test_a_single_element_stands_for_a_list_of_one(method: str) -> None:
    """A scalar is accepted by every method and echoed as a scalar (docs/protocol.md, rule 13.13)."""
    good, bad = ("b", "a") if method.startswith("excludes") else ("a", "b")
    assert reason(make(method, good), holding("a")) == {}
    found = reason(make(method, bad), holding("a"))
    assert found == {"message": "wrong value", WANTED[method]: bad, "actualValue": ["a"]}
    assert reason(make(method, "a"), {}) == {
        "message": "value does not exist",
        WANTED[method]: "a",
        "actualValue": None,
    }


@pytest.mark.parametrize("method", METHODS)
def test_an_old_list_with_a_max_age(clock: ManualClock, method: str) -> None:
    """A week is more than ten minutes, whatever the claim's default (docs/protocol.md, rules 13.9 and 13.11)."""
    payload = holding("a")
    validator = make(method, HOLDING[method], 600, of=claim(math.inf))
    assert not validator.should_refetch(payload, {})
    clock.advance(WEEK)
    assert reason(validator, payload) == {"message": "expired", "ageInSeconds": 604800.0, "maxAgeInSeconds": 600}
    assert validator.should_refetch(payload, {})


@pytest.mark.parametrize("method", METHODS)
def test_an_old_list_without_a_max_age(clock: ManualClock, method: str) -> None:
    """Without an age, or with infinity as the claim's default, a list never expires (docs/protocol.md, rule 13.9)."""
    payload = holding("a")
    clock.advance(WEEK)
    for default in (None, math.inf):
        validator = make(method, HOLDING[method], of=claim(default))
        assert reason(validator, payload) == {}
        assert not validator.should_refetch(payload, {})


@pytest.mark.parametrize("method", METHODS)
def test_an_old_list_with_a_default_age(clock: ManualClock, method: str) -> None:
    """The claim's default holds where no age is given, and infinity overrides it (docs/protocol.md, rule 13.9)."""
    payload = holding("a")
    clock.advance(600)
    validator = make(method, HOLDING[method], of=claim(300))
    assert reason(validator, payload) == {"message": "expired", "ageInSeconds": 600, "maxAgeInSeconds": 300}
    assert validator.should_refetch(payload, {})
    longer = make(method, HOLDING[method], math.inf, of=claim(300))
    assert reason(longer, payload) == {}
    assert not longer.should_refetch(payload, {})


@pytest.mark.parametrize("method", METHODS)
def test_the_value_does_not_matter_to_a_fetch(method: str) -> None:
    """A missing list is fetched, a fresh one that fails is not (docs/protocol.md, rule 13.10)."""
    for age in (None, 600):
        assert make(method, FAILING[method], age).should_refetch({}, {})
        assert not make(method, FAILING[method], age).should_refetch(holding("a"), {})


@pytest.mark.parametrize("method", METHODS)
def test_a_max_age_of_zero_always_fetches(method: str) -> None:
    """Zero is an age like any other, not an absent one (docs/protocol.md, rule 13.9)."""
    assert make(method, HOLDING[method], 0, of=claim(math.inf)).should_refetch(holding("a"), {})


@pytest.mark.parametrize(("method", "valid"), [("includes_all", True), ("excludes_all", True), ("includes_any", False)])
def test_demands_of_nothing(method: str, valid: bool) -> None:
    """With a list, all of nothing and none of nothing hold, one of nothing does not (docs/protocol.md, rule 13.14)."""
    for payload in (holding("a"), holding()):
        found = reason(make(method, []), payload)
        assert (found == {}) == valid
    if not valid:
        assert found == {"message": "wrong value", WANTED[method]: [], "actualValue": []}
    assert reason(make(method, []), {}) is not None
    assert reason(make(method, []), {}) != {}


def test_an_empty_list_is_a_value() -> None:
    """A list without elements is there: it excludes everything, includes nothing, and is not fetched."""
    assert reason(claim().validators.excludes("a"), holding()) == {}
    assert reason(claim().validators.includes("a"), holding()) != {}
    assert not claim().validators.includes("a").should_refetch(holding(), {})


def test_objects_can_be_elements() -> None:
    """Elements are compared all the way down, and an object is one element (docs/protocol.md, rule 13.12)."""
    payload = holding({"id": 1}, [2])
    validators = claim().validators
    assert reason(validators.includes({"id": 1}), payload) == {}
    assert reason(validators.includes([2]), payload) == {}
    assert reason(validators.excludes({"id": 1}), payload) != {}
    assert reason(validators.includes_all([{"id": 1}, [2]]), payload) == {}
    assert reason(validators.includes_all({"id": 1}), payload) == {}
    assert reason(validators.includes_any([{"id": 2}, {"id": 1}]), payload) == {}
    assert reason(validators.excludes_all([{"id": True}, "2"]), payload) == {}


def test_true_is_not_one() -> None:
    """A list that holds 1 does not include true (docs/protocol.md, rule 13.12)."""
    assert reason(claim().validators.includes(True), holding(1)) != {}
    assert reason(claim().validators.excludes_all([False, True]), holding(0, 1)) == {}


@pytest.mark.parametrize("method", ["includes_all", "includes_any", "excludes_all"])
def test_any_collection_is_a_list_of_elements(method: str) -> None:
    """Tuples, sets, views and generators are read once, when the validator is made (docs/protocol.md, rule 13.13)."""
    elements = ["b"] if method == "excludes_all" else ["a"]
    for val in (tuple(elements), set(elements), dict.fromkeys(elements).keys(), (one for one in elements)):
        validator = make(method, val)
        assert reason(validator, holding("a")) == reason(validator, holding("a")) == {}
        missing = reason(validator, {})
        assert missing is not None
        assert missing[WANTED[method]] == elements


@pytest.mark.parametrize("method", METHODS)
def test_the_wanted_value_is_copied(method: str) -> None:
    """Changing the list given to a validator does not change what it demands (docs/protocol.md, rule 13.8)."""
    wanted = [{"id": 1}]
    validator = make(method, wanted)
    before = reason(validator, {})
    wanted[0]["id"] = 2
    wanted.append({"id": 3})
    assert reason(validator, {}) == before


@pytest.mark.parametrize("method", METHODS)
def test_ids_and_spellings(method: str) -> None:
    """Ids default to the key; `max_age_in_seconds` and `max_age` are one parameter (rules 13.9 and 13.22)."""
    assert make(method, "a").id == "key"
    assert make(method, "a", None, "mine").id == make(method, "a", id_="mine").id == "mine"
    assert make(method, "a", max_age_in_seconds=5).max_age == make(method, "a", max_age=5).max_age == 5
    assert make(method, "a", max_age=0, of=claim(300)).max_age == 0
    with pytest.raises(TypeError, match="max_age is another name for max_age_in_seconds"):
        make(method, "a", 5, max_age=5)
    assert cast("Any", make(method, "a")).claim.key == "key"
