"""Values that may be awaitable."""

from __future__ import annotations

import asyncio

from coatcheck.claims.claim import awaited


def test_a_plain_value_is_returned_as_it_is() -> None:
    """A plain value comes back as it is, falsy ones included."""
    value: list[int] = []
    assert asyncio.run(awaited(value)) is value
    assert asyncio.run(awaited(False)) is False


def test_an_awaitable_is_awaited() -> None:
    """A coroutine is awaited, and its falsy result is not taken for a truthy coroutine."""

    async def no() -> bool:
        return False

    async def run() -> bool:
        return await awaited(no())

    assert asyncio.run(run()) is False
