"""Database URLs: the SQLAlchemy engine that each of them names, and its text for logs."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from sqlalchemy import URL, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError

from .exceptions import DatabaseError

POOL_SIZE = 10
"""How many connections an engine of ours opens at most; a database in memory has one."""

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
    """Return the URL in `text`, with the driver that this library uses; DatabaseURLError if it cannot be used.

    The message never repeats `text`, because it may contain a password.
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
        raise DatabaseURLError(f"{masked(url)} is not understood; write sqlite:///file.db, or sqlite:// for memory")
    return url


def make_engine(url: URL) -> Engine:
    """Return an engine for `url`; it has no open connection yet."""
    try:
        if url.get_backend_name() == "sqlite":
            return _memory_engine(url) if is_memory(url) else _file_engine(url)
        return _postgres_engine(url)
    except ModuleNotFoundError:
        raise DatabaseURLError(
            f'the driver for {masked(url)} is not installed: pip install "coatcheck[postgres]"'
        ) from None
    except SQLAlchemyError as error:
        raise DatabaseURLError(f"{masked(url)} cannot be used: {str(error).splitlines()[0]}") from None


def check_engine(engine: Engine) -> None:
    """Raise DatabaseURLError if an engine of the application cannot be used safely."""
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
    """Whether `url` is a SQLite database in memory."""
    if url.get_backend_name() != "sqlite":
        return False
    name = url.database or ""
    return name in ("", ":memory:") or name.startswith("file::memory:") or url.query.get("mode") == "memory"


def pool_limit(engine: Engine) -> int | None:
    """Return how many connections the engine opens at most, None if its pool has no known limit."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return None
    overflow: int = getattr(pool, "_max_overflow", -1)
    return None if overflow < 0 or pool.size() == 0 else pool.size() + overflow


def masked(url: URL) -> str:
    """Return `url` as text for a log, with every password masked."""
    secret = {name: "***" for name in url.query if "password" in name.lower() or "secret" in name.lower()}
    return url.update_query_dict(secret).render_as_string(hide_password=True)


def _plain_sqlite(url: URL) -> bool:
    return not (url.host or url.username or url.query or (url.database or "").startswith("file:"))


def _memory_engine(url: URL) -> Engine:
    # StaticPool, a common advice, gives one connection to several threads at the same time and corrupts data.
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
    # The file gets its mode before SQLite writes into it, and SQLite gives -wal and -shm the same mode.
    # An existing file keeps its mode, and SQLite itself reports every other error.
    with contextlib.suppress(OSError):
        os.close(os.open(arguments[0], os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _use_wal(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.execute("PRAGMA journal_mode=WAL").close()
