"""The key ring of an App: which keys sign, which keys are trusted, and the secret behind refresh tokens."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from sqlalchemy import Connection

from ..claims.clock import Clock
from . import key_store, signing_key
from .database import Database
from .exceptions import DatabaseError, SigningKeyError
from .key_store import DYNAMIC, REVOKED, STATIC, TRUSTED, Cipher, StoredKey
from .signing_key import GENERATED, KeyMaker, KeySource

OVERLAP_MS = 600_000
"""How long a dynamic key is published before it signs: as long as the slowest consumers keep a key set."""


@dataclass(frozen=True, slots=True)
class KeySchedule:
    """The rules for one rotation interval and one access-token validity, both in milliseconds."""

    rotation_ms: int
    access_token_validity_ms: int

    @property
    def overlap_ms(self) -> int:
        """Return how long a new dynamic key waits before it signs; never more than half an interval."""
        return min(OVERLAP_MS, self.rotation_ms // 2)

    @property
    def verification_ms(self) -> int:
        """Return how long after its creation a dynamic key verifies (docs/protocol.md, rule 12.3)."""
        return self.rotation_ms + 2 * self.access_token_validity_ms

    def verifies(self, key: StoredKey, now_ms: int) -> bool:
        """Whether tokens signed with `key` are accepted."""
        in_time = key.kind == STATIC or now_ms < key.created_ms + self.verification_ms
        return key.state == TRUSTED and in_time

    def is_due(self, keys: Sequence[StoredKey], now_ms: int) -> bool:
        """Whether the next dynamic key should be made now (docs/protocol.md, rule 12.4)."""
        newest = next((key for key in keys if key.kind == DYNAMIC and key.state == TRUSTED), None)
        return newest is None or now_ms + self.overlap_ms > newest.created_ms + self.rotation_ms

    def signer(self, keys: Sequence[StoredKey], now_ms: int, *, static: bool) -> StoredKey | None:
        """Return the key of `keys`, newest first, that signs now (docs/protocol.md, rule 12.5)."""
        kind = STATIC if static else DYNAMIC
        able = [key for key in keys if key.kind == kind and self._may_sign(key, now_ms)]
        published = (key for key in able if static or now_ms >= key.created_ms + self.overlap_ms)
        # If no key has been published for long enough, most consumers know the one that was published first.
        return next(published, able[-1] if able else None)

    def status(self, key: StoredKey, keys: Sequence[StoredKey], now_ms: int) -> str:
        """Return one word for a listing: signing, published, verifying, expired or revoked."""
        if key.state == REVOKED:
            return REVOKED
        if not self.verifies(key, now_ms):
            return "expired"
        signer = self.signer(keys, now_ms, static=key.kind == STATIC)
        if signer is None or signer.generation > key.generation:
            return "verifying"
        return "signing" if signer is key else "published"

    def _may_sign(self, key: StoredKey, now_ms: int) -> bool:
        in_time = key.kind == STATIC or now_ms < key.created_ms + self.rotation_ms
        return key.state == TRUSTED and in_time


RING_MAX_AGE_MS = 60_000
"""How long keys are used before they are read again; every process notices a revocation within this time."""

RELOAD_COOLDOWN_MS = 500
"""How long after a reload for an unknown key id no other unknown id causes a reload."""

FAILURE_COOLDOWN_MS = 5_000
"""How long after a failed reload verification does not try again."""

STALE_LIMIT_MS = 600_000
"""How long the keys last read still verify while the database cannot be reached."""

JWKS_MAX_AGE_S = 300
"""How long consumers may keep the key set: half the time that a key is published before it signs."""

_log = logging.getLogger("coatcheck.sessions")

JWKS = list[dict[str, str]]
"""Public keys: [{"kty": "RSA", "kid": ..., "n": ..., "e": ..., "alg": "RS256", "use": "sig"}, ...]."""


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """The public facts about a signing key; `status` is signing, published, verifying, expired or revoked."""

    kid: str
    created_ms: int
    status: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class _Ring:
    """The keys as last read; replaced as a whole, so that readers need no lock."""

    read_ms: int
    keys: tuple[StoredKey, ...]
    public: Mapping[str, RSAPublicKey]


class KeyRing:
    """The signing keys of one database, made when first needed and read again every minute.

    Inside a transaction of the same database only `seed_rows`, `trusted` and `is_cooling_down` may be called, because
    the other methods may open one.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        access_token_validity_ms: int,
        rotation_ms: int,
        cipher: Cipher,
        source: KeySource = GENERATED,
    ) -> None:
        self._database = database
        self._clock = clock
        self._schedule = KeySchedule(rotation_ms, access_token_validity_ms)
        self._maker = KeyMaker(database, clock, cipher=cipher, source=source)
        self.encrypted = cipher.encrypts
        """Whether private keys made from now on are encrypted in the database."""
        self._ring: _Ring | None = None
        self._private: dict[str, RSAPrivateKey] = {}
        self._master: bytes | None = None
        self._locks: dict[int, threading.Lock] = {}
        self._looked_ms: int | None = None
        self._failed_ms: int | None = None

    def seed_rows(self, connection: Connection) -> None:
        """Add the first key and the master secret to a database that has neither, in the caller's transaction."""
        key, self._master = self._maker.make_first(connection)
        self._private.clear()
        self._keep((key,), self._clock.now_ms())

    def forget(self) -> None:
        """Forget every key; the next use reads them from the database, or makes one."""
        self._ring = None
        self._private.clear()

    def sign(self, payload: Mapping[str, Any], *, static: bool, version: str | None = "5") -> str:
        """Return `payload` as a signed JWT; DatabaseError or SigningKeyError if there is no key to sign with."""
        self._database.refuse_nesting()
        key = self._signer(static=static)
        headers = {"kid": key.kid} if version is None else {"kid": key.kid, "version": version}
        return signing_key.sign(payload, self._private_key(key), headers)

    def trusted(self, now_ms: int) -> Mapping[str, RSAPublicKey] | None:
        """Return the public keys by kid, None if they have to be read first; no I/O."""
        ring = self._ring
        return ring.public if ring is not None and now_ms - ring.read_ms < RING_MAX_AGE_MS else None

    def is_cooling_down(self, now_ms: int) -> bool:
        """Whether the keys were read for an unknown kid so recently that another causes no reload; no I/O."""
        return self._looked_ms is not None and now_ms - self._looked_ms < RELOAD_COOLDOWN_MS

    def look_up(self, kid: str) -> RSAPublicKey | None:
        """Return the trusted public key of that kid, after reading the keys again if that may help.

        While the database cannot be read, the keys last read still verify for ten minutes.
        """
        seen, now_ms = self._ring, self._clock.now_ms()
        with self._lock:
            # Another thread may have read the keys while this one waited for the lock.
            if self._ring is seen and self._is_worth_reading(kid, now_ms):
                self._try_reload(now_ms)
            ring = self._ring
        if ring is None or now_ms - ring.read_ms >= STALE_LIMIT_MS:
            return None
        return ring.public.get(kid)

    def jwks(self) -> JWKS:
        """Return the public keys of all keys that verify, dynamic ones first, newest first."""
        with self._lock:
            ring = self._fresh(self._clock.now_ms())
        return [signing_key.jwk(kid, key) for kid, key in ring.public.items()]

    def jwks_max_age_s(self) -> int:
        """Return for how many seconds a consumer may keep the key set."""
        return JWKS_MAX_AGE_S

    def rotate(self, *, revoke: bool = False) -> KeyInfo:
        """Publish a new dynamic key and return it; it signs after the overlap.

        With `revoke`, no earlier key, dynamic or static, is trusted any more: in this process at once, in others within
        a minute. The new keys then sign immediately.
        """
        with self._lock:
            kid = self._maker.replace(revoke=revoke)
            self._read(self._clock.now_ms())
        return next(info for info in self.list() if info.kid == kid)

    def list(self) -> Sequence[KeyInfo]:
        """Return every key in the database, dynamic ones first, newest first."""
        keys, now_ms = self._database.read(key_store.load), self._clock.now_ms()
        return [
            KeyInfo(key.kid, key.created_ms, self._schedule.status(key, keys, now_ms), key.algorithm) for key in keys
        ]

    def master_secret(self) -> bytes:
        """Return the 32 random bytes that belong to this database; they are stored sealed, like private keys."""
        if self._master is None:
            self._master = self._maker.master_secret()
        return self._master

    def clean_up(self) -> int:
        """Delete the dynamic keys that are too old to verify and return how many there were."""
        horizon_ms = self._clock.now_ms() - self._schedule.verification_ms
        return self._database.write(lambda c: key_store.remove_dynamic(c, created_until_ms=horizon_ms))

    @property
    def _lock(self) -> threading.Lock:
        # One per process: a lock that is held by a thread of the parent at the fork is never released in the child.
        return self._locks.setdefault(os.getpid(), threading.Lock())

    def _signer(self, *, static: bool) -> StoredKey:
        ring, now_ms = self._ring, self._clock.now_ms()
        fresh = ring is not None and now_ms - ring.read_ms < RING_MAX_AGE_MS
        key = self._schedule.signer(ring.keys, now_ms, static=static) if ring is not None and fresh else None
        return key or self._new_signer(now_ms, static=static)

    def _new_signer(self, now_ms: int, *, static: bool) -> StoredKey:
        def needed(keys: Sequence[StoredKey]) -> bool:
            return self._schedule.signer(keys, now_ms, static=static) is None

        with self._lock:
            ring = self._fresh(now_ms)
            if needed(ring.keys):
                ring = self._keep(self._maker.make(STATIC if static else DYNAMIC, needed=needed), now_ms)
        key = self._schedule.signer(ring.keys, now_ms, static=static)
        if key is None:
            raise SigningKeyError("a signing key was made, but the database does not have it")
        return key

    def _fresh(self, now_ms: int) -> _Ring:
        ring = self._ring
        return ring if ring is not None and now_ms - ring.read_ms < RING_MAX_AGE_MS else self._reload(now_ms)

    def _reload(self, now_ms: int) -> _Ring:
        def needed(keys: Sequence[StoredKey]) -> bool:
            return self._schedule.is_due(keys, now_ms)

        ring = self._read(now_ms)
        if needed(ring.keys):
            ring = self._keep(self._maker.make(DYNAMIC, needed=needed), now_ms)
        return ring

    def _read(self, now_ms: int) -> _Ring:
        return self._keep(self._database.read(key_store.load), now_ms)

    def _keep(self, stored: Sequence[StoredKey], now_ms: int) -> _Ring:
        keys = [key for key in stored if self._schedule.verifies(key, now_ms)]
        public = {key.kid: signing_key.read_public(key.public_key) for key in keys}
        self._ring = ring = _Ring(now_ms, tuple(keys), public)
        return ring

    def _is_worth_reading(self, kid: str, now_ms: int) -> bool:
        if self._failed_ms is not None and now_ms - self._failed_ms < FAILURE_COOLDOWN_MS:
            return False
        trusted = self.trusted(now_ms)
        return trusted is None or (kid not in trusted and not self.is_cooling_down(now_ms))

    def _try_reload(self, now_ms: int) -> None:
        if self.trusted(now_ms) is not None:
            self._looked_ms = now_ms
        try:
            self._reload(now_ms)
            self._failed_ms = None
        except (DatabaseError, SigningKeyError) as error:
            self._failed_ms = now_ms
            _log.warning("the signing keys could not be read again: %s", error)

    def _private_key(self, key: StoredKey) -> RSAPrivateKey:
        private = self._private.get(key.kid)
        if private is None:
            private = self._private[key.kid] = self._maker.open_private(key)
        return private
