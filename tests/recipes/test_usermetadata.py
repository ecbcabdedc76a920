"""Metadata by function and in the database: a shallow merge that loses nothing, under any id, overridable."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from coatcheck import App
from coatcheck.recipes import usermetadata
from coatcheck.recipes.exceptions import BadInputError
from coatcheck.recipes.usermetadata import UserMetadataOverrideConfig, rows
from coatcheck.sessions.database import Database

from ..kit import Make, together

get, change, clear = (
    usermetadata.sync.get_user_metadata,
    usermetadata.sync.update_user_metadata,
    usermetadata.sync.clear_user_metadata,
)
UNSTORABLE = ["\0", "\ud800", "x" * 2000]


@pytest.fixture(params=["memory", "postgres"])
def app(make_app: Make, request: pytest.FixtureRequest) -> Iterator[App]:
    """Return an App without any recipe but the implicit ones, made current."""
    database = None if request.param == "memory" else request.getfixturevalue("postgres_url")
    made = make_app(recipes=[], database=database)
    with made.active():
        yield made


def test_awaited(app: App) -> None:
    """The functions can be awaited, without an `init`, and return the whole (docs/protocol.md, rule 24.2)."""

    async def everything() -> list[Any]:
        first = await usermetadata.update_user_metadata("u1", {"a": 1})
        second = await usermetadata.update_user_metadata("u1", {"b": [2]})
        found = await usermetadata.get_user_metadata("u1")
        cleared = await usermetadata.clear_user_metadata("u1")
        return [first.metadata, second.metadata, found, cleared.status, await usermetadata.get_user_metadata("u1")]

    assert asyncio.run(everything()) == [
        {"a": 1},
        {"a": 1, "b": [2]},
        usermetadata.MetadataResult({"a": 1, "b": [2]}),
        "OK",
        usermetadata.MetadataResult({}),
    ]


@pytest.mark.parametrize(
    ("before", "laid_over", "after"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": None}, {}),
        ({"a": 1}, {"b": None}, {"a": 1}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 3}}, {"a": {"x": 3}}),
        ({"a": 1}, {"a": {"x": None}}, {"a": {"x": None}}),
        ({"a": 1}, {"a": [None]}, {"a": [None]}),
        ({"a": 1, "b": 2}, {"a": False, "c": ""}, {"a": False, "b": 2, "c": ""}),
    ],
)
def test_the_merge_is_shallow(
    app: App, before: dict[str, Any], laid_over: dict[str, Any], after: dict[str, Any]
) -> None:
    """Null removes a key at the top, any other value replaces the whole old one (rule 24.2)."""
    change("u1", before)
    assert change("u1", laid_over).metadata == get("u1").metadata == after


def test_ids_are_separate_and_need_not_be_users(app: App) -> None:
    """Metadata belongs to whatever id is given, in whatever letter case, and to no other (rule 24.1)."""
    change("u1", {"a": 1})
    change("U1", {"a": 2})
    assert [get(one).metadata for one in ("u1", "U1", "u", "")] == [{"a": 1}, {"a": 2}, {}, {}]
    clear("u1")
    assert [get(one).metadata for one in ("u1", "U1")] == [{}, {"a": 2}]


def test_a_result_is_a_copy(app: App) -> None:
    """Changing what was returned, or what was given, changes nothing that is stored."""
    mine: dict[str, Any] = {"a": {"x": 1}}
    change("u1", mine).metadata["b"] = 2
    mine["a"]["x"] = 3
    get("u1").metadata["a"]["x"] = 4
    assert get("u1").metadata == {"a": {"x": 1}}


@pytest.mark.parametrize("odd", UNSTORABLE)
def test_ids_that_no_database_can_store(app: App, odd: str) -> None:
    """They have no metadata, and get none (rule 19.5); as keys and values such texts are welcome (rule 24.4)."""
    assert get(odd).metadata == {}
    clear(odd)
    with pytest.raises(BadInputError, match="too long or not valid text"):
        change(odd, {"a": 1})
    assert change("u1", {odd: odd}).metadata == get("u1").metadata == {odd: odd}


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(value=any_json, key=st.text())
def test_any_json_comes_back_as_it_was(app: App, value: Any, key: str) -> None:
    """Whatever JSON is stored is returned equal, in type too (rule 24.4)."""
    clear("u1")
    expected = {} if value is None else {key: value}
    assert repr(change("u1", {key: value}).metadata) == repr(get("u1").metadata) == repr(expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, b"bytes"])
def test_what_is_no_json_is_refused(app: App, value: Any) -> None:
    """It is an error of the caller, and what is stored stays (rule 24.4)."""
    change("u1", {"a": 1})
    with pytest.raises((ValueError, TypeError)):
        change("u1", {"b": value})
    assert get("u1").metadata == {"a": 1}


@pytest.mark.parametrize("by_name", [True, False])
def test_every_function_can_be_overridden(make_app: Make, by_name: bool) -> None:
    """Layers get the parameters of the reference, by name or in its order, and the caller's user context."""
    seen: list[str] = []
    context: dict[str, Any] = {"mine": True}

    def functions(original: Any) -> Any:
        get_user_metadata, clear_user_metadata = original.get_user_metadata, original.clear_user_metadata
        update_user_metadata = original.update_user_metadata

        async def named(**given: Any) -> Any:
            assert tuple(given) == ("user_id", "metadata_update", "user_context")
            assert given["user_context"] is context
            seen.append("update")
            return await update_user_metadata(**given)

        async def placed(user_id: str, metadata_update: Any, user_context: Any) -> Any:
            assert user_context is context
            seen.append("update")
            return await update_user_metadata(user_id, metadata_update, user_context)

        async def got(user_id: str, user_context: Any) -> Any:
            seen.append("get")
            return await get_user_metadata(user_id, user_context)

        async def cleared(user_id: str, user_context: Any) -> Any:
            seen.append("clear")
            return await clear_user_metadata(user_id, user_context)

        original.update_user_metadata = named if by_name else placed
        original.get_user_metadata, original.clear_user_metadata = got, cleared
        return original

    override = UserMetadataOverrideConfig(functions=functions)
    with make_app(recipes=[usermetadata.init(override)]).active():
        assert change("u1", {"a": 1}, context).metadata == get("u1").metadata == {"a": 1}
        clear("u1")
    assert seen == ["update", "get", "clear"]


every_database = pytest.mark.parametrize("store", ["memory", "file", "postgres"], indirect=True)


def merge(store: Database, update: dict[str, Any], user_id: str = "u") -> dict[str, Any]:
    """Update the metadata of an id."""
    return store.write(lambda c: rows.merge(c, user_id, update))


def stored(store: Database, user_id: str = "u") -> dict[str, Any]:
    """Return the metadata of an id."""
    return store.read(lambda c: rows.get(c, user_id))


@every_database
def test_unknown_ids_have_empty_metadata(store: Database) -> None:
    """An id without metadata has an empty object, and need not belong to anybody."""
    assert stored(store) == {}


@every_database
def test_merge_is_shallow(store: Database) -> None:
    """Keys of the update replace whole values, null removes, and keys not mentioned stay."""
    assert merge(store, {"a": {"x": 1, "y": 2}, "b": 1, "c": [1]}) == {"a": {"x": 1, "y": 2}, "b": 1, "c": [1]}
    expected = {"a": {"x": 3}, "c": [1], "d": True}
    assert merge(store, {"a": {"x": 3}, "b": None, "d": True, "gone": None}) == expected
    assert stored(store) == expected


@every_database
def test_nulls_inside_values_are_kept(store: Database) -> None:
    """Only null at the top level removes; inside an object or list it is a value."""
    assert merge(store, {"a": {"x": None}, "b": [None]}) == {"a": {"x": None}, "b": [None]}
    assert stored(store) == {"a": {"x": None}, "b": [None]}


@every_database
def test_stored_as_given(store: Database) -> None:
    """Order of keys, kinds of numbers, and any text survive on every database."""
    value = {"z": 1, "a": 1.0, "n": 2**70, "t": "é\0\ud800 \U0001f642", "": ""}
    merge(store, value)
    found = stored(store)
    assert list(found.items()) == list(value.items())
    assert isinstance(found["a"], float)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x"])
def test_what_is_not_json_is_refused(store: Database, value: object) -> None:
    """A value that is no JSON is refused, and the metadata stays as it was."""
    merge(store, {"a": 1})
    with pytest.raises((TypeError, ValueError)):
        merge(store, {"b": value})
    assert stored(store) == {"a": 1}


@every_database
def test_clearing(store: Database) -> None:
    """Clearing leaves nothing of that id, and others alone."""
    merge(store, {"a": 1})
    merge(store, {"b": 1}, "other")
    store.write(lambda c: rows.clear(c, "u"))
    store.write(lambda c: rows.clear(c, "nobody"))
    assert (stored(store), stored(store, "other")) == ({}, {"b": 1})


@every_database
def test_concurrent_updates_lose_no_key(store: Database) -> None:
    """Updates of different keys at the same time, also the very first ones, all arrive."""
    for round_ in range(5):
        user_id = f"u{round_}"
        together(*(lambda n=n, user_id=user_id: merge(store, {f"k{n}": n}, user_id) for n in range(6)))
        assert stored(store, user_id) == {f"k{n}": n for n in range(6)}
