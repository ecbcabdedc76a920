"""RSA keys as such: made, written, read back, and used for JSON Web Signatures (RFC 7515, RFC 7518 section 3.3)."""

from __future__ import annotations

import base64
import json
import secrets
import weakref
from collections.abc import Mapping
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

from .exceptions import SigningKeyError

ALGORITHM = "RS256"

_JWS = jwt.PyJWS(algorithms=[ALGORITHM])


def generate() -> RSAPrivateKey:
    """Return a new RSA key of 2048 bits."""
    return generate_private_key(public_exponent=65537, key_size=2048)


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
