"""Event loops for applications that need one, run in the caller's own thread and only while it waits for an answer."""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..sessions.blocking import CallersLoop

R = TypeVar("R")


class Loops:
    """The event loops of one client: a single one, unless several threads use the client at the same time.

    What an application leaves running on a loop goes on with the next call. `close` ends it; a client that was
    forgotten loses its loops with itself.
    """

    def __init__(self) -> None:
        self._made: list[CallersLoop] = []
        self._idle: list[CallersLoop] = []
        self._forgotten = weakref.finalize(self, _abandon, self._made)

    def take(self) -> CallersLoop:
        """Return a loop that nobody uses now; give it back with `put_back`."""
        if self._idle:
            return self._idle.pop()
        self._made.append(CallersLoop())
        return self._made[-1]

    def put_back(self, loop: CallersLoop) -> None:
        """Say that a loop is free again."""
        self._idle.append(loop)

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine to its end, in the present context."""
        loop = self.take()
        try:
            return apart(lambda: loop.run_until_complete(coroutine))
        finally:
            self.put_back(loop)

    def close(self) -> None:
        """Cancel what is left on the loops, and close them."""
        while self._made:
            loop = self._made.pop()
            apart(lambda loop=loop: _wind_up(loop))  # type: ignore[misc]
        self._idle.clear()


def apart(call: Callable[[], R]) -> R:
    """Call a function where no event loop runs: here, or else in a thread of its own, with the present context.

    So synchronous clients work in asynchronous tests, too; the test's own loop waits meanwhile.
    """
    if asyncio._get_running_loop() is None:
        return call()
    with ThreadPoolExecutor(1, thread_name_prefix="coatcheck-client") as worker:
        return worker.submit(contextvars.copy_context().run, call).result()


def _wind_up(loop: CallersLoop) -> None:
    try:
        loop.run_until_complete(_end(loop))
    finally:
        loop.close()


async def _end(loop: CallersLoop) -> None:
    left = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.gather(*left, return_exceptions=True)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


def _abandon(loops: list[CallersLoop]) -> None:
    for loop in loops:
        loop.close()
