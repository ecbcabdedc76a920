"""Session engines for attacks on sessions and their tokens."""

from __future__ import annotations

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
)
