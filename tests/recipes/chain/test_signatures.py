"""Signatures of layers that fit, and those that are refused at init."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest

from coatcheck.recipes.chain.chain import Chain
from coatcheck.recipes.chain.trace import explain
from coatcheck.recipes.exceptions import OverrideError

from .functions import CALL, Create, Functions, Recorder, chain_of, created, creating


def test_positional_only_parameters() -> None:
    """A signature with `/` is fed by position."""

    def make(original: Create) -> Create:
        async def create_new_session(user_id: Any, access_token_payload: Any, /, *, tenant_id: Any) -> Any:
            payload = {**access_token_payload, tenant_id: user_id}
            return await original(user_id=user_id, access_token_payload=payload, tenant_id=tenant_id)

        return create_new_session

    assert created(creating(make))["access_token_payload"] == {"public": "primary"}


def test_a_partial_a_bound_method_a_callable_object_and_a_decorated_function() -> None:
    """Anything with a readable signature can be a layer, and explain finds where it is written."""

    async def six(mark: str, original: Create, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
        return await original(a, {**b, mark: True}, c, d, e, f)

    class Holder:
        def __init__(self, original: Create) -> None:
            self.original = original

        async def method(self, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
            return await six("method", self.original, a, b, c, d, e, f)

        async def __call__(self, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
            return await six("object", self.original, a, b, c, d, e, f)

    def decorated(original: Create) -> Create:
        async def inner(uid: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
            return await six("decorated", original, uid, b, c, d, e, f)

        @functools.wraps(inner)
        async def outer(*args: Any, **kwargs: Any) -> Any:
            return await inner(*args, **kwargs)

        return outer

    overrides = (
        creating(lambda original: functools.partial(six, "partial", original)),
        creating(lambda original: Holder(original).method),
        creating(Holder),
        creating(decorated),
    )
    assert list(created(*overrides)["access_token_payload"]) == ["decorated", "object", "method", "partial"]
    explained = explain(chain_of(*overrides), "create_new_session")
    assert (explained.count(__file__), explained.count(inspect.getfile(Recorder))) == (4, 1)


def test_a_parameter_of_the_applications_own_keeps_its_default() -> None:
    """Beside known names, and after a historic order."""

    def named(original: Create) -> Create:
        async def create_new_session(access_token_payload: Any, mark: str = "named") -> Any:
            return await original(access_token_payload={**access_token_payload, mark: True})

        return create_new_session

    def by_position(original: Create) -> Create:
        async def create_new_session(uid: Any, b: Any, c: Any, d: Any, tenant_id: Any, f: Any, mark: str = "x") -> Any:
            return await original(uid, {**b, mark: tenant_id}, c, d, tenant_id, f)

        return create_new_session

    assert created(creating(named), creating(by_position))["access_token_payload"] == {"x": "public", "named": True}


def test_known_names_beside_kwargs() -> None:
    """What is not named comes with the keywords."""

    def make(original: Create) -> Create:
        async def create_new_session(access_token_payload: Any, log: Any = None, **rest: Any) -> Any:
            assert sorted(rest) == sorted(CALL.keys() - {"access_token_payload"})
            return await original(access_token_payload={"log": log}, **rest)

        return create_new_session

    assert created(creating(make))["access_token_payload"] == {"log": None}


def test_args_and_kwargs_together_get_keywords() -> None:
    """`(*args, **kwargs)` may be handed straight on to the original."""

    def make(original: Create) -> Create:
        async def create_new_session(*args: Any, **kwargs: Any) -> Any:
            assert args == ()
            return await original(*args, **kwargs)

        return create_new_session

    assert created(creating(make)) == CALL


def test_star_args_with_the_context_by_keyword() -> None:
    """Keyword-only names are taken out of the positional order."""

    def make(original: Create) -> Create:
        async def create_new_session(user_id: Any, *rest: Any, user_context: Any) -> Any:
            assert len(rest) == 5
            return await original(user_id, *rest, user_context=user_context)

        return create_new_session

    assert created(creating(make)) == CALL


@pytest.mark.parametrize(
    "layer",
    [
        lambda a, b: None,
        lambda a, b, c, d, e, f, g, h: None,
        lambda user_id, payload: None,
        lambda tenant_id, b, c, d, e, f: None,
        lambda a, b, c, d, e, f, g=None: None,
        lambda a=1, b=2: None,
        lambda *args, mark: None,
        lambda tenant_id, *args: None,
        lambda mark=None, user_id=None, /: None,
        int,
    ],
)
def test_a_signature_that_fits_nowhere_is_an_error_at_init(layer: Any) -> None:
    """Too few, too many, known names in the wrong places, or more than one way to read it."""
    with pytest.raises(OverrideError, match="cannot be a layer of create_new_session"):
        chain_of(creating(lambda original: layer))


def test_an_impossible_signature_is_named_with_file_and_line() -> None:
    """The error says where the function is written and which orders there are."""

    async def create_new_session(one: Any, two: Any) -> None: ...

    with pytest.raises(OverrideError, match="user_id, access_token_payload") as caught:
        chain_of(creating(lambda original: create_new_session))
    assert caught.value.file == __file__
    assert caught.value.line == create_new_session.__code__.co_firstlineno


def test_a_wrong_order_in_the_recipe_itself_is_a_value_error() -> None:
    """Historic orders name existing parameters of existing operations."""
    for orders in ({"create": (("user_id",),)}, {"get_session": (("no_such",),)}):
        with pytest.raises(ValueError, match=r"no create|do not exist"):
            Chain(Functions, Recorder(), recipe_id="session", kind="functions", positional_orders=orders)
