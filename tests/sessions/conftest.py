"""A clock that stands at a round moment, and what `tests/engine.py` makes over it."""

from __future__ import annotations

import pytest

from coatcheck.claims.clock import ManualClock

from ..engine import (
    _rsa_keys as _rsa_keys,
)
from ..engine import (
    database as database,
)
from ..engine import (
    database_url as database_url,
)
from ..engine import (
    engine as engine,
)
from ..engine import (
    make_engine as make_engine,
)
from ..engine import (
    make_key as make_key,
)
from ..engine import (
    make_ring as make_ring,
)
from ..engine import (
    memory as memory,
)
from ..engine import (
    ring as ring,
)
from ..engine import (
    shared_url as shared_url,
)

START_MS = 1_700_000_000_000


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands at a round moment."""
    return ManualClock(START_MS)
