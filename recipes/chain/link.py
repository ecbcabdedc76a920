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
    """A function at work as a layer (or, with nothing `below`, as the implementation) of one operation.

    `run` takes the values of a call; a trace may put its own in place of `plain_run`. `entry` is what the outside
    calls. `original` is what a layer above calls: where that layer cannot know a parameter, it passes it on.
    """

    __slots__ = ("_entry", "_original", "below", "feed", "operation", "plain_run", "run")

    def __init__(self, operation: Operation, function: Callable[..., Any], below: Link | None) -> None:
        self.operation = operation
        self.below = below
        self.feed: Feed = feed_of(function, operation)
        self.plain_run: Run = _running(self)
        self.run: Run = self.plain_run
        # Made when first asked for: through most links of an App nothing is ever called.
        self._entry: Callable[..., Any] | None = None
        self._original: Callable[..., Any] | None = None

    @property
    def entry(self) -> Callable[..., Any]:
        """What the outside calls."""
        if self._entry is None:
            self._entry = _called(self, passing_on=False)
        return self._entry

    @property
    def original(self) -> Callable[..., Any]:
        """What a layer above calls."""
        if self._original is None:
            self._original = _called(self, passing_on=True)
        return self._original

    @property
    def place(self) -> Place:
        """Where the function is written."""
        return place_of(self.feed.function)

    @property
    def is_direct(self) -> bool:
        """Say whether the function itself can stand for `entry`: an implementation with the very same signature."""
        same = self.feed.parameters == self.operation.names
        settles = self.feed.is_async or not self.operation.is_async
        return self.below is None and same and settles and not self.feed.by_keyword


# The calls under way


Frame: TypeAlias = "tuple[Link, Values, Frame | None]"
"""A layer at work in the running context, what it was called with, and the frame around it."""


_at_work: ContextVar[Frame | None] = ContextVar("coatcheck_layer_at_work", default=None)


def _enclosing(operation: Operation) -> Frame | None:
    frame = _at_work.get()
    while frame is not None and frame[0].operation is not operation:
        frame = frame[2]
    return frame


# Into a layer


def _running(link: Link) -> Run:
    if not link.operation.is_async:
        return _running_plain(link)
    return _implementation_async(link) if link.below is None else _layer_async(link)


def _implementation_async(link: Link) -> Run:
    call = link.feed.caller()

    async def run(values: Values) -> Any:
        result = call(values)
        return await result if inspect.isawaitable(result) else result

    return call if link.feed.is_async else run


def _layer_async(link: Link) -> Run:
    call, is_async = link.feed.caller(), link.feed.is_async

    async def run(values: Values) -> Any:
        token = _at_work.set((link, values, _at_work.get()))
        try:
            result = call(values)
            return await result if is_async or inspect.isawaitable(result) else result
        finally:
            _at_work.reset(token)

    return run


def _running_plain(link: Link) -> Run:
    """Run an operation that may answer at once or with an awaitable; a layer's frame covers both."""
    call = link.feed.caller()

    async def rest(values: Values, result: Any) -> Any:
        token = _at_work.set((link, values, _at_work.get()))
        try:
            return await result
        finally:
            _at_work.reset(token)

    def run(values: Values) -> Any:
        token = _at_work.set((link, values, _at_work.get()))
        try:
            result = call(values)
        finally:
            _at_work.reset(token)
        return rest(values, result) if inspect.isawaitable(result) else result

    return call if link.below is None else run


# Out of a layer, or in from outside


def _called(link: Link, *, passing_on: bool) -> Callable[..., Any]:
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
    """Add what the calling layer cannot know, from the call it is at work on (docs/protocol.md, rule 15.6)."""
    frame = _enclosing(operation)
    if frame is None:
        return
    link, received, _ = frame
    for name in link.feed.lacks:
        if name not in given:
            given[name] = received[operation.index[name]]
            if name == "recipe_user_id" and _other_user(operation, given, received):
                given[name] = RecipeUserId(given["user_id"])


def _other_user(operation: Operation, given: dict[str, Any], received: Values) -> bool:
    """Say whether a layer has changed the user: a session of another user must not keep the old login method."""
    return "user_id" in given and bool(given["user_id"] != received[operation.index["user_id"]])
