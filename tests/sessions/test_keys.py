"""Which key signs when, which keys are trusted, and how processes agree on them (docs/protocol.md, section 12)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import jwt
import pytest
from sqlalchemy import QueuePool, create_engine, event, update

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions import key_store, signing_key
from coatcheck.sessions.database import Database
from coatcheck.sessions.exceptions import DatabaseError, SigningKeyError
from coatcheck.sessions.key_store import Cipher
from coatcheck.sessions.keys import KeyRing
from coatcheck.sessions.signing_key import KeyMaker, KeySource
from coatcheck.testing.app import LentKeys

from ..engine import MakeRing

VALIDITY_S = 3_600
ROTATION_S = 604_800
OVERLAP_S = 600


def kid_of(token: str) -> str:
    """Return the key id in the header of a token."""
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def signing_kid(ring: KeyRing, *, static: bool = False) -> str:
    """Return the id of the key that signs now."""
    return kid_of(ring.sign({}, static=static))


def published(ring: KeyRing) -> list[str]:
    """Return the ids in the key set, in its order."""
    return [key["kid"] for key in ring.jwks()]


@contextmanager
def without_keys_table(database: Database) -> Iterator[None]:
    """Make the keys unreadable for a while, as an outage would."""
    rename = "ALTER TABLE {} RENAME TO {}"
    name = key_store.signing_keys.name
    database.write(lambda connection: connection.exec_driver_sql(rename.format(name, "gone")))
    yield
    database.write(lambda connection: connection.exec_driver_sql(rename.format("gone", name)))


class Observed:
    """A database in memory that counts how often the keys were read."""

    def __init__(self, clock: ManualClock) -> None:
        arguments: dict[str, Any] = {"check_same_thread": False}
        self.engine = create_engine(
            "sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, connect_args=arguments
        )
        self.reads = 0
        event.listen(self.engine, "before_cursor_execute", self._count)
        self.database = Database(self.engine, clock=clock)

    def _count(self, *arguments: Any) -> None:
        statement: str = arguments[2]
        self.reads += statement.startswith("SELECT coatcheck_signing_keys")


@pytest.fixture
def observed(clock: ManualClock) -> Iterator[Observed]:
    """Yield an observed database."""
    observed = Observed(clock)
    yield observed
    observed.engine.dispose()


def test_the_first_token_makes_the_first_key(database: Database, make_ring: MakeRing, clock: ManualClock) -> None:
    """Keys are made when first needed, and the id of a dynamic key tells when that was."""
    ring = make_ring(database)
    assert signing_kid(ring) == f"d-{clock.now_ms()}"
    assert [key.status for key in ring.list()] == ["signing"]


def test_a_static_key_is_made_when_first_needed(database: Database, make_ring: MakeRing) -> None:
    """A static key is signed with at once and for ever, and a ring keeps to the one there is."""
    ring = make_ring(database)
    kid = signing_kid(ring, static=True)
    assert kid.startswith("s-")
    assert signing_kid(make_ring(database), static=True) == kid


def test_the_header_names_version_and_key(ring: KeyRing) -> None:
    """Access tokens carry version "5", a string; other JWTs need none."""
    assert jwt.get_unverified_header(ring.sign({}, static=False)) == {
        "alg": "RS256", "typ": "JWT", "version": "5", "kid": signing_kid(ring)
    }  # fmt: skip
    assert "version" not in jwt.get_unverified_header(ring.sign({}, static=False, version=None))


def test_the_key_set_verifies_what_was_signed(ring: KeyRing) -> None:
    """Any JWT library can verify with the published key set, which lists nothing but public members."""
    token = ring.sign({"sub": "u"}, static=True)
    keys = {key["kid"]: key for key in ring.jwks()}
    assert jwt.decode(token, jwt.PyJWK(keys[kid_of(token)]), algorithms=["RS256"]) == {"sub": "u"}
    assert all(set(key) == {"kty", "kid", "n", "e", "alg", "use"} for key in keys.values())
    assert {(key["kty"], key["alg"], key["use"], key["e"]) for key in keys.values()} == {
        ("RSA", "RS256", "sig", "AQAB")
    }


def test_the_key_set_of_an_empty_database_has_a_key(ring: KeyRing) -> None:
    """A consumer that asks before the first sign-in already gets the key that will sign."""
    assert published(ring) == [signing_kid(ring)]


def test_the_key_set_may_be_kept_for_half_the_overlap(ring: KeyRing) -> None:
    """So a new key has reached every consumer before it signs."""
    assert ring.jwks_max_age_s() == 300


def test_the_next_key_is_published_before_it_signs(database: Database, make_ring: MakeRing, clock: ManualClock) -> None:
    """In the last ten minutes of its interval the old key signs beside its published successor."""
    ring = make_ring(database)
    first = signing_kid(ring)
    clock.advance(ROTATION_S - OVERLAP_S)
    assert (signing_kid(ring), published(ring)) == (first, [first])
    clock.advance(60)
    second, third = published(ring)
    assert third == first
    assert [signing_kid(ring), signing_kid(ring)] == [first, first]
    clock.advance(OVERLAP_S - 60 - 1)
    assert signing_kid(ring) == first
    clock.advance(61)
    assert signing_kid(ring) == second
    assert published(ring) == [second, first]


def test_an_old_key_verifies_until_its_last_token_has_expired(
    database: Database, make_ring: MakeRing, clock: ManualClock
) -> None:
    """A dynamic key stays in the key set for its interval and two token lifetimes, no longer."""
    ring = make_ring(database)
    first = signing_kid(ring)
    clock.advance(ROTATION_S + 2 * VALIDITY_S - 1)
    assert first in published(ring)
    clock.advance(1)
    ring = make_ring(database)
    assert first not in published(ring)
    assert "expired" in [key.status for key in ring.list()]


def test_clean_up_deletes_what_verifies_nothing(database: Database, make_ring: MakeRing, clock: ManualClock) -> None:
    """Expired dynamic keys are deleted; static and living ones stay."""
    ring = make_ring(database)
    first, static = signing_kid(ring), signing_kid(ring, static=True)
    clock.advance(ROTATION_S + 2 * VALIDITY_S)
    second = signing_kid(ring)
    assert ring.clean_up() == 1
    assert {key.kid for key in ring.list()} == {second, static}
    assert first not in published(ring)


def test_a_service_that_slept_signs_with_a_new_key(ring: KeyRing, clock: ManualClock) -> None:
    """A key past its interval does not sign, even if its successor has just been made."""
    first = signing_kid(ring)
    clock.advance(ROTATION_S)
    assert signing_kid(ring) != first


def test_rotate_publishes_now_and_signs_after_the_overlap(
    database: Database, make_ring: MakeRing, clock: ManualClock
) -> None:
    """Rotating by hand gives consumers the same ten minutes."""
    ring = make_ring(database)
    first = signing_kid(ring)
    clock.advance(OVERLAP_S)
    new = ring.rotate()
    assert (new.status, published(ring), signing_kid(ring)) == ("published", [new.kid, first], first)
    clock.advance(OVERLAP_S)
    assert signing_kid(ring) == new.kid
    assert [key.status for key in ring.list()] == ["signing", "verifying"]


def test_rotating_twice_signs_with_what_was_published_longest(ring: KeyRing, clock: ManualClock) -> None:
    """Two rotations within the overlap, in one millisecond even, do not make a key sign early."""
    first = signing_kid(ring)
    second, third = ring.rotate(), ring.rotate()
    assert len({first, second.kid, third.kid}) == 3
    assert signing_kid(ring) == first
    clock.advance(OVERLAP_S + 1)
    assert signing_kid(ring) == third.kid


def test_revoke_replaces_all_keys_at_once(database: Database, make_ring: MakeRing) -> None:
    """After `rotate(revoke=True)` no earlier key is published or signs, and new ones of both kinds do."""
    ring = make_ring(database)
    before = {signing_kid(ring), signing_kid(ring, static=True)}
    new = ring.rotate(revoke=True)
    after = {signing_kid(ring), signing_kid(ring, static=True)}
    assert new.kid in after
    assert before.isdisjoint(after)
    assert set(published(ring)) == after
    assert sorted(key.status for key in ring.list()) == ["revoked", "revoked", "signing", "signing"]


def test_a_revoked_key_leaves_no_private_half(database: Database, make_ring: MakeRing) -> None:
    """What must not sign again cannot: its private key is gone from the database."""
    ring = make_ring(database)
    signing_kid(ring)
    ring.rotate(revoke=True)
    keys = database.read(key_store.load)
    assert {key.state: key.private_key == "" for key in keys} == {"revoked": True, "trusted": False}


def test_another_process_learns_of_a_revocation_within_a_minute(
    database: Database, make_ring: MakeRing, clock: ManualClock
) -> None:
    """A ring reads the keys again after sixty seconds, and then no longer trusts what was revoked elsewhere."""
    ring = make_ring(database)
    kid = signing_kid(ring)
    make_ring(database).rotate(revoke=True)
    clock.advance(59.999)
    assert kid in (ring.trusted(clock.now_ms()) or {})
    clock.advance(0.001)
    assert ring.trusted(clock.now_ms()) is None
    assert ring.look_up(kid) is None


def test_nothing_is_read_at_construction(observed: Observed, make_ring: MakeRing, clock: ManualClock) -> None:
    """The keys are read at the first use, once, and again when they are a minute old."""
    ring = make_ring(observed.database)
    assert observed.reads == 0
    kid = signing_kid(ring)
    after_first = observed.reads
    for _ in range(3):
        assert ring.look_up(kid) is not None
        signing_kid(ring)
    assert observed.reads == after_first
    clock.advance(60)
    signing_kid(ring)
    assert observed.reads == after_first + 1


def test_an_unknown_kid_is_looked_for_once(observed: Observed, make_ring: MakeRing, clock: ManualClock) -> None:
    """One read per unknown kid, and no other for half a second."""
    ring = make_ring(observed.database)
    signing_kid(ring)
    before = observed.reads
    assert [ring.look_up("d-1"), ring.look_up("d-2")] == [None, None]
    assert observed.reads == before + 1
    assert ring.is_cooling_down(clock.now_ms())
    clock.advance(0.5)
    assert not ring.is_cooling_down(clock.now_ms())
    ring.look_up("d-1")
    assert observed.reads == before + 2


def test_a_key_made_elsewhere_is_found_at_once(database: Database, make_ring: MakeRing, clock: ManualClock) -> None:
    """A token signed with a key newer than the ring makes the ring read again."""
    ring = make_ring(database)
    signing_kid(ring)
    kid = make_ring(database).rotate().kid
    assert ring.look_up(kid) is not None


def test_threads_that_wait_share_one_read(observed: Observed, make_ring: MakeRing) -> None:
    """However many threads verify first, the keys are read once."""
    signing_kid(make_ring(observed.database))
    ring, before = make_ring(observed.database), observed.reads
    kid = ring.list()[0].kid
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(ring.look_up(kid))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert None not in found
    assert observed.reads - before <= 3  # list() read them too, and a thread may come after all others are done


def test_known_keys_verify_through_an_outage(
    memory: Database, make_ring: MakeRing, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """While the keys cannot be read, those last read verify for ten minutes, unknown ones do not; it is logged."""
    ring = make_ring(memory)
    kid = signing_kid(ring)
    clock.advance(60)
    with without_keys_table(memory), caplog.at_level(logging.WARNING, logger="coatcheck.sessions"):
        assert ring.look_up(kid) is not None
        assert ring.look_up("d-1") is None
        assert len(caplog.records) == 1
        clock.advance(539.999)
        assert ring.look_up(kid) is not None
        clock.advance(0.001)
        assert ring.look_up(kid) is None
    clock.advance(5)
    assert ring.look_up(kid) is not None


def test_signing_in_an_outage_is_a_database_error(memory: Database, make_ring: MakeRing, clock: ManualClock) -> None:
    """A ring that cannot know what to sign with says so; the next attempt works."""
    ring = make_ring(memory)
    signing_kid(ring)
    clock.advance(60)
    with without_keys_table(memory):
        with pytest.raises(DatabaseError):
            ring.sign({}, static=False)
        with pytest.raises(DatabaseError):
            ring.jwks()
    signing_kid(ring)


def test_an_unreachable_database_fails_at_first_use(clock: ManualClock, make_ring: MakeRing) -> None:
    """A wrong address does not disturb construction; verifying fails quietly, signing loudly."""
    with closing(Database("postgresql://nobody@127.0.0.1:1/none", clock=clock)) as database:
        ring = make_ring(database)
        assert ring.look_up("d-1") is None
        with pytest.raises(DatabaseError):
            ring.sign({}, static=False)


def test_signing_inside_a_transaction_is_refused_always(memory: Database, ring: KeyRing) -> None:
    """It would work most of the time, until the keys have to be read; so it never does."""
    signing_kid(ring)
    with pytest.raises(DatabaseError, match="inside another"):
        memory.write(lambda connection: ring.sign({}, static=False))


def test_private_keys_are_sealed(database: Database, make_ring: MakeRing) -> None:
    """With an encryption key, the database holds no private key, and a ring without it cannot sign but verify."""
    token = make_ring(database, cipher=Cipher("an encryption key")).sign({}, static=False)
    (key,) = database.read(key_store.load)
    assert key.private_key.startswith("aes256gcm:")
    other = make_ring(database)
    assert other.look_up(kid_of(token)) is not None
    with pytest.raises(SigningKeyError, match="configure"):
        other.sign({}, static=False)


def test_a_sealed_key_moved_to_another_row_does_not_sign(memory: Database, make_ring: MakeRing) -> None:
    """Somebody who can write to the database cannot bring an old private key back under a trusted kid."""
    signing_kid(make_ring(memory, cipher=Cipher("an encryption key")))
    memory.write(lambda connection: connection.execute(update(key_store.signing_keys).values(kid="d-1")))
    with pytest.raises(SigningKeyError):
        signing_kid(make_ring(memory, cipher=Cipher("an encryption key")))


def test_the_master_secret_is_one_per_database(database: Database, make_ring: MakeRing) -> None:
    """Every process gets the same 32 random bytes, and another database other ones."""
    ring = make_ring(database)
    secret = ring.master_secret()
    assert len(secret) == 32
    assert ring.master_secret() is secret
    assert make_ring(database).master_secret() == secret
    with closing(Database("sqlite://", clock=database.clock)) as other:
        assert make_ring(other).master_secret() != secret


def test_the_master_secret_is_sealed_like_private_keys(database: Database, make_ring: MakeRing) -> None:
    """A leaked database alone does not reveal what refresh tokens are derived from."""
    make_ring(database, cipher=Cipher("an encryption key")).master_secret()
    assert (database.read(key_store.load_master) or "").startswith("aes256gcm:")
    with pytest.raises(SigningKeyError):
        make_ring(database).master_secret()


def test_keys_rotate_when_the_interval_is_short(memory: Database, make_ring: MakeRing, clock: ManualClock) -> None:
    """An interval shorter than the overlap still has a key that signs, and does not make keys at every read."""
    ring = make_ring(memory, rotation_ms=60_000)
    for _ in range(10):
        signing_kid(ring)
        clock.advance(30)
    assert len(ring.list()) <= 6


class Overtaken(Cipher):
    """A cipher that lets another process work while it seals: after the keys were read, before one is inserted."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__(None)
        self._meanwhile: list[Callable[[], object]] = [meanwhile]

    def seal(self, data: bytes, *, bound_to: str = "") -> str:
        """Seal as usual, but be overtaken the first time."""
        while self._meanwhile:
            self._meanwhile.pop()()
        return super().seal(data, bound_to=bound_to)


@pytest.fixture
def processes(postgres_url: str, clock: ManualClock) -> Iterator[tuple[Database, Database]]:
    """Yield one database as two processes see it."""
    with closing(Database(postgres_url, clock=clock)) as one, closing(Database(postgres_url, clock=clock)) as two:
        yield one, two


def test_a_process_overtaken_while_it_makes_a_key_takes_the_other(
    processes: tuple[Database, Database], make_ring: MakeRing
) -> None:
    """A key that another process inserted first is used, and ours is dropped."""
    other = make_ring(processes[1])
    ring = make_ring(processes[0], cipher=Overtaken(lambda: other.sign({}, static=False)))
    assert signing_kid(ring) == signing_kid(other)
    assert len(ring.list()) == 1


def test_a_process_overtaken_while_it_revokes_revokes_that_key_too(
    processes: tuple[Database, Database], make_ring: MakeRing
) -> None:
    """A key that came into being during a revocation does not escape it."""
    other = make_ring(processes[1])
    signing_kid(other)
    ring = make_ring(processes[0], cipher=Overtaken(other.rotate))
    new = ring.rotate(revoke=True)
    assert published(ring) == [new.kid]
    assert [key.status for key in ring.list()] == ["signing", "revoked", "revoked"]


def test_a_process_overtaken_while_it_draws_the_master_secret_takes_the_other(
    processes: tuple[Database, Database], make_ring: MakeRing
) -> None:
    """A master secret that another process stored first is the one."""
    other = make_ring(processes[1])
    ring = make_ring(processes[0], cipher=Overtaken(other.master_secret))
    assert ring.master_secret() == other.master_secret()


def test_rings_that_rotate_at_once_make_one_key(shared_url: str, clock: ManualClock, make_ring: MakeRing) -> None:
    """When the interval ends for several processes at once, one new key is made."""
    with closing(Database(shared_url, clock=clock)) as database:
        rings = [make_ring(database) for _ in range(4)]
        signing_kid(rings[0])
        clock.advance(ROTATION_S)
        kids: list[str] = []
        threads = [threading.Thread(target=lambda ring=ring: kids.append(signing_kid(ring))) for ring in rings]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(kids)) == 1
        assert len(rings[0].list()) == 2


def test_a_revocation_catches_a_key_made_meanwhile(shared_url: str, clock: ManualClock, make_ring: MakeRing) -> None:
    """Two revocations at once both succeed, and one key is trusted afterwards."""
    with closing(Database(shared_url, clock=clock)) as database:
        rings = [make_ring(database) for _ in range(3)]
        signing_kid(rings[0])
        threads = [threading.Thread(target=ring.rotate, kwargs={"revoke": True}) for ring in rings]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = [key.status for key in rings[0].list()]
        assert sorted(statuses) == ["revoked", "revoked", "revoked", "signing"]


def test_keys_for_tests_are_lent_to_one_at_a_time() -> None:
    """An App for tests gets the key that another has given back; open Apps have different ones (rule 12.13)."""
    one, other = LentKeys(), LentKeys()
    held = [lent.generate() for lent in (one, other, one)]
    assert len({signing_key.public_pem(key) for key in held}) == 3
    one.give_back()
    assert other.generate() in held[::2]
    assert other.generate() in held[::2]
    other.give_back()


def test_keys_for_tests_come_back_from_whoever_is_forgotten() -> None:
    """An App for tests that nobody closed gives its keys back when it is gone (rule 12.13)."""
    forgotten = LentKeys()
    key = forgotten.generate()
    del forgotten
    later = LentKeys()
    assert later.generate() is key
    later.give_back()


def test_tokens_of_an_earlier_owner_of_a_key_name_another_kid(memory: Database, clock: ManualClock) -> None:
    """A key that is lent again at the very same moment has another id, so earlier tokens are refused (rule 12.13)."""
    kids: list[str] = []
    for _ in range(2):
        lent = LentKeys()
        maker = KeyMaker(memory, clock, cipher=Cipher(None), source=KeySource(lent.generate, lent.mark))
        kids.append(maker.replace(revoke=True))
        memory.write(lambda connection: key_store.remove_dynamic(connection, created_until_ms=clock.now_ms()))
        lent.give_back()
    assert kids[0] != kids[1]
    assert {kid.rpartition("-")[0] for kid in kids} == {f"d-{clock.now_ms()}"}
