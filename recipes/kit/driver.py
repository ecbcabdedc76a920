"""How a coroutine becomes a plain call: it runs step by step, without an event loop.

The library's functions are written once, `async`. In a synchronous call nothing they await ever has to wait, because
`coatcheck.blocking` calls its function at once where no event loop runs. So one `send(None)` runs the coroutine from
its first line to its `return`. If the calling thread runs a loop, asyncio does not see the loop during the call.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar

from ..exceptions import ForeignAwaitError

P = ParamSpec("P")
R = TypeVar("R")

_OURS = __name__.partition(".")[0]
_NO_LOOP_ERRORS = ("NoEventLoopError", "AsyncLibraryNotFoundError")


class Driver(Protocol):
    """Runs a coroutine to its end and returns its result: `drive`, or a LoopThread."""

    def __call__(self, coroutine: Coroutine[Any, Any, R], /) -> R:
        """Run `coroutine` to its end."""
        ...


def drive(coroutine: Coroutine[Any, Any, R], /) -> R:
    """Run a coroutine that never has to wait; ForeignAwaitError if it waits for something."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return _run_through(coroutine)
    finally:
        asyncio._set_running_loop(loop)


def _run_through(coroutine: Coroutine[Any, Any, R]) -> R:
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: R = done.value
        return result
    except RuntimeError as error:
        if _wants_a_loop(error):
            raise _foreign(list(_raising(error.__traceback__))) from error
        raise
    waiting = list(_awaiting(coroutine))
    coroutine.close()
    raise _foreign(waiting)


sync_driver: ContextVar[Driver] = ContextVar("coatcheck_sync_driver", default=drive)
"""What drives synchronous calls in this context; an App with `sync_overrides="loop"` puts its LoopThread here."""


def driven(
    f: Callable[P, Coroutine[Any, Any, R]], *, chosen_by: Callable[[], Driver] = sync_driver.get
) -> Callable[P, R]:
    """Return the plain form of a coroutine function; `chosen_by` names the driver at each call."""

    @functools.wraps(f)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return chosen_by()(f(*args, **kwargs))

    return call


class LoopThread:
    """A driver with its own event loop on its own thread, for overrides that await other libraries.

    The thread starts with the first call (again in a forked process) and ends with `close` or with the process. A
    synchronous call on that thread runs without the loop, because the loop is busy with the caller.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, coroutine: Coroutine[Any, Any, R], /) -> R:
        """Run `coroutine` on the loop, with a copy of the caller's context, and wait for its result."""
        loop = self._running()
        if threading.current_thread() is self._thread:
            return drive(coroutine)
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result()
        finally:
            future.cancel()  # so that the coroutine ends if the waiting caller is interrupted

    def close(self) -> None:
        """Stop the loop and its thread, if they run."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None and self._process == os.getpid():
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._process != os.getpid():  # after a fork: thread and loop are gone, and the lock may be held
            self._lock, self._loop, self._thread, self._process = threading.Lock(), None, None, os.getpid()
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="coatcheck-loop", daemon=True)
                self._thread.start()
            return self._loop


# Which code awaits


def _wants_a_loop(error: RuntimeError) -> bool:
    return "no running event loop" in str(error) or type(error).__name__ in _NO_LOOP_ERRORS


def _awaiting(coroutine: Any) -> Iterator[tuple[FrameType, int]]:
    """Walk from a suspended coroutine down to what it waits for."""
    while (frame := getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)) is not None:
        yield frame, frame.f_lineno
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)


def _raising(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


_ADVICE = (
    "awaits something that needs an event loop, but it was reached by a synchronous call, where there is none. Call "
    "the blocking form of it instead, as in `await blocking(fn, ...)` (from coatcheck import blocking), or make the "
    'App with sync_overrides="loop".'
)


def _foreign(frames: list[tuple[FrameType, int]]) -> ForeignAwaitError:
    frame, line = _first_of_theirs(frames)
    file = frame.f_code.co_filename
    return ForeignAwaitError(f"{frame.f_code.co_name} ({file}:{line}) {_ADVICE}", file=file, line=line)


def _first_of_theirs(frames: list[tuple[FrameType, int]]) -> tuple[FrameType, int]:
    """Return the frame that the library called last: the application's, not one of what it awaits."""
    for above, here in zip(reversed(frames[:-1]), reversed(frames[1:]), strict=True):
        if _is_ours(above[0]) and not _is_ours(here[0]):
            return here
    return frames[0]


def _is_ours(frame: FrameType) -> bool:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0] == _OURS
