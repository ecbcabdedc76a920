"""The tables of signing keys and of the master secret, their rows, and the cipher that seals what is stored."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .exceptions import SigningKeyError
from .schema import metadata

DYNAMIC = "d"
STATIC = "s"

TRUSTED = "trusted"
REVOKED = "revoked"

signing_keys = sa.Table(
    "coatcheck_signing_keys",
    metadata,
    sa.Column("kid", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(1), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("algorithm", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("public_key", sa.Text, nullable=False),
    sa.Column("private_key", sa.Text, nullable=False),
    sa.UniqueConstraint("kind", "generation", name="coatcheck_signing_keys_generation"),
)

master_secrets = sa.Table(
    "coatcheck_master_secret",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.Text, nullable=False),
)

_ONLY_ROW = 1

# Built once, because every new database needs them first.
_LOAD = sa.select(signing_keys).order_by(signing_keys.c.kind, signing_keys.c.generation.desc())
_ADD = sa.insert(signing_keys)
_COLUMNS = tuple(signing_keys.c.keys())
_LOAD_MASTER = sa.select(master_secrets.c.sealed)
_ADD_MASTER = sa.insert(master_secrets)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One stored signing key; `public_key` is PEM, `private_key` is sealed, and empty once the key is revoked.

    Generations count up within a kind. Two processes that make a key at the same moment use the same generation, and
    the constraint refuses one of them.
    """

    kid: str
    kind: str
    generation: int
    created_ms: int
    algorithm: str
    state: str
    public_key: str
    private_key: str


def load(connection: sa.Connection) -> tuple[StoredKey, ...]:
    """Return all keys, dynamic before static, newest first."""
    return tuple(StoredKey(*row) for row in connection.execute(_LOAD))


def in_order(keys: Iterable[StoredKey]) -> tuple[StoredKey, ...]:
    """Return keys in the order of `load`: dynamic before static, newest first."""
    return tuple(sorted(keys, key=lambda key: (key.kind, -key.generation)))


def add(connection: sa.Connection, key: StoredKey) -> None:
    """Insert a key; IntegrityError if another process has taken its generation."""
    connection.execute(_ADD, {name: getattr(key, name) for name in _COLUMNS})


def revoke_all(connection: sa.Connection) -> None:
    """Mark every key as revoked and delete its private half."""
    connection.execute(sa.update(signing_keys).values(state=REVOKED, private_key=""))


def remove_dynamic(connection: sa.Connection, *, created_until_ms: int) -> int:
    """Delete the dynamic keys created until that time and return how many there were."""
    columns = signing_keys.c
    old = (columns.kind == DYNAMIC) & (columns.created_ms <= created_until_ms)
    return connection.execute(sa.delete(signing_keys).where(old)).rowcount


def load_master(connection: sa.Connection) -> str | None:
    """Return the sealed master secret, None if there is none yet."""
    sealed: str | None = connection.execute(_LOAD_MASTER).scalar_one_or_none()
    return sealed


def add_master(connection: sa.Connection, sealed: str, *, created_ms: int) -> None:
    """Insert the master secret; IntegrityError if there is one already."""
    connection.execute(_ADD_MASTER, {"id": _ONLY_ROW, "created_ms": created_ms, "sealed": sealed})


_PLAIN = "plain:"
_SEALED = "aes256gcm:"
_NONCE_BYTES = 12
_SHORTEST_SECRET = 16


class Cipher:
    """Seals secrets, so that a leaked database does not reveal them; its key is derived from `secret` (RFC 5869).

    `secret` should be random, for example 32 bytes in base64; it must have at least 16 characters (ValueError), because
    a passphrase is not stretched. With None, values are stored unencrypted and marked as such; they stay readable when
    a secret is configured later.
    """

    def __init__(self, secret: str | bytes | None) -> None:
        self._aead = None if secret is None else AESGCM(_derived(secret))

    @property
    def encrypts(self) -> bool:
        """Whether values sealed from now on are encrypted."""
        return self._aead is not None

    def seal(self, data: bytes, *, bound_to: str = "") -> str:
        """Return the text to store for `data`; it opens only with the same `bound_to`."""
        if self._aead is None:
            return _PLAIN + base64.b64encode(data).decode()
        nonce = os.urandom(_NONCE_BYTES)
        return _SEALED + base64.b64encode(nonce + self._aead.encrypt(nonce, data, bound_to.encode())).decode()

    def open(self, sealed: str, *, bound_to: str = "") -> bytes:
        """Return the data in `sealed`; SigningKeyError, with advice, if it cannot be opened."""
        marker, _, body = sealed.partition(":")
        try:
            data = base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError):
            raise SigningKeyError("a stored secret is damaged: it is not base64") from None
        if marker + ":" == _PLAIN:
            return data
        if marker + ":" != _SEALED:
            raise SigningKeyError("a stored secret is in a format unknown to this version of coatcheck")
        return self._decrypted(data, bound_to)

    def _decrypted(self, data: bytes, bound_to: str) -> bytes:
        if self._aead is None:
            raise SigningKeyError("the database holds encrypted keys: configure the key they were sealed with")
        try:
            return self._aead.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound_to.encode())
        except (InvalidTag, ValueError):
            raise SigningKeyError(
                "a stored key cannot be decrypted: the encryption key configured is not the one it was sealed with"
            ) from None


def _derived(secret: str | bytes) -> bytes:
    material = secret.encode() if isinstance(secret, str) else secret
    if len(material) < _SHORTEST_SECRET:
        raise ValueError(f"the encryption key must have at least {_SHORTEST_SECRET} characters; use 32 random bytes")
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"coatcheck keys at rest").derive(material)
