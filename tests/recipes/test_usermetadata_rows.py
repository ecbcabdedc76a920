"""User metadata: a shallow merge that loses nothing."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.recipes.usermetadata import rows
from coatcheck.sessions.database import Database

from ..kit import together

every_database = pytest.mark.parametrize("store", ["memory", "file", "postgres"], indirect=True)


def merge(store: Database, update: dict[str, Any], user_id: str = "u") -> dict[str, Any]:
    """Update the metadata of an id."""
    return store.write(lambda c: rows.merge(c, user_id, update))


def get(store: Database, user_id: str = "u") -> dict[str, Any]:
    """Return the metadata of an id."""
    return store.read(lambda c: rows.get(c, user_id))


@every_database
def test_unknown_ids_have_empty_metadata(store: Database) -> None:
    """An id without metadata has an empty object, and need not belong to anybody."""
    assert get(store) == {}


@every_database
def test_merge_is_shallow(store: Database) -> None:
    """Keys of the update replace whole values, null removes, and keys not mentioned stay."""
    assert merge(store, {"a": {"x": 1, "y": 2}, "b": 1, "c": [1]}) == {"a": {"x": 1, "y": 2}, "b": 1, "c": [1]}
    expected = {"a": {"x": 3}, "c": [1], "d": True}
    assert merge(store, {"a": {"x": 3}, "b": None, "d": True, "gone": None}) == expected
    assert get(store) == expected


@every_database
def test_nulls_inside_values_are_kept(store: Database) -> None:
    """Only null at the top level removes; inside an object or list it is a value."""
    assert merge(store, {"a": {"x": None}, "b": [None]}) == {"a": {"x": None}, "b": [None]}
    assert get(store) == {"a": {"x": None}, "b": [None]}


@every_database
def test_stored_as_given(store: Database) -> None:
    """Order of keys, kinds of numbers, and any text survive on every database."""
    value = {"z": 1, "a": 1.0, "n": 2**70, "t": "é\0\ud800 \U0001f642", "": ""}
    merge(store, value)
    found = get(store)
    assert list(found.items()) == list(value.items())
    assert isinstance(found["a"], float)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x"])
def test_what_is_not_json_is_refused(store: Database, value: object) -> None:
    """A value that is no JSON is refused, and the metadata stays as it was."""
    merge(store, {"a": 1})
    with pytest.raises((TypeError, ValueError)):
        merge(store, {"b": value})
    assert get(store) == {"a": 1}


@every_database
def test_clearing(store: Database) -> None:
    """Clearing leaves nothing of that id, and others alone."""
    merge(store, {"a": 1})
    merge(store, {"b": 1}, "other")
    store.write(lambda c: rows.clear(c, "u"))
    store.write(lambda c: rows.clear(c, "nobody"))
    assert (get(store), get(store, "other")) == ({}, {"b": 1})


@every_database
def test_concurrent_updates_lose_no_key(store: Database) -> None:
    """Updates of different keys at the same time, also the very first ones, all arrive."""
    for round_ in range(5):
        user_id = f"u{round_}"
        together(*(lambda n=n, user_id=user_id: merge(store, {f"k{n}": n}, user_id) for n in range(6)))
        assert get(store, user_id) == {f"k{n}": n for n in range(6)}
