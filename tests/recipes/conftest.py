"""Empty databases for the tables of the recipes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coatcheck.claims.clock import Clock
from coatcheck.server.stub import Persona
from coatcheck.sessions.database import Database
from coatcheck.testing.app import CopiedDatabase

ADA = Persona("1001", "ada@example.com")


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Yield an empty database in memory; `@every_database` makes it each kind in turn."""
    kind = getattr(request, "param", "memory")
    if kind == "postgres":
        url: str = request.getfixturevalue("postgres_url")
    elif kind == "file":
        path: Path = request.getfixturevalue("tmp_path")
        url = f"sqlite:///{path / 'store.db'}"
    else:
        url = "sqlite://"
    fast = url == "sqlite://"
    with closing(CopiedDatabase(clock=Clock()) if fast else Database(url, clock=Clock())) as database:
        yield database
