"""Databases in memory that begin as copies of a prepared one: for tests, which want a fresh database each.

Copying takes a tenth of a millisecond, creating the tables several. The first statements on a new connection take as
long again, so a copy that is closed is emptied and kept for the next test; and what SQLAlchemy has compiled for one
copy serves the others. No row outlives the database it was written to.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from functools import lru_cache
from typing import Any

from sqlalchemy import URL, Engine, QueuePool

from . import schema
from .engines import make_engine

KEPT = 8
"""How many emptied copies wait at most."""

_URL = URL.create("sqlite")


def engine_of_copy() -> Engine:
    """Return an engine for a database in memory that has every table from its first connection on."""
    prepared = _current()
    return Engine(
        QueuePool(_connect, pool_size=1, max_overflow=0, dialect=prepared.dialect),
        prepared.dialect,
        _URL,
        hide_parameters=True,
        execution_options={"compiled_cache": prepared.compiled},
    )


def _connect() -> Any:
    return _current().copy()


class Copy(sqlite3.Connection):
    """A connection to a copy of its own; closing it ends the database, and may empty it for another test."""

    lender: Prepared | None = None

    def close(self) -> None:
        """End the database."""
        lender, self.lender = self.lender, None
        if lender is None or not lender.take_back(self):
            super().close()


class Prepared:
    """The database that is copied, and the copies that nobody uses at present."""

    def __init__(self) -> None:
        engine = make_engine(_URL)
        self.dialect = engine.dialect
        self.compiled: dict[Any, Any] = {}
        with engine.connect() as connection:
            schema.ensure(connection)
            connection.commit()
            self._source: Any = connection.connection.dbapi_connection
        kept = [table.name for table in schema.metadata.sorted_tables if table is not schema.schema_table]
        self._emptying = [f"DELETE FROM {name}" for name in kept]  # noqa: S608 - the names are ours
        self._spare: list[Copy] = []
        self._lock = threading.Lock()
        self._version: int | None = None
        weakref.finalize(self, _close, engine, self._spare)

    def copy(self) -> Copy:
        """Return a connection to a database that has every table, and no row."""
        try:
            copy = self._spare.pop()
        except IndexError:
            copy = self._new_copy()
        copy.lender = self
        return copy

    def take_back(self, copy: Copy) -> bool:
        """Empty a copy and keep it; False where enough are kept, or where it is not as it was."""
        if len(self._spare) >= KEPT or self is not _current():
            return False
        try:
            if copy.in_transaction or _schema_version(copy) != self._version:
                return False
            copy.execute("BEGIN").close()
            for statement in self._emptying:
                copy.execute(statement).close()
            copy.commit()
        except sqlite3.Error:
            return False
        self._spare.append(copy)
        return True

    def _new_copy(self) -> Copy:
        copy = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None, factory=Copy)
        with self._lock:
            self._source.backup(copy)
        self._version = _schema_version(copy)
        return copy


def _schema_version(connection: sqlite3.Connection) -> int:
    """Return a number that changes with every change to the tables."""
    version: int = connection.execute("PRAGMA schema_version").fetchone()[0]
    return version


def _close(engine: Engine, spare: list[Copy]) -> None:
    engine.dispose()
    while spare:
        spare.pop().close()


def _current() -> Prepared:
    # Recipes that are imported later bring more tables, and a forked process makes its own.
    return _prepared(len(schema.metadata.tables), os.getpid())


@lru_cache(maxsize=1)
def _prepared(_tables: int, _process: int) -> Prepared:
    return Prepared()
