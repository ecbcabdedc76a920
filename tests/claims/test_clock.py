"""The one clock."""

from __future__ import annotations

import asyncio
import time
from contextvars import copy_context
from datetime import timedelta

import pytest

from coatcheck.claims import Clock, ManualClock, current_clock
from coatcheck.claims.clock import frozen_clock


def test_the_default_clock_is_the_system_s() -> None:
    """Where no App has bound its clock, the time is the system's, in whole milliseconds."""
    before = time.time_ns() // 1_000_000
    now = copy_context().run(lambda: current_clock.get().now_ms())
    assert before <= now <= time.time_ns() // 1_000_000
    assert isinstance(now, int)


def test_a_manual_clock_stands_still_until_advanced() -> None:
    """A ManualClock shows its start until it is advanced, by fractions of a second too."""
    clock = ManualClock(5_000)
    assert clock.now_ms() == 5_000
    clock.advance(1.5)
    assert clock.now_ms() == 6_500
    clock.advance(0)
    assert clock.now_ms() == 6_500


def test_a_manual_clock_starts_at_the_present() -> None:
    """Without a start, a ManualClock takes the present moment."""
    before = Clock().now_ms()
    assert before <= ManualClock().now_ms() <= Clock().now_ms()


def test_a_manual_clock_never_goes_back() -> None:
    """Advancing by a negative number is an error and changes nothing."""
    clock = ManualClock(5_000)
    with pytest.raises(ValueError, match="negative"):
        clock.advance(-1)
    assert clock.now_ms() == 5_000


def test_a_manual_clock_can_be_set_back_for_a_while() -> None:
    """Within the block it is earlier, and may advance; behind it, that much is added to the time from before."""
    clock = ManualClock(5_000)
    with pytest.raises(KeyError), clock.set_back(2.5):
        assert clock.now_ms() == 2_500
        clock.advance(1)
        raise KeyError
    assert clock.now_ms() == 6_000
    with pytest.raises(ValueError, match="negative"), clock.set_back(-1):
        raise AssertionError("unreachable")
    assert clock.now_ms() == 6_000


def test_a_duration_is_a_number_of_seconds_or_a_timedelta() -> None:
    """Both move a ManualClock, to the millisecond; anything else is an error that says so and moves nothing."""
    clock = ManualClock(5_000)
    clock.advance(timedelta(minutes=1, milliseconds=1))
    assert clock.now_ms() == 65_001
    with clock.set_back(timedelta(seconds=1)):
        assert clock.now_ms() == 64_001
    for wrong in ("5", None):
        with pytest.raises(TypeError, match=f"a number of seconds or a timedelta, not {wrong!r}"):
            clock.advance(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="negative"):
        clock.advance(timedelta(seconds=-1))
    assert clock.now_ms() == 65_001


def test_a_frozen_clock_ignores_the_passing_of_time(clock: ManualClock) -> None:
    """Within the block time stands still; behind it the clock is the one from before (docs/protocol.md, rule 13.16)."""
    before = clock.now_ms()
    with frozen_clock():
        clock.advance(10)
        assert current_clock.get().now_ms() == before
    assert current_clock.get() is clock
    assert clock.now_ms() == before + 10_000


def test_a_frozen_clock_is_undone_by_an_error(clock: ManualClock) -> None:
    """An exception leaves `frozen_clock` with the clock from before."""
    with pytest.raises(KeyError), frozen_clock():
        raise KeyError
    assert current_clock.get() is clock


def test_tasks_inherit_the_clock(clock: ManualClock) -> None:
    """A coroutine sees the clock bound where its loop was started."""

    async def now() -> int:
        return current_clock.get().now_ms()

    assert asyncio.run(now()) == clock.now_ms()
