"""How private keys and the master secret are kept in the database: sealed with AES-256-GCM, or marked as plain."""

from __future__ import annotations

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .exceptions import SigningKeyError

_PLAIN = "plain:"
_SEALED = "aes256gcm:"
_NONCE_BYTES = 12
_SHORTEST_SECRET = 16


class Cipher:
    """Seals what must not be readable in a leaked database, under a key derived from `secret` (HKDF-SHA-256, RFC 5869).

    `secret` should be random, e.g. 32 bytes in base64; a passphrase is not stretched, so it must be at least 16
    characters long (ValueError). With None, values are stored as they are and marked so; they stay readable after a
    secret is introduced.
    """

    def __init__(self, secret: str | bytes | None) -> None:
        self._aead = None if secret is None else AESGCM(_derived(secret))

    @property
    def encrypts(self) -> bool:
        """Whether what is sealed from now on is encrypted, rather than marked as plain."""
        return self._aead is not None

    def seal(self, data: bytes, *, bound_to: str = "") -> str:
        """Return the text under which `data` is stored; it opens only with the same `bound_to`."""
        if self._aead is None:
            return _PLAIN + base64.b64encode(data).decode()
        nonce = os.urandom(_NONCE_BYTES)
        return _SEALED + base64.b64encode(nonce + self._aead.encrypt(nonce, data, bound_to.encode())).decode()

    def open(self, sealed: str, *, bound_to: str = "") -> bytes:
        """Return the data behind `sealed`; SigningKeyError, saying what to do, if it cannot be opened."""
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
