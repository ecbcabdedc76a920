"""What an override function gets: the original implementation, as a view of the chain. And layers written as classes.

Reading an operation gives a callable bound to the layer on top now; assigning one puts a layer on top. When the
override function returns, its view is sealed: from then on it shows what lies below that override (so that a late
`original_implementation.x(...)` inside a replacement does not call itself), and cannot be assigned to.

    class Mine(FunctionsLayer):  # every recipe has a FunctionsLayer(Layer[RecipeInterface], RecipeInterface)
        async def create_new_session(self, *args, **kwargs):
            return await super().create_new_session(*args, **kwargs)

    session.init(override=session.InputOverrideConfig(functions=Mine))

The chain treats a class like an override function: it calls it with the original implementation, and adopts the methods
of the object that comes back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Generic, TypeVar, cast

from ..exceptions import OverrideError
from .link import Link
from .operation import Place, operation_names, suggestion


class View:
    """The original implementation as one override function sees it; an instance of the recipe's interface."""

    __slots__ = ("_draft",)
    _draft: Draft

    def __init__(self, draft: Draft) -> None:
        object.__setattr__(self, "_draft", draft)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._draft.interface

    def __getattr__(self, name: str) -> Any:
        return self._draft.read(name)

    def __setattr__(self, name: str, value: Any) -> None:
        code = sys._getframe(1)
        self._draft.assign(name, value, Place(name, code.f_code.co_filename, code.f_lineno))

    def __dir__(self) -> Iterable[str]:
        return self._draft.names()

    def __repr__(self) -> str:
        return f"<original implementation of {self._draft.interface.__qualname__}>"


@dataclass(slots=True)
class Layers:
    """The layers of a chain at one moment: the top link of each operation, and what is disabled."""

    links: dict[str, Link]
    flags: dict[str, bool]
    disabled: set[str]

    def copy(self) -> Layers:
        """Return a copy that can grow on its own."""
        return Layers(dict(self.links), dict(self.flags), set(self.disabled))

    def read(self, name: str) -> Any:
        """Return an operation (None where it is disabled) or a flag."""
        if name in self.disabled:
            return None
        return self.links[name].original if name in self.links else self.flags[name]


class Draft:
    """What one override function makes of a chain: `below` is what it found, `now` what it has assigned so far."""

    def __init__(self, interface: type, below: Layers, *, can_disable: bool) -> None:
        self.interface = interface
        self.below = below
        self.now = below.copy()
        self.sealed = False
        self._can_disable = can_disable

    def names(self) -> list[str]:
        """Return the names that can be read and assigned."""
        return [*self.below.links, *self.below.flags]

    def read(self, name: str) -> Any:
        """Return what a name stands for; AttributeError if there is no such name."""
        if name not in self.below.links and name not in self.below.flags:
            raise AttributeError(f"{self.interface.__qualname__} has no {name!r}{suggestion(name, self.names())}")
        return (self.below if self.sealed else self.now).read(name)

    def assign(self, name: str, value: Any, place: Place) -> None:
        """Put a layer on top, disable an API or set a flag; OverrideError if the value fits none of these."""
        if self.sealed:
            raise _error(f"{name} was assigned after the override function had returned", place)
        if name in self.below.links:
            self._put(name, value, place)
        elif name not in self.below.flags:
            raise _error(f"{self.interface.__qualname__} has no {name!r}{suggestion(name, self.names())}", place)
        elif not isinstance(value, bool):
            raise _error(f"{name} is either True or False", place)
        else:
            self.now.flags[name] = value

    def _put(self, name: str, value: Any, place: Place) -> None:
        if value is None and self._can_disable:
            self.now.disabled.add(name)
        elif not callable(value):
            raise _error(f"{name} must be a function, not {value!r}", place)
        elif value is not self.now.read(name):
            below = self.now.links[name]
            self.now.links[name] = Link(below.operation, value, below)
            self.now.disabled.discard(name)


def _error(message: str, place: Place) -> OverrideError:
    return OverrideError(message, file=place.file, line=place.line)


# Layers written as classes


I = TypeVar("I")  # noqa: E741 - an interface


class OpenRecursion(Generic[I]):
    """An object that calls its operations through `calls`; the chain sets it, so that overrides see those calls."""

    calls: I


class Layer(OpenRecursion[I]):
    """A layer as a class: methods it does not override pass calls on to `original`, what lies below this layer."""

    def __init__(self, original: I) -> None:
        self.original: I = _snapshot(original)

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if Layer in cls.__bases__:
            for interface in cls.__bases__:
                for name in [] if issubclass(interface, OpenRecursion) else operation_names(interface):
                    setattr(cls, name, _passing_method(name))


def _snapshot(original: I) -> I:
    """Return what `original` holds at this moment; a sealed view no longer shows the layers assigned to it."""
    held = {name: getattr(original, name) for name in dir(original) if not name.startswith("_")}
    return cast("I", SimpleNamespace(**held))


def _passing_method(name: str) -> Callable[..., Any]:
    def call(self: Layer[Any], *args: Any, **keywords: Any) -> Any:
        return getattr(self.original, name)(*args, **keywords)

    call.__name__ = name
    call.passes_on = True  # type: ignore[attr-defined]
    return call


def passes_on(method: Any) -> bool:
    """Whether a method is one that a layer class does not override."""
    return getattr(method, "passes_on", False) is True
