"""Races between functions: everything is timed in turns within one process, so that a busy machine slows all alike."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Size:
    """How much is measured: `rounds` turns of each contender, `count` fast operations (or fewer slow ones) per turn."""

    rounds: int
    count: int

    @property
    def slow(self) -> int:
        """The operations per turn of what takes as long as an RSA signature."""
        return max(1, self.count // 8)


@dataclass(frozen=True)
class Contender:
    """One thing to time: `act` is called with each of the items that `prepare(count)` made beforehand, untimed."""

    act: Callable[[Any], Any]
    count: int
    prepare: Callable[[int], Iterable[Any]] = range
    is_async: bool = False


Laps = Mapping[str, Sequence[float]]
"""Seconds per operation, by contender and round."""


def race(contenders: Mapping[str, Contender], *, rounds: int) -> Laps:
    """Time all contenders once per round, in turns, the first round for warming up only."""
    laps: dict[str, list[float]] = {name: [] for name in contenders}
    loop = asyncio.new_event_loop()
    try:
        for number in range(rounds + 1):
            for name in list(contenders) if number % 2 else reversed(list(contenders)):
                seconds = _lap(contenders[name], loop)
                if number:
                    laps[name].append(seconds)
    finally:
        loop.close()
    return laps


def ratio(laps: Laps, subject: str, yardstick: str) -> float:
    """Return how long `subject` takes compared with `yardstick`: the median of the ratios of all rounds."""
    return statistics.median(a / b for a, b in zip(laps[subject], laps[yardstick], strict=True))


def seconds(laps: Laps, subject: str) -> float:
    """Return how long one operation takes, as a median."""
    return statistics.median(laps[subject])


def _lap(contender: Contender, loop: asyncio.AbstractEventLoop) -> float:
    items = list(contender.prepare(contender.count))
    gc.collect()
    gc.disable()
    try:
        taken = (
            loop.run_until_complete(_async_lap(contender, items)) if contender.is_async else _lap_of(contender, items)
        )
    finally:
        gc.enable()
    return taken / len(items)


def _lap_of(contender: Contender, items: list[Any]) -> float:
    act = contender.act
    begun = time.perf_counter()
    for item in items:
        act(item)
    return time.perf_counter() - begun


async def _async_lap(contender: Contender, items: list[Any]) -> float:
    act = contender.act
    begun = time.perf_counter()
    for item in items:
        await act(item)
    return time.perf_counter() - begun
