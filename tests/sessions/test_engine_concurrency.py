"""Many servers and threads on one database: no lock, no lost update, no false theft."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import pytest
from sqlalchemy import Connection, delete, update

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions import rows as session_rows
from coatcheck.sessions.database import Database
from coatcheck.sessions.engine import SessionEngine
from coatcheck.sessions.exceptions import DatabaseError, TokenTheftError, UnauthorisedError
from coatcheck.sessions.session import EngineSession

from ..engine import MakeEngine, created, refreshed, token_of

T = TypeVar("T")


def at_once(times: int, work: Callable[[int], T]) -> list[T]:
    """Run `work` that often in eight threads and return its results."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, range(times)))


def test_two_hundred_parallel_refreshes_get_the_same_successor(engine: SessionEngine) -> None:
    """All of them succeed, none forks the session, and the successor works."""
    session = created(engine)
    children = at_once(200, lambda _: refreshed(engine, session))
    assert len({token_of(child) for child in children}) == 1
    replaced = at_once(20, lambda n: engine.verify(children[n].payload, children[n].access_token, check_database=False))
    assert all(found.updated for found in replaced)
    assert token_of(refreshed(engine, children[0])) != token_of(children[0])


def test_parallel_refreshes_and_first_uses_never_trip_theft_within_ten_seconds(engine: SessionEngine) -> None:
    """Children presented in parallel promote once, and all yield the same grandchild."""
    child = refreshed(engine, created(engine))

    def use(number: int) -> str:
        if number % 2:
            engine.verify(child.payload, child.access_token, check_database=False)
        return token_of(refreshed(engine, child))

    # A verification that comes second finds the promotion done, and leaves the salt drawn by a refresh alone.
    assert len(set(at_once(40, use))) == 1


def test_two_engines_with_key_rings_of_their_own_agree(make_engine: MakeEngine, clock: ManualClock) -> None:
    """Servers that share nothing but the database issue the same successor and know each other's tokens."""
    one, two = make_engine(), make_engine()
    session = created(one)
    first, second = refreshed(one, session), refreshed(two, session)
    assert token_of(first) == token_of(second)
    assert two.verify(first.payload, first.access_token, check_database=False).updated
    assert token_of(refreshed(one, first)) == token_of(refreshed(two, second))
    with pytest.raises(TokenTheftError):
        refreshed(two, session)


def test_parallel_sessions_do_not_hinder_each_other(engine: SessionEngine) -> None:
    """Chains of different sessions, walked at once, all arrive."""

    def walk(_: int) -> str:
        session = created(engine)
        for _round in range(5):
            session = refreshed(engine, session)
            assert engine.verify(session.payload, session.access_token, check_database=False).updated
        return session.handle

    handles = at_once(16, walk)
    assert sorted(engine.handles_of("u1", linked=False, tenant_id=None)) == sorted(handles)


def test_parallel_merges_lose_no_claim(engine: SessionEngine) -> None:
    """Merging reads and writes, so a change in between is noticed and the merge is done anew."""
    session = created(engine, payload={})
    assert all(at_once(16, lambda number: engine.merge_payload(session.handle, {f"k{number}": number})))
    information = engine.information(session.handle)
    assert information is not None
    assert information.custom_claims_in_access_token_payload == {f"k{number}": number for number in range(16)}


def test_each_parallel_revocation_is_counted_once(engine: SessionEngine) -> None:
    """Of many that delete the same session, one is told that it did."""
    session = created(engine)
    assert sum(at_once(16, lambda _: engine.revoke(session.handle))) == 1


# The compare-and-set, step by step: `decide` is where another server's write can come in between.


def lost_race(
    database: Database, session: EngineSession, clock: ManualClock, meanwhile: Callable[[Connection], object]
) -> tuple[session_rows.SessionRow | None, list[str]]:
    """Draw a salt while `meanwhile` happens once, between reading and writing; return the row and the salts seen."""
    seen: list[str] = []

    def work(connection: Connection) -> session_rows.SessionRow | None:
        def decide(row: session_rows.SessionRow) -> session_rows.SessionRow:
            if not seen:
                meanwhile(connection)
            seen.append(row.salt)
            return row if row.salt else replace(row, salt="aa" * 16)

        return session_rows.settle(connection, session.handle, decide, at_ms=clock.now_ms())

    return database.write(work), seen


def test_lost_race_is_decided_anew(engine: SessionEngine, database: Database, clock: ManualClock) -> None:
    """A salt drawn by another server meanwhile is used, not overwritten."""
    session = created(engine)
    statement = update(session_rows.table).values(salt="bb" * 16, salt_drawn_at=clock.now_ms())
    row, seen = lost_race(database, session, clock, lambda connection: connection.execute(statement))
    assert row is not None
    assert (row.salt, seen) == ("bb" * 16, ["", "bb" * 16])


def test_session_moved_on_meanwhile_is_decided_anew(
    engine: SessionEngine, database: Database, clock: ManualClock
) -> None:
    """A write meant for one confirmed token does not hit the next, although neither has a salt."""
    session = created(engine)
    statement = update(session_rows.table).values(cur="cc" * 32)
    row, seen = lost_race(database, session, clock, lambda connection: connection.execute(statement))
    assert row is not None
    assert (row.cur, row.salt, seen) == ("cc" * 32, "aa" * 16, ["", ""])


def test_session_deleted_meanwhile_stays_deleted(engine: SessionEngine, database: Database, clock: ManualClock) -> None:
    """A write to a row that is gone changes nothing, and the session is absent."""
    session = created(engine)
    row, _ = lost_race(database, session, clock, lambda connection: connection.execute(delete(session_rows.table)))
    assert row is None
    with pytest.raises(UnauthorisedError):
        refreshed(engine, session)


def test_session_expired_meanwhile_is_not_extended(
    engine: SessionEngine, database: Database, clock: ManualClock
) -> None:
    """Every write checks the expiry again."""
    session = created(engine)
    statement = update(session_rows.table).values(expires_at=clock.now_ms())
    row, _ = lost_race(database, session, clock, lambda connection: connection.execute(statement))
    assert row is None


def test_endless_contention_is_an_error_not_an_answer(
    engine: SessionEngine, database: Database, clock: ManualClock
) -> None:
    """The decision is taken anew a bounded number of times; then the database is to blame, not the session."""
    session = created(engine)
    count = 0

    def work(connection: Connection) -> object:
        def decide(row: session_rows.SessionRow) -> session_rows.SessionRow:
            nonlocal count
            count += 1
            connection.execute(update(session_rows.table).values(salt=f"{count:032x}"))
            return replace(row, salt="aa" * 16)

        return session_rows.settle(connection, session.handle, decide, at_ms=clock.now_ms())

    with pytest.raises(DatabaseError, match="changed by others"):
        database.write(work)


def test_signing_waits_for_no_connection(make_engine: MakeEngine, database: Database, clock: ManualClock) -> None:
    """Transactions are over before a token is signed, so a directory may be asked inside and keys read outside."""
    asked: list[bool] = []

    class Asking:
        def primary_id(self, connection: Connection, recipe_user_id: str) -> str:
            asked.append(connection.in_transaction())
            return recipe_user_id

        def login_method_ids(self, connection: Connection, user_id: str) -> Sequence[str]:
            return [user_id]

    engine = make_engine(directory=Asking())
    refreshed(engine, created(engine))
    assert asked == [True, True]
