"""Where the functions of an application are written, so that errors, explanations and traces can say so."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """Where a function is written; `file` is None for one that has no Python source."""

    name: str
    file: str | None
    line: int | None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else "(no source)"


def place_of(function: Any) -> Place:
    """Say where a function, or whatever else can be called, is written."""
    name = getattr(function, "__name__", type(function).__name__)
    code = getattr(_plain(function), "__code__", None)
    if code is not None:
        return Place(name, code.co_filename, code.co_firstlineno)
    if isinstance(function, type):
        return _place_of_class(function)
    return Place(name, None, None)


def _plain(function: Any) -> Any:
    """Look through decorators, partials, methods and callable objects for the function itself."""
    while not hasattr(function, "__code__"):
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif inspect.ismethod(function):
            function = function.__func__
        elif inspect.isfunction(method := inspect.getattr_static(type(function), "__call__", None)):
            function = method
        else:
            return function
    return inspect.unwrap(function)


def _place_of_class(cls: type) -> Place:
    try:
        return Place(cls.__name__, inspect.getsourcefile(cls), inspect.getsourcelines(cls)[1])
    except (OSError, TypeError):
        return Place(cls.__name__, None, None)
