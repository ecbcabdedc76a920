"""Clean-up without a timer: from time to time a write also deletes one batch of expired rows."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import BigInteger, Column, Connection, Table, Text, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..claims.clock import Clock
from .database import Database
from .exceptions import DatabaseError
from .schema import metadata

INTERVAL_MS = 12 * 60 * 60 * 1000
"""How long after the last clean-up of its kind the next one is due."""

BATCH = 500
"""How many rows one batch deletes at most."""

_log = logging.getLogger(__name__)

table = Table(
    "coatcheck_clean_ups",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("ran_at", BigInteger, nullable=False),
)

_FIND = select(table.c.ran_at).where(table.c.kind == bindparam("this"))
_INSERT = insert(table)
_MARK = (
    update(table)
    .where(table.c.kind == bindparam("this"), table.c.ran_at == bindparam("seen"))
    .values(ran_at=bindparam("new_ran_at"))
)


class CleanUp:
    """Deletes expired rows of one kind, in batches; `delete_batch(connection, now_ms)` returns how many it deleted.

    The time of the last run is stored in the database, so that processes share the work and a restart does not delay
    it. The first run is due one interval after the first write.
    """

    def __init__(
        self, database: Database, clock: Clock, *, kind: str, delete_batch: Callable[[Connection, int], int]
    ) -> None:
        self._database = database
        self._clock = clock
        self._kind = kind
        self._delete_batch = delete_batch
        self._due_ms = 0

    def seed_row(self, connection: Connection) -> None:
        """Store the present time as that of the last run, in a database that has none."""
        now_ms = self._clock.now_ms()
        connection.execute(_INSERT, {"kind": self._kind, "ran_at": now_ms})
        self._due_ms = now_ms + INTERVAL_MS

    def after_write(self) -> None:
        """Delete one batch if a clean-up is due, outside any transaction; a DatabaseError is logged, not raised."""
        now_ms = self._clock.now_ms()
        if now_ms < self._due_ms:
            return
        try:
            self._due_ms = self._database.write(lambda connection: self._turn(connection, now_ms))
        except IntegrityError:
            _log.debug("another process has stored the first time of the clean-ups of %s", self._kind)
        except DatabaseError as error:
            # The write before this has succeeded, so the caller must not fail; the next write tries again.
            _log.warning("clean-up of %s failed: %s", self._kind, error)

    def run(self) -> int:
        """Delete all expired rows, batch by batch, and return how many there were."""
        now_ms, total = self._clock.now_ms(), 0
        while True:
            deleted = self._database.write(lambda connection: self._delete_batch(connection, now_ms))
            total += deleted
            if deleted < BATCH:
                return total

    def _turn(self, connection: Connection, now_ms: int) -> int:
        """Delete one batch if it is due, and return the time of the next clean-up."""
        ran_at = connection.execute(_FIND, {"this": self._kind}).scalar()
        if ran_at is None:
            connection.execute(_INSERT, {"kind": self._kind, "ran_at": now_ms})
            return now_ms + INTERVAL_MS
        if now_ms < ran_at + INTERVAL_MS:
            return int(ran_at) + INTERVAL_MS
        if self._mark(connection, ran_at, now_ms) and self._delete_batch(connection, now_ms) >= BATCH:
            # There may be more rows, so the next write of any process finds the clean-up still due.
            self._mark(connection, now_ms, ran_at)
            return now_ms
        return now_ms + INTERVAL_MS

    def _mark(self, connection: Connection, seen: int, new: int) -> bool:
        return connection.execute(_MARK, {"this": self._kind, "seen": seen, "new_ran_at": new}).rowcount > 0
