"""A clock that stands at a round moment, and what `tests/engine.py` makes over it."""

from __future__ import annotations

import pytest

from coatcheck.claims.clock import ManualClock

from ..engine import (
    _rsa_keys as _rsa_keys,
    database as database,
    database_url as database_url,
    engine as engine,
    make_engine as make_engine,
    make_key as make_key,
    make_ring as make_ring,
    memory as memory,
    ring as ring,
    shared_url as shared_url,
)

START_MS = 1_700_000_000_000


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands at a round moment."""
    return ManualClock(START_MS)
