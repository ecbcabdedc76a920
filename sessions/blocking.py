"""The one seam between async code and blocking work: `await blocking(fn, ...)`, and `hashing` for passwords."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from .exceptions import HashingBusyError

logger = logging.getLogger("coatcheck")

P = ParamSpec("P")
T = TypeVar("T")

DATABASE_CONNECTIONS = 8
"""Threads for blocking work, as many as a database pool has connections."""

BACKGROUND_WAITING = 256
"""How many pieces of work may wait in the background before callers do theirs themselves."""

HASHES_WAITING_PER_CPU = 32
"""How many password hashes may wait for each processor before more are refused."""


class CallersLoop(asyncio.SelectorEventLoop):
    """An event loop that one caller runs for a single call at a time, as a test client does.

    Nothing else could run on it meanwhile, so work that blocks is done right there, with the loop out of sight.
    """


async def blocking(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a plain function that may block, without blocking the event loop.

    Where no event loop runs in this thread, or a CallersLoop, the function is simply called; otherwise a worker thread
    calls it with a copy of the context. If the caller is cancelled, work already begun runs to its end and its result
    is dropped.
    """
    return await _called_on(_pool, partial(fn, *args, **kwargs))


async def database_work(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like `blocking`, in threads of its own: slow mail servers and providers do not keep the database waiting."""
    return await _called_on(_database, partial(fn, *args, **kwargs))


async def hashing(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like `blocking`, for password hashes: one per processor at a time, HashingBusyError when too many wait.

    The limit holds for the whole process, whether calls come from event loops or from threads without one.
    """
    return await _hashes.run(partial(fn, *args, **kwargs))


async def patient_hashing(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like `hashing`, but never refused: for whoever has proved already who they are, and spent what proved it."""
    return await _hashes.run(partial(fn, *args, **kwargs), patient=True)


def in_background(work: Callable[[], object]) -> None:
    """Let a worker thread do `work`, with a copy of the context, while the caller goes on; it sees to its own failures.

    Where too much waits already, or the process is about to end, the caller does it here and now.
    """
    _background.do(work)


class WorkerPool:
    """Threads made when first needed, and made anew in a forked process."""

    def __init__(self, name: str, workers: int) -> None:
        self._name = name
        self._workers = workers
        self._process = 0
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Let a worker do `work` with a copy of the present context."""
        return self._threads().submit(_called, contextvars.copy_context(), work)

    def _threads(self) -> ThreadPoolExecutor:
        executor = self._executor
        if executor is not None and self._process == os.getpid():
            return executor
        if self._process != os.getpid():  # the parent's threads did not survive the fork, its lock may be held
            self._executor, self._lock, self._process = None, threading.Lock(), os.getpid()
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._workers, thread_name_prefix=f"coatcheck-{self._name}")
            return self._executor


def after_work(tidy: Callable[[], object]) -> None:
    """Have `tidy` called in the worker thread after each piece of work, for what a framework keeps per thread.

    Its failures are logged, since the work itself has been done.
    """
    _tidying.add(tidy)


def _called(context: contextvars.Context, work: Callable[[], T]) -> T:
    try:
        return context.run(work)
    except StopIteration as stop:  # a future cannot carry it: the caller would wait for ever
        raise RuntimeError("the function raised StopIteration") from stop
    finally:
        for tidy in tuple(_tidying):
            try:
                tidy()
            except Exception:
                logger.exception("tidying up after blocking work failed")


class Turnstile:
    """Lets `at_once` callers work and up to `waiting` more wait, and refuses the rest.

    A caller takes a place with `enter`, works while it holds one of the `turns`, and gives the place back with `leave`.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._at_once = at_once
        self._limit = at_once + waiting
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._inside = 0
        self._lock = threading.Lock()
        self.turns = threading.Semaphore(self._at_once)

    def enter(self, *, patient: bool = False) -> None:
        """Take a place; HashingBusyError if there is none, unless the caller is patient."""
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            if self._inside >= self._limit and not patient:
                raise HashingBusyError(f"{self._limit} password hashes are already under way or waiting")
            self._inside += 1

    def leave(self) -> None:
        """Give the place back."""
        with self._lock:
            self._inside -= 1


class HashingPool:
    """A pool of its own, so that slow hashes cannot keep the database waiting."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._turnstile = Turnstile(at_once, waiting)
        self._workers = WorkerPool("hashing", at_once)

    async def run(self, work: Callable[[], T], *, patient: bool = False) -> T:
        """Do `work` when it is its turn; HashingBusyError at once when too many wait already, unless it is patient."""
        self._turnstile.enter(patient=patient)
        loop = asyncio._get_running_loop()
        if loop is None or isinstance(loop, CallersLoop):
            try:
                return self._in_turn(work)
            finally:
                self._turnstile.leave()
        future = self._workers.submit(partial(self._in_turn, work))
        future.add_done_callback(lambda _: self._turnstile.leave())
        return await asyncio.wrap_future(future)

    def _in_turn(self, work: Callable[[], T]) -> T:
        with self._turnstile.turns:
            return work()


class Background:
    """A pool of its own, so that slow mail servers cannot keep the database waiting."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._turnstile = Turnstile(at_once, waiting)
        self._workers = WorkerPool("background", at_once)

    def do(self, work: Callable[[], object]) -> None:
        """Do `work` soon; at once, and here, when too much waits already."""
        try:
            self._turnstile.enter()
        except HashingBusyError:
            work()
            return
        try:
            future = self._workers.submit(work)
        except RuntimeError:  # No thread begins while the interpreter ends.
            self._turnstile.leave()
            work()
        else:
            future.add_done_callback(lambda _: self._turnstile.leave())


async def _called_on(pool: WorkerPool, work: Callable[[], T]) -> T:
    loop = asyncio._get_running_loop()
    if loop is None:
        return work()
    if isinstance(loop, CallersLoop):
        return _out_of_sight(loop, work)
    return await asyncio.wrap_future(pool.submit(work))


def _out_of_sight(loop: asyncio.AbstractEventLoop, work: Callable[[], T]) -> T:
    asyncio._set_running_loop(None)
    try:
        return work()
    finally:
        asyncio._set_running_loop(loop)


def _processors() -> int:
    return os.cpu_count() or 1


_tidying: set[Callable[[], object]] = set()
_pool = WorkerPool("blocking", DATABASE_CONNECTIONS)
_database = WorkerPool("database", DATABASE_CONNECTIONS)
_background = Background(DATABASE_CONNECTIONS, BACKGROUND_WAITING)
_hashes = HashingPool(_processors(), _processors() * HASHES_WAITING_PER_CPU)
