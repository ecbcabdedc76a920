"""Values that may come at once or be awaited, so that callbacks can be plain or async functions."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import TypeAlias, TypeVar, cast

T = TypeVar("T")

MaybeAwaitable: TypeAlias = Awaitable[T] | T


async def settled(value: MaybeAwaitable[T]) -> T:
    """Return `value`, awaited if it is awaitable."""
    if inspect.isawaitable(value):
        return cast("T", await value)
    return value
