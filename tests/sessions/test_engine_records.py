"""Stored sessions by handle and by user, and sessions that have ended."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, text

from coatcheck.claims.clock import ManualClock
from coatcheck.claims.exceptions import ProtectedClaimError
from coatcheck.sessions.database import Database
from coatcheck.sessions.engine import SessionEngine
from coatcheck.sessions.exceptions import UnauthorisedError
from coatcheck.sessions.session import EngineSession, SessionInformation

from ..engine import MakeEngine, created, refreshed, refused, token_of, verified

NO_SESSION = "no-such-handle"


class Family:
    """A directory in which r1 and r2 are login methods of p."""

    def primary_id(self, connection: Connection, recipe_user_id: str) -> str:
        """Return p for r1 and r2."""
        return "p" if recipe_user_id in ("r1", "r2") else recipe_user_id

    def login_method_ids(self, connection: Connection, user_id: str) -> Sequence[str]:
        """Return both login methods of p, whichever of the three is asked for."""
        return ["r1", "r2"] if user_id in ("p", "r1", "r2") else []


def recorded(engine: SessionEngine, user: str = "u1", **options: Any) -> EngineSession:
    """Create a session with defaults for what a test does not care about."""
    values: dict[str, Any] = {"payload": {"iss": "i", "a": 1}, "data": {"d": 1}, "anti_csrf": False, "static": False}
    return engine.create(recipe_user_id=user, **{"tenant_id": "public", **values, **options})


def information_of(engine: SessionEngine, session: EngineSession) -> SessionInformation:
    """Return what is stored about a session that exists."""
    information = engine.information(session.handle)
    assert information is not None
    return information


def test_information_is_complete(engine: SessionEngine, clock: ManualClock) -> None:
    """It holds ids, data, custom claims without the server's, and times in milliseconds."""
    session = recorded(engine)
    assert information_of(engine, session) == SessionInformation(
        session_handle=session.handle,
        user_id="u1",
        recipe_user_id="u1",
        session_data_in_database={"d": 1},
        expiry=clock.now_ms() + 8_640_000_000,
        custom_claims_in_access_token_payload={"iss": "i", "a": 1},
        time_created=clock.now_ms(),
        tenant_id="public",
    )


def test_unknown_handle_is_answered_not_raised(engine: SessionEngine) -> None:
    """Reading gives None, changing and revoking give False."""
    for handle in (NO_SESSION, ""):
        assert engine.information(handle) is None
        assert not engine.update_data(handle, {})
        assert not engine.merge_payload(handle, {})
        assert not engine.revoke(handle)


@pytest.mark.parametrize(("given", "kept"), [({"e": [1, None]}, {"e": [1, None]}), ({}, {}), (None, {})])
def test_data_and_payload_are_replaced_as_a_whole(
    engine: SessionEngine, given: dict[str, Any] | None, kept: dict[str, Any]
) -> None:
    """An update leaves nothing of what was there before; None is the empty object."""
    session = recorded(engine)
    assert engine.update_data(session.handle, given)
    assert engine.regenerate(session.access_token, given)
    information = information_of(engine, session)
    assert information.session_data_in_database == kept
    assert information.custom_claims_in_access_token_payload == kept


def test_merge_overlays_and_null_removes(engine: SessionEngine) -> None:
    """Merging keeps other claims, replaces objects as a whole, and keeps nulls inside them."""
    session = recorded(engine, payload={"a": 1, "b": {"x": 1}, "c": 3})
    assert engine.merge_payload(session.handle, {"b": {"y": None}, "c": None, "gone": None})
    assert information_of(engine, session).custom_claims_in_access_token_payload == {"a": 1, "b": {"y": None}}


def test_protected_claims_cannot_be_written_by_handle(engine: SessionEngine) -> None:
    """Neither replacing nor merging sets a claim that the server owns; removing one removes nothing."""
    session = recorded(engine)
    with pytest.raises(ProtectedClaimError):
        engine.regenerate(session.access_token, {"rsub": "x"})
    with pytest.raises(ProtectedClaimError):
        engine.merge_payload(session.handle, {"rsub": "x"})
    assert engine.merge_payload(session.handle, {"rsub": None})
    assert information_of(engine, session).custom_claims_in_access_token_payload == {"iss": "i", "a": 1}


def test_expired_session_is_no_session(engine: SessionEngine, clock: ManualClock) -> None:
    """Once expired it is not found, changed or listed; only revoking its handle still counts the row."""
    session = recorded(engine)
    clock.advance(8_640_000)
    assert engine.information(session.handle) is None
    assert not engine.update_data(session.handle, {})
    assert engine.regenerate(session.access_token, {}) is None
    assert not engine.merge_payload(session.handle, {})
    assert engine.handles_of("u1", linked=True, tenant_id=None) == []
    assert engine.revoke_all("u1", linked=True, tenant_id=None) == []
    assert engine.revoke(session.handle)


def test_seven_sessions_of_one_user(engine: SessionEngine, clock: ManualClock) -> None:
    """Sessions of a user live side by side and are listed oldest first."""
    handles = []
    for _ in range(7):
        handles.append(recorded(engine).handle)
        clock.advance(1)
    recorded(engine, "u2")
    assert engine.handles_of("u1", linked=True, tenant_id=None) == handles


def test_revoking_twice(engine: SessionEngine) -> None:
    """The second time there is nothing left to delete."""
    session = recorded(engine)
    assert (engine.revoke(session.handle), engine.revoke(session.handle)) == (True, False)
    assert engine.information(session.handle) is None


def test_revoke_many_returns_what_existed(engine: SessionEngine) -> None:
    """Unknown handles are left out, tenants may be mixed, doubles count once, and more than a batch is fine."""
    one, two, kept = recorded(engine), recorded(engine, tenant_id="t1"), recorded(engine)
    unknown = [f"unknown-{number}" for number in range(1_200)]
    assert engine.revoke_many([two.handle, *unknown, one.handle, two.handle]) == [two.handle, one.handle]
    assert engine.revoke_many([]) == []
    assert engine.handles_of("u1", linked=False, tenant_id=None) == [kept.handle]


def test_lists_can_be_confined_to_a_tenant(engine: SessionEngine) -> None:
    """No tenant means all of them."""
    public, other = recorded(engine), recorded(engine, tenant_id="t1")
    assert engine.handles_of("u1", linked=False, tenant_id="t1") == [other.handle]
    assert set(engine.handles_of("u1", linked=False, tenant_id=None)) == {public.handle, other.handle}
    assert engine.revoke_all("u1", linked=False, tenant_id="public") == [public.handle]
    assert engine.revoke_all("u1", linked=False, tenant_id="public") == []
    assert engine.handles_of("u1", linked=False, tenant_id=None) == [other.handle]


@pytest.mark.parametrize("asked", ["p", "r1", "r2"])
def test_linked_sessions_are_those_of_all_login_methods(make_engine: MakeEngine, asked: str) -> None:
    """Without `linked` only the sessions of exactly that login method are meant."""
    engine = make_engine(directory=Family())
    by_method = {user: recorded(engine, user).handle for user in ("r1", "r2", "u9")}
    assert set(engine.handles_of(asked, linked=True, tenant_id=None)) == {by_method["r1"], by_method["r2"]}
    alone = engine.handles_of(asked, linked=False, tenant_id=None)
    assert alone == ([by_method[asked]] if asked != "p" else [])
    assert set(engine.revoke_all(asked, linked=True, tenant_id=None)) == {by_method["r1"], by_method["r2"]}
    assert engine.handles_of("u9", linked=True, tenant_id=None) == [by_method["u9"]]


def test_unknown_user_has_no_sessions(engine: SessionEngine) -> None:
    """Listing and revoking give the empty list."""
    assert engine.handles_of("nobody", linked=True, tenant_id=None) == []
    assert engine.revoke_all("nobody", linked=True, tenant_id=None) == []


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
