"""RSA keys: made, stored sealed, read, and used for JSON Web Signatures (RFC 7515, RFC 7518 section 3.3)."""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_public_key,
)
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ..claims.clock import Clock
from . import key_store
from .database import Database
from .exceptions import SigningKeyError
from .key_store import DYNAMIC, STATIC, TRUSTED, Cipher, StoredKey

ALGORITHM = "RS256"

_JWS = jwt.PyJWS(algorithms=[ALGORITHM])


def generate() -> RSAPrivateKey:
    """Return a new RSA key of 2048 bits."""
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where new signing keys come from.

    `mark` ends the ids of dynamic keys, if the moment at which they were made does not tell them from those of another
    database.
    """

    generate: Callable[[], RSAPrivateKey] = generate
    mark: str = ""


GENERATED = KeySource()
"""The source of keys that are generated when they are needed."""


def private_bytes(key: RSAPrivateKey) -> bytes:
    """Return the key in PKCS #8."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: RSAPrivateKey) -> str:
    """Return the public half as PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_private(data: bytes) -> RSAPrivateKey:
    """Return the key that `private_bytes` has written."""
    # Checking the primes would take as long as making a key, and the key was made and sealed here.
    key = load_der_private_key(data, password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, RSAPrivateKey):
        raise SigningKeyError("a stored signing key is not an RSA key")
    return key


@lru_cache(maxsize=128)
def read_public(pem: str) -> RSAPublicKey:
    """Return the key in a PEM text, the same object for the same text."""
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, RSAPublicKey):
        raise SigningKeyError("a stored public key is not an RSA key")
    return key


def sign(payload: Mapping[str, Any], key: RSAPrivateKey, headers: Mapping[str, str]) -> str:
    """Return the compact JWS of `payload`, members in the given order; ValueError for NaN and infinities."""
    body = json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()
    return _JWS.encode(body, key, algorithm=ALGORITHM, headers=dict(headers))


def verify(token: str, key: RSAPublicKey) -> bytes:
    """Return the payload of `token` if `key` signed it with RS256; jwt.PyJWTError if not."""
    payload: bytes = _JWS.decode(token, key, algorithms=[ALGORITHM])
    return payload


def jwk(kid: str, key: RSAPublicKey) -> dict[str, str]:
    """Return the JSON Web Key of a public key (RFC 7517; docs/protocol.md, rule 12.8).

    {"kty": "RSA", "kid": ..., "n": ..., "e": ..., "alg": "RS256", "use": "sig"}.
    """
    numbers = key.public_numbers()
    return {
        "kty": "RSA",
        "kid": kid,
        "n": _base64url_uint(numbers.n),
        "e": _base64url_uint(numbers.e),
        "alg": ALGORITHM,
        "use": "sig",
    }


def _base64url_uint(number: int) -> str:
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


_MASTER_SECRET_BYTES = 32
_MASTER = "master"
_RACES = 5


class KeyMaker:
    """Makes keys and stores them sealed; a constraint on their generation decides between processes.

    RSA keys are generated before the transaction begins, because that takes a tenth of a second.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        cipher: Cipher,
        source: KeySource,
    ) -> None:
        self._database = database
        self._clock = clock
        self._cipher = cipher
        self._source = source
        # Keys made here, by their sealed text, so that they need not be opened.
        self._made: dict[str, RSAPrivateKey] = {}

    def make(self, kind: str, *, needed: Callable[[Sequence[StoredKey]], bool]) -> Sequence[StoredKey]:
        """Add a key of that kind, unless it is no longer `needed` because another process has; return all keys."""
        key = self._source.generate()

        def work(connection: Connection) -> Sequence[StoredKey]:
            earlier = key_store.load(connection)
            if not needed(earlier):
                return earlier
            added = self._row(kind, key, earlier)
            key_store.add(connection, added)
            return key_store.in_order((added, *earlier))

        try:
            return self._database.write(work)
        except IntegrityError:  # Another process has added the same generation, whose key can be used instead.
            return self._database.read(key_store.load)

    def make_first(self, connection: Connection) -> tuple[StoredKey, bytes]:
        """Add a dynamic key and the master secret to a database that has neither; return both."""
        key, secret = self._row(DYNAMIC, self._source.generate(), ()), secrets.token_bytes(_MASTER_SECRET_BYTES)
        key_store.add(connection, key)
        sealed = self._cipher.seal(secret, bound_to=_MASTER)
        key_store.add_master(connection, sealed, created_ms=key.created_ms)
        return key, secret

    def replace(self, *, revoke: bool) -> str:
        """Add a dynamic key and return its kid; with `revoke`, revoke all others and replace a static one too."""
        dynamic, static = self._source.generate(), self._source.generate() if revoke else None

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
                continue  # Another process has added a key meanwhile, which must be revoked too.
        return self._database.write(work)

    def open_private(self, key: StoredKey) -> RSAPrivateKey:
        """Return the private half of a stored key; SigningKeyError if it cannot be decrypted."""
        made = self._made.pop(key.private_key, None)
        return made or read_private(self._cipher.open(key.private_key, bound_to=key.kid))

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
        kid = f"{DYNAMIC}-{created_ms}{self._source.mark}" if kind == DYNAMIC else f"{STATIC}-{uuid.uuid4()}"
        sealed = self._cipher.seal(private_bytes(key), bound_to=kid)
        self._made[sealed] = key
        return StoredKey(
            kid=kid,
            kind=kind,
            generation=1 if newest is None else newest.generation + 1,
            created_ms=created_ms,
            algorithm=ALGORITHM,
            state=TRUSTED,
            public_key=public_pem(key),
            private_key=sealed,
        )
