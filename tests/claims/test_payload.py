"""Updates laid over an access-token payload; JSON values compared and copied as a token does it."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date
from types import MappingProxyType

import pytest
from hypothesis import given, strategies as st

from coatcheck.claims import ProtectedClaimError
from coatcheck.claims.payload import (
    PROTECTED,
    JSONObject,
    copied,
    copied_value,
    merged,
    refuse_protected,
    same_value,
    without_protected,
)

_values = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())
_payloads = st.dictionaries(st.sampled_from(PROTECTED) | st.text(max_size=3), _values)
_updates = st.dictionaries(st.text(max_size=3).filter(lambda name: name not in PROTECTED), _values)


@pytest.mark.parametrize("name", PROTECTED)
def test_protected_fields_are_refused_by_name(name: str) -> None:
    """Each field the server owns is refused, and named (docs/protocol.md, rule 3.3)."""
    with pytest.raises(ProtectedClaimError, match=name) as caught:
        refuse_protected({"mine": 1, name: 2})
    assert caught.value.names == (name,)
    assert without_protected({"mine": 1, name: 2}) == {"mine": 1}


def test_free_fields_are_not_refused() -> None:
    """`iss` and names of one's own pass."""
    refuse_protected({"iss": "https://api.example.com", "role": "admin"})


def test_merging_is_shallow() -> None:
    """A nested object is replaced, not merged."""
    assert merged({"a": {"x": 1}, "b": 2}, {"a": {"y": 2}}) == {"a": {"y": 2}, "b": 2}


def test_merging_null_removes_a_key_at_the_top_only() -> None:
    """A null at the top level deletes; deeper it is a value; a null already stored stays."""
    assert merged({"a": 1, "b": 2, "c": None}, {"a": None, "b": {"x": None}}) == {"b": {"x": None}, "c": None}


def test_merging_refuses_protected_fields() -> None:
    """An update cannot set a field the server owns."""
    with pytest.raises(ProtectedClaimError, match="sub"):
        merged({}, {"sub": "someone else"})


@given(payload=_payloads, update=_updates)
def test_merging_never_mutates(payload: JSONObject, update: JSONObject) -> None:
    """Neither the payload nor the update is changed, and merging twice is merging once."""
    before = deepcopy((payload, update))
    result = merged(payload, update)
    assert (payload, update) == before
    assert merged(result, update) == result
    assert not set(result) & set(PROTECTED)


@given(payload=_payloads)
def test_a_copy_shares_nothing(payload: JSONObject) -> None:
    """A copied payload is equal, and changing what is nested in it leaves the original alone."""
    payload["nested"] = {"list": [1]}
    copy = copied(payload)
    assert copy == payload
    copy["nested"]["list"].append(2)
    assert payload["nested"] == {"list": [1]}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_a_copy_is_the_same_value(value: object) -> None:
    """Copying changes nothing that JSON can tell, and every value is the same as itself."""
    assert same_value(copied_value(value), value)
    assert json.dumps(copied_value(value)) == json.dumps(value)


@given(json_values, json_values)
def test_sameness_is_what_json_says(one: object, other: object) -> None:
    """What is the same is equal in Python; what is equal in Python differs at most by true and 1."""
    if same_value(one, other):
        assert one == other
    assert same_value(one, other) == same_value(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [(True, 1), (False, 0), (0, False), ([True], [1]), ({"a": False}, {"a": 0}), ([{"a": [1]}], [{"a": [True]}])],
)
def test_true_is_not_one(one: object, other: object) -> None:
    """Booleans are told apart from numbers, however deep (docs/protocol.md, rule 13.12)."""
    assert one == other
    assert not same_value(one, other)


@pytest.mark.parametrize(
    ("one", "other"), [("1", 1), (None, False), ([], {}), ([1], [1, 2]), ({"a": 1}, {"b": 1}), ({"a": 1}, [1])]
)
def test_different_values_differ(one: object, other: object) -> None:
    """Kinds, lengths and names are told apart."""
    assert not same_value(one, other)


def test_a_tuple_is_a_list() -> None:
    """A tuple reads as the JSON array it becomes."""
    assert same_value((1, (2,)), [1, [2]])
    assert copied_value((1, (2,))) == [1, [2]]


def test_a_read_only_mapping_is_copied_to_a_dict() -> None:
    """Payloads that cannot be changed are copied to ones that can."""
    assert type(copied_value(MappingProxyType({"a": [1]}))) is dict


def test_other_objects_are_copied_too() -> None:
    """What is no JSON is copied as Python copies it."""
    assert copied_value({date(2024, 1, 1)}) == {date(2024, 1, 1)}
    inner = {1}
    assert copied_value([inner])[0] is not inner


def test_a_copy_of_a_value_shares_nothing() -> None:
    """Changing the original leaves the copy alone."""
    original = {"a": [{"b": 1}]}
    copy = copied_value(original)
    original["a"][0]["b"] = 2
    assert copy == {"a": [{"b": 1}]}
