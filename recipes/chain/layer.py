"""Layers written as classes, for those who prefer `super()` to a saved original.

    class FunctionsLayer(Layer[RecipeInterface], RecipeInterface):     # a recipe declares this once
        ...

    class Mine(FunctionsLayer):
        async def create_new_session(self, *args, **kwargs):
            return await super().create_new_session(*args, **kwargs)

    session.init(override=session.InputOverrideConfig(functions=Mine))

A class is nothing special to the chain: like an override function it is called with the original implementation, and
what comes back is an object whose methods are adopted.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Generic, TypeVar, cast

from .operation import operation_names

I = TypeVar("I")  # noqa: E741 - an interface


class OpenRecursion(Generic[I]):
    """An object that calls its operations through `calls`, which the chain sets: so that overrides see those calls."""

    calls: I


class Layer(OpenRecursion[I]):
    """A layer as a class: methods it does not override pass calls on to `original`, what lies below this layer."""

    def __init__(self, original: I) -> None:
        self.original: I = _as_it_is_now(original)

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if Layer in cls.__bases__:
            for interface in cls.__bases__:
                for name in [] if issubclass(interface, OpenRecursion) else operation_names(interface):
                    setattr(cls, name, _passing(name))


def _as_it_is_now(original: I) -> I:
    """Return what `original` holds at this moment; a view no longer shows layers assigned to it once it is sealed."""
    held = {name: getattr(original, name) for name in dir(original) if not name.startswith("_")}
    return cast("I", SimpleNamespace(**held))


def _passing(name: str) -> Callable[..., Any]:
    def call(self: Layer[Any], *args: Any, **keywords: Any) -> Any:
        return getattr(self.original, name)(*args, **keywords)

    call.__name__ = name
    call.passes_on = True  # type: ignore[attr-defined]
    return call


def passes_on(method: Any) -> bool:
    """Say whether a method is one that a layer class does not override."""
    return getattr(method, "passes_on", False) is True
