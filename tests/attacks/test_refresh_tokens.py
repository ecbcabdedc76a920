"""Attacks on sessions and refresh tokens: stolen, forged, leaked and replayed tokens."""

from __future__ import annotations

import hmac
import random

import pytest
from sqlalchemy import Connection, Engine, event, select

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions import rows as session_rows, schema
from coatcheck.sessions.database import Database
from coatcheck.sessions.encoding import base64url
from coatcheck.sessions.engine import SessionEngine
from coatcheck.sessions.exceptions import TokenTheftError
from coatcheck.sessions.key_store import Cipher
from coatcheck.sessions.refresh_token import RefreshToken, RefreshTokens, hex_hash

from ..engine import MakeEngine, MakeRing, created, refreshed, refused, token_of, verified

HOUR = 3_600


def is_theft(engine: SessionEngine, token: str) -> bool:
    """Say whether refreshing with `token` reports theft."""
    try:
        refreshed(engine, token)
    except TokenTheftError:
        return True
    return False


def test_parent_after_its_child_was_used_by_access_token_is_theft(engine: SessionEngine) -> None:
    """The report names the session, the login method and the user; the engine itself deletes nothing."""
    s0 = created(engine, tenant_id="t1")
    verified(engine, refreshed(engine, token_of(s0)))
    with pytest.raises(TokenTheftError, match="token theft detected") as caught:
        refreshed(engine, token_of(s0))
    assert caught.value.session_handle == s0.handle
    assert (caught.value.user_id, str(caught.value.recipe_user_id)) == ("u1", "u1")
    assert engine.information(s0.handle) is not None


def test_parent_after_its_child_was_used_by_refresh_token_is_theft(engine: SessionEngine) -> None:
    """Presenting a child to a refresh confirms it as well."""
    s0 = created(engine)
    s1 = refreshed(engine, token_of(s0))
    refreshed(engine, token_of(s1))
    assert is_theft(engine, token_of(s0))


def test_two_siblings_both_used_is_theft(engine: SessionEngine, clock: ManualClock) -> None:
    """Of siblings drawn apart, the first one used wins; a refresh with the other is theft, verifying it is not."""
    s0 = created(engine)
    one = refreshed(engine, token_of(s0))
    clock.advance(11)
    two = refreshed(engine, token_of(s0))
    verified(engine, one)
    assert verified(engine, two).access_token == two.access_token
    assert is_theft(engine, token_of(two))
    assert not is_theft(engine, token_of(one))


def test_grandchild_needs_its_parent_confirmed(engine: SessionEngine, clock: ManualClock) -> None:
    """A token two generations away from the confirmed one, in either direction, is theft."""
    s0 = created(engine)
    s1 = refreshed(engine, token_of(s0))
    s2 = refreshed(engine, token_of(s1))
    s3 = refreshed(engine, token_of(s2))
    assert is_theft(engine, token_of(s0))
    assert is_theft(engine, token_of(s1))
    assert not is_theft(engine, token_of(s3))


def test_verification_never_reports_theft(engine: SessionEngine, clock: ManualClock) -> None:
    """The access token of an old branch stays good until it expires, with or without a look at the database."""
    s0 = created(engine)
    old = refreshed(engine, token_of(s0))
    clock.advance(11)
    verified(engine, refreshed(engine, token_of(s0)))
    for check_database in (False, True):
        assert verified(engine, old, check_database=check_database).updated is False
        assert verified(engine, s0, check_database=check_database).updated is False


def rounds_until_theft(engine: SessionEngine, clock: ManualClock, chance: random.Random, *, adopts: bool) -> int:
    """Let a thief, who copied the owner's token, poll at random moments between the owner's hourly refreshes.

    A thief who adopts uses what he got; one who does not keeps polling with the copy. Count the owner's refreshes.
    """
    owner = copied = token_of(created(engine))
    for count in range(1, 6):
        try:
            for _ in range(chance.randint(1, 3)):
                clock.advance(chance.uniform(11, HOUR / 4))
                polled = token_of(refreshed(engine, copied))
                copied = polled if adopts else copied
            clock.advance(chance.uniform(11, HOUR / 4))
            session = refreshed(engine, owner)
            owner = token_of(session)
            verified(engine, session)
        except TokenTheftError:
            return count
    raise AssertionError("the thief lived beside the owner")


@pytest.mark.parametrize("adopts", [True, False])
def test_copied_token_polled_between_refreshes_is_noticed(
    engine: SessionEngine, clock: ManualClock, adopts: bool
) -> None:
    """In 100 of 100 rounds the copy of a refresh token is noticed at the owner's second refresh at the latest."""
    chance = random.Random(4)
    rounds = [rounds_until_theft(engine, clock, chance, adopts=adopts) for _ in range(50)]
    assert max(rounds) <= 2


def test_database_leak_gives_no_refresh_token(
    make_engine: MakeEngine, make_ring: MakeRing, database: Database, clock: ManualClock
) -> None:
    """Whoever reads every table but not the sealing key can neither find nor make a refresh token.

    Tried with each stored value, and its bytes, as token and as key, and with a token of another session at hand.
    """
    engine = make_engine(keys=make_ring(database, cipher=Cipher("known to the servers alone")))
    session = created(engine)
    child = refreshed(engine, token_of(session))
    row = database.read(lambda connection: session_rows.find(connection, session.handle, at_ms=clock.now_ms()))
    assert row is not None
    leaked = everything_in(database)
    for token in (token_of(session), token_of(child)):
        assert not any(token in value or hex_hash(token) in value for value in leaked)
        assert not any(field in value for field in token.split(".")[2:3] for value in leaked)
    head, handle, _, _, _, _ = token_of(created(engine, recipe_user_id="attacker")).split(".")
    handle = base64url(session.handle.encode())
    parent = base64url(bytes.fromhex(row.cur))
    for value in leaked:
        assert refused(engine, value)
        for key in (value.encode(), bytes.fromhex(value) if is_hex(value) else b""):
            secret = base64url(hmac.digest(key, (row.salt + row.cur).encode(), "sha256"))
            body = f"{head}.{handle}.{secret}.{parent}.AA"
            assert refused(engine, f"{body}.{base64url(hmac.digest(key, body.encode(), 'sha256'))}")
            assert refused(engine, RefreshTokens(key).first(session.handle, anti_csrf=False).text)


def test_even_the_master_secret_and_the_database_do_not_reach_a_running_session(
    engine: SessionEngine, make_ring: MakeRing, database: Database, clock: ManualClock
) -> None:
    """A forged MAC is of no use without the confirmed token: its hash1 is not stored, and its secret was drawn."""
    session = created(engine)
    refreshed(engine, token_of(session))
    row = database.read(lambda connection: session_rows.find(connection, session.handle, at_ms=clock.now_ms()))
    assert row is not None
    forger = RefreshTokens(make_ring(database).master_secret())
    assert is_theft(engine, forger.first(session.handle, anti_csrf=False).text)
    guess = RefreshToken(row.cur, session.handle, None, False)
    assert is_theft(engine, forger.child(guess, bytes.fromhex(row.salt), anti_csrf=False).text)


def everything_in(database: Database) -> set[str]:
    """Return every value of every table, as text."""

    def work(connection: Connection) -> set[str]:
        rows = [row for table in schema.metadata.sorted_tables for row in connection.execute(select(table))]
        return {str(value) for row in rows for value in row}

    return database.read(work)


def is_hex(value: str) -> bool:
    """Say whether `value` is hexadecimal."""
    return len(value) % 2 == 0 and all(letter in "0123456789abcdef" for letter in value)


def test_forged_token_costs_no_statement(engine: SessionEngine) -> None:
    """The MAC is checked before any I/O: garbage does not reach the database."""
    token = token_of(created(engine))
    executed: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        executed.append(statement)

    event.listen(Engine, "before_cursor_execute", record)
    try:
        for forged in ("asdf", token[:-1], token[:-1] + ("A" if token[-1] != "A" else "B"), f"A{token}"):
            assert refused(engine, forged)
    finally:
        event.remove(Engine, "before_cursor_execute", record)
    assert executed == []


def test_token_of_another_database_is_refused(engine: SessionEngine, make_engine: MakeEngine, memory: Database) -> None:
    """Two applications with databases of their own do not accept each other's tokens."""
    other = make_engine(on=memory)
    assert refused(other, token_of(created(engine)))
    assert refused(engine, token_of(created(other)))


def test_handle_of_another_tenant_cannot_be_swapped_in(engine: SessionEngine) -> None:
    """The handle is under the MAC, so a token cannot be carried over to another session or tenant."""
    mine, yours = (
        token_of(created(engine, tenant_id="t1")).split("."),
        token_of(created(engine, tenant_id="t2")).split("."),
    )
    assert refused(engine, ".".join((mine[0], yours[1], *mine[2:])))
