"""RSA keys as such: made, written, read back, and used for JSON Web Signatures (RFC 7515, RFC 7518 section 3.3)."""

from __future__ import annotations

import base64
import json
import secrets
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

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
    """Where new signing keys come from; `mark` is what the ids of dynamic keys end with."""

    generate: Callable[[], RSAPrivateKey] = generate
    mark: str = ""


class LentKeys:
    """Keys for one App for tests, whose database ends with it, where making one takes longer than the test.

    Given back, by `give_back` or when this object is forgotten, they are lent to the next App of the process that asks;
    Apps that are open at the same time have different ones. `mark` is what the ids of the keys end with here, so that
    no App takes a token for its own that an earlier one has signed with the same key at the same moment.
    """

    _spare: ClassVar[list[RSAPrivateKey]] = []

    def __init__(self) -> None:
        self.mark = f"-{secrets.token_hex(4)}"
        self._lent: list[RSAPrivateKey] = []
        weakref.finalize(self, _move, self._lent, self._spare)

    def generate(self) -> RSAPrivateKey:
        """Return a key that nobody has at present, a new one if need be."""
        try:
            key = self._spare.pop()
        except IndexError:
            key = generate()
        self._lent.append(key)
        return key

    def give_back(self) -> None:
        """Let others have the keys."""
        _move(self._lent, self._spare)


def _move(keys: list[RSAPrivateKey], where: list[RSAPrivateKey]) -> None:
    while keys:
        where.append(keys.pop())


def private_bytes(key: RSAPrivateKey) -> bytes:
    """Return the key as PKCS #8, to be sealed."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: RSAPrivateKey) -> str:
    """Return the public half as PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_private(data: bytes) -> RSAPrivateKey:
    """Return the key behind `private_bytes`."""
    # Checking the primes would take as long as making a key; what was sealed here was made here.
    key = load_der_private_key(data, password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, RSAPrivateKey):
        raise SigningKeyError("a stored signing key is not an RSA key")
    return key


@lru_cache(maxsize=128)
def read_public(pem: str) -> RSAPublicKey:
    """Return the key behind a PEM text, the same object for the same text."""
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, RSAPublicKey):
        raise SigningKeyError("a stored public key is not an RSA key")
    return key


def sign(payload: Mapping[str, Any], key: RSAPrivateKey, headers: Mapping[str, str]) -> str:
    """Return the compact JWS of `payload`, members in the order given; ValueError for NaN and infinities."""
    body = json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()
    return _JWS.encode(body, key, algorithm=ALGORITHM, headers=dict(headers))


def verify(token: str, key: RSAPublicKey) -> bytes:
    """Return the payload of `token` if `key` signed it; jwt.PyJWTError if not. No other algorithm is let in."""
    payload: bytes = _JWS.decode(token, key, algorithms=[ALGORITHM])
    return payload


def jwk(kid: str, key: RSAPublicKey) -> dict[str, str]:
    """Return the JSON Web Key of a public key (RFC 7517; docs/protocol.md, rule 12.8)."""
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
        kid = f"{DYNAMIC}-{created_ms}{self._mark}" if kind == DYNAMIC else f"{STATIC}-{uuid.uuid4()}"
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
