"""Clean-up: expired rows go without a timer, in bounded batches, and nobody notices."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine, event, func, insert, select, text

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions import clean_up, rows as session_rows
from coatcheck.sessions.clean_up import BATCH, INTERVAL_MS, CleanUp
from coatcheck.sessions.database import Database
from coatcheck.sessions.engine import SessionEngine
from coatcheck.sessions.session import EngineSession

from ..engine import MakeEngine, created

DAY = 86_400
INTERVAL = INTERVAL_MS / 1000


@pytest.fixture
def engine(make_engine: MakeEngine) -> SessionEngine:
    """Return an engine whose sessions expire after an hour without use."""
    return make_engine(refresh_token_validity_ms=3_600_000, access_token_validity_ms=60_000)


def count(database: Database) -> int:
    """Return how many rows there are, expired or not."""
    statement = select(func.count()).select_from(session_rows.table)
    return database.read(lambda connection: connection.execute(statement).scalar_one())


def fill(database: Database, clock: ManualClock, session: EngineSession, *, rows: int) -> None:
    """Multiply a session into that many more rows."""
    row = database.read(lambda connection: session_rows.find(connection, session.handle, at_ms=clock.now_ms()))
    assert row is not None
    copies = [replace(row, handle=f"copy-{number}") for number in range(rows)]
    values = [{name: getattr(copy, name) for name in session_rows.table.columns.keys()} for copy in copies]  # noqa: SIM118
    database.write(lambda connection: connection.execute(insert(session_rows.table), values))


def test_clean_up_deletes_all_that_has_expired_and_nothing_else(
    engine: SessionEngine, database: Database, clock: ManualClock
) -> None:
    """It goes on batch by batch until nothing is left, and says how much that was."""
    fill(database, clock, created(engine), rows=2 * BATCH + 1)
    clock.advance(3_600)
    alive = created(engine)
    assert engine.clean_up() == 2 * BATCH + 2
    assert engine.clean_up() == 0
    assert count(database) == 1
    assert engine.information(alive.handle) is not None


def test_creating_a_session_cleans_up_after_twelve_hours(
    engine: SessionEngine, database: Database, clock: ManualClock
) -> None:
    """The first run is due one interval after the first write, the next one an interval after that."""
    created(engine)
    clock.advance(INTERVAL - 1)
    created(engine)
    assert count(database) == 2
    clock.advance(1)
    created(engine)
    assert count(database) == 2, "the expired one went, the two younger ones stay"
    clock.advance(INTERVAL / 2)
    created(engine)
    assert count(database) == 3
    clock.advance(INTERVAL / 2)
    created(engine)
    assert count(database) == 1


def test_one_write_deletes_one_batch_and_the_next_goes_on(
    engine: SessionEngine, database: Database, clock: ManualClock
) -> None:
    """No request waits for a mountain to be removed; while batches are full, the clean-up stays due."""
    fill(database, clock, created(engine), rows=BATCH + 9)
    clock.advance(INTERVAL)
    created(engine)
    assert count(database) == 11
    created(engine)
    assert count(database) == 2


def test_clean_up_is_shared_between_processes_and_survives_a_restart(
    engine: SessionEngine, make_engine: MakeEngine, database: Database, clock: ManualClock
) -> None:
    """When it last ran is kept in the database: a new process neither repeats nor postpones it."""
    created(engine)
    clock.advance(INTERVAL - 60)
    other = make_engine()
    created(other)
    clock.advance(60)
    created(make_engine())
    assert count(database) == 2
    statement = select(clean_up.table.c.ran_at)
    assert database.read(lambda connection: connection.execute(statement).scalar_one()) == clock.now_ms()


def test_reading_and_refreshing_never_clean_up(engine: SessionEngine, database: Database, clock: ManualClock) -> None:
    """Only creation pays for it."""
    created(engine)
    clock.advance(INTERVAL)
    engine.handles_of("u1", linked=True, tenant_id=None)
    engine.update_data("x", {})
    assert count(database) == 1


def test_nobody_notices_whether_an_expired_session_was_cleaned_up(engine: SessionEngine, clock: ManualClock) -> None:
    """What every operation answers is the same before and after."""
    session = created(engine)
    clock.advance(3_600)

    def answers() -> list[object]:
        return [
            engine.information(session.handle),
            engine.update_data(session.handle, {}),
            engine.merge_payload(session.handle, {}),
            engine.handles_of("u1", linked=True, tenant_id=None),
            engine.regenerate(session.access_token, {}),
        ]

    before = answers()
    assert engine.clean_up() == 1
    assert answers() == before


def test_failing_clean_up_does_not_fail_the_write(
    database: Database, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What was written is safe, so the failure is logged and the next write tries again."""
    calls = 0

    def broken(connection: Connection, now_ms: int) -> int:
        nonlocal calls
        calls += 1
        connection.execute(text("SELECT * FROM no_such_table"))
        return 0

    cleaning = CleanUp(database, clock, kind="broken", delete_batch=broken)
    cleaning.after_write()
    clock.advance(INTERVAL)
    with caplog.at_level(logging.WARNING):
        cleaning.after_write()
        cleaning.after_write()
    assert calls == 2
    assert "clean-up of broken failed" in caplog.text


def test_loser_of_the_race_to_count_carries_on(
    database: Database, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Two processes that note the first clean-up of a kind at once do not fail each other."""
    cleaning = CleanUp(database, clock, kind="same", delete_batch=lambda _connection, _now_ms: 0)

    def note_first(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT coatcheck_clean_ups"):
            connection.exec_driver_sql("INSERT INTO coatcheck_clean_ups VALUES ('same', 0)")

    event.listen(Engine, "after_cursor_execute", note_first)
    try:
        cleaning.after_write()
    finally:
        event.remove(Engine, "after_cursor_execute", note_first)
    cleaning.after_write()
    assert caplog.text == ""


def test_kinds_are_counted_apart(database: Database, clock: ManualClock) -> None:
    """The clean-up of one kind of row says nothing about that of another."""
    ran: list[str] = []

    def cleaning(kind: str) -> CleanUp:
        def delete_batch(_connection: Connection, _now_ms: int) -> int:
            ran.append(kind)
            return 0

        return CleanUp(database, clock, kind=kind, delete_batch=delete_batch)

    one, two = cleaning("one"), cleaning("two")
    one.after_write()
    clock.advance(INTERVAL / 2)
    two.after_write()
    clock.advance(INTERVAL / 2)
    one.after_write()
    two.after_write()
    assert ran == ["one"]
