"""Verifying and regenerating: what needs the database, and when the access token is replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from coatcheck.claims.clock import ManualClock
from coatcheck.claims.exceptions import ProtectedClaimError
from coatcheck.sessions.database import Database
from coatcheck.sessions.engine import SessionEngine
from coatcheck.sessions.exceptions import UnauthorisedError

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


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect every statement that is executed on any database meanwhile."""
    executed: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        executed.append(statement)

    event.listen(Engine, "before_cursor_execute", record)
    try:
        yield executed
    finally:
        event.remove(Engine, "before_cursor_execute", record)


def test_fast_path_returns_the_token_given(engine: SessionEngine) -> None:
    """A token without a parent needs no database, and gets none."""
    session = created(engine, anti_csrf=True)
    with statements() as executed:
        found = verified(engine, session)
    assert executed == []
    assert (found.access_token, found.updated, found.refresh_token) == (session.access_token, False, None)
    assert found.anti_csrf_token == session.anti_csrf_token


def test_replacement_has_full_lifetime_and_keeps_the_anti_csrf_token(engine: SessionEngine, clock: ManualClock) -> None:
    """The replacement differs from the token confirmed in its times, its parent, and in claims stored meanwhile."""
    child = refreshed(engine, created(engine, anti_csrf=True), anti_csrf=True)
    engine.merge_payload(child.handle, {"k": "new"})
    clock.advance(MINUTE)
    with statements() as confirming:
        replacement = verified(engine, child)
    assert confirming != []
    changed = {"parentRefreshTokenHash1": None, "k": "new", "iat": clock.now_ms() // 1000}
    exp = (clock.now_ms() + 3_600_000) // 1000
    assert replacement.payload == {**child.payload, **changed, "exp": exp}
    assert replacement.anti_csrf_token == child.anti_csrf_token is not None
    assert replacement.refresh_token is None
    with statements() as confirmed:
        verified(engine, replacement)
    assert confirmed == []


@pytest.mark.parametrize("parent", [None, "", 5, [], "absent"])
def test_parent_that_is_empty_or_no_text_is_none(engine: SessionEngine, parent: object) -> None:
    """Consumers accept the nullable claims missing, null, empty or of a wrong type."""
    payload = {**created(engine).payload, "parentRefreshTokenHash1": parent, "antiCsrfToken": parent}
    if parent == "absent":
        del payload["parentRefreshTokenHash1"], payload["antiCsrfToken"]
    with statements() as executed:
        assert engine.verify(payload, "t", check_database=False).anti_csrf_token is None
    assert executed == []


def test_token_without_tenant_and_login_method_takes_them_from_handle_and_user(engine: SessionEngine) -> None:
    """Tokens of older versions lack `tId` or `rsub`."""
    payload = dict(created(engine, tenant_id="t1").payload)
    del payload["tId"], payload["rsub"]
    found = engine.verify(payload, "t", check_database=False)
    assert (found.tenant_id, found.recipe_user_id) == ("t1", "u1")


def test_checking_the_database_notices_a_session_that_is_gone(engine: SessionEngine) -> None:
    """After revocation the fast path still accepts the token, a check of the database does not."""
    session = created(engine)
    assert verified(engine, session, check_database=True).updated is False
    engine.revoke(session.handle)
    assert verified(engine, session).access_token == session.access_token
    with pytest.raises(UnauthorisedError) as caught:
        verified(engine, session, check_database=True)
    assert caught.value.clear_tokens


def test_unconfirmed_token_of_a_session_that_is_gone_fails_at_once(engine: SessionEngine) -> None:
    """The first use of a refreshed token reads the database, and so notices revocation without being asked to."""
    child = refreshed(engine, created(engine))
    engine.revoke(child.handle)
    with pytest.raises(UnauthorisedError) as caught:
        verified(engine, child)
    assert caught.value.clear_tokens


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ({"a": {"x": 1, "y": [1]}}, {"a": {"y": [1], "x": 1}}, False),
        ({"a": {"x": 1, "y": [1]}}, {"a": {"x": 1, "y": [2]}}, True),
        ({"a": 1}, {"a": True}, True),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": None}, {}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
    ],
)
def test_checking_the_database_brings_claims_up_to_date(
    engine: SessionEngine, before: dict[str, Any], after: dict[str, Any], differs: bool
) -> None:
    """A replacement is minted exactly if the custom claims stored differ, however deep, from those of the token."""
    session = created(engine, payload=before)
    engine.regenerate(session.access_token, after)
    assert verified(engine, session).updated is False
    found = verified(engine, session, check_database=True)
    assert found.updated is differs
    assert {key: value for key, value in found.payload.items() if key not in KEYS} == (after if differs else before)
    assert verified(engine, found, check_database=True).updated is False


def test_token_of_an_old_branch_gets_new_claims_only_when_the_database_is_checked(
    engine: SessionEngine, clock: ManualClock
) -> None:
    """Verifying it looks at the row, yet replaces nothing unless the caller asked for what is stored."""
    session = created(engine)
    old = refreshed(engine, session)
    clock.advance(11)
    verified(engine, refreshed(engine, session))
    engine.merge_payload(session.handle, {"k": 1})
    assert verified(engine, old).updated is False
    assert verified(engine, old, check_database=True).payload["k"] == 1


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
