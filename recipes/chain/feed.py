"""How a layer gets its arguments; its signature decides this once.

    async def create_new_session(**kwargs)                       everything, by name
    async def create_new_session(user_id, _tenant_id, ...)       what it names; a leading underscore is ignored
    async def create_new_session(uid, payload, data, a, t, ctx)  unknown names: the order of as many parameters
    async def create_new_session(*args)                          everything, in the newest order

A parameter that gets nothing takes its default. A signature that fits no way is an OverrideError at init.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType, MethodType
from typing import Any

from ..exceptions import OverrideError
from .operation import Operation, Order, Values, place_of


@dataclass(frozen=True, slots=True)
class Feed:
    """How one function gets its arguments: which values by position, which by keyword, and which not at all.

    `parameters` are the names in its own signature; `is_async` says whether it is known to return a coroutine.
    """

    function: Callable[..., Any]
    by_position: tuple[int, ...]
    by_keyword: tuple[tuple[str, int], ...]
    lacks: tuple[str, ...]
    described: str
    parameters: Order
    is_async: bool

    def of(self, function: Callable[..., Any]) -> Feed:
        """Return the feed of another function with the same signature."""
        return Feed(
            function, self.by_position, self.by_keyword, self.lacks, self.described, self.parameters, self.is_async
        )

    def caller(self) -> Callable[[Values], Any]:
        """Return what calls the function with its share of the values of a call."""
        function, by_position, by_keyword = self.function, self.by_position, self.by_keyword
        if len(by_position) > 1 and not by_keyword:
            share = operator.itemgetter(*by_position)
            return lambda values: function(*share(values))
        return lambda values: function(
            *[values[index] for index in by_position], **{name: values[index] for name, index in by_keyword}
        )


def feed_of(function: Callable[..., Any], operation: Operation) -> Feed:
    """Return how `function` gets its arguments as a layer of `operation`; OverrideError if it cannot be a layer."""
    if inspect.ismethod(function) and isinstance(function.__func__, FunctionType):
        # A recipe's own methods are the same in every App, and reading signatures is most of the work of making one.
        return _feed_of_method(function.__func__, operation).of(function)
    return _Signature(function, operation).feed()


@lru_cache(maxsize=1024)
def _feed_of_method(function: FunctionType, operation: Operation) -> Feed:
    return _Signature(MethodType(function, object()), operation).feed()


class _Signature:
    """The parameters of a layer's function, sorted by how they can be passed."""

    def __init__(self, function: Callable[..., Any], operation: Operation) -> None:
        self.function = function
        self.operation = operation
        try:
            self.parameters = inspect.signature(function).parameters
        except (TypeError, ValueError) as error:
            raise self._impossible(f"its signature cannot be read: {error}") from error
        parameters = self.parameters.values()
        self.positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.keyword_only = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        self.takes_args = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.takes_kwargs = any(p.kind is p.VAR_KEYWORD for p in parameters)

    def feed(self) -> Feed:
        """Return the feed: by name if every name is known, else by position."""
        strange = [p.name for p in self.keyword_only if not self._known(p) and p.default is p.empty]
        if strange:
            raise self._impossible(f"no argument is called {' or '.join(strange)}")
        if self.takes_args and not self.takes_kwargs:
            return self._by_order(self._newest_order(), "everything, in the newest order")
        if self._names_are_known():
            return self._by_name()
        order = self._order_of_its_size()
        return self._by_order(order, f"by position: {', '.join(order)}")

    def _names_are_known(self) -> bool:
        if any(not self._known(p) and p.default is p.empty for p in self.positional):
            return False
        return self.takes_kwargs or not self.positional or any(self._known(p) for p in self.positional)

    def _known(self, parameter: inspect.Parameter) -> str | None:
        names = self.operation.names
        bare = parameter.name.lstrip("_")
        return parameter.name if parameter.name in names else bare if bare in names else None

    def _by_name(self) -> Feed:
        by_position: list[str] = []
        by_keyword = {p.name: name for p in self.keyword_only if (name := self._known(p))}
        for place, parameter in enumerate(self.positional):
            name = self._known(parameter)
            if name and len(by_position) == place:
                by_position.append(name)
            elif name and parameter.kind is parameter.POSITIONAL_ONLY:
                raise self._impossible(f"{parameter.name} can only be passed after a parameter that gets nothing")
            elif name:
                by_keyword[parameter.name] = name
        named = [*by_position, *by_keyword.values()]
        described = "everything, by name" if self.takes_kwargs else f"by name: {', '.join(named) or 'nothing'}"
        return self._new_feed(by_position, by_keyword, described)

    def _by_order(self, order: Order, described: str) -> Feed:
        by_keyword = {p.name: name for p in self.keyword_only if (name := self._known(p))}
        return self._new_feed(order, by_keyword, described)

    def _newest_order(self) -> Order:
        order = self._without_keyword_only(self.operation.names)
        beyond = any(p.default is p.empty for p in self.positional[len(order) :])
        if beyond or self._swapped_names(order):
            raise self._impossible(f"with *args, parameters come in the order ({', '.join(order)})")
        return order

    def _order_of_its_size(self) -> Order:
        most = len(self.positional)
        least = sum(p.default is p.empty for p in self.positional)
        orders = [self._without_keyword_only(order) for order in self.operation.orders]
        fitting = [o for o in orders if least <= len(o) <= most and not self._swapped_names(o)]
        if not fitting:
            known = " or ".join(f"({', '.join(order)})" for order in orders)
            raise self._impossible(f"its parameters are not those of {self.operation.name}: {known}")
        if len(fitting) > 1 or not least:
            raise self._impossible(f"which argument is which? Name them ({', '.join(self.operation.names)})")
        return fitting[0]

    def _without_keyword_only(self, order: Order) -> Order:
        taken = {self._known(p) for p in self.keyword_only}
        return tuple(name for name in order if name not in taken)

    def _swapped_names(self, order: Order) -> list[str]:
        pairs = zip(self.positional, order, strict=False)
        return [p.name for p, name in pairs if self._known(p) not in (None, name)]

    def _new_feed(self, by_position: Iterable[str], by_keyword: dict[str, str], described: str) -> Feed:
        index = {name: place for place, name in enumerate(self.operation.names)}
        fed = {*by_position, *by_keyword.values()}
        rest = [name for name in self.operation.names if name not in fed]
        if self.takes_kwargs:
            by_keyword = {**by_keyword, **{name: name for name in rest}}
        return Feed(
            function=self.function,
            by_position=tuple(index[name] for name in by_position),
            by_keyword=tuple((parameter, index[name]) for parameter, name in by_keyword.items()),
            lacks=() if self.takes_kwargs else tuple(rest),
            described=described,
            parameters=tuple(self.parameters),
            is_async=inspect.iscoroutinefunction(self.function),
        )

    def _impossible(self, reason: str) -> OverrideError:
        place = place_of(self.function)
        message = f"{place.name} cannot be a layer of {self.operation.name}: {reason}"
        return OverrideError(message, file=place.file, line=place.line)
