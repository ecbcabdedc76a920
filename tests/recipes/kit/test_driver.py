"""Synchronous calls: coroutines driven by hand, in every situation a caller may be in."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from coatcheck.recipes.chain.chain import Chain
from coatcheck.recipes.exceptions import ForeignAwaitError
from coatcheck.recipes.kit.driver import LoopThread, drive, driven, sync_driver
from coatcheck.sessions.blocking import blocking

context: ContextVar[str] = ContextVar("context", default="outside")


async def double(number: int, *, plus: int = 0) -> int:
    """Return twice the number."""
    return await blocking(lambda: number * 2 + plus)


async def thread_name() -> str:
    """Say where this runs."""
    return threading.current_thread().name


async def fail() -> None:
    """Raise an error of the application's."""
    raise LookupError("as usual")


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    """Return a loop thread that is closed after the test."""
    thread = LoopThread()
    yield thread
    thread.close()


# Driving by hand


def test_a_driven_function_returns_what_its_coroutine_returns() -> None:
    """Arguments, name, docstring and signature are those of the coroutine function."""
    plain = driven(double)
    assert plain(2, plus=1) == 5
    assert plain.__name__ == "double"
    assert plain.__doc__ == "Return twice the number."
    assert inspect.signature(plain) == inspect.signature(double)
    assert not inspect.iscoroutinefunction(plain)


def test_errors_come_out_unchanged() -> None:
    """A driven coroutine raises what it raises, RuntimeErrors included."""

    async def runtime() -> None:
        raise RuntimeError("of its own")

    with pytest.raises(LookupError, match="as usual"):
        drive(fail())
    with pytest.raises(RuntimeError, match="of its own"):
        drive(runtime())


def test_it_works_inside_a_running_loop_and_gives_the_loop_back() -> None:
    """Inside a coroutine, blocking work is done inline meanwhile and the loop is visible again afterwards."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert driven(double)(2) == 4
        with pytest.raises(LookupError):
            drive(fail())
        assert asyncio.get_running_loop() is loop
        assert drive(thread_name()) == threading.current_thread().name

    asyncio.run(main())


def test_it_nests() -> None:
    """A plain call within a driven coroutine is driven too, within a loop and without."""

    async def outer() -> int:
        return driven(double)(await double(1))

    async def main() -> int:
        return drive(outer())

    assert drive(outer()) == 4
    assert asyncio.run(main()) == 4


def test_it_works_in_any_thread() -> None:
    """No event loop is needed or created."""
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(driven(double)(3))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [6] * 4


def test_the_context_is_the_callers() -> None:
    """A driven coroutine runs in the caller's own context."""

    async def change() -> str:
        before = context.get()
        context.set("inside")
        return before

    token = context.set("caller")
    assert drive(change()) == "caller"
    assert context.get() == "inside"
    context.reset(token)


# Overrides that await something foreign


class Functions:
    async def greet(self, name: str) -> str:
        raise NotImplementedError


class Plain(Functions):
    async def greet(self, name: str) -> str:
        return f"hello {name}"


def greeting_after(wait: Any) -> tuple[Functions, int]:
    """Return the top of a chain with an override that awaits `wait()` first, and the line where it does."""

    def override(original_implementation: Any) -> Any:
        original = original_implementation.greet

        async def greet_slowly(name: str) -> str:
            await wait()
            return str(await original(name))

        original_implementation.greet = greet_slowly
        return original_implementation

    chain: Chain[Functions] = Chain(Functions, Plain(), recipe_id="greetings", kind="functions")
    chain.apply(override)
    return chain.top, override.__code__.co_firstlineno + 4


async def asleep() -> None:
    """Ask for the running loop."""
    await asyncio.sleep(0.01)


async def yielding() -> None:
    """Suspend without asking for a loop."""
    await asyncio.sleep(0)


async def in_anyio() -> None:
    """Ask anyio, which looks for a loop by itself."""
    await anyio.sleep(0.01)


@pytest.mark.parametrize("wait", [asleep, yielding, in_anyio])
@pytest.mark.parametrize("in_loop", [False, True], ids=["no loop", "in a loop"])
def test_a_foreign_await_names_the_override(wait: Any, in_loop: bool) -> None:
    """Whether it suspends or asks for a loop, one error says where, and what to do instead."""
    top, line = greeting_after(wait)

    async def main() -> None:
        drive(top.greet("ann"))

    with pytest.raises(ForeignAwaitError, match=r"blocking\(fn") as caught:
        asyncio.run(main()) if in_loop else drive(top.greet("ann"))
    assert (caught.value.file, caught.value.line) == (__file__, line)
    assert "greet_slowly" in str(caught.value)


def test_a_suspended_coroutine_is_closed() -> None:
    """Its `finally` blocks have run when the error is raised."""
    closed: list[bool] = []

    async def waits() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    with pytest.raises(ForeignAwaitError):
        drive(waits())
    assert closed == [True]


def test_the_same_override_works_when_awaited() -> None:
    """Only synchronous calls have this limit."""
    top, _ = greeting_after(asleep)
    assert asyncio.run(top.greet("ann")) == "hello ann"


# A loop thread


def test_a_loop_thread_drives_overrides_that_await_foreign_things(loop_thread: LoopThread) -> None:
    """The same synchronous call succeeds, outside a loop and inside one."""
    top, _ = greeting_after(asleep)

    async def main() -> str:
        return loop_thread(top.greet("ann"))

    assert loop_thread(top.greet("ann")) == "hello ann"
    assert asyncio.run(main()) == "hello ann"


def test_a_loop_thread_passes_the_context_in_and_errors_out(loop_thread: LoopThread) -> None:
    """The coroutine sees the caller's context and raises into the caller."""

    async def read() -> str:
        await asyncio.sleep(0)
        return context.get()

    token = context.set("caller")
    assert loop_thread(read()) == "caller"
    context.reset(token)
    with pytest.raises(LookupError, match="as usual"):
        loop_thread(fail())


def test_a_synchronous_call_on_the_loop_thread_itself_is_driven_by_hand(loop_thread: LoopThread) -> None:
    """A nested call does not wait for the loop it blocks."""

    async def outer() -> int:
        return loop_thread(double(2))

    assert loop_thread(outer()) == 4


def test_a_closed_loop_thread_starts_anew(loop_thread: LoopThread) -> None:
    """Closing is not final: the next call makes a new thread."""
    loop_thread(double(1))
    loop_thread.close()
    assert loop_thread(double(2)) == 4


def test_driven_functions_ask_for_their_driver_at_each_call(loop_thread: LoopThread) -> None:
    """Through the context, or through a function given to `driven`."""
    assert driven(thread_name)() == threading.current_thread().name
    assert driven(thread_name, chosen_by=lambda: loop_thread)() == "coatcheck-loop"
    token = sync_driver.set(loop_thread)
    assert driven(thread_name)() == "coatcheck-loop"
    sync_driver.reset(token)
