"""Stored sessions by handle and by user: information, updates, lists, revocation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection

from coatcheck.claims.clock import ManualClock
from coatcheck.claims.exceptions import ProtectedClaimError
from coatcheck.sessions.engine import EngineSession, SessionEngine, SessionInformation

from ..engine import MakeEngine

NO_SESSION = "no-such-handle"


class Family:
    """A directory in which r1 and r2 are login methods of p."""

    def primary_id(self, connection: Connection, recipe_user_id: str) -> str:
        """Return p for r1 and r2."""
        return "p" if recipe_user_id in ("r1", "r2") else recipe_user_id

    def login_method_ids(self, connection: Connection, user_id: str) -> Sequence[str]:
        """Return both login methods of p, whichever of the three is asked for."""
        return ["r1", "r2"] if user_id in ("p", "r1", "r2") else []


def created(engine: SessionEngine, user: str = "u1", **options: Any) -> EngineSession:
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
    session = created(engine)
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
        assert not engine.update_payload(handle, {})
        assert not engine.merge_payload(handle, {})
        assert not engine.revoke(handle)


@pytest.mark.parametrize(("given", "kept"), [({"e": [1, None]}, {"e": [1, None]}), ({}, {}), (None, {})])
def test_data_and_payload_are_replaced_as_a_whole(
    engine: SessionEngine, given: dict[str, Any] | None, kept: dict[str, Any]
) -> None:
    """An update leaves nothing of what was there before; None is the empty object."""
    session = created(engine)
    assert engine.update_data(session.handle, given)
    assert engine.update_payload(session.handle, given)
    information = information_of(engine, session)
    assert information.session_data_in_database == kept
    assert information.custom_claims_in_access_token_payload == kept


def test_merge_overlays_and_null_removes(engine: SessionEngine) -> None:
    """Merging keeps other claims, replaces objects as a whole, and keeps nulls inside them."""
    session = created(engine, payload={"a": 1, "b": {"x": 1}, "c": 3})
    assert engine.merge_payload(session.handle, {"b": {"y": None}, "c": None, "gone": None})
    assert information_of(engine, session).custom_claims_in_access_token_payload == {"a": 1, "b": {"y": None}}


def test_protected_claims_cannot_be_written_by_handle(engine: SessionEngine) -> None:
    """Neither replacing nor merging sets a claim that the server owns; removing one removes nothing."""
    session = created(engine)
    with pytest.raises(ProtectedClaimError):
        engine.update_payload(session.handle, {"rsub": "x"})
    with pytest.raises(ProtectedClaimError):
        engine.merge_payload(session.handle, {"rsub": "x"})
    assert engine.merge_payload(session.handle, {"rsub": None})
    assert information_of(engine, session).custom_claims_in_access_token_payload == {"iss": "i", "a": 1}


def test_expired_session_is_no_session(engine: SessionEngine, clock: ManualClock) -> None:
    """Once expired it is not found, changed or listed; only revoking its handle still counts the row."""
    session = created(engine)
    clock.advance(8_640_000)
    assert engine.information(session.handle) is None
    assert not engine.update_data(session.handle, {})
    assert not engine.update_payload(session.handle, {})
    assert not engine.merge_payload(session.handle, {})
    assert engine.handles_of("u1", linked=True, tenant_id=None) == []
    assert engine.revoke_all("u1", linked=True, tenant_id=None) == []
    assert engine.revoke(session.handle)


def test_seven_sessions_of_one_user(engine: SessionEngine, clock: ManualClock) -> None:
    """Sessions of a user live side by side and are listed oldest first."""
    handles = []
    for _ in range(7):
        handles.append(created(engine).handle)
        clock.advance(1)
    created(engine, "u2")
    assert engine.handles_of("u1", linked=True, tenant_id=None) == handles


def test_revoking_twice(engine: SessionEngine) -> None:
    """The second time there is nothing left to delete."""
    session = created(engine)
    assert (engine.revoke(session.handle), engine.revoke(session.handle)) == (True, False)
    assert engine.information(session.handle) is None


def test_revoke_many_returns_what_existed(engine: SessionEngine) -> None:
    """Unknown handles are left out, tenants may be mixed, doubles count once, and more than a batch is fine."""
    one, two, kept = created(engine), created(engine, tenant_id="t1"), created(engine)
    unknown = [f"unknown-{number}" for number in range(1_200)]
    assert engine.revoke_many([two.handle, *unknown, one.handle, two.handle]) == [two.handle, one.handle]
    assert engine.revoke_many([]) == []
    assert engine.handles_of("u1", linked=False, tenant_id=None) == [kept.handle]


def test_lists_can_be_confined_to_a_tenant(engine: SessionEngine) -> None:
    """No tenant means all of them."""
    public, other = created(engine), created(engine, tenant_id="t1")
    assert engine.handles_of("u1", linked=False, tenant_id="t1") == [other.handle]
    assert set(engine.handles_of("u1", linked=False, tenant_id=None)) == {public.handle, other.handle}
    assert engine.revoke_all("u1", linked=False, tenant_id="public") == [public.handle]
    assert engine.revoke_all("u1", linked=False, tenant_id="public") == []
    assert engine.handles_of("u1", linked=False, tenant_id=None) == [other.handle]


@pytest.mark.parametrize("asked", ["p", "r1", "r2"])
def test_linked_sessions_are_those_of_all_login_methods(make_engine: MakeEngine, asked: str) -> None:
    """Without `linked` only the sessions of exactly that login method are meant."""
    engine = make_engine(directory=Family())
    by_method = {user: created(engine, user).handle for user in ("r1", "r2", "u9")}
    assert set(engine.handles_of(asked, linked=True, tenant_id=None)) == {by_method["r1"], by_method["r2"]}
    alone = engine.handles_of(asked, linked=False, tenant_id=None)
    assert alone == ([by_method[asked]] if asked != "p" else [])
    assert set(engine.revoke_all(asked, linked=True, tenant_id=None)) == {by_method["r1"], by_method["r2"]}
    assert engine.handles_of("u9", linked=True, tenant_id=None) == [by_method["u9"]]


def test_unknown_user_has_no_sessions(engine: SessionEngine) -> None:
    """Listing and revoking give the empty list."""
    assert engine.handles_of("nobody", linked=True, tenant_id=None) == []
    assert engine.revoke_all("nobody", linked=True, tenant_id=None) == []
