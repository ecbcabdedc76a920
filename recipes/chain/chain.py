"""The override chain: an implementation, the layers an application puts over it, and one callable per operation on top.

    chain = Chain(RecipeInterface, implementation, recipe_id="session", kind="functions")
    chain.apply(override_session_functions)
    await chain.top.create_new_session(...)        # the outermost layer, or the implementation itself

The files of this folder, from the inside out: `operation` (what can be called, and where functions are written), `feed`
(how a function gets its arguments), `link` (one layer of one operation), `view` (what an override function sees, and
layers written as classes), `chain` (this file) and `trace` (which layers there are, and what a call does in each).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from types import FunctionType, MethodType
from typing import Any, Generic, NoReturn, TypeVar, cast

from ..exceptions import ConfigurationError, OverrideError
from .link import Link, Run
from .operation import Operation, Order, Place, flags_of, operations_of, place_of, suggestion
from .view import Draft, Layers, OpenRecursion, View, passes_on

I = TypeVar("I")  # noqa: E741 - an interface

Observer = Callable[[str, Link], Run]


class Chain(Generic[I]):
    """The layers over one object, and `top`, through which everything calls.

    `interface` is a class whose public methods are the operations; `positional_orders` lists, for some of them, the
    orders of arguments that older code uses. Calls from inside the library go to `top` too, so an override is seen by
    all of them (docs/protocol.md, rule 15.8).
    """

    def __init__(
        self,
        interface: type[I],
        base: I,
        *,
        recipe_id: str,
        kind: str,
        positional_orders: Mapping[str, Sequence[Order]] | None = None,
    ) -> None:
        self.interface = interface
        self.recipe_id = recipe_id
        self.kind = kind
        known: Any = interface
        self.operations = operations_of(known, positional_orders or {})
        self.top: I = cast("I", object.__new__(_top_class(known, tuple(self.operations))))
        self._base = base
        self._flags = {name: bool(getattr(base, name, default)) for name, default in flags_of(known).items()}
        self._built: Layers | None = None
        self._observer: Observer | None = None
        self._know_top(base)
        if self._is_direct(base):
            vars(self.top).update(self._flags, _base=base)
        else:
            self._finish()

    def apply(self, override: Callable[..., Any] | None) -> None:
        """Put the layers of one override function (or Layer class) on top; OverrideError if it cannot work.

        If it fails, the chain stays as it was.
        """
        if override is None:
            return
        draft = Draft(self.interface, self._layers, can_disable=self.kind == "apis")
        view = View(draft)
        try:
            returned = override(view)
            if returned is not view:
                self._adopt(returned, draft, place_of(override))
        finally:
            draft.sealed = True
        self._built = draft.now
        self._finish()

    # The layers

    @property
    def _layers(self) -> Layers:
        # Built when first needed: most chains get no layer, and tests make many chains.
        if self._built is None:
            links = {name: Link(op, getattr(self._base, name), None) for name, op in self.operations.items()}
            self._built = Layers(links, self._flags, set())
        return self._built

    def layers(self, name: str) -> list[Link]:
        """Return the links of an operation, outermost first, the implementation last."""
        return list(self._down_from(self._layers.links[self._known(name)]))

    def is_overridden(self, name: str) -> bool:
        """Whether an override has put a layer over an operation, or disabled it."""
        below = None if self._built is None else self._built.links[self._known(name)].below
        return below is not None or self.is_disabled(name)

    def is_disabled(self, name: str) -> bool:
        """Whether an API is switched off, by None in its place or by its `disable_` attribute."""
        flags = self._flags if self._built is None else self._built.flags
        disabled = set() if self._built is None else self._built.disabled
        return self._known(name) in disabled or flags.get(f"disable_{name}", False)

    def observe(self, observer: Observer | None) -> None:
        """Put `observer(label, link)` in place of what each link runs; None puts everything back."""
        self._observer = observer
        for name in self.operations:
            for link in self.layers(name):
                link.run = observer(f"{self.recipe_id}.{name}", link) if observer else link.plain_run
        self._finish()

    def _known(self, name: str) -> str:
        if name not in self.operations:
            raise KeyError(f"{self.recipe_id} has no {self.kind} called {name!r}{suggestion(name, self.operations)}")
        return name

    @staticmethod
    def _down_from(link: Link | None) -> Iterator[Link]:
        while link is not None:
            yield link
            link = link.below

    # Adding layers

    def _finish(self) -> None:
        attributes = vars(self.top)
        attributes.update(self._layers.flags)
        for name, link in self._layers.links.items():
            attributes[name] = None if name in self._layers.disabled else self._callable(link)

    def _is_direct(self, base: Any) -> bool:
        implementation: Any = type(base)
        own = getattr(base, "__dict__", {}).keys() & self.operations.keys()
        return not own and _are_direct(implementation, tuple(self.operations.values()))

    def _callable(self, link: Link) -> Callable[..., Any]:
        """Return what the outside calls: the implementation itself if nothing has to happen in between."""
        return link.feed.function if link.is_direct and self._observer is None else link.entry

    def _adopt(self, returned: Any, draft: Draft, place: Place) -> None:
        """Make a layer of each operation that an object other than the view implements in its own way."""
        self._refuse_no_layer(returned, place)
        self._know_top(returned)
        for name in self.operations:
            if hasattr(returned, name) and not self._is_inherited(name, method := getattr(returned, name)):
                draft.assign(name, method, place_of(method))
        for name, value in draft.now.flags.items():
            draft.assign(name, getattr(returned, name, value), place)

    def _is_inherited(self, name: str, method: Any) -> bool:
        function = getattr(method, "__func__", method)
        return passes_on(function) or function is getattr(self.interface, name) or method in self._originals(name)

    def _originals(self, name: str) -> list[Any]:
        return [original for link in self.layers(name) for original in (link.original, link.feed.function)]

    def _refuse_no_layer(self, returned: Any, place: Place) -> None:
        what = f"the override function {place.name}"
        if returned is None:
            _refuse(f"{what} returned nothing: did you forget `return original_implementation`?", place)
        if inspect.iscoroutine(returned):
            returned.close()
            _refuse(f"{what} is async; only the functions it assigns may be", place)
        known = [name for name in dir(returned) if name in self.operations]
        if not known:
            _refuse(f"{what} returned {returned!r}, which has no operation of {self.interface.__qualname__}", place)
        for name in vars(type(returned)):
            if callable(getattr(returned, name)) and name[0] != "_" and name not in self.operations:
                meant = suggestion(name, [n for n in self.operations if n not in vars(type(returned))])
                if meant:
                    _refuse(f"{self.interface.__qualname__} has no {name!r}{meant}", place)

    def _know_top(self, implementation: Any) -> None:
        if isinstance(implementation, OpenRecursion):
            implementation.calls = self.top


def _refuse(message: str, place: Place) -> NoReturn:
    raise OverrideError(message, file=place.file, line=place.line)


@lru_cache(maxsize=256)
def _are_direct(implementation: Any, operations: tuple[Operation, ...]) -> bool:
    """Whether the outside can call the methods of a class directly for these operations."""
    methods = [(operation, inspect.getattr_static(implementation, operation.name, None)) for operation in operations]
    return all(isinstance(method, FunctionType) for _, method in methods) and all(
        Link(operation, MethodType(method, object()), None).is_direct for operation, method in methods
    )


@lru_cache(maxsize=256)
def _top_class(interface: type[Any], operations: tuple[str, ...]) -> type:
    """Return a class whose instances implement an interface, abstract or not; their operations are attributes."""

    def refuse(top: object, name: str, value: object) -> None:
        raise AttributeError(f"{name} cannot be assigned here; override it in the recipe's init(override=...)")

    # Until an override assigns something else, an operation is the method of the implementation.
    methods = {name: cached_property(attrgetter(f"_base.{name}")) for name in operations}
    body = {**methods, "__setattr__": refuse, "__doc__": interface.__doc__}
    return type(f"Top{interface.__name__}", (interface,), body)


# The overrides that a recipe's `init` takes


@dataclass(frozen=True)
class InputOverrideConfig:
    """The overrides of one recipe: `functions` and `apis` each receive the original implementation and return one."""

    functions: Callable[..., Any] | None = None
    apis: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        for name in ("functions", "apis"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise ConfigurationError(
                    f"override.{name} must be a function that takes the original implementation, not {value!r}"
                )


def checked_override(recipe_id: str, override: InputOverrideConfig | None) -> InputOverrideConfig:
    """Return the overrides given to a recipe's `init`, none for None; a ConfigurationError for anything else."""
    if override is None:
        return InputOverrideConfig()
    if not isinstance(override, InputOverrideConfig):
        raise ConfigurationError(f"{recipe_id}.init: override must be an instance of InputOverrideConfig or None")
    return override
