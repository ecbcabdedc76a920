"""How async code runs work that blocks: `await blocking(fn, ...)`, and `await hashing(fn, ...)` for passwords."""

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
"""How many threads each pool for blocking work has: as many as a database pool has connections."""

BACKGROUND_WAITING = 256
"""How many background jobs may wait before callers run theirs themselves."""

HASHES_WAITING_PER_CPU = 32
"""How many password hashes may wait for each processor before more are refused."""


class CallersLoop(asyncio.SelectorEventLoop):
    """An event loop that one caller runs for one call at a time, as a test client does.

    Nothing else runs on it meanwhile, so blocking work runs in the same thread, with the running loop hidden from it.
    """


async def blocking(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a plain function that may block, without blocking the event loop.

    If this thread runs no event loop, or a CallersLoop, the function is called directly; otherwise a worker thread
    calls it with a copy of the context. If the caller is cancelled, work that has started runs to its end and its
    result is dropped.
    """
    return await _called_on(_pool, partial(fn, *args, **kwargs))


async def database_work(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like `blocking`, in separate threads, so that slow mail servers and providers do not delay the database."""
    return await _called_on(_database, partial(fn, *args, **kwargs))


async def hashing(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like `blocking`, for password hashes: one per processor at a time, HashingBusyError if too many wait.

    The limit holds for the whole process, for calls from event loops and from threads without one.
    """
    return await _hashes.run(partial(fn, *args, **kwargs))


async def patient_hashing(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like `hashing`, but never refused: for a user whose one-time token is spent, and who cannot try again."""
    return await _hashes.run(partial(fn, *args, **kwargs), patient=True)


def in_background(work: Callable[[], object]) -> None:
    """Run `work` in a worker thread, with a copy of the context, while the caller continues.

    If too many jobs wait, or the process is about to end, it runs at once in the caller's thread. `work` handles its
    own exceptions.
    """
    _background.do(work)


class WorkerPool:
    """Threads that are started at the first use, and again in a forked process."""

    def __init__(self, name: str, workers: int) -> None:
        self._name = name
        self._workers = workers
        self._process = 0
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run `work` in a worker thread with a copy of the current context."""
        return self._threads().submit(_called, contextvars.copy_context(), work)

    def _threads(self) -> ThreadPoolExecutor:
        executor = self._executor
        if executor is not None and self._process == os.getpid():
            return executor
        if self._process != os.getpid():  # A fork copies no threads, but it may copy a lock that is held.
            self._executor, self._lock, self._process = None, threading.Lock(), os.getpid()
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._workers, thread_name_prefix=f"coatcheck-{self._name}")
            return self._executor


def after_work(tidy: Callable[[], object]) -> None:
    """Call `tidy` in the worker thread after each piece of work, to clean up what a framework keeps per thread.

    Its exceptions are logged, not raised, because the work itself has been done.
    """
    _tidying.add(tidy)


def _called(context: contextvars.Context, work: Callable[[], T]) -> T:
    try:
        return context.run(work)
    except StopIteration as stop:  # A future cannot hold it, so the caller would wait for ever.
        raise RuntimeError("the function raised StopIteration") from stop
    finally:
        for tidy in tuple(_tidying):
            try:
                tidy()
            except Exception:
                logger.exception("tidying up after blocking work failed")


class Turnstile:
    """Counts places: `at_once` callers work and up to `waiting` more wait.

    A caller takes a place with `enter`, works while it holds one of the `turns`, and gives the place back with `leave`.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._at_once = at_once
        self.places = at_once + waiting
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._taken = 0
        self._lock = threading.Lock()
        self.turns = threading.Semaphore(self._at_once)

    def enter(self, *, patient: bool = False) -> bool:
        """Take a place and return True; False if all are taken and the caller is not patient."""
        if self._process != os.getpid():
            self._reset()
        with self._lock:
            if self._taken >= self.places and not patient:
                return False
            self._taken += 1
            return True

    def leave(self) -> None:
        """Give the place back."""
        with self._lock:
            self._taken -= 1


class HashingPool:
    """A separate pool for password hashes, so that they do not delay the database."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._turnstile = Turnstile(at_once, waiting)
        self._workers = WorkerPool("hashing", at_once)

    async def run(self, work: Callable[[], T], *, patient: bool = False) -> T:
        """Run `work` in its turn; HashingBusyError at once if too many wait, unless the caller is patient."""
        if not self._turnstile.enter(patient=patient):
            raise HashingBusyError(f"{self._turnstile.places} password hashes are already running or waiting")
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
    """A separate pool for jobs that no caller waits for, such as mails."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._turnstile = Turnstile(at_once, waiting)
        self._workers = WorkerPool("background", at_once)

    def do(self, work: Callable[[], object]) -> None:
        """Run `work` soon in a worker thread; at once in this one if too many jobs wait."""
        if not self._turnstile.enter():
            work()
            return
        try:
            future = self._workers.submit(work)
        except RuntimeError:  # No thread can be started while the interpreter ends.
            self._turnstile.leave()
            work()
        else:
            future.add_done_callback(lambda _: self._turnstile.leave())


async def _called_on(pool: WorkerPool, work: Callable[[], T]) -> T:
    loop = asyncio._get_running_loop()
    if loop is None:
        return work()
    if isinstance(loop, CallersLoop):
        return _outside_loop(loop, work)
    return await asyncio.wrap_future(pool.submit(work))


def _outside_loop(loop: asyncio.AbstractEventLoop, work: Callable[[], T]) -> T:
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
