"""The chain of refresh tokens: which token is confirmed when, and what verifying does about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions import session_rows
from coatcheck.sessions.database import Database
from coatcheck.sessions.engine import EngineSession, SessionEngine
from coatcheck.sessions.exceptions import TokenTheftError, UnauthorisedError
from coatcheck.sessions.refresh_token import hex_hash

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


def created(engine: SessionEngine, user: str = "u1", **options: Any) -> EngineSession:
    """Create a session with defaults for what a test does not care about."""
    values: dict[str, Any] = {"payload": {"iss": "https://api"}, "data": {}, "anti_csrf": False, "static": False}
    return engine.create(recipe_user_id=user, **{"tenant_id": "public", **values, **options})


def refreshed(engine: SessionEngine, session: EngineSession, **options: Any) -> EngineSession:
    """Refresh with the refresh token of `session`."""
    assert session.refresh_token is not None
    values: dict[str, Any] = {"anti_csrf_token": None, "check_anti_csrf": False, "anti_csrf": False, "static": None}
    return engine.refresh(session.refresh_token.token, **{**values, **options})


def verified(engine: SessionEngine, session: EngineSession, *, check_database: bool = False) -> EngineSession:
    """Verify the access token of `session`."""
    return engine.verify(session.payload, session.access_token, check_database=check_database)


def text_of(session: EngineSession) -> str:
    """Return the text of the refresh token."""
    assert session.refresh_token is not None
    return session.refresh_token.token


def stored(database: Database, clock: ManualClock, session: EngineSession) -> session_rows.SessionRow:
    """Return the row of a session."""
    row = database.read(lambda connection: session_rows.find(connection, session.handle, at_ms=clock.now_ms()))
    assert row is not None
    return row


def hash2(session: EngineSession) -> str:
    """Return what the database keeps of a confirmed refresh token."""
    return hex_hash(hex_hash(text_of(session)))


def pairing(session: EngineSession) -> tuple[Any, Any]:
    """Return hash1 and the parent of an access token."""
    return session.payload["refreshTokenHash1"], session.payload["parentRefreshTokenHash1"]


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
    assert text_of(lost) == text_of(s1), "a retry within ten seconds gets the same successor"
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
        children.add(text_of(refreshed(engine, session)))
        clock.advance(3_600)
    assert len(children) == 5


def test_siblings_are_equal_for_ten_seconds_after_the_first(engine: SessionEngine, clock: ManualClock) -> None:
    """The ten seconds count from the draw, are not prolonged by use, and end after, not at, the tenth."""
    session = created(engine)
    first = refreshed(engine, session)
    clock.advance(10)
    assert text_of(refreshed(engine, session)) == text_of(first)
    clock.advance(0.001)
    assert text_of(refreshed(engine, session)) != text_of(first)


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


def test_fast_path_returns_the_token_given(engine: SessionEngine) -> None:
    """A token without a parent needs no database, and gets none."""
    session = created(engine, anti_csrf=True)
    assert not engine.needs_database(session.payload, False)
    assert engine.needs_database(session.payload, True)
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
    replacement = verified(engine, child)
    changed = {"parentRefreshTokenHash1": None, "k": "new", "iat": clock.now_ms() // 1000}
    exp = (clock.now_ms() + 3_600_000) // 1000
    assert replacement.payload == {**child.payload, **changed, "exp": exp}
    assert replacement.anti_csrf_token == child.anti_csrf_token is not None
    assert replacement.refresh_token is None
    assert not engine.needs_database(replacement.payload, False)


@pytest.mark.parametrize("parent", [None, "", 5, [], "absent"])
def test_parent_that_is_empty_or_no_text_is_none(engine: SessionEngine, parent: object) -> None:
    """Consumers accept the nullable claims missing, null, empty or of a wrong type."""
    payload = {**created(engine).payload, "parentRefreshTokenHash1": parent, "antiCsrfToken": parent}
    if parent == "absent":
        del payload["parentRefreshTokenHash1"], payload["antiCsrfToken"]
    assert not engine.needs_database(payload, False)
    assert engine.verify(payload, "t", check_database=False).anti_csrf_token is None


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
    engine.update_payload(session.handle, after)
    assert verified(engine, session).updated is False
    found = verified(engine, session, check_database=True)
    assert found.updated is differs
    assert {key: value for key, value in found.payload.items() if key not in KEYS} == (after if differs else before)
    assert verified(engine, found, check_database=True).updated is False
