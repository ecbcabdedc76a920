"""How a database gets its tables, and how versions of them meet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing

import pytest
from sqlalchemy import Connection, delete, insert, inspect, select, text, update

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions import key_store, schema
from coatcheck.sessions.database import Database
from coatcheck.sessions.exceptions import DatabaseError, SchemaTooNewError

from ..kit import LIMIT_S


@pytest.fixture(scope="module")
def tables_exist() -> bool:
    """The first use is what these tests are about."""
    return False


def stored_version(connection: Connection) -> int:
    """Return the version the database says it has."""
    version: int = connection.execute(select(schema.schema_table.c.version)).scalar_one()
    return version


def table_names(connection: Connection) -> set[str]:
    """Return the tables that exist."""
    return set(inspect(connection).get_table_names())


def ensure(version: int, upgrades: Mapping[int, schema.Upgrade]) -> Callable[[Connection], None]:
    """Return the closure a library of that version would run."""
    return lambda connection: schema.ensure(connection, version=version, upgrades=upgrades)


def add_column(name: str) -> schema.Upgrade:
    """Return an upgrade step that leaves a trace."""
    return lambda connection: connection.exec_driver_sql(f"ALTER TABLE coatcheck_master_secret ADD COLUMN {name} int")  # type: ignore[return-value]


def column_names(connection: Connection) -> set[str]:
    """Return the columns of the table that the upgrades of these tests change."""
    return {column["name"] for column in inspect(connection).get_columns("coatcheck_master_secret")}


def test_first_use_creates_every_table(database: Database) -> None:
    """An empty database has all tables of the library, and its version, after the first use."""
    database.ping()
    assert set(schema.metadata.tables) <= database.read(table_names)
    assert database.read(stored_version) == schema.SCHEMA_VERSION


def test_every_table_carries_the_prefix() -> None:
    """An application can share the database: our names are recognisable."""
    assert key_store.signing_keys.name in schema.metadata.tables
    assert all(name.startswith("coatcheck_") for name in schema.metadata.tables)


def test_ensure_twice_changes_nothing(database: Database) -> None:
    """A database that is up to date stays as it is."""
    database.ping()
    database.write(schema.ensure)
    assert database.read(schema.is_current)
    assert database.read(stored_version) == schema.SCHEMA_VERSION


def test_a_missing_table_is_created(database: Database) -> None:
    """A table added without a change to others appears at the next start."""
    database.write(lambda connection: key_store.master_secrets.drop(connection))
    assert not database.read(schema.is_current)
    database.write(schema.ensure)
    assert database.read(schema.is_current)


def test_upgrades_run_in_order_from_the_stored_version(database: Database) -> None:
    """From version 1 to 3 the steps 1 and 2 run, each once."""
    database.ping()
    upgrades = {1: add_column("first"), 2: add_column("second")}
    database.write(ensure(2, upgrades))
    assert database.read(stored_version) == 2
    assert "second" not in database.read(column_names)
    database.write(ensure(3, upgrades))
    assert {"first", "second"} <= database.read(column_names)
    assert database.read(stored_version) == 3


def test_an_upgrade_that_fails_leaves_the_old_version(database: Database) -> None:
    """All steps are one transaction: after an error there is neither a new column nor a new version."""
    database.ping()

    def fails(_: Connection) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        database.write(ensure(3, {1: add_column("first"), 2: fails}))
    assert database.read(stored_version) == 1
    assert "first" not in database.read(column_names)


def test_a_newer_schema_is_refused(shared_url: str, clock: ManualClock) -> None:
    """A library that is older than the database says so, and touches nothing."""
    newer = schema.SCHEMA_VERSION + 1
    with closing(Database(shared_url, clock=clock)) as database:
        database.write(lambda connection: connection.execute(update(schema.schema_table).values(version=newer)))
    with closing(Database(shared_url, clock=clock)) as database, pytest.raises(SchemaTooNewError, match="newer"):
        database.ping()


def test_the_tables_of_others_are_left_alone(database: Database) -> None:
    """Tables of an application in the same database do not disturb."""
    database.write(lambda connection: connection.execute(text("CREATE TABLE orders (id int)")))
    database.write(schema.ensure)
    assert "orders" in database.read(table_names)


def test_a_schema_without_version_is_an_error(database: Database) -> None:
    """A version table that was emptied by hand is not taken for a fresh database."""
    database.write(lambda connection: connection.execute(delete(schema.schema_table)))
    with pytest.raises(DatabaseError, match="version"):
        database.write(schema.ensure)
    database.write(lambda connection: connection.execute(insert(schema.schema_table).values(id=1, version=1)))


STARTS = """
import sys
from coatcheck.claims.clock import Clock
from coatcheck.sessions.key_store import Cipher
from coatcheck.sessions.database import Database
from coatcheck.sessions.keys import KeyRing

database = Database(sys.argv[1], clock=Clock())
ring = KeyRing(database, Clock(), access_token_validity_ms=1000, rotation_ms=3_600_000, cipher=Cipher(None))
print("ready", flush=True)
sys.stdin.read(1)
database.ping()
ring.sign({}, static=False), ring.sign({}, static=True)
print(ring.master_secret().hex())
database.close()
"""


@pytest.mark.slow
def test_processes_that_start_at_once_all_succeed(shared_url: str, clock: ManualClock) -> None:
    """On an empty database one of them makes the tables, each signing key and the master secret; the others use those.

    They begin when all of them are ready, and not one after the other.
    """
    command = [sys.executable, "-W", "error", "-c", STARTS, shared_url]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
    secrets = {process.communicate(timeout=LIMIT_S)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(secrets) == 1
    with closing(Database(shared_url, clock=clock)) as database:
        assert [key.kind for key in database.read(key_store.load)] == ["d", "s"]
