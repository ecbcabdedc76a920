"""What a database URL means: the SQLAlchemy engine it stands for, and how it may be shown."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from functools import lru_cache
from typing import Any

from sqlalchemy import URL, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError

from . import schema
from .exceptions import DatabaseError

POOL_SIZE = 10
"""Connections an engine of ours opens at most; one where the database is in memory."""

BUSY_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 10

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


class DatabaseURLError(DatabaseError, ValueError):
    """A database URL or engine cannot be used; found before any connection is opened."""


def parse_url(text: str) -> URL:
    """Return the URL `text` stands for, with the driver this library uses; DatabaseURLError if there is none.

    The message never repeats `text`, because it may hold a password.
    """
    try:
        url = make_url(text)
    except (SQLAlchemyError, ValueError):
        raise DatabaseURLError(
            "this is not a database URL; write sqlite:///file.db, sqlite:// or postgresql+psycopg://user@host/name"
        ) from None
    if url.drivername not in _DRIVERS:
        raise DatabaseURLError(
            f"databases of the kind {url.drivername!r} are not supported; use sqlite:// or postgresql+psycopg://"
        )
    url = url.set(drivername=_DRIVERS[url.drivername])
    if url.drivername == "sqlite" and not _plain_sqlite(url):
        raise DatabaseURLError(f"{shown(url)} is not understood; write sqlite:///file.db, or sqlite:// for memory")
    return url


def make_engine(url: URL) -> Engine:
    """Return an engine for `url`, which opens no connection yet."""
    try:
        if url.get_backend_name() == "sqlite":
            return _memory_engine(url) if is_memory(url) else _file_engine(url)
        return _postgres_engine(url)
    except ModuleNotFoundError:
        raise DatabaseURLError(
            f'the driver for {shown(url)} is not installed: pip install "coatcheck[postgres]"'
        ) from None
    except SQLAlchemyError as error:
        raise DatabaseURLError(f"{shown(url)} cannot be used: {str(error).splitlines()[0]}") from None


def check_engine(engine: Engine) -> None:
    """Raise DatabaseURLError if an application's own engine cannot be used safely."""
    if not isinstance(engine, Engine):
        raise DatabaseURLError(f"database must be a URL or a (synchronous) sqlalchemy.Engine, not {engine!r}")
    if engine.dialect.name not in ("sqlite", "postgresql"):
        raise DatabaseURLError(f"an engine for {engine.dialect.name!r} is not supported; use SQLite or PostgreSQL")
    if is_memory(engine.url) and pool_limit(engine) != 1:
        raise DatabaseURLError(
            "an engine for SQLite in memory must be made with poolclass=QueuePool, pool_size=1, max_overflow=0 and "
            'connect_args={"check_same_thread": False}; other pools lose or corrupt data under threads'
        )


def is_memory(url: URL) -> bool:
    """Tell whether `url` is a SQLite database that lives in memory only."""
    if url.get_backend_name() != "sqlite":
        return False
    name = url.database or ""
    return name in ("", ":memory:") or name.startswith("file::memory:") or url.query.get("mode") == "memory"


def pool_limit(engine: Engine) -> int | None:
    """Return how many connections the engine opens at most, None where its pool sets no limit known to us."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return None
    overflow: int = getattr(pool, "_max_overflow", -1)
    return None if overflow < 0 or pool.size() == 0 else pool.size() + overflow


def shown(url: URL) -> str:
    """Return `url` with every password in it masked, fit for a log."""
    secret = {name: "***" for name in url.query if "password" in name.lower() or "secret" in name.lower()}
    return url.update_query_dict(secret).render_as_string(hide_password=True)


def _plain_sqlite(url: URL) -> bool:
    return not (url.host or url.username or url.query or (url.database or "").startswith("file:"))


def _memory_engine(url: URL) -> Engine:
    # StaticPool, which is often advised, hands one connection to several threads at once and corrupts data.
    return create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"check_same_thread": False, "isolation_level": None},
        hide_parameters=True,
    )


def _file_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=POOL_SIZE,
        max_overflow=0,
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": BUSY_TIMEOUT_S},
        hide_parameters=True,
    )
    event.listen(engine, "do_connect", _create_private_file)
    event.listen(engine, "connect", _use_wal)
    return engine


def _postgres_engine(url: URL) -> Engine:
    connect_args = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_TIMEOUT_S}
    return create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args=connect_args,
        hide_parameters=True,
    )


def _create_private_file(_dialect: Any, _record: Any, arguments: list[Any], _keywords: dict[str, Any]) -> None:
    # The file gets its mode before SQLite writes a byte; SQLite gives -wal and -shm the mode of the file.
    # An existing file is left as its owner wants it, and any other trouble is SQLite's to report.
    with contextlib.suppress(OSError):
        os.close(os.open(arguments[0], os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _use_wal(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.execute("PRAGMA journal_mode=WAL").close()


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
