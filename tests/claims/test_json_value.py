"""JSON values compared and copied."""

from __future__ import annotations

import json
from datetime import date
from types import MappingProxyType

import pytest
from hypothesis import given, strategies as st

from coatcheck.claims.payload import copied_value, same_value

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


def test_a_copy_shares_nothing() -> None:
    """Changing the original leaves the copy alone."""
    original = {"a": [{"b": 1}]}
    copy = copied_value(original)
    original["a"][0]["b"] = 2
    assert copy == {"a": [{"b": 1}]}
