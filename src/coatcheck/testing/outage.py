"""A database that nobody can connect to: an engine whose every connection is refused, in place of the real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from sqlalchemy import Engine, NullPool, create_engine

from ..sessions.database import Database


@contextmanager
def unreachable(database: Database) -> Iterator[None]:
    """Refuse every connection of a database while the block runs; transactions under way come to their end."""
    engine = database._engine
    database._engine = _refusing(engine)
    try:
        yield
    finally:
        database._engine = engine


def _refusing(engine: Engine) -> Engine:
    # The driver's own error, so that all that happens is what happens when a real server is gone.
    driver = engine.dialect.loaded_dbapi
    assert driver is not None

    def refuse() -> NoReturn:
        raise driver.OperationalError("connection refused (database_down)")

    return create_engine(engine.url, creator=refuse, poolclass=NullPool, hide_parameters=True)
