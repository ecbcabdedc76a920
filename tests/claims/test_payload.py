"""Updates laid over an access-token payload."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given, strategies as st

from coatcheck.claims import ProtectedClaimError
from coatcheck.claims.payload import PROTECTED, JSONObject, copied, merged, refuse_protected, without_protected

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
