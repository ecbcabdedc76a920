"""Sessions that have ended, and refreshes without their anti-CSRF token: nothing brings them back."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import text

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions.database import Database
from coatcheck.sessions.engine import SessionEngine
from coatcheck.sessions.exceptions import UnauthorisedError

from ..engine import MakeEngine, created, refreshed, refused, token_of, verified

DAY = 86_400


def test_anti_csrf_token_must_come_with_the_refresh_token(engine: SessionEngine) -> None:
    """Missing, wrong and another session's anti-CSRF token are all unauthorised; the right one gets a new one."""
    session, other = created(engine, anti_csrf=True), created(engine, anti_csrf=True)
    assert session.anti_csrf_token is not None
    assert uuid.UUID(session.anti_csrf_token)
    assert session.payload["antiCsrfToken"] == session.anti_csrf_token
    for wrong in (None, "", "x", "\ud800", session.anti_csrf_token.upper(), other.anti_csrf_token):
        with pytest.raises(UnauthorisedError) as caught:
            refreshed(engine, token_of(session), check_anti_csrf=True, anti_csrf_token=wrong)
        assert caught.value.clear_tokens
    right = {"check_anti_csrf": True, "anti_csrf_token": session.anti_csrf_token, "anti_csrf": True}
    child = refreshed(engine, token_of(session), **right)
    assert child.anti_csrf_token not in (None, session.anti_csrf_token)
    assert child.payload["antiCsrfToken"] == child.anti_csrf_token


def test_anti_csrf_is_checked_only_where_there_is_something_to_check(engine: SessionEngine) -> None:
    """A token issued without one is accepted, and so is any token when the transport needs no check."""
    without, with_one = created(engine), created(engine, anti_csrf=True)
    child = refreshed(engine, token_of(without), check_anti_csrf=True, anti_csrf=True)
    assert child.anti_csrf_token is not None
    child = refreshed(engine, token_of(with_one))
    assert child.anti_csrf_token is None
    assert child.payload["antiCsrfToken"] is None


def test_deleted_sessions_tokens_never_revive(engine: SessionEngine, clock: ManualClock) -> None:
    """No token of a revoked session refreshes, is confirmed, is theft, or brings a row back."""
    s0 = created(engine)
    s1 = refreshed(engine, token_of(s0))
    s2 = refreshed(engine, token_of(s1))
    assert engine.revoke(s0.handle)
    fresh = created(engine)
    for session in (s0, s1, s2):
        assert refused(engine, token_of(session))
        with pytest.raises(UnauthorisedError):
            verified(engine, session, check_database=True)
    for session in (s1, s2):
        with pytest.raises(UnauthorisedError):
            verified(engine, session)
    assert engine.regenerate(s0.access_token, {}) is None
    assert not engine.update_data(s0.handle, {"a": 1})
    assert engine.handles_of("u1", linked=True, tenant_id=None) == [fresh.handle]


def test_expired_sessions_tokens_never_revive(make_engine: MakeEngine, clock: ManualClock) -> None:
    """A session ends at the millisecond it expires, also for a child not used until then, cleaned up or not."""
    engine = make_engine(refresh_token_validity_ms=DAY * 1000)
    session, other = created(engine), created(engine)
    clock.advance(DAY - 0.001)
    child = refreshed(engine, token_of(session))
    late = refreshed(engine, token_of(other))
    verified(engine, late)
    clock.advance(0.001)
    for token in (token_of(session), token_of(child)):
        assert refused(engine, token)
    for check_database in (False, True):
        with pytest.raises(UnauthorisedError):
            verified(engine, child, check_database=check_database)
    assert engine.information(session.handle) is None
    assert engine.clean_up() == 1
    assert refused(engine, token_of(child))
    assert not refused(engine, token_of(late))


def test_absolute_lifetime_ends_a_session_however_often_it_is_refreshed(
    make_engine: MakeEngine, clock: ManualClock
) -> None:
    """Neither the session nor a token of it outlives the absolute lifetime."""
    engine = make_engine(absolute_lifetime_ms=3 * DAY * 1000, refresh_token_validity_ms=2 * DAY * 1000)
    session = created(engine)
    end_ms = clock.now_ms() + 3 * DAY * 1000
    for _ in range(5):
        clock.advance(DAY / 2)
        session = refreshed(engine, token_of(session))
        verified(engine, session)
        information = engine.information(session.handle)
        assert information is not None
        assert information.expiry == min(clock.now_ms() + 2 * DAY * 1000, end_ms)
    clock.advance(DAY / 2 - 1)
    session = refreshed(engine, token_of(session))
    assert session.payload["exp"] == end_ms // 1000
    assert session.refresh_token is not None
    assert session.refresh_token.expiry == end_ms
    assert verified(engine, session).payload["exp"] == end_ms // 1000
    clock.advance(1)
    assert refused(engine, token_of(session))


def test_user_supplied_handles_are_data(engine: SessionEngine) -> None:
    """A handle that looks like SQL, or like a pattern, matches nothing."""
    created(engine)
    for handle in ("", "%", "' OR 1=1 --", "_", "*"):
        assert engine.information(handle) is None
        assert not engine.revoke(handle)
    assert engine.revoke_many(["%", "' OR 1=1 --"]) == []


def test_clock_set_back_does_not_freeze_siblings(engine: SessionEngine, database: Database) -> None:
    """A salt that seems to come from the future is drawn anew, so that siblings do not stay equal until then."""
    session = created(engine)
    first = token_of(refreshed(engine, token_of(session)))
    statement = text("UPDATE coatcheck_sessions SET salt_drawn_at = salt_drawn_at + 3600000")
    database.write(lambda connection: connection.execute(statement))
    assert token_of(refreshed(engine, token_of(session))) != first
