"""Databases in memory that begin as copies: complete, and strangers to one another."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, insert, inspect, select

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions import key_store, schema
from coatcheck.sessions.database import Database


@contextmanager
def prepared() -> Iterator[Database]:
    """Yield a database that begins as a copy."""
    with closing(Database("sqlite://", clock=ManualClock(), prepared=True)) as database:
        yield database


def secret_of(database: Database) -> str | None:
    """Return what one database holds and another must not."""
    return database.read(key_store.load_master)


def test_a_copy_has_every_table_at_this_version() -> None:
    """Nothing has to be brought up to date in a copy."""
    with prepared() as database:
        assert database.read(schema.is_current)


def test_copies_share_nothing() -> None:
    """What is written into one copy is in no other, made earlier or later."""
    with prepared() as one, prepared() as two:
        assert secret_of(two) is None
        one.write(lambda connection: key_store.add_master(connection, "one", created_ms=0))
        with prepared() as three:
            assert [secret_of(database) for database in (one, two, three)] == ["one", None, None]


def test_a_closed_copy_begins_anew() -> None:
    """A database in memory ends with its connection, and the next use finds the tables, empty."""
    with prepared() as database:
        database.write(lambda connection: key_store.add_master(connection, "lost", created_ms=0))
        database.close()
        assert secret_of(database) is None


def test_tables_declared_later_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe imported late finds its tables, in copies made before and after."""
    declared = MetaData()
    for table in schema.metadata.sorted_tables:
        table.to_metadata(declared)
    monkeypatch.setattr(schema, "metadata", declared)
    with prepared() as before:
        before.ping()
        late = Table("coatcheck_late", declared, Column("id", Integer, primary_key=True))
        with prepared() as after:
            for database in (before, after):
                database.write(lambda connection: connection.execute(insert(late), {"id": 1}))
                assert database.read(lambda connection: connection.execute(select(late.c.id)).scalars().all()) == [1]


def test_other_databases_are_not_copies(tmp_path: os.PathLike[str]) -> None:
    """A file, or an engine of the application's own, is brought up to date as ever."""
    file = Database(f"sqlite:///{tmp_path}/kept.db", clock=ManualClock(), prepared=True)
    engine = create_engine(f"sqlite:///{tmp_path}/own.db")
    own = Database(engine, clock=ManualClock(), prepared=True)
    for database in (file, own):
        database.ping()
        assert "coatcheck_sessions" in database.read(lambda connection: inspect(connection).get_table_names())
        database.close()
    engine.dispose()


def test_threads_make_copies_at_the_same_time() -> None:
    """Copies made by several threads at once are all complete."""
    complete: list[bool] = []
    barrier = threading.Barrier(4)

    def make() -> None:
        barrier.wait()
        with prepared() as database:
            complete.append(database.read(schema.is_current))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert complete == [True] * 4


FORKED = """
import os
from coatcheck.claims.clock import ManualClock
from coatcheck.sessions import schema
from coatcheck.sessions.database import Database

def complete():
    database = Database("sqlite://", clock=ManualClock(), prepared=True)
    whole = database.read(schema.is_current)
    database.close()
    return whole

assert complete()
child = os.fork()
if not child:
    os._exit(0 if complete() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("both")
"""


def test_a_forked_process_prepares_its_own() -> None:
    """What the parent has open is left alone by its children."""
    ran = subprocess.run([sys.executable, "-W", "error", "-c", FORKED], capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "both", ran.stderr
