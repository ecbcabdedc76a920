"""How signing keys and the master secret come into the database: exactly once, however many processes want one."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ..claims.clock import Clock
from . import key_store, signing_key
from .cipher import Cipher
from .database import Database
from .key_store import DYNAMIC, STATIC, TRUSTED, StoredKey

_MASTER_SECRET_BYTES = 32
_MASTER = "master"
_RACES = 5


class KeyMaker:
    """Makes keys and stores them sealed; a constraint on their generation decides between processes.

    RSA keys are generated before the transaction begins, because that takes a tenth of a second. `mark` ends the ids
    of dynamic keys, where the moment they were made at does not tell them from those of another database.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        cipher: Cipher,
        generate: Callable[[], RSAPrivateKey],
        mark: str = "",
    ) -> None:
        self._database = database
        self._clock = clock
        self._cipher = cipher
        self._generate = generate
        self._mark = mark
        # By what is stored of them: whoever has made a key need not open it.
        self._made: dict[str, RSAPrivateKey] = {}

    def make(self, kind: str, *, needed: Callable[[Sequence[StoredKey]], bool]) -> Sequence[StoredKey]:
        """Add a key of that kind, unless another process has done so and it is no longer `needed`; return all keys."""
        key = self._generate()

        def work(connection: Connection) -> Sequence[StoredKey]:
            earlier = key_store.load(connection)
            if not needed(earlier):
                return earlier
            added = self._row(kind, key, earlier)
            key_store.add(connection, added)
            return key_store.in_order((added, *earlier))

        try:
            return self._database.write(work)
        except IntegrityError:  # Another process made the same generation, which serves as well.
            return self._database.read(key_store.load)

    def make_first(self, connection: Connection) -> tuple[StoredKey, bytes]:
        """Add a dynamic key and the master secret to a database that has neither, and return both."""
        key, secret = self._row(DYNAMIC, self._generate(), ()), secrets.token_bytes(_MASTER_SECRET_BYTES)
        key_store.add(connection, key)
        sealed = self._cipher.seal(secret, bound_to=_MASTER)
        key_store.add_master(connection, sealed, created_ms=key.created_ms)
        return key, secret

    def replace(self, *, revoke: bool) -> str:
        """Add a dynamic key and return its kid; with `revoke`, revoke all others and replace a static one too."""
        dynamic, static = self._generate(), self._generate() if revoke else None

        def work(connection: Connection) -> str:
            earlier = key_store.load(connection)
            rows = [self._row(DYNAMIC, dynamic, earlier)]
            if static is not None and any(key.kind == STATIC for key in earlier):
                rows.append(self._row(STATIC, static, earlier))
            if revoke:
                key_store.revoke_all(connection)
            for row in rows:
                key_store.add(connection, row)
            return rows[0].kid

        for _ in range(_RACES):
            try:
                return self._database.write(work)
            except IntegrityError:
                continue  # Another process added a key meanwhile: it has to be revoked as well.
        return self._database.write(work)

    def open_private(self, key: StoredKey) -> RSAPrivateKey:
        """Return the private half of a stored key; SigningKeyError if it cannot be decrypted."""
        made = self._made.pop(key.private_key, None)
        return made or signing_key.read_private(self._cipher.open(key.private_key, bound_to=key.kid))

    def master_secret(self) -> bytes:
        """Return the 32 random bytes that belong to the database, made when first needed."""
        sealed = self._database.read(key_store.load_master) or self._make_master()
        return self._cipher.open(sealed, bound_to=_MASTER)

    def _make_master(self) -> str:
        sealed = self._cipher.seal(secrets.token_bytes(_MASTER_SECRET_BYTES), bound_to=_MASTER)
        now_ms = self._clock.now_ms()
        try:
            self._database.write(lambda connection: key_store.add_master(connection, sealed, created_ms=now_ms))
        except IntegrityError:
            return self._database.read(key_store.load_master) or sealed
        return sealed

    def _row(self, kind: str, key: RSAPrivateKey, earlier: Sequence[StoredKey]) -> StoredKey:
        newest = next((other for other in earlier if other.kind == kind), None)
        # Two dynamic keys of one millisecond would get the same kid.
        created_ms = self._clock.now_ms() if newest is None else max(self._clock.now_ms(), newest.created_ms + 1)
        kid = f"{DYNAMIC}-{created_ms}{self._mark}" if kind == DYNAMIC else f"{STATIC}-{uuid.uuid4()}"
        sealed = self._cipher.seal(signing_key.private_bytes(key), bound_to=kid)
        self._made[sealed] = key
        return StoredKey(
            kid=kid,
            kind=kind,
            generation=1 if newest is None else newest.generation + 1,
            created_ms=created_ms,
            algorithm=signing_key.ALGORITHM,
            state=TRUSTED,
            public_key=signing_key.public_pem(key),
            private_key=sealed,
        )
