"""The chain of refresh tokens: which token is confirmed when, and which child a refresh yields."""

from __future__ import annotations

import pytest

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions.database import Database
from coatcheck.sessions.engine import SessionEngine
from coatcheck.sessions.exceptions import TokenTheftError
from coatcheck.sessions.refresh_token import hex_hash
from coatcheck.sessions.session import EngineSession

from ..engine import created, pairing, refreshed, stored, token_of, verified


def hash2(session: EngineSession) -> str:
    """Return what the database keeps of a confirmed refresh token."""
    return hex_hash(hex_hash(token_of(session)))


def test_lineage_trace(engine: SessionEngine, database: Database, clock: ManualClock) -> None:
    """The chain as a whole: what `cur` is after each call, and which pairing the access token carries."""
    s0 = created(engine)
    h0 = s0.payload["refreshTokenHash1"]
    assert verified(engine, s0).access_token == s0.access_token
    assert stored(database, clock, s0).cur == hash2(s0)

    s1 = refreshed(engine, s0)
    h1 = s1.payload["refreshTokenHash1"]
    assert stored(database, clock, s0).cur == hash2(s0)
    assert pairing(s1) == (h1, h0)

    lost = refreshed(engine, s0)
    assert token_of(lost) == token_of(s1), "a retry within ten seconds gets the same successor"
    clock.advance(11)
    s1b = refreshed(engine, s0)
    h1b = s1b.payload["refreshTokenHash1"]
    assert h1b != h1
    assert stored(database, clock, s0).cur == hash2(s0)
    assert pairing(s1b) == (h1b, h0)

    for _ in range(2):
        replacement = verified(engine, s1b)
        assert replacement.updated
        assert pairing(replacement) == (h1b, None)
        assert stored(database, clock, s0).cur == hash2(s1b)

    late = verified(engine, s1)
    assert (late.updated, late.access_token) == (False, s1.access_token)

    for stale in (s0, s1):
        with pytest.raises(TokenTheftError):
            refreshed(engine, stale)

    s2 = refreshed(engine, s1b)
    s3 = refreshed(engine, s2)
    assert stored(database, clock, s0).cur == hash2(s2)
    assert pairing(s3) == (s3.payload["refreshTokenHash1"], s2.payload["refreshTokenHash1"])


def test_ten_rounds_of_refresh_and_verify_never_trip_theft(engine: SessionEngine, clock: ManualClock) -> None:
    """An owner who always uses what he got last is never taken for a thief."""
    session = created(engine)
    for _ in range(10):
        session = refreshed(engine, session)
        assert verified(engine, session).updated
        clock.advance(1)


def test_refresh_without_use_of_the_result_can_be_repeated_for_ever(engine: SessionEngine, clock: ManualClock) -> None:
    """Until a child is used, its parent stays good: answers may get lost any number of times."""
    session = created(engine)
    children: set[str] = set()
    for _ in range(5):
        children.add(token_of(refreshed(engine, session)))
        clock.advance(3_600)
    assert len(children) == 5


def test_siblings_are_equal_for_ten_seconds_after_the_first(engine: SessionEngine, clock: ManualClock) -> None:
    """The ten seconds count from the draw, are not prolonged by use, and end after, not at, the tenth."""
    session = created(engine)
    first = refreshed(engine, session)
    clock.advance(10)
    assert token_of(refreshed(engine, session)) == token_of(first)
    clock.advance(0.001)
    assert token_of(refreshed(engine, session)) != token_of(first)


def test_salt_is_cleared_on_promotion(engine: SessionEngine, database: Database, clock: ManualClock) -> None:
    """A salt belongs to one confirmed token: the next one draws its own."""
    session = created(engine)
    child = refreshed(engine, session)
    drawn = stored(database, clock, session).salt
    verified(engine, child)
    assert (drawn != "", stored(database, clock, session).salt) == (True, "")
    refreshed(engine, child)
    assert stored(database, clock, session).salt not in ("", drawn)


def test_each_promotion_extends_the_session(engine: SessionEngine, clock: ManualClock) -> None:
    """A session ends when nothing was confirmed for the refresh token's validity; refreshing alone does not extend."""
    session = created(engine)
    clock.advance(8_000_000)
    child = refreshed(engine, session)
    information = engine.information(session.handle)
    assert information is not None
    assert information.expiry == information.time_created + 8_640_000_000
    verified(engine, child)
    information = engine.information(session.handle)
    assert information is not None
    assert information.expiry == clock.now_ms() + 8_640_000_000


def test_refreshing_with_a_child_confirms_it_as_well(
    engine: SessionEngine, database: Database, clock: ManualClock
) -> None:
    """Without any verification between, the session moves on, is extended, and draws a salt of its own."""
    session = created(engine)
    clock.advance(1_000)
    child = refreshed(engine, session)
    before = stored(database, clock, session)
    clock.advance(1)
    refreshed(engine, child)
    after = stored(database, clock, session)
    assert (before.cur, after.cur) == (hash2(session), hash2(child))
    assert before.expires_at == before.created_at + 8_640_000_000
    assert after.expires_at == clock.now_ms() + 8_640_000_000
    assert after.salt not in (before.salt, "")
    assert after.salt_drawn_at == clock.now_ms()
