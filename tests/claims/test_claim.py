"""Making a claim, building it, and writing one of your own."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from unittest.mock import Mock

import pytest

from coatcheck.claims import BooleanClaim, ClaimKeyError, ManualClock, PrimitiveClaim, RecipeUserId, SessionClaim
from coatcheck.claims.payload import PROTECTED, JSONObject, UserContext


def recording(value: Any = True) -> tuple[PrimitiveClaim[Any], Mock]:
    """Return a claim and the mock that is its fetch_value; a mock gets all five arguments by position."""
    mock = Mock(return_value=value)
    return PrimitiveClaim("key", mock), mock


def build(claim: SessionClaim[Any], *args: Any, **kwargs: Any) -> JSONObject:
    """Drive `build`, whose types do not allow every call that it answers."""
    built: JSONObject = asyncio.run(cast("Any", claim).build(*args, **kwargs))
    return built


def test_the_seed_s_claim(clock: ManualClock) -> None:
    """The second-factor claim of the legacy guide, built as the guide builds it, is a false value with a time."""
    claim = BooleanClaim(key="2fa-completed", fetch_value=lambda _, __, ___: False)
    payload = asyncio.run(claim.build("user", "public", {}))
    assert payload == {"2fa-completed": {"v": False, "t": clock.now_ms()}}


RECIPE_USER = RecipeUserId("recipe-user")
PAYLOAD = {"a": 1}
CONTEXT = {"c": 1}
CALLS: list[tuple[tuple[Any, ...], dict[str, Any], tuple[Any, ...]]] = [
    (("user",), {}, ("user", RecipeUserId("user"), "public", {}, {})),
    (("user", "tenant"), {}, ("user", RecipeUserId("user"), "tenant", {}, {})),
    (("user", "tenant", CONTEXT), {}, ("user", RecipeUserId("user"), "tenant", {}, CONTEXT)),
    (("user", "tenant", None), {}, ("user", RecipeUserId("user"), "tenant", {}, {})),
    (("user", RECIPE_USER, "tenant", CONTEXT), {}, ("user", RECIPE_USER, "tenant", {}, CONTEXT)),
    (("user", RECIPE_USER, "tenant", PAYLOAD, CONTEXT), {}, ("user", RECIPE_USER, "tenant", PAYLOAD, CONTEXT)),
    (("user", RECIPE_USER, "tenant", None, None), {}, ("user", RECIPE_USER, "tenant", {}, {})),
    (
        ("user", RECIPE_USER, "tenant", PAYLOAD),
        {"user_context": CONTEXT},
        ("user", RECIPE_USER, "tenant", PAYLOAD, CONTEXT),
    ),
    (("user", RECIPE_USER, "tenant"), {"current_payload": PAYLOAD}, ("user", RECIPE_USER, "tenant", PAYLOAD, {})),
    (("user", RECIPE_USER), {"tenant_id": "tenant"}, ("user", RECIPE_USER, "tenant", {}, {})),
    (("user", "tenant"), {"user_context": CONTEXT}, ("user", RecipeUserId("user"), "tenant", {}, CONTEXT)),
    (("user", "tenant"), {"recipe_user_id": RECIPE_USER}, ("user", RECIPE_USER, "tenant", {}, {})),
    (("user", "tenant"), {"recipe_user_id": "recipe-user"}, ("user", RECIPE_USER, "tenant", {}, {})),
    (("user", "tenant", CONTEXT), {"tenant_id": "other"}, ("user", RecipeUserId("user"), "other", {}, CONTEXT)),
    ((), {"user_id": "user", "tenant_id": "tenant"}, ("user", RecipeUserId("user"), "tenant", {}, {})),
    (
        (),
        {
            "user_id": "user",
            "recipe_user_id": RECIPE_USER,
            "tenant_id": "tenant",
            "current_payload": PAYLOAD,
            "user_context": CONTEXT,
        },
        ("user", RECIPE_USER, "tenant", PAYLOAD, CONTEXT),
    ),
]


@pytest.mark.parametrize(("args", "kwargs", "expected"), CALLS)
def test_build_takes_the_arguments_of_every_era(
    args: tuple[Any, ...], kwargs: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """The orders of all eras, with keywords winning and the rest filled in (docs/protocol.md, rule 13.6)."""
    claim, mock = recording()
    build(claim, *args, **kwargs)
    mock.assert_called_once_with(*expected)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing the argument 'user_id'"),
        ((), {"tenant_id": "tenant"}, "missing the argument 'user_id'"),
        (("user",), {"tenant": "x"}, "unexpected keyword argument 'tenant'"),
        (("a", "b", "c", "d", "e", "f"), {}, "at most 5 positional arguments, but 6"),
    ],
)
def test_build_refuses_other_arguments(args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    """A call that no era knows is a TypeError, as Python would raise, and fetches nothing."""
    claim, mock = recording()
    with pytest.raises(TypeError, match=message):
        build(claim, *args, **kwargs)
    mock.assert_not_called()


def test_build_never_merges() -> None:
    """The result holds the claim alone; the current payload is not in it (docs/protocol.md, rule 13.6)."""
    claim, _ = recording("value")
    payload = {"other": 1}
    assert list(build(claim, "user", RECIPE_USER, "public", payload, {})) == ["key"]
    assert payload == {"other": 1}


@pytest.mark.parametrize("value", [False, 0, "", []])
def test_falsy_values_are_values(value: object) -> None:
    """Only None means that there is no value (docs/protocol.md, rule 13.7)."""
    claim, _ = recording(value)
    assert build(claim, "user")["key"]["v"] == value


def test_what_fetch_raises_passes_through() -> None:
    """An exception of fetch_value reaches the caller of build unchanged (docs/protocol.md, rule 13.7)."""
    error = LookupError("no such user")

    def fetch() -> bool:
        raise error

    with pytest.raises(LookupError) as caught:
        asyncio.run(BooleanClaim("key", fetch).build("user"))
    assert caught.value is error


@pytest.mark.parametrize("name", PROTECTED)
def test_a_claim_cannot_take_a_field_of_the_server(name: str) -> None:
    """Each protected field is refused as a key, by name (docs/protocol.md, rule 13.4)."""
    with pytest.raises(ValueError, match=repr(name)) as caught:
        BooleanClaim(name, lambda: True)
    assert isinstance(caught.value, ClaimKeyError)


@pytest.mark.parametrize("key", ["", None, 1, b"key", ["key"]])
def test_a_key_is_a_non_empty_text(key: object) -> None:
    """Any other key is refused when the claim is made (docs/protocol.md, rule 13.4)."""
    with pytest.raises(ValueError, match="non-empty str"):
        BooleanClaim(cast("Any", key), lambda: True)


def test_a_claim_shows_what_it_was_made_of() -> None:
    """`key` and `fetch_value` are the ones given, cannot be replaced, and the key is in the repr."""

    def fetch() -> bool:
        return True

    claim = BooleanClaim("2fa-completed", fetch)
    assert claim.key == "2fa-completed"
    assert claim.fetch_value is fetch
    assert repr(claim) == "BooleanClaim('2fa-completed')"
    with pytest.raises(AttributeError):
        cast("Any", claim).key = "other"


class CountClaim(SessionClaim[int]):
    """A claim with a shape of its own: {"count": n}."""

    def add_to_payload_(self, payload: JSONObject, value: int, user_context: UserContext | None = None) -> JSONObject:
        return {**payload, self.key: {"count": value}}

    def remove_from_payload(self, payload: JSONObject, user_context: UserContext | None = None) -> JSONObject:
        return {name: value for name, value in payload.items() if name != self.key}

    def remove_from_payload_by_merge_(self, payload: JSONObject, user_context: UserContext | None = None) -> JSONObject:
        return {**payload, self.key: None}

    def get_value_from_payload(self, payload: JSONObject, user_context: UserContext | None = None) -> int | None:
        stored: JSONObject = payload.get(self.key) or {}
        return stored.get("count")


def test_a_claim_of_one_s_own_has_its_own_shape() -> None:
    """A subclass of SessionClaim decides how its value is stored, and build uses that."""
    claim = CountClaim("visits", lambda: 3)
    assert asyncio.run(claim.build("user")) == {"visits": {"count": 3}}


def test_session_claim_is_abstract() -> None:
    """SessionClaim alone stores nothing, so it cannot be made."""
    with pytest.raises(TypeError, match="abstract"):
        cast("Any", SessionClaim)("key", lambda: True)
