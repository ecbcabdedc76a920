"""Making a claim, building it, fetching its value in every way, and writing one of your own."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import Mock

import pytest

from coatcheck.claims import (
    BooleanClaim,
    ClaimKeyError,
    FetchSignatureError,
    ManualClock,
    PrimitiveClaim,
    RecipeUserId,
    SessionClaim,
)
from coatcheck.claims.claim import NEWEST, FetchBinding, awaited
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


VALUES: dict[str, Any] = {
    "user_id": "user",
    "recipe_user_id": RecipeUserId("recipe-user"),
    "tenant_id": "tenant",
    "current_payload": {"sub": "user"},
    "user_context": {"request": 1},
}
USER, RECIPE_USER, TENANT, PAYLOAD, CONTEXT = (VALUES[name] for name in NEWEST)
TABLE = {"a": "table"}


def fetched(function: Callable[..., Any]) -> Any:
    """Build a claim's value through the public way, with the arguments above."""
    claim: PrimitiveClaim[Any] = PrimitiveClaim("key", function)
    return asyncio.run(claim.fetch(**VALUES))


COUNTED: list[tuple[Callable[..., Any], list[Any]]] = [
    (lambda: [], []),
    (lambda a: [a], [USER]),
    (lambda a, b: [a, b], [USER, CONTEXT]),
    (lambda a, b, c: [a, b, c], [USER, TENANT, CONTEXT]),
    (lambda _, __, ___: [_, __, ___], [USER, TENANT, CONTEXT]),
    (lambda a, b, c, d: [a, b, c, d], [USER, RECIPE_USER, TENANT, CONTEXT]),
    (lambda a, b, c, d, e: [a, b, c, d, e], [USER, RECIPE_USER, TENANT, PAYLOAD, CONTEXT]),
    (lambda *args: list(args), [USER, RECIPE_USER, TENANT, PAYLOAD, CONTEXT]),
    (lambda a, *rest: [a, *rest], [USER, RECIPE_USER, TENANT, PAYLOAD, CONTEXT]),
    (lambda user_id, *rest: [user_id, *rest], [USER, RECIPE_USER, TENANT, PAYLOAD, CONTEXT]),
    (lambda *args, **kwargs: [args, kwargs], [(USER, RECIPE_USER, TENANT, PAYLOAD, CONTEXT), {}]),
]


@pytest.mark.parametrize(("function", "expected"), COUNTED)
def test_unnamed_parameters_are_filled_by_their_number(function: Callable[..., Any], expected: list[Any]) -> None:
    """Names that say nothing leave the count: nothing to five, each the order of an era, and *args all five."""
    assert fetched(function) == expected


NAMED: list[tuple[Callable[..., Any], list[Any]]] = [
    (lambda tenant_id: [tenant_id], [TENANT]),
    (lambda user_context, user_id: [user_context, user_id], [CONTEXT, USER]),
    (lambda user_id, tenant_id: [user_id, tenant_id], [USER, TENANT]),
    (lambda _user_id, __tenant_id: [_user_id, __tenant_id], [USER, TENANT]),
    (lambda user_id, tenant_id, current_payload: [user_id, tenant_id, current_payload], [USER, TENANT, PAYLOAD]),
    (lambda user_id, tenant_id="public": [user_id, tenant_id], [USER, TENANT]),
    (lambda *, recipe_user_id: [recipe_user_id], [RECIPE_USER]),
    (lambda user_id, /, *, tenant_id: [user_id, tenant_id], [USER, TENANT]),
    (lambda tenant_id, user_id, /: [tenant_id, user_id], [TENANT, USER]),
    (lambda user_id, tenant_id, *rest: [user_id, tenant_id, rest], [USER, TENANT, ()]),
    (lambda **kwargs: [kwargs], [VALUES]),
    (lambda tenant_id, **kwargs: [tenant_id, *sorted(kwargs)], [TENANT, *sorted(VALUES.keys() - {"tenant_id"})]),
    (lambda *args, tenant_id: [args[0], tenant_id], [USER, TENANT]),
    (lambda a, b, c, *, current_payload: [a, b, c, current_payload], [USER, TENANT, CONTEXT, PAYLOAD]),
    (lambda a, **kwargs: [a, *sorted(kwargs)], [USER, *sorted(VALUES.keys() - {"user_id"})]),
]


@pytest.mark.parametrize(("function", "expected"), NAMED)
def test_named_parameters_get_what_they_name(function: Callable[..., Any], expected: list[Any]) -> None:
    """Known names decide, in any order and any kind of parameter; leading underscores do not matter."""
    assert fetched(function) == expected


DEFAULTS: list[tuple[Callable[..., Any], list[Any]]] = [
    (lambda a, b, c=None: [a, b, c], [USER, TENANT, CONTEXT]),
    (lambda a, b=None: [a, b], [USER, CONTEXT]),
    (lambda a, table=TABLE: [a, table], [USER, TABLE]),
    (lambda a, b, c, table=TABLE: [a, b, c, table], [USER, TENANT, CONTEXT, TABLE]),
    (lambda a, b, c, d=None: [a, b, c, d], [USER, TENANT, CONTEXT, None]),
    (lambda a, b, c, d, e, f=None: [a, b, c, d, e, f], [USER, RECIPE_USER, TENANT, PAYLOAD, CONTEXT, None]),
    (lambda a, b, c, d=None, e=None: [a, b, c, d, e], [USER, RECIPE_USER, TENANT, PAYLOAD, CONTEXT]),
    (lambda table=TABLE: [table], [TABLE]),
    (lambda user_id, tenant_id, table=TABLE: [user_id, tenant_id, table], [USER, TENANT, TABLE]),
    (lambda user_id, table=TABLE, tenant_id="x": [user_id, table, tenant_id], [USER, TABLE, TENANT]),
    (lambda user_id, table=TABLE, tenant_id="x", /: [user_id, table, tenant_id], [USER, TABLE, "x"]),
    (lambda user_id, *, table=TABLE: [user_id, table], [USER, TABLE]),
]


@pytest.mark.parametrize(("function", "expected"), DEFAULTS)
def test_defaults_other_than_none_are_private(function: Callable[..., Any], expected: list[Any]) -> None:
    """A parameter of an unknown name that brings a value of its own keeps it; a default of None awaits an argument."""
    assert fetched(function) == expected


class Fetcher:
    """Holds the shapes a callable can have on a class."""

    def method(self, user_id: str, tenant_id: str) -> list[Any]:
        return [user_id, tenant_id]

    @classmethod
    def of_class(cls, a: str, b: str, c: object) -> list[Any]:
        return [a, b, c]

    @staticmethod
    def static(a: str) -> list[Any]:
        return [a]

    def __call__(self, a: str, b: object) -> list[Any]:
        return [a, b]


def test_methods_and_callable_objects() -> None:
    """`self` and `cls` do not count."""
    assert fetched(Fetcher().method) == [USER, TENANT]
    assert fetched(Fetcher.of_class) == [USER, TENANT, CONTEXT]
    assert fetched(Fetcher.static) == [USER]
    assert fetched(Fetcher()) == [USER, CONTEXT]


def test_partials() -> None:
    """What functools.partial has fixed, by position or by name, stays fixed."""

    def fetch(table: object, user_id: str, tenant_id: str = "none") -> list[Any]:
        return [table, user_id, tenant_id]

    assert fetched(functools.partial(fetch, TABLE)) == [TABLE, USER, TENANT]
    assert fetched(functools.partial(fetch, TABLE, tenant_id="fixed")) == [TABLE, USER, "fixed"]
    assert fetched(functools.partial(lambda **kwargs: kwargs["tenant_id"], tenant_id="fixed")) == "fixed"


def test_a_wrapped_function_is_fed_by_what_it_wraps() -> None:
    """A decorator that uses functools.wraps shows the signature of the function behind it."""

    def fetch(user_id: str, tenant_id: str) -> list[Any]:
        return [user_id, tenant_id]

    @functools.wraps(fetch)
    def wrapper(*args: Any, **kwargs: Any) -> list[Any]:
        return fetch(*args, **kwargs)

    assert fetched(wrapper) == [USER, TENANT]


def test_async_functions() -> None:
    """An async fetch_value is awaited."""

    async def fetch(user_id: str, user_context: object) -> list[Any]:
        await asyncio.sleep(0)
        return [user_id, user_context]

    assert fetched(fetch) == [USER, CONTEXT]


def test_a_callable_without_a_signature_gets_the_newest_order() -> None:
    """Where Python cannot tell the signature, all five arguments come by position."""

    class Opaque:
        __signature__ = "not one"

        def __call__(self, *args: Any) -> list[Any]:
            return list(args)

    assert fetched(Opaque()) == [USER, RECIPE_USER, TENANT, PAYLOAD, CONTEXT]


def test_a_mock_gets_the_newest_order() -> None:
    """A mock records five positional arguments, as the newest era passes them."""
    mock = Mock(return_value=None)
    assert fetched(mock) is None
    mock.assert_called_once_with(USER, RECIPE_USER, TENANT, PAYLOAD, CONTEXT)


IMPOSSIBLE: list[tuple[Any, str]] = [
    (lambda a, b, c, d, e, f: None, "requires 6 positional"),
    (lambda a, b, c, d, e, f, *rest: None, "requires 6 positional"),
    (lambda a, b, c, d, e, f=None, g=None, *, h: None, "requires the keyword 'h'"),
    (lambda user_id, *, session: None, "requires the keyword 'session'"),
    (lambda user, tenant_id: None, "would get the user_context as 'tenant_id'"),
    (lambda uid, recipe_user_id, tenant_id: None, "would get the tenant_id as 'recipe_user_id'"),
    (lambda user, tenant_id, *rest: None, "would get the recipe_user_id as 'tenant_id'"),
    (False, "is not callable"),
    (None, "is not callable"),
]


@pytest.mark.parametrize(("function", "message"), IMPOSSIBLE)
def test_an_impossible_signature_is_found_when_the_claim_is_made(function: Any, message: str) -> None:
    """Not at the first login but at construction, as a TypeError that names the claim and what is wrong."""
    with pytest.raises(TypeError, match=message) as caught:
        PrimitiveClaim("st-role", function)
    assert isinstance(caught.value, FetchSignatureError)
    assert "'st-role'" in str(caught.value)


def test_more_optional_parameters_than_arguments_are_left_alone() -> None:
    """Only what is required must fit; defaults fill the rest."""
    function = cast("Callable[..., Any]", lambda a=None, b=None, c=None, d=None, e=None, f=None: [a, b, c, d, e, f])
    assert FetchBinding.of(function, key="key").positional == ("user_id", "tenant_id", "user_context")


def test_fetch_gets_a_copy_of_the_current_payload() -> None:
    """A fetch_value that changes the payload it was given changes nothing (docs/protocol.md, rule 13.7)."""
    payload = {"nested": {"a": 1}}

    def fetch(current_payload: dict[str, Any]) -> bool:
        current_payload["nested"]["a"] = 2
        return True

    claim = PrimitiveClaim("key", fetch)
    asyncio.run(claim.fetch(**{**VALUES, "current_payload": payload}))
    assert payload == {"nested": {"a": 1}}


def test_fetch_gets_the_user_context_itself() -> None:
    """The user context is passed on, not copied, so that it can carry something back."""

    def fetch(user_context: dict[str, Any]) -> bool:
        user_context["seen"] = True
        return True

    context: dict[str, Any] = {}
    asyncio.run(PrimitiveClaim("key", fetch).fetch(**{**VALUES, "user_context": context}))
    assert context == {"seen": True}


def test_a_plain_value_is_settled() -> None:
    """A plain value comes back as it is, falsy ones included."""
    value: list[int] = []
    assert asyncio.run(awaited(value)) is value
    assert asyncio.run(awaited(False)) is False


def test_an_awaitable_is_awaited() -> None:
    """A coroutine is awaited, and its falsy result is not taken for a truthy coroutine."""

    async def no() -> bool:
        return False

    async def run() -> bool:
        return await awaited(no())

    assert asyncio.run(run()) is False
