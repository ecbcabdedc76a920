"""What one operation of a recipe accepts, and where the functions of an application are written.

An interface is a plain class; each public method is an operation, and its signature is the contract. If older versions
passed the same arguments in another order (or fewer of them), that order is listed too, so that older code still works.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

Order = tuple[str, ...]
Values = tuple[Any, ...]
"""The arguments of one call, one value per parameter, in the newest order."""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One overridable method; two are the same only if they are one object.

    `orders` are its positional orders, the newest (which is complete) first; `by_count` finds the one of a given
    length. `index` says where each parameter stands in the newest.
    """

    name: str
    orders: tuple[Order, ...]
    by_count: Mapping[int, Order]
    defaults: Mapping[str, Any]
    is_async: bool
    signature: inspect.Signature
    doc: str | None
    names: Order
    index: Mapping[str, int]

    def named(self, args: Values, keywords: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by the names of their parameters; TypeError if the parameters are not clear.

        Positional arguments belong to the order they fill exactly, together with the keywords; if they fill none, to
        one whose other parameters all have defaults.
        """
        if not keywords:
            return dict(zip(self.by_count.get(len(args)) or self._order(len(args), keywords), args))  # noqa: B905 - speed
        self._refuse_unknown(keywords)
        order = self._order(len(args), keywords) if args else self.names
        return {**dict(zip(order, args, strict=False)), **keywords}

    def in_order(self, given: Mapping[str, Any]) -> Values:
        """Put named arguments into the newest order; defaults fill gaps, a gap without one is a TypeError."""
        if len(given) < len(self.names):
            given = {**self.defaults, **given}
            self._refuse_gaps(given)
        return tuple(map(given.__getitem__, self.names))

    def _order(self, count: int, keywords: Collection[str]) -> Order:
        for optional in ((), self.defaults):
            for order in self.orders:
                if _fills(order, count, keywords, optional):
                    return order
        newest = self.names
        if count <= len(newest) and not set(newest[:count]) & set(keywords):
            self._refuse_gaps({*newest[:count], *keywords})
        orders = " or ".join(f"({', '.join(order)})" for order in self.orders)
        raise TypeError(f"{self.name}() got {count} positional arguments, which do not fit {orders}")

    def _refuse_unknown(self, keywords: Iterable[str]) -> None:
        for name in keywords:
            if name not in self.index:
                raise TypeError(f"{self.name}() has no parameter {name!r}{suggestion(name, self.names)}")

    def _refuse_gaps(self, given: Collection[str]) -> None:
        missing = [name for name in self.names if name not in given and name not in self.defaults]
        if missing:
            raise TypeError(f"{self.name}() is missing {', '.join(map(repr, missing))}")


def _fills(order: Order, count: int, keywords: Collection[str], optional: Collection[str]) -> bool:
    by_position, others = order[:count], order[count:]
    if count > len(order) or any(name in keywords for name in by_position):
        return False
    return all(name in keywords or name in optional for name in others)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ": did you mean ...?" if one of the known names is close, else an empty text."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f": did you mean {close[0]!r}?" if close else ""


def operations_of(interface: type, positional_orders: Mapping[str, Sequence[Order]]) -> Mapping[str, Operation]:
    """Read the operations of an interface class, in the order in which they are written; once per class."""
    return _operations_of(interface, tuple((name, tuple(orders)) for name, orders in positional_orders.items()))


@lru_cache(maxsize=256)
def _operations_of(interface: type, historic: tuple[tuple[str, tuple[Order, ...]], ...]) -> Mapping[str, Operation]:
    orders = dict(historic)
    operations = {
        name: _operation(name, getattr(interface, name), orders.get(name, ())) for name in operation_names(interface)
    }
    unknown = orders.keys() - operations.keys()
    if unknown:
        raise ValueError(f"{interface.__name__} has no {', '.join(sorted(unknown))}")
    return MappingProxyType(operations)


def operation_names(interface: type) -> list[str]:
    """Return the names of the public methods of an interface class, inherited ones first."""
    found: dict[str, None] = {}
    for cls in reversed(interface.__mro__[:-1]):
        found.update(dict.fromkeys(n for n, value in vars(cls).items() if n[0] != "_" and inspect.isfunction(value)))
    return list(found)


@lru_cache(maxsize=256)
def flags_of(interface: type) -> Mapping[str, bool]:
    """Return the `disable_*` attributes of an interface class with their values."""
    names = [name for name in dir(interface) if name.startswith("disable_")]
    flags = {name: value for name in names if isinstance(value := getattr(interface, name), bool)}
    return MappingProxyType(flags)


def _operation(name: str, method: Any, historic: Sequence[Order]) -> Operation:
    signature = inspect.signature(method)
    parameters = list(signature.parameters.values())[1:]
    if any(p.kind is not p.POSITIONAL_OR_KEYWORD for p in parameters):
        raise ValueError(f"{method.__qualname__}: the parameters of an operation can be passed by position and by name")
    newest = tuple(p.name for p in parameters)
    if any(set(order) - set(newest) for order in historic):
        raise ValueError(f"{method.__qualname__}: a historic order names parameters that do not exist")
    orders = (newest, *(tuple(order) for order in historic))
    return Operation(
        name=name,
        orders=orders,
        by_count={len(order): order for order in reversed(orders)},
        defaults={p.name: p.default for p in parameters if p.default is not p.empty},
        is_async=inspect.iscoroutinefunction(method),
        signature=signature.replace(parameters=parameters),
        doc=method.__doc__,
        names=newest,
        index={name: place for place, name in enumerate(newest)},
    )


# Where functions are written


@dataclass(frozen=True, slots=True)
class Place:
    """Where a function is written; `file` is None for one that has no Python source."""

    name: str
    file: str | None
    line: int | None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else "(no source)"


def place_of(function: Any) -> Place:
    """Return where a function, or any other callable, is written."""
    name = getattr(function, "__name__", type(function).__name__)
    code = getattr(_function_of(function), "__code__", None)
    if code is not None:
        return Place(name, code.co_filename, code.co_firstlineno)
    if isinstance(function, type):
        return _place_of_class(function)
    return Place(name, None, None)


def _function_of(function: Any) -> Any:
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
