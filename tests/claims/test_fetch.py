"""How fetch_value is called, by its signature (docs/protocol.md, rule 13.5)."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import Mock

import pytest

from coatcheck.claims import FetchSignatureError, PrimitiveClaim, RecipeUserId
from coatcheck.claims.claim import NEWEST, FetchBinding

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
