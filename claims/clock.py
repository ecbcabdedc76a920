"""The one clock that claims, tokens, codes, keys and cookies read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

Duration = float | timedelta
"""A number of seconds, or a timedelta."""


def milliseconds(duration: Duration) -> int:
    """Return a duration in milliseconds, rounded; TypeError if it is neither a number nor a timedelta."""
    if isinstance(duration, timedelta):
        return round(duration / timedelta(milliseconds=1))
    if isinstance(duration, int | float):
        return round(duration * 1000)
    raise TypeError(f"a duration is a number of seconds or a timedelta, not {duration!r}")


class Clock:
    """The clock of the system."""

    def now_ms(self) -> int:
        """Return the milliseconds since the epoch."""
        return time.time_ns() // 1_000_000


class ManualClock(Clock):
    """A clock that stands still until it is advanced.

    It starts at `start_ms` (milliseconds since the epoch), by default at the present moment.
    """

    def __init__(self, start_ms: int | None = None) -> None:
        self._now_ms = Clock().now_ms() if start_ms is None else start_ms

    def now_ms(self) -> int:
        """Return the milliseconds since the epoch at which the clock stands."""
        now_ms = self._now_ms
        for clock, distance_ms in _set_back.get():
            if clock is self:
                now_ms -= distance_ms
        return now_ms

    def advance(self, seconds: Duration) -> None:
        """Move the clock forward by `seconds` (fractions allowed, never backwards) or by a timedelta."""
        distance_ms = milliseconds(seconds)
        if distance_ms < 0:
            raise ValueError("a clock cannot be advanced by a negative number of seconds")
        self._now_ms += distance_ms

    @contextmanager
    def set_back(self, seconds: Duration) -> Iterator[None]:
        """Set the clock back by `seconds` (or a timedelta) in this context while the block runs."""
        distance_ms = milliseconds(seconds)
        if distance_ms < 0:
            raise ValueError("a clock cannot be set back by a negative number of seconds")
        token = _set_back.set((*_set_back.get(), (self, distance_ms)))
        try:
            yield
        finally:
            _set_back.reset(token)


_set_back: ContextVar[tuple[tuple[ManualClock, int], ...]] = ContextVar("coatcheck_set_back", default=())


system_clock = Clock()
"""The clock of the system, the default of `current_clock`."""

current_clock: ContextVar[Clock] = ContextVar("coatcheck_clock", default=system_clock)
"""The clock of the running call; an App sets its own clock around every call."""


@contextmanager
def frozen_clock() -> Iterator[None]:
    """Stop the current clock in this context while the block runs (docs/protocol.md, rule 13.16)."""
    token = current_clock.set(ManualClock(current_clock.get().now_ms()))
    try:
        yield
    finally:
        current_clock.reset(token)
