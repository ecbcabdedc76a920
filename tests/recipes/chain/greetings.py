"""Two small recipes that tests override: greetings, and pages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from coatcheck.recipes.chain.chain import Chain
from coatcheck.recipes.chain.view import Layer, OpenRecursion
from coatcheck.recipes.kit.driver import drive


class Greetings(ABC):
    """An interface like a recipe's: abstract, async, with one plain method."""

    @abstractmethod
    async def greet(self, name: str, user_context: dict[str, Any]) -> str:
        """Greet somebody."""

    @abstractmethod
    async def greet_twice(self, name: str, user_context: dict[str, Any]) -> str:
        """Greet somebody twice."""

    @abstractmethod
    def titles(self, name: str, user_context: dict[str, Any]) -> Any:
        """Return titles, at once or awaited."""


class Plain(OpenRecursion[Greetings], Greetings):
    """The implementation beneath all layers."""

    async def greet(self, name: str, user_context: dict[str, Any]) -> str:
        return f"hello {name}"

    async def greet_twice(self, name: str, user_context: dict[str, Any]) -> str:
        return f"{await self.calls.greet(name, user_context)}, {await self.calls.greet(name, user_context)}"

    def titles(self, name: str, user_context: dict[str, Any]) -> Any:
        return ["plain"]


class GreetingsLayer(Layer[Greetings], Greetings):
    """The interface as a layer class."""


class Pages(ABC):
    """An interface like a recipe's HTTP APIs."""

    disable_greet_post = False

    @abstractmethod
    async def greet_post(self, user_context: dict[str, Any]) -> str:
        """Answer POST /greet."""


class PlainPages(Pages):
    async def greet_post(self, user_context: dict[str, Any]) -> str:
        return "posted"


def chain_of(*overrides: Callable[..., Any]) -> Chain[Greetings]:
    """Return a chain of functions with these overrides, the last one outermost."""
    chain: Chain[Greetings] = Chain(Greetings, Plain(), recipe_id="greetings", kind="functions")
    for override in overrides:
        chain.apply(override)
    return chain


def pages(*overrides: Callable[..., Any]) -> Chain[Pages]:
    """Return a chain of APIs with these overrides."""
    chain: Chain[Pages] = Chain(Pages, PlainPages(), recipe_id="greetings", kind="apis")
    for override in overrides:
        chain.apply(override)
    return chain


def greeting(chain: Chain[Greetings], name: str = "ann") -> str:
    """Call the chain from outside."""
    return drive(chain.top.greet(name, {}))


def marking(mark: str) -> Callable[[Any], Any]:
    """Return an override that puts a mark before what the layer below says."""

    def override(original_implementation: Any) -> Any:
        original_greet = original_implementation.greet

        async def greet(name: str, user_context: dict[str, Any]) -> str:
            return f"{mark} {await original_greet(name, user_context)}"

        original_implementation.greet = greet
        return original_implementation

    return override
