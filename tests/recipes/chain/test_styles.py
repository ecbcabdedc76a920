"""Other styles of overriding: layer classes, plain functions, and APIs that are switched off."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from coatcheck.recipes.chain.chain import Chain
from coatcheck.recipes.chain.view import Layer
from coatcheck.recipes.exceptions import OverrideError
from coatcheck.recipes.kit.driver import drive

from .greetings import Greetings, GreetingsLayer, Pages, chain_of, greeting, marking, pages


def test_a_layer_class_overrides_what_it_defines_and_passes_on_the_rest() -> None:
    """`super()` calls the layer below, by position or by keyword."""

    class Mine(GreetingsLayer):
        async def greet(self, *args: Any, **kwargs: Any) -> str:
            below: Any = super()
            return f"mine {await below.greet(*args, **kwargs)}"

    chain = chain_of(marking("a"), Mine, marking("b"))
    assert greeting(chain) == "b mine a hello ann"
    assert not chain.is_overridden("titles")
    assert not chain.is_overridden("greet_twice")


def test_a_layer_class_with_options_is_applied_through_a_partial() -> None:
    """Anything that can be called with the original implementation is an override function."""

    class Marked(GreetingsLayer):
        def __init__(self, original: Greetings, *, mark: str) -> None:
            super().__init__(original)
            self.mark = mark

        async def greet(self, name: str, user_context: dict[str, Any]) -> str:
            return f"{self.mark} {await self.original.greet(name, user_context)}"

    marked: Any = Marked
    assert greeting(chain_of(functools.partial(marked, mark="!"))) == "! hello ann"


def test_a_misspelt_method_of_a_class_is_an_error_at_init() -> None:
    """A method that nearly has the name of an operation would never be called."""

    class Mine(GreetingsLayer):
        async def greeet(self, name: str, user_context: dict[str, Any]) -> str:
            return name

        def unrelated_helper(self) -> None: ...

    with pytest.raises(OverrideError, match="did you mean 'greet'"):
        chain_of(Mine)


def test_a_plain_function_may_stand_in_for_an_async_one() -> None:
    """Its value is returned directly."""

    def override(o: Any) -> Any:
        o.greet = lambda name, user_context: f"plain {name}"
        return o

    assert greeting(chain_of(override)) == "plain ann"


def test_a_plain_implementation_of_an_async_operation_can_be_awaited() -> None:
    """A delivery service written as a plain function works beneath the chain as well."""

    class Service:
        def greet_post(self, user_context: dict[str, Any]) -> str:
            return "plain"

    service: Any = Service()
    chain: Chain[Pages] = Chain(Pages, service, recipe_id="greetings", kind="email_delivery")
    assert drive(chain.top.greet_post({})) == "plain"


def test_an_operation_that_may_be_awaitable_stays_so() -> None:
    """A plain operation answers at once with a plain layer, and with an awaitable under an async one."""

    def plain(o: Any) -> Any:
        original = o.titles
        o.titles = lambda name, user_context: [*original(name, user_context), "layer"]
        return o

    def async_(o: Any) -> Any:
        original = o.titles

        async def titles(name: str, user_context: dict[str, Any]) -> list[str]:
            return [*original(name, user_context), "async"]

        o.titles = titles
        return o

    assert chain_of(plain).top.titles("ann", {}) == ["plain", "layer"]
    assert drive(chain_of(plain, async_).top.titles("ann", {})) == ["plain", "layer", "async"]


def test_one_chain_serves_async_and_synchronous_callers() -> None:
    """The same layers run under an event loop and driven by hand."""
    chain = chain_of(marking("a"))
    assert asyncio.run(chain.top.greet("ann", {})) == greeting(chain)


def test_assigning_none_disables_an_api() -> None:
    """The top then holds None, and a layer put over it later enables it again."""

    def disable(o: Any) -> Any:
        o.greet_post = None
        return o

    def enable(o: Any) -> Any:
        assert o.greet_post is None

        async def greet_post(user_context: dict[str, Any]) -> str:
            return "enabled"

        o.greet_post = greet_post
        return o

    assert pages(disable).top.greet_post is None
    assert pages(disable).is_disabled("greet_post")
    assert not pages(disable, enable).is_disabled("greet_post")
    assert drive(pages(disable, enable).top.greet_post({})) == "enabled"


def test_a_class_can_disable_an_api() -> None:
    """By None in the place of a method, or by the flag."""

    class PagesLayer(Layer[Pages], Pages):
        """The interface as a layer class."""

    class NoGreeting(PagesLayer):
        greet_post: Any = None

    class Flagged(PagesLayer):
        disable_greet_post = True

    assert pages(NoGreeting).is_disabled("greet_post")
    assert pages(Flagged).is_disabled("greet_post")
    assert not pages(PagesLayer).is_disabled("greet_post")


def test_a_flag_disables_an_api() -> None:
    """`disable_*` attributes can be read and set to True or False, nothing else."""

    def disable(o: Any) -> Any:
        o.disable_greet_post = not o.disable_greet_post
        return o

    def wrong(o: Any) -> Any:
        o.disable_greet_post = "yes"
        return o

    assert pages(disable).top.disable_greet_post is True
    assert pages(disable).is_disabled("greet_post")
    assert not pages(disable, disable).is_disabled("greet_post")
    with pytest.raises(OverrideError, match="either True or False"):
        pages(wrong)
