"""The database: every transaction is a closure of a connection, retried where the database asks for it."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ..claims.clock import Clock
from . import schema
from .engines import check_engine, engine_of_copy, is_memory, make_engine, parse_url, pool_limit, shown
from .exceptions import DatabaseError

T = TypeVar("T")
Work = Callable[[Connection], T]

IN_MEMORY_WARNING = (
    "sessions, users and signing keys are kept in memory and end with this process; "
    "name a database (sqlite:///coatcheck.db or postgresql+psycopg://...) to keep them"
)
"""What an App logs, once, when it was given no database."""

_ATTEMPTS = 12
_LONGEST_S = 15.0
_FIRST_DELAY_S = 0.004
_LONGEST_DELAY_S = 0.25

# Serialization failure, deadlock, lock not available, and an object that another process created meanwhile.
_RETRIED_SQLSTATES = frozenset({"40001", "40P01", "55P03", "42P07"})
_SQLITE_BUSY_OR_LOCKED = frozenset({5, 6})


class Database:
    """SQLite or PostgreSQL, named by a URL or given as an engine of the application's own.

    No connection is opened before the first use, which also brings the tables up to date. An engine of the
    application's own gets no listeners and is not closed here. A bad target raises DatabaseURLError, a ValueError.
    With `prepared`, for tests, a database in memory has its tables from the beginning.
    """

    def __init__(self, target: str | Engine, *, clock: Clock, prepared: bool = False) -> None:
        self.clock = clock
        self._owned = isinstance(target, str)
        self._engine = engine = _engine_of(target, prepared=prepared)
        check_engine(engine)
        self.prepared = prepared and self._owned and is_memory(engine.url)
        """Whether it has its tables from the beginning; nothing in it outlives `close` then."""
        self.inline = is_memory(engine.url)
        """Whether callers work in their own thread: a database in memory never keeps them waiting."""
        self.url = shown(engine.url)
        """The URL, passwords masked."""
        self.connections = pool_limit(engine)
        """How many connections there are at most; None where a foreign pool sets no limit."""
        self._local = threading.local()
        self._inherited: list[object] = []
        self._first_rows: list[Work[None]] = []
        self._begin_in_this_process()

    def when_new(self, add_rows: Work[None]) -> None:
        """Let `add_rows` fill a prepared database before its first use: in a test, one transaction instead of many."""
        if self.prepared:
            self._first_rows.append(add_rows)

    def read(self, work: Work[T]) -> T:
        """Run `work` in a transaction of its own and return what it returns; it may run more than once."""
        return self._run(work, write=False)

    def write(self, work: Work[T]) -> T:
        """Run `work` in a write transaction of its own and return what it returns; it may run more than once.

        An IntegrityError reaches the caller as it is, because constraints are how races are lost; anything else the
        database refuses becomes a DatabaseError.
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
        """Raise DatabaseError if this thread is inside a transaction, where beginning another could wait for ever."""
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
            if self.prepared and not self._tables_ensured:
                self._retried(self._add_first_rows, write=True)
            elif self._tables_ensured != tables:
                self._ensure_tables()
            self._tables_ensured = tables

    def _add_first_rows(self, connection: Connection) -> None:
        for add_rows in self._first_rows:
            add_rows(connection)

    def _ensure_tables(self) -> None:
        # Looking first spares a write lock, and the right to create tables, where there is nothing to do.
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
            error.hide_parameters = True  # Whoever logs it must not log what was to be stored.
            raise
        finally:
            self._local.busy = False

    def _complaint(self, error: Exception) -> str:
        # The first line of the driver's own words: SQLAlchemy's would add the statement, later ones add values.
        cause = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
        return f"database {self.url}: {cause.splitlines()[0]}"

    def _begin_in_this_process(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._tables_ensured = 0
        if self._owned:
            self._finalizer = weakref.finalize(self, _dispose, self._engine, self._pid)

    def _forget_parent(self) -> None:
        # The parent's connections must be neither used nor closed here; holding them keeps them from finalizers.
        self._inherited.append(self._engine.pool)
        if self._owned:
            self._finalizer.detach()
        self._engine.dispose(close=False)
        self._begin_in_this_process()


def _engine_of(target: str | Engine, *, prepared: bool) -> Engine:
    if not isinstance(target, str):
        return target
    url = parse_url(target)
    return engine_of_copy() if prepared and is_memory(url) else make_engine(url)


def _begin_sqlite(connection: Connection, *, write: bool) -> None:
    # The driver begins late and never IMMEDIATE, so BEGIN is written out; whatever the driver's own settings or an
    # application's listeners have begun until now is empty, and ended first.
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
    return random.uniform(_FIRST_DELAY_S / 4, longest)  # noqa: S311 - spreads retries, guards nothing


def _dispose(engine: Engine, pid: int) -> None:
    if os.getpid() == pid:
        engine.pool.dispose()  # Nobody will want another pool from this engine.
