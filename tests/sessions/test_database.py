"""Transactions on every kind of database, and what happens when one cannot be had."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    QueuePool,
    StaticPool,
    Table,
    create_engine,
    event,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError

from coatcheck.claims.clock import Clock, ManualClock
from coatcheck.sessions import engines as urls
from coatcheck.sessions.database import Database
from coatcheck.sessions.exceptions import DatabaseError, SessionsError

from ..kit import python


@pytest.fixture(scope="module")
def tables_exist() -> bool:
    """The first use is what these tests are about."""
    return False


# Not on the library's MetaData, so that no other test gets this table.
counters = Table("counters", MetaData(), Column("id", Integer, primary_key=True), Column("n", Integer))


def prepared(database: Database) -> Database:
    """Return the database with one counter at zero."""

    def work(connection: Connection) -> None:
        counters.metadata.create_all(connection)
        connection.execute(insert(counters).values(id=1, n=0))

    database.write(work)
    return database


def read_counter(database: Database) -> int:
    """Return the value of the counter."""
    value: int = database.read(lambda connection: connection.execute(select(counters.c.n)).scalar_one())
    return value


def set_counter(connection: Connection, value: int) -> None:
    """Set the counter."""
    connection.execute(update(counters).values(n=value))


def in_threads(count: int, work: Callable[[], None]) -> None:
    """Run `work` in that many threads at once."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_write_is_committed(database: Database) -> None:
    """What a write closure did is there for the next transaction, and its result is returned."""
    prepared(database)
    assert database.write(lambda connection: set_counter(connection, 5)) is None
    assert read_counter(database) == 5


def test_a_write_that_raises_is_rolled_back(database: Database) -> None:
    """An exception leaves the closure as it is, and nothing of what the closure did stays."""
    prepared(database)

    def work(connection: Connection) -> None:
        set_counter(connection, 5)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        database.write(work)
    assert read_counter(database) == 0


def test_schema_changes_are_transactional(database: Database) -> None:
    """A table created in a transaction that fails does not exist."""

    def work(connection: Connection) -> None:
        counters.metadata.create_all(connection)
        raise KeyError("mine")

    with pytest.raises(KeyError):
        database.write(work)
    prepared(database)


def test_threads_lose_no_update(database: Database) -> None:
    """Increments by four threads at once add up, whatever the database does to keep them apart."""
    prepared(database)

    def increments() -> None:
        for _ in range(15):
            database.write(lambda connection: connection.execute(update(counters).values(n=counters.c.n + 1)))

    in_threads(4, increments)
    assert read_counter(database) == 60


def test_a_broken_constraint_reaches_the_caller(database: Database) -> None:
    """An IntegrityError is how a race is lost, so the caller gets it."""
    prepared(database)
    with pytest.raises(IntegrityError):
        database.write(lambda connection: connection.execute(insert(counters).values(id=1, n=1)))


def test_a_refused_statement_is_a_database_error(database: Database) -> None:
    """Anything else a database refuses becomes a DatabaseError of one line that names the database."""
    with pytest.raises(DatabaseError) as caught:
        database.read(lambda connection: connection.execute(text("SELECT * FROM nowhere")))
    assert database.url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_transaction_inside_another_is_refused(database: Database) -> None:
    """A closure that begins another transaction gets an error instead of waiting for itself."""
    for nested in (database.read, database.write):
        with pytest.raises(DatabaseError, match="inside another"):
            database.write(lambda _, nested=nested: nested(lambda connection: None))  # type: ignore[misc]
    database.ping()


def test_two_databases_can_be_nested(memory: Database, database: Database) -> None:
    """Only the same database is refused: a closure may use another one."""
    assert database.write(lambda _: memory.read(lambda connection: 1)) == 1


def test_a_serialization_failure_is_retried(postgres_url: str, clock: ManualClock) -> None:
    """A closure whose transaction PostgreSQL could not serialize runs again and then succeeds."""
    engine = create_engine(postgres_url, isolation_level="REPEATABLE READ")
    with closing(Database(postgres_url, clock=clock)) as other:
        database = prepared(Database(engine, clock=clock))
        runs: list[int] = []

        def work(connection: Connection) -> None:
            seen = connection.execute(select(counters.c.n)).scalar_one()
            if not runs:
                other.write(lambda elsewhere: set_counter(elsewhere, 10))
            runs.append(seen)
            set_counter(connection, seen + 1)

        database.write(work)
        assert runs == [0, 10]
        assert read_counter(database) == 11
    engine.dispose()


def test_a_database_that_stays_busy_is_an_error(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retries end: a database locked for longer is reported in one line."""
    monkeypatch.setattr(urls, "BUSY_TIMEOUT_S", 0.001)
    path = tmp_path / "busy.db"
    with closing(Database(f"sqlite:///{path}", clock=clock)) as database:
        database.ping()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseError, match="locked"):
                database.write(lambda connection: None)
            assert database.read(lambda connection: 1) == 1
            other.execute("ROLLBACK")
        database.write(lambda connection: None)


def test_a_write_that_finds_the_file_locked_waits(tmp_path: Path, clock: ManualClock) -> None:
    """A write begins with its lock (BEGIN IMMEDIATE), so what it read before cannot change under it."""
    url = f"sqlite:///{tmp_path / 'two.db'}"
    with closing(Database(url, clock=clock)) as one, closing(Database(url, clock=clock)) as two:
        prepared(one)

        def increments(database: Database) -> None:
            def work(connection: Connection) -> None:
                set_counter(connection, connection.execute(select(counters.c.n)).scalar_one() + 1)

            for _ in range(20):
                database.write(work)

        thread = threading.Thread(target=increments, args=(two,))
        thread.start()
        increments(one)
        thread.join()
        assert read_counter(one) == 40


def test_a_read_sees_one_moment(tmp_path: Path, clock: ManualClock) -> None:
    """On SQLite both statements of a read see the same data, though another connection writes in between."""
    url = f"sqlite:///{tmp_path / 'two.db'}"
    with closing(Database(url, clock=clock)) as one, closing(Database(url, clock=clock)) as two:
        prepared(one)

        def work(connection: Connection) -> tuple[int, int]:
            before = connection.execute(select(counters.c.n)).scalar_one()
            two.write(lambda elsewhere: set_counter(elsewhere, 7))
            return before, connection.execute(select(counters.c.n)).scalar_one()

        assert one.read(work) == (0, 0)


def test_a_new_file_is_private_from_the_start(tmp_path: Path, clock: ManualClock) -> None:
    """The file, its journal and its shared memory are readable by their owner only, under any umask."""
    path = tmp_path / "private.db"
    before = os.umask(0)
    try:
        with closing(Database(f"sqlite:///{path}", clock=clock)) as database:
            prepared(database)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"private.db": 0o600, "private.db-wal": 0o600, "private.db-shm": 0o600}


def test_a_file_of_the_owner_keeps_its_mode(tmp_path: Path, clock: ManualClock) -> None:
    """A file that exists was given its mode by somebody, and keeps it."""
    path = tmp_path / "mine.db"
    path.touch(0o640)
    path.chmod(0o640)
    with closing(Database(f"sqlite:///{path}", clock=clock)) as database:
        database.ping()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_is_in_wal_mode(tmp_path: Path, clock: ManualClock) -> None:
    """Readers of a file do not wait for its writer."""
    with closing(Database(f"sqlite:///{tmp_path / 'wal.db'}", clock=clock)) as database:
        mode = database.read(lambda connection: connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    assert mode == "wal"


def test_construction_opens_nothing(tmp_path: Path, clock: ManualClock) -> None:
    """Neither a file is made nor a host contacted before the first use."""
    Database(f"sqlite:///{tmp_path / 'later.db'}", clock=clock)
    Database("postgresql+psycopg://nobody:secret@127.0.0.1:1/none", clock=clock)
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_database_names_itself_without_its_password(clock: ManualClock) -> None:
    """The error of a database that does not answer is one line with the URL, every password masked."""
    url = "postgresql+psycopg://nobody:s3cret@127.0.0.1:1/none?sslpassword=s3cret"
    with closing(Database(url, clock=clock)) as database, pytest.raises(DatabaseError) as caught:
        database.ping()
    message = str(caught.value)
    assert "127.0.0.1:1/none" in message
    assert "s3cret" not in message + database.url
    assert "\n" not in message


def test_a_folder_that_does_not_exist_is_a_database_error(tmp_path: Path, clock: ManualClock) -> None:
    """A file that cannot be made is reported with its path."""
    with pytest.raises(DatabaseError, match=r"nowhere/x\.db"):
        Database(f"sqlite:///{tmp_path}/nowhere/x.db", clock=clock).ping()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "mysql://u:s3cret@h/x",
        "postgresql+asyncpg://u:s3cret@h/x",
        "postgresql://u:s3cret@h:port/x",
        "sqlite+aiosqlite://",
        "sqlite:///file:x?uri=true",
        "sqlite://host/x",
        "sqlite:///x?mode=memory",
        "postgresql://u:s3cret@h/x?plugin=nonsense",
    ],
)
def test_a_url_that_cannot_be_used_is_a_value_error(url: str, clock: ManualClock) -> None:
    """A wrong URL is found at construction, and the message does not repeat the password in it."""
    with pytest.raises(ValueError) as caught:
        Database(url, clock=clock)
    assert isinstance(caught.value, SessionsError)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_means_psycopg(scheme: str, clock: ManualClock) -> None:
    """The schemes that hosting providers hand out are taken as they are."""
    assert Database(f"{scheme}://u:p@h/x", clock=clock).url == "postgresql+psycopg://u:***@h/x"


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> None:
    """Without psycopg the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ValueError, match=r'pip install "coatcheck\[postgres\]"'):
        Database("postgresql://u:s3cret@h/x", clock=clock)


def test_only_a_database_in_memory_is_inline(tmp_path: Path, clock: ManualClock) -> None:
    """Callers learn whether they work in their own thread, and how many connections there are."""
    found = {
        url: (database.inline, database.connections)
        for url in ("sqlite://", "sqlite:///:memory:", f"sqlite:///{tmp_path}/x.db", "postgresql://h/x")
        for database in [Database(url, clock=clock)]
    }
    assert list(found.values()) == [(True, 1), (True, 1), (False, 10), (False, 10)]


def test_memory_survives_threads(memory: Database) -> None:
    """A database in memory is one and the same for all threads."""
    prepared(memory)
    in_threads(3, lambda: memory.write(lambda connection: set_counter(connection, 9)))
    assert read_counter(memory) == 9


def test_closing_ends_a_database_in_memory(memory: Database) -> None:
    """After close, the next use finds an empty database with its tables."""
    prepared(memory)
    memory.close()
    memory.ping()
    with pytest.raises(DatabaseError, match="no such table"):
        read_counter(memory)


def own_engine(path: Path, *, how: str) -> Engine:
    """Return an engine an application may have made: as SQLAlchemy does it, or with its transaction recipes."""
    engine = create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT" if how == "autocommit" else "SERIALIZABLE")
    if how == "recipe":
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


@pytest.mark.parametrize("how", ["plain", "recipe", "autocommit"])
def test_an_engine_of_the_application(how: str, tmp_path: Path, clock: ManualClock) -> None:
    """An engine is used however its transactions are set up: rollbacks, write locks and commits hold."""
    engine = own_engine(tmp_path / "own.db", how=how)
    database = prepared(Database(engine, clock=clock))

    def fails(connection: Connection) -> None:
        set_counter(connection, 1)
        raise KeyError

    def increments() -> None:
        for _ in range(10):
            database.write(lambda connection: connection.execute(update(counters).values(n=counters.c.n + 1)))

    with pytest.raises(KeyError):
        database.write(fails)
    in_threads(3, increments)
    assert read_counter(database) == 30
    engine.dispose()


def test_values_stay_out_of_errors_of_an_engine_of_the_application(tmp_path: Path, clock: ManualClock) -> None:
    """Whatever its engine says about parameters, what was to be stored does not get into a log by way of an error."""
    engine = own_engine(tmp_path / "own.db", how="plain")
    database = prepared(Database(engine, clock=clock))
    with pytest.raises(IntegrityError) as broken:
        database.write(lambda connection: connection.execute(insert(counters).values(id=1, n=271828)))
    nowhere = text("INSERT INTO nowhere VALUES (:secret)")
    with pytest.raises(DatabaseError) as refused:
        database.write(lambda connection: connection.execute(nowhere, {"secret": 271828}))
    assert "271828" not in f"{broken.value}{refused.value}{refused.value.__cause__}"
    engine.dispose()


def test_an_engine_of_the_application_is_left_alone(tmp_path: Path, clock: ManualClock) -> None:
    """Its connections stay as they were for the application, and close() does not close it."""
    engine = create_engine(f"sqlite:///{tmp_path / 'own.db'}")
    database = prepared(Database(engine, clock=clock))
    pool = engine.pool
    database.close()
    assert engine.pool is pool
    with engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        assert raw.isolation_level == ""
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "delete"
    engine.dispose()


def test_an_engine_in_memory_needs_a_pool_of_one(clock: ManualClock) -> None:
    """Other pools lose data between threads, so they are refused; the right one is inline."""
    for engine in (create_engine("sqlite://"), create_engine("sqlite://", poolclass=StaticPool)):
        with pytest.raises(ValueError, match="pool_size=1"):
            Database(engine, clock=clock)
    engine = create_engine(
        "sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, connect_args={"check_same_thread": False}
    )
    database = prepared(Database(engine, clock=clock))
    assert database.inline
    engine.dispose()


def test_what_is_no_engine_is_refused(clock: ManualClock) -> None:
    """An object that is neither URL nor engine is refused at construction."""
    with pytest.raises(ValueError, match=r"sqlalchemy\.Engine"):
        Database(object(), clock=clock)  # type: ignore[arg-type]


def test_a_lost_connection_is_replaced_for_a_read(postgres_url: str, clock: ManualClock) -> None:
    """A read whose server connection was cut runs again on a new one."""
    with closing(Database(postgres_url, clock=clock)) as database:
        runs: list[int] = []

        def work(connection: Connection) -> int:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            if not runs:
                killer = create_engine(postgres_url)
                with killer.connect() as other:
                    other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
                killer.dispose()
            runs.append(pid)
            return int(connection.execute(text("SELECT 1")).scalar_one())

        database.ping()
        assert database.read(work) == 1
        assert len(runs) == 2


FORKS = """
import os, sys
from sqlalchemy import text
from coatcheck.claims.clock import Clock
from coatcheck.sessions.database import Database

database = Database(sys.argv[1], clock=Clock())
add = lambda connection: connection.execute(text("UPDATE counters SET n = n + 1"))
database.write(add)
child = os.fork()
database.write(add)
database.close()
if child:
    assert os.waitpid(child, 0)[1] == 0
    database.write(add)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_process_gets_connections_of_its_own(shared_url: str, clock: ManualClock) -> None:
    """After a fork the child leaves the parent's connections alone: both go on working."""
    with closing(Database(shared_url, clock=clock)) as database:
        prepared(database)
        ran = python("-W", "error", "-c", FORKS, shared_url)
        assert ran.returncode == 0, ran.stderr
        assert read_counter(database) == 4


def test_parameters_stay_out_of_messages(memory: Database) -> None:
    """Values bound to a statement, which may be secrets, appear in no error."""
    statement = text("INSERT INTO nowhere VALUES (:secret)")
    with pytest.raises(DatabaseError) as caught:
        memory.write(lambda connection: connection.execute(statement, {"secret": "s3cret"}))
    assert isinstance(caught.value.__cause__, OperationalError)
    assert "s3cret" not in str(caught.value) + str(caught.value.__cause__)


def test_the_clock_is_the_one_given() -> None:
    """A database knows the clock of its App."""
    clock = Clock()
    assert Database("sqlite://", clock=clock).clock is clock
