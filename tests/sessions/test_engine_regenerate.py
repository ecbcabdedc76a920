"""Regenerating access tokens with other claims."""

from __future__ import annotations

import json

import pytest

from coatcheck.claims.clock import ManualClock
from coatcheck.claims.exceptions import ProtectedClaimError
from coatcheck.sessions.database import Database
from coatcheck.sessions.engine import SessionEngine

from ..engine import created, refreshed, stored, verified

MINUTE = 60
KEYS = [
    "iat",
    "exp",
    "sub",
    "tId",
    "rsub",
    "sessionHandle",
    "refreshTokenHash1",
    "parentRefreshTokenHash1",
    "antiCsrfToken",
]


def test_regeneration_keeps_expiry_and_pairing(engine: SessionEngine, database: Database, clock: ManualClock) -> None:
    """Only claims and `iat` change, in the token and in the database; the rotation state is not touched."""
    child = refreshed(engine, created(engine, anti_csrf=True), anti_csrf=True)
    before = stored(database, clock, child)
    clock.advance(MINUTE)
    result = engine.regenerate(child.access_token, {"k": [1]})
    assert result is not None
    session, token = result
    kept = {name: child.payload[name] for name in KEYS if name != "iat"}
    assert session.payload == {**kept, "iat": clock.now_ms() // 1000, "k": [1]}
    assert token is not None
    assert (token.token, token.expiry) == (session.access_token, child.payload["exp"] * 1000)
    assert token.created_time == session.payload["iat"] * 1000
    after = stored(database, clock, child)
    assert json.loads(after.payload) == {"k": [1]}
    assert (after.cur, after.salt, after.expires_at) == (before.cur, before.salt, before.expires_at)
    assert verified(engine, session).updated, "its parent is still to be confirmed"


def test_regeneration_of_an_expired_token_stores_only(engine: SessionEngine, clock: ManualClock) -> None:
    """No new token is minted for one that has expired; the next refresh carries the claims."""
    session = created(engine)
    clock.advance(3_601)
    result = engine.regenerate(session.access_token, {"k": 1})
    assert result is not None
    assert result[1] is None
    assert (result[0].access_token, result[0].updated) == (session.access_token, False)
    assert result[0].payload["k"] == 1
    assert refreshed(engine, session).payload["k"] == 1


def test_regeneration_of_a_session_that_is_gone_gives_nothing(engine: SessionEngine, clock: ManualClock) -> None:
    """Revoked or expired: there is nothing to store the claims with."""
    revoked, expired = created(engine), created(engine)
    engine.revoke(revoked.handle)
    assert engine.regenerate(revoked.access_token, {}) is None
    clock.advance(8_640_000)
    assert engine.regenerate(expired.access_token, {}) is None


def test_regeneration_refuses_protected_claims(engine: SessionEngine) -> None:
    """A protected name is refused before anything is stored."""
    session = created(engine, payload={"a": 1})
    with pytest.raises(ProtectedClaimError):
        engine.regenerate(session.access_token, {"exp": 9})
    information = engine.information(session.handle)
    assert information is not None
    assert information.custom_claims_in_access_token_payload == {"a": 1}
