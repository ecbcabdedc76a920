"""The seam for blocking work: where it runs, with which context, and what happens when too much is asked of it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from coatcheck.sessions.blocking import (
    DATABASE_CONNECTIONS,
    Background,
    CallersLoop,
    HashingPool,
    WorkerPool,
    _tidying,
    after_work,
    blocking,
    database_work,
    hashing,
    patient_hashing,
)
from coatcheck.sessions.exceptions import HashingBusyError

from ..kit import LIMIT_S

context: ContextVar[str] = ContextVar("context", default="outside")
Seam = Callable[..., Coroutine[Any, Any, Any]]
SEAMS = pytest.mark.parametrize("seam", [blocking, database_work, hashing, patient_hashing])


def without_a_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends, with no event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it suspended")


def fail() -> None:
    """Raise in the worker."""
    raise LookupError("in the worker")


@SEAMS
def test_without_a_loop_the_function_is_called_inline(seam: Seam) -> None:
    """No thread is used where nothing else could run meanwhile."""
    assert without_a_loop(seam(threading.get_ident)) == threading.get_ident()


@SEAMS
def test_in_a_loop_a_worker_thread_calls_it(seam: Seam) -> None:
    """The loop's own thread is not blocked."""
    assert asyncio.run(seam(threading.get_ident)) != threading.get_ident()


@SEAMS
def test_on_a_loop_that_serves_one_caller_the_function_is_called_inline(seam: Seam) -> None:
    """A loop that nobody else waits for may be blocked, and what is called does not see it."""
    loop = CallersLoop()
    try:
        assert loop.run_until_complete(seam(threading.get_ident)) == threading.get_ident()
        with pytest.raises(LookupError, match="in the worker"):
            loop.run_until_complete(seam(fail))
        assert loop.run_until_complete(blocking(asyncio._get_running_loop)) is None
    finally:
        loop.close()


@SEAMS
def test_arguments_and_results_pass_through(seam: Seam) -> None:
    """By position and by keyword."""
    assert asyncio.run(seam(int, "ff", base=16)) == 255
    assert without_a_loop(seam(int, "ff", base=16)) == 255


@SEAMS
def test_errors_of_the_worker_propagate(seam: Seam) -> None:
    """The caller gets the very exception."""
    with pytest.raises(LookupError, match="in the worker"):
        asyncio.run(seam(fail))
    with pytest.raises(LookupError, match="in the worker"):
        without_a_loop(seam(fail))


@SEAMS
def test_a_stop_iteration_does_not_hang_the_caller(seam: Seam) -> None:
    """A future cannot carry it, so it arrives as a RuntimeError."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(asyncio.wait_for(seam(next, iter([])), 5))


@SEAMS
def test_the_worker_sees_a_copy_of_the_context(seam: Seam) -> None:
    """It reads the caller's values; what it sets stays with it."""

    def read_and_set() -> str:
        before = context.get()
        context.set("worker")
        return before

    async def main() -> tuple[str, str]:
        context.set("caller")
        return await seam(read_and_set), context.get()

    assert asyncio.run(main()) == ("caller", "caller")


def test_as_many_run_at_once_as_there_are_connections() -> None:
    """All workers can be busy together."""
    everyone = threading.Barrier(DATABASE_CONNECTIONS)

    async def main() -> None:
        await asyncio.wait_for(asyncio.gather(*(blocking(everyone.wait, 5) for _ in range(DATABASE_CONNECTIONS))), 10)

    asyncio.run(main())


def test_cancelling_the_caller_lets_begun_work_finish() -> None:
    """A transaction under way is not torn apart, and the caller is free at once."""
    begun, go_on, finished = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(LIMIT_S)
        finished.set()

    async def main() -> None:
        task = asyncio.create_task(blocking(work))
        await asyncio.to_thread(begun.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not finished.is_set()
        go_on.set()
        assert await asyncio.to_thread(finished.wait, 5)

    asyncio.run(main())


@pytest.mark.parametrize("slow", [hashing, blocking])
def test_slow_hashes_mails_and_providers_do_not_keep_the_database_waiting(slow: Seam) -> None:
    """With every other thread busy, work on the database still runs."""
    go_on = threading.Event()

    async def main() -> None:
        many = max(os.cpu_count() or 1, DATABASE_CONNECTIONS) * 2
        waiting = [asyncio.create_task(slow(go_on.wait, 10)) for _ in range(many)]
        assert await asyncio.wait_for(database_work(int, "7"), 5) == 7
        go_on.set()
        await asyncio.gather(*waiting)

    asyncio.run(main())


def test_hashes_beyond_the_queue_are_refused_at_once() -> None:
    """One works, two wait, the fourth is told that it is busy unless it is patient; afterwards there is room again."""
    pool = HashingPool(at_once=1, waiting=2)
    go_on = threading.Event()

    async def main() -> None:
        tasks = [asyncio.create_task(pool.run(partial(go_on.wait, 5))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(HashingBusyError):
            await pool.run(go_on.is_set)
        tasks.append(asyncio.create_task(pool.run(go_on.is_set, patient=True)))
        await asyncio.sleep(0)
        go_on.set()
        assert all(await asyncio.gather(*tasks))
        assert await pool.run(go_on.is_set)

    asyncio.run(main())


def test_a_cancelled_hash_gives_its_place_back() -> None:
    """Whether it was waiting or working."""
    pool = HashingPool(at_once=1, waiting=1)
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(LIMIT_S)

    async def main() -> None:
        tasks = [asyncio.create_task(pool.run(work)) for _ in range(2)]
        await asyncio.to_thread(begun.wait, 5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        go_on.set()
        assert await pool.run(partial(int, "1")) == 1
        assert await pool.run(partial(int, "2")) == 2

    asyncio.run(main())


def test_the_limit_holds_for_threads_without_a_loop_too() -> None:
    """Hashes called inline by many threads never run side by side beyond the limit."""
    pool = HashingPool(at_once=2, waiting=100)
    lock, now, most = threading.Lock(), [0], [0]

    def work() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        sum(range(20_000))
        with lock:
            now[0] -= 1

    threads = [threading.Thread(target=lambda: without_a_loop(pool.run(work))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert now == [0]
    assert 1 <= most[0] <= 2


def test_a_pool_makes_its_threads_when_needed_and_keeps_them() -> None:
    """Nothing starts before the first call, and calls share the workers."""
    pool = WorkerPool("test", 1)
    assert not any(thread.name.startswith("coatcheck-test") for thread in threading.enumerate())
    first, second = (pool.submit(threading.get_ident).result(5) for _ in range(2))
    assert first == second


def test_what_is_kept_per_thread_is_tidied_up_after_each_piece_of_work(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever registers is called in the worker thread before the result is handed over, which it cannot spoil."""
    pool = WorkerPool("tidy", 1)
    called: list[int] = []

    def tidy() -> None:
        called.append(threading.get_ident())
        raise OSError("cannot be closed")

    after_work(tidy)
    after_work(tidy)
    try:
        worker = pool.submit(threading.get_ident).result(5)
        assert called == [worker]
        with pytest.raises(LookupError, match="in the worker"):
            pool.submit(fail).result(5)
        assert called == [worker, worker]
        assert caplog.text.count("tidying up after blocking work failed") == 2
    finally:
        _tidying.discard(tidy)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_work_in_the_background_keeps_nobody_waiting_until_too_much_waits() -> None:
    """The caller goes on at once; beyond the limit it does the work itself, so that what waits stays bounded."""
    background = Background(at_once=1, waiting=1)
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()
    by: list[int] = []

    def first() -> None:
        begun.set()
        assert go_on.wait(LIMIT_S)

    def second() -> None:
        by.append(threading.get_ident())
        done.set()

    background.do(first)
    assert begun.wait(LIMIT_S)
    background.do(second)
    background.do(lambda: by.append(threading.get_ident()))
    assert by == [threading.get_ident()]
    go_on.set()
    assert done.wait(LIMIT_S)
    assert by[1] != threading.get_ident()


@pytest.mark.slow
def test_a_forked_process_has_workers_of_its_own() -> None:
    """The parent's threads do not survive a fork; the child makes new ones instead of waiting for ever."""
    pool = WorkerPool("fork", 1)
    hashes = HashingPool(at_once=1, waiting=0)
    pool.submit(os.getpid).result(5)
    asyncio.run(hashes.run(os.getpid))
    child = os.fork()
    if child == 0:
        try:
            alive = pool.submit(os.getpid).result(5) == os.getpid()
            alive = alive and asyncio.run(asyncio.wait_for(hashes.run(os.getpid), 5)) == os.getpid()
        except BaseException:
            alive = False
        os._exit(0 if alive else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
