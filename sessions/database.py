"""The database: every transaction is a function of a connection, retried if the database asks for it."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, select
from sqlalchemy.exc import DBAPIError, IntegrityError, TimeoutError as PoolTimeoutError

from ..claims.clock import Clock
from . import schema
from .engines import check_engine, is_memory, make_engine, masked, parse_url, pool_limit
from .exceptions import DatabaseError

T = TypeVar("T")
Work = Callable[[Connection], T]

IN_MEMORY_WARNING = (
    "sessions, users and signing keys are kept in memory and end with this process; "
    "name a database (sqlite:///coatcheck.db or postgresql+psycopg://...) to keep them"
)
"""The warning that an App logs once if it was given no database."""

_ATTEMPTS = 12
_LONGEST_S = 15.0
_FIRST_DELAY_S = 0.004
_LONGEST_DELAY_S = 0.25

# Serialization failure, deadlock, lock not available, and a table that another process created meanwhile.
_RETRIED_SQLSTATES = frozenset({"40001", "40P01", "55P03", "42P07"})
_SQLITE_BUSY_OR_LOCKED = frozenset({5, 6})


class Database:
    """SQLite or PostgreSQL, named by a URL or given as an engine of the application.

    No connection is opened before the first use, which also brings the tables up to date. An engine of the application
    gets no listeners and is not closed here. A target that cannot be used raises DatabaseURLError, a ValueError.
    """

    def __init__(self, target: str | Engine, *, clock: Clock) -> None:
        self.clock = clock
        self._owned = isinstance(target, str)
        self._engine = engine = self._make_engine(parse_url(target)) if isinstance(target, str) else target
        check_engine(engine)
        self.inline = is_memory(engine.url)
        """Whether callers use it in their own thread, because it is in memory and never makes them wait."""
        self.url = masked(engine.url)
        """The URL with masked passwords."""
        self.connections = pool_limit(engine)
        """How many connections there are at most; None if the pool of the application sets no limit."""
        self._local = threading.local()
        self._inherited: list[object] = []
        self._begin_in_this_process()

    def read(self, work: Work[T]) -> T:
        """Run `work` in a transaction of its own and return what it returns; it may run more than once."""
        return self._run(work, write=False)

    def write(self, work: Work[T]) -> T:
        """Run `work` in a write transaction of its own and return what it returns; it may run more than once.

        An IntegrityError reaches the caller unchanged, because a constraint decides which of several processes wins;
        all other errors of the database become a DatabaseError.
        """
        return self._run(work, write=True)

    def ping(self) -> None:
        """Open a connection and bring the tables up to date; DatabaseError with one clear line if that fails."""
        self.read(lambda connection: connection.execute(select(1)).scalar_one())

    def close(self) -> None:
        """Close the connections of an engine made here; the next use opens new ones."""
        if self._owned:
            self._engine.dispose()
            self._tables_ensured = 0

    def refuse_nesting(self) -> None:
        """Raise DatabaseError if this thread is inside a transaction, because a second one could wait for ever."""
        if getattr(self._local, "busy", False):
            raise DatabaseError(
                "a transaction was begun inside another one; "
                "use the connection that the enclosing closure was given, or wait until it has returned"
            )

    def _run(self, work: Work[T], *, write: bool) -> T:
        self.refuse_nesting()
        self._prepare()
        return self._retried(work, write=write)

    def _prepare(self) -> None:
        if self._pid != os.getpid():
            self._forget_parent()
        if self._tables_ensured == len(schema.metadata.tables):
            return
        with self._lock:
            tables = len(schema.metadata.tables)
            if self._tables_ensured != tables:
                self._ensure_tables()
            self._tables_ensured = tables

    def _make_engine(self, url: URL) -> Engine:
        return make_engine(url)

    def _ensure_tables(self) -> None:
        # Reading first needs no write lock and no right to create tables if there is nothing to do.
        if not self._retried(schema.is_current, write=False):
            self._retried(schema.ensure, write=True)

    def _retried(self, work: Work[T], *, write: bool) -> T:
        give_up_at = time.monotonic() + _LONGEST_S
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._transaction(work, write=write)
            except IntegrityError:
                raise
            except (DBAPIError, sqlite3.OperationalError, PoolTimeoutError) as error:
                again = _is_transient(error) or (not write and _is_disconnect(error))
                if not again or attempt == _ATTEMPTS or time.monotonic() > give_up_at:
                    raise DatabaseError(self._complaint(error)) from error
            time.sleep(_delay(attempt))
        raise AssertionError("unreachable")  # pragma: no cover

    def _transaction(self, work: Work[T], *, write: bool) -> T:
        self._local.busy = True
        try:
            with self._engine.connect() as connection:
                if self._engine.dialect.name == "sqlite":
                    _begin_sqlite(connection, write=write)
                result = work(connection)
                connection.commit()
                return result
        except DBAPIError as error:
            error.hide_parameters = True  # The parameters may be secrets, and the error may be logged.
            raise
        finally:
            self._local.busy = False

    def _complaint(self, error: Exception) -> str:
        # Only the first line of the driver's message: other lines, and SQLAlchemy's message, contain values.
        cause = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
        return f"database {self.url}: {cause.splitlines()[0]}"

    def _begin_in_this_process(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._tables_ensured = 0
        if self._owned:
            self._finalizer = weakref.finalize(self, _dispose, self._engine, self._pid)

    def _forget_parent(self) -> None:
        # The parent's connections must be neither used nor closed here; a reference to them keeps finalizers away.
        self._inherited.append(self._engine.pool)
        if self._owned:
            self._finalizer.detach()
        self._engine.dispose(close=False)
        self._begin_in_this_process()


def _begin_sqlite(connection: Connection, *, write: bool) -> None:
    # The driver begins late and never IMMEDIATE, so BEGIN is executed here. A transaction that the driver or a listener
    # of the application has begun before is empty; it is ended first.
    connection.begin()
    raw: Any = connection.connection.dbapi_connection
    if raw.in_transaction:
        raw.execute("ROLLBACK").close()
    raw.execute("BEGIN IMMEDIATE" if write else "BEGIN").close()


def _is_transient(error: Exception) -> bool:
    original = getattr(error, "orig", error)
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    code = getattr(original, "sqlite_errorcode", None)
    return state in _RETRIED_SQLSTATES or (code is not None and code & 0xFF in _SQLITE_BUSY_OR_LOCKED)


def _is_disconnect(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _delay(attempt: int) -> float:
    longest = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2**attempt)
    return random.uniform(_FIRST_DELAY_S / 4, longest)  # noqa: S311 - this only spreads retries in time


def _dispose(engine: Engine, pid: int) -> None:
    if os.getpid() == pid:
        engine.pool.dispose()  # engine.dispose() would make a new pool.
