"""The engine: creating sessions, and what a refresh carries on."""

from __future__ import annotations

from collections.abc import Sequence

import jwt
import pytest
from sqlalchemy import Connection, update

from coatcheck.claims.clock import ManualClock
from coatcheck.claims.exceptions import ProtectedClaimError
from coatcheck.sessions import rows as session_rows
from coatcheck.sessions.access_token import AccessTokens
from coatcheck.sessions.database import Database
from coatcheck.sessions.engine import SessionEngine
from coatcheck.sessions.exceptions import UnauthorisedError
from coatcheck.sessions.refresh_token import hex_hash

from ..engine import MakeEngine, MakeRing, created, pairing, refreshed, token_of, verified

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


class Linked:
    """A directory in which `owners` maps login methods to primary users."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}

    def primary_id(self, connection: Connection, recipe_user_id: str) -> str:
        """Return the owner, by default the id itself."""
        return self.owners.get(recipe_user_id, recipe_user_id)

    def login_method_ids(self, connection: Connection, user_id: str) -> Sequence[str]:
        """Return all ids with the same owner."""
        owner = self.owners.get(user_id, user_id)
        return [owner, *(method for method, primary in self.owners.items() if primary == owner)]


def test_new_session_has_ten_claims_in_order_and_both_tokens(engine: SessionEngine, clock: ManualClock) -> None:
    """A session without custom claims has the nine protected claims, nulls included, and the issuer."""
    session = created(engine)
    assert list(session.payload) == [*KEYS, "iss"]
    assert list(jwt.decode(session.access_token, options={"verify_signature": False})) == [*KEYS, "iss"]
    now_s = clock.now_ms() // 1000
    assert session.payload["iat"] == now_s
    assert session.payload["exp"] == (clock.now_ms() + 3_600_000) // 1000
    assert pairing(session) == (hex_hash(token_of(session)), None)
    assert session.payload["antiCsrfToken"] is None
    assert session.anti_csrf_token is None
    assert session.updated


def test_access_token_verifies_as_the_payload_returned(
    make_engine: MakeEngine, make_ring: MakeRing, database: Database, clock: ManualClock
) -> None:
    """What is returned as payload is exactly what was signed, with nested values, unicode and nulls."""
    custom = {"iss": "i", "n": {"deep": [1, 2.5, None, True, {"é": "雪\u0000"}]}, "z": None, "a": "x"}
    engine = make_engine()
    session = created(engine, payload=custom)
    assert AccessTokens(make_ring(database), clock).verify(session.access_token).payload == session.payload
    assert list(session.payload)[9:] == list(custom)
    information = engine.information(session.handle)
    assert information is not None
    assert information.custom_claims_in_access_token_payload == custom


def test_refresh_token_info_is_in_milliseconds(engine: SessionEngine, clock: ManualClock) -> None:
    """The refresh token lives for the validity configured, counted from its creation."""
    session = created(engine)
    assert session.refresh_token is not None
    assert session.refresh_token.to_json() == {
        "token": token_of(session),
        "expiry": clock.now_ms() + 8_640_000_000,
        "createdTime": clock.now_ms(),
    }


def test_tokens_do_not_show_in_logs(engine: SessionEngine) -> None:
    """The `repr` of a session shows neither a token nor a hash that would serve as one."""
    session = created(engine, anti_csrf=True)
    assert session.refresh_token is not None
    for secret in (session.refresh_token.token, session.access_token, session.anti_csrf_token):
        assert str(secret) not in repr(session)


def test_payload_with_a_protected_claim_is_refused(engine: SessionEngine) -> None:
    """The engine takes no claim that the server owns, and stores nothing then."""
    with pytest.raises(ProtectedClaimError, match="The user payload contains protected field"):
        created(engine, payload={"sub": "x"})
    assert engine.handles_of("u1", linked=False, tenant_id=None) == []


def test_payload_that_json_cannot_express_is_refused(engine: SessionEngine) -> None:
    """Not-a-number and objects that are not JSON would read back differently, so they raise."""
    with pytest.raises(ValueError):
        created(engine, payload={"x": float("nan")})
    with pytest.raises(TypeError):
        created(engine, data={"x": object()})


@pytest.mark.parametrize("user", ["", "any text ' \" %s 雪"])
def test_any_user_id_works(engine: SessionEngine, user: str) -> None:
    """User ids are opaque: an empty or unknown one comes back unchanged."""
    session = created(engine, user)
    assert (session.user_id, session.recipe_user_id, session.payload["sub"]) == (user, user, user)
    assert engine.handles_of(user, linked=True, tenant_id=None) == [session.handle]


def test_nothing_is_stored_as_an_empty_object(engine: SessionEngine) -> None:
    """A payload or data of None is `{}`."""
    information = engine.information(created(engine, payload=None, data=None).handle)
    assert information is not None
    assert (information.session_data_in_database, information.custom_claims_in_access_token_payload) == ({}, {})


def test_handle_names_the_tenant(engine: SessionEngine) -> None:
    """Only a tenant other than the default one is appended to the handle."""
    session = created(engine, tenant_id="t1")
    assert session.handle.endswith("_t1")
    assert (session.tenant_id, session.payload["tId"]) == ("t1", "t1")
    assert "_" not in created(engine).handle


@pytest.mark.parametrize(("static", "kind"), [(True, "s-"), (False, "d-")])
def test_key_kind_is_stored_with_the_session(engine: SessionEngine, static: bool, kind: str) -> None:
    """Refresh, promotion and regeneration sign with the kind of key stored, until a refresh wishes another."""
    session = created(engine, static=static)
    child = refreshed(engine, session)
    promoted = verified(engine, child)
    regenerated = engine.regenerate(promoted.access_token, {})
    assert regenerated is not None
    for each in (session, child, promoted, regenerated[0]):
        assert jwt.get_unverified_header(each.access_token)["kid"].startswith(kind)
    other = refreshed(engine, child, static=not static)
    assert not jwt.get_unverified_header(other.access_token)["kid"].startswith(kind)
    again = refreshed(engine, child)
    assert not jwt.get_unverified_header(again.access_token)["kid"].startswith(kind)


def test_linked_login_method_signs_in_its_primary_user(make_engine: MakeEngine) -> None:
    """`sub` is the owner of the login method, `rsub` the login method; a refresh asks anew who the owner is."""
    directory = Linked()
    engine = make_engine(directory=directory)
    session = created(engine, "r1")
    assert session.user_id == "r1"
    directory.owners["r1"] = "p1"
    child = refreshed(engine, session)
    assert (child.user_id, child.recipe_user_id) == ("p1", "r1")
    assert (child.payload["sub"], child.payload["rsub"]) == ("p1", "r1")
    information = engine.information(session.handle)
    assert information is not None
    assert (information.user_id, information.recipe_user_id) == ("p1", "r1")


def test_refresh_carries_claims_and_data_on(engine: SessionEngine) -> None:
    """Custom claims come from the database, so that an update by handle reaches the client at the next refresh."""
    session = created(engine, payload={"a": 1}, data={"d": 1})
    engine.merge_payload(session.handle, {"a": 2})
    child = refreshed(engine, session)
    assert child.payload["a"] == 2
    information = engine.information(session.handle)
    assert information is not None
    assert information.session_data_in_database == {"d": 1}


def test_stored_payload_with_a_protected_claim_ends_the_session_at_refresh(
    engine: SessionEngine, database: Database
) -> None:
    """A payload written by something else never overrides the server's claims."""
    session = created(engine)
    statement = update(session_rows.table).values(payload='{"sub":"other","a":1}')
    database.write(lambda connection: connection.execute(statement))
    with pytest.raises(UnauthorisedError):
        refreshed(engine, session)
    found = verified(engine, session, check_database=True)
    assert (found.payload["sub"], found.payload["a"]) == ("u1", 1)
