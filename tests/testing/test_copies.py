"""What makes Apps for tests fast: databases in memory that begin as copies, complete and without shared rows."""

from __future__ import annotations

import gc
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import jwt
import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, create_engine, func, insert, inspect, select

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions import key_store, schema, signing_key
from coatcheck.sessions.database import Database
from coatcheck.sessions.key_store import Cipher
from coatcheck.sessions.keys import KeyRing
from coatcheck.testing import make_app
from coatcheck.testing.app import KEPT, CopiedDatabase, LentKeys

from ..kit import python


@contextmanager
def prepared() -> Iterator[Database]:
    """Yield a database that begins as a copy."""
    with closing(CopiedDatabase(clock=ManualClock())) as database:
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


def test_a_copy_begins_with_the_rows_of_its_seed() -> None:
    """What `seed` adds is there at the first use, once, and again after a close."""

    def seed(connection: Connection) -> None:
        key_store.add_master(connection, "first", created_ms=0)

    with closing(CopiedDatabase(clock=ManualClock(), seed=seed)) as database:
        assert [secret_of(database), secret_of(database)] == ["first", "first"]
        database.close()
        assert secret_of(database) == "first"


def test_a_key_ring_starts_with_a_key_and_a_secret() -> None:
    """In a copy, key and master secret are made with the first use, and anew for the database after a close."""
    with closing(CopiedDatabase(clock=ManualClock(), seed=lambda connection: rings.seed_rows(connection))) as database:
        lent = LentKeys()
        rings = KeyRing(
            database,
            database.clock,
            access_token_validity_ms=3_600_000,
            rotation_ms=604_800_000,
            cipher=Cipher("a secret of enough characters"),
            source=signing_key.KeySource(lent.generate),
        )
        for _ in range(2):
            database.ping()
            assert [key.status for key in rings.list()] == ["signing"]
            stored = secret_of(database)
            assert stored is not None
            assert Cipher("a secret of enough characters").open(stored, bound_to="master") == rings.master_secret()
            token = rings.sign({"a": 1}, static=False)
            key = rings.look_up(jwt.get_unverified_header(token)["kid"])
            assert key is not None
            assert signing_key.verify(token, key) == b'{"a":1}'
            database.close()
        lent.give_back()


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


def in_use(database: Database) -> sqlite3.Connection:
    """Return the connection that a database works with."""
    raw: sqlite3.Connection = database.read(lambda connection: connection.connection.dbapi_connection)  # type: ignore[assignment]
    return raw


def rows_of(database: Database) -> dict[str, int]:
    """Return how many rows there are in each table."""
    counts = {table.name: select(func.count()).select_from(table) for table in schema.metadata.sorted_tables}
    return database.read(lambda connection: {name: connection.execute(q).scalar_one() for name, q in counts.items()})


def test_a_copy_is_emptied_before_another_gets_it() -> None:
    """The connection of a closed database serves the next one, in which there is no row of the earlier."""
    with prepared() as one:
        first = in_use(one)
        one.write(lambda connection: key_store.add_master(connection, "one", created_ms=0))
    with prepared() as two:
        assert in_use(two) is first
        assert {name for name, count in rows_of(two).items() if count} == {schema.schema_table.name}
        with prepared() as three:
            assert in_use(three) is not first


def test_a_copy_that_was_changed_is_not_kept() -> None:
    """Where somebody has altered the tables, or left a transaction open, the connection ends with its database."""
    for statement in ("CREATE TABLE left_behind (id INTEGER)", "DROP TABLE coatcheck_sessions", "BEGIN"):
        with prepared() as one:
            changed = in_use(one)
            changed.execute(statement).close()
        with prepared() as two:
            assert in_use(two) is not changed
            assert two.read(schema.is_current)
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            changed.execute("SELECT 1")


def test_few_copies_are_kept() -> None:
    """Of many databases that close at the same time, some connections are kept and the others closed."""
    databases = [CopiedDatabase(clock=ManualClock()) for _ in range(KEPT + 3)]
    connections = {in_use(database) for database in databases}
    assert len(connections) == KEPT + 3
    for database in databases:
        database.close()
    with_another = [CopiedDatabase(clock=ManualClock()) for _ in range(KEPT + 3)]
    assert len({in_use(database) for database in with_another} & connections) == KEPT
    for database in with_another:
        database.close()


def test_a_forgotten_database_gives_its_copy_back() -> None:
    """A database that nobody closed is emptied, too, once it is gone."""
    forgotten = CopiedDatabase(clock=ManualClock())
    connection = in_use(forgotten)
    forgotten.write(lambda connection: key_store.add_master(connection, "lost", created_ms=0))
    del forgotten
    gc.collect()
    with prepared() as database:
        assert in_use(database) is connection
        assert secret_of(database) is None


def test_other_databases_are_not_copies(tmp_path: os.PathLike[str]) -> None:
    """A file, or an engine of the application's own, is brought up to date as ever, and gets none of the lent keys."""
    engine = create_engine(f"sqlite:///{tmp_path}/own.db")
    for given in (f"sqlite:///{tmp_path}/kept.db", engine):
        with make_app(database=given) as app:
            assert app.key_source is signing_key.GENERATED
            assert app.database.read(key_store.load) == ()
            assert "coatcheck_sessions" in app.database.read(lambda connection: inspect(connection).get_table_names())
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
from coatcheck.testing.app import CopiedDatabase

def complete():
    database = CopiedDatabase(clock=ManualClock())
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


@pytest.mark.slow
def test_a_forked_process_prepares_its_own() -> None:
    """What the parent has open is left alone by its children."""
    ran = python("-W", "error", "-c", FORKED)
    assert ran.stdout.strip() == "both", ran.stderr
