"""A clock that stands still around every test of the claims layer that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coatcheck.claims import ManualClock, current_clock

NOW = 1_700_000_000_000


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    """Bind a clock that starts at NOW as the current one of the test."""
    manual = ManualClock(NOW)
    token = current_clock.set(manual)
    yield manual
    current_clock.reset(token)
