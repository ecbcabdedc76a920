"""One layer of one operation, and what the layer above it calls.

A call travels down the chain as a tuple of values in the newest order. Each link feeds its function from that tuple;
what the function passes to its saved original is bound to names again, put into the newest order, and handed to the
link below.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeAlias

from ...claims.recipe_user_id import RecipeUserId
from .feed import Feed, feed_of
from .operation import Operation, Place, Values, place_of

Run = Callable[[Values], Any]


class Link:
    """A function as a layer of one operation, or as its implementation if nothing is `below`.

    `run` takes the values of a call; a trace may replace `plain_run` by its own. `entry` is what the outside calls.
    `original` is what a layer above calls; it adds the parameters that this layer cannot know.
    """

    __slots__ = ("_entry", "_original", "below", "feed", "operation", "plain_run", "run")

    def __init__(self, operation: Operation, function: Callable[..., Any], below: Link | None) -> None:
        self.operation = operation
        self.below = below
        self.feed: Feed = feed_of(function, operation)
        self.plain_run: Run = _run_of(self)
        self.run: Run = self.plain_run
        # Made when first used: most links of an App are never called.
        self._entry: Callable[..., Any] | None = None
        self._original: Callable[..., Any] | None = None

    @property
    def entry(self) -> Callable[..., Any]:
        """What the outside calls."""
        if self._entry is None:
            self._entry = _callable(self, passing_on=False)
        return self._entry

    @property
    def original(self) -> Callable[..., Any]:
        """What a layer above calls."""
        if self._original is None:
            self._original = _callable(self, passing_on=True)
        return self._original

    @property
    def place(self) -> Place:
        """Where the function is written."""
        return place_of(self.feed.function)

    @property
    def is_direct(self) -> bool:
        """Whether the function itself can stand for `entry`: an implementation with exactly the same signature."""
        same = self.feed.parameters == self.operation.names
        same_kind = self.feed.is_async or not self.operation.is_async
        return self.below is None and same and same_kind and not self.feed.by_keyword


# The running calls


Frame: TypeAlias = "tuple[Link, Values, Frame | None]"
"""A running layer of this context, the values it was called with, and the frame around it."""

_running_layer: ContextVar[Frame | None] = ContextVar("coatcheck_running_layer", default=None)


def _enclosing_frame(operation: Operation) -> Frame | None:
    frame = _running_layer.get()
    while frame is not None and frame[0].operation is not operation:
        frame = frame[2]
    return frame


# Calling the function of a layer


def _run_of(link: Link) -> Run:
    if not link.operation.is_async:
        return _run_sync(link)
    return _run_implementation(link) if link.below is None else _run_layer(link)


def _run_implementation(link: Link) -> Run:
    call = link.feed.caller()

    async def run(values: Values) -> Any:
        result = call(values)
        return await result if inspect.isawaitable(result) else result

    return call if link.feed.is_async else run


def _run_layer(link: Link) -> Run:
    call, is_async = link.feed.caller(), link.feed.is_async

    async def run(values: Values) -> Any:
        token = _running_layer.set((link, values, _running_layer.get()))
        try:
            result = call(values)
            return await result if is_async or inspect.isawaitable(result) else result
        finally:
            _running_layer.reset(token)

    return run


def _run_sync(link: Link) -> Run:
    """Return what runs a function that answers at once or with an awaitable; a layer's frame covers both."""
    call = link.feed.caller()

    async def rest(values: Values, result: Any) -> Any:
        token = _running_layer.set((link, values, _running_layer.get()))
        try:
            return await result
        finally:
            _running_layer.reset(token)

    def run(values: Values) -> Any:
        token = _running_layer.set((link, values, _running_layer.get()))
        try:
            result = call(values)
        finally:
            _running_layer.reset(token)
        return rest(values, result) if inspect.isawaitable(result) else result

    return call if link.below is None else run


# What others call


def _callable(link: Link, *, passing_on: bool) -> Callable[..., Any]:
    operation = link.operation
    count = len(operation.names)

    def call(*args: Any, **keywords: Any) -> Any:
        if len(args) == count and not keywords:
            return link.run(args)
        given = operation.named(args, keywords)
        if passing_on and len(given) < count:
            _pass_on(operation, given)
        return link.run(operation.in_order(given))

    call.__name__ = call.__qualname__ = operation.name
    call.__doc__ = operation.doc
    call.__signature__ = operation.signature  # type: ignore[attr-defined]
    return call


def _pass_on(operation: Operation, given: dict[str, Any]) -> None:
    """Add what the calling layer cannot know, from the call that it is running for (docs/protocol.md, rule 15.6)."""
    frame = _enclosing_frame(operation)
    if frame is None:
        return
    link, received, _ = frame
    for name in link.feed.lacks:
        if name not in given:
            given[name] = received[operation.index[name]]
            if name == "recipe_user_id" and _other_user(operation, given, received):
                given[name] = RecipeUserId(given["user_id"])


def _other_user(operation: Operation, given: dict[str, Any], received: Values) -> bool:
    """Whether a layer has changed the user: a session of another user must not keep the old login method."""
    return "user_id" in given and bool(given["user_id"] != received[operation.index["user_id"]])
