"""Hashing and checking passwords: Argon2id for new hashes, several formats for imported ones."""

from __future__ import annotations

import base64
import logging
import re
import secrets

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from .password_formats import Argon2idHash, ImportRefusedError, StoredHash, recognise

__all__ = ["ImportRefusedError", "PasswordHasher"]

MEMORY_KIB = 19_456
ITERATIONS = 2
LANES = 1
SALT_BYTES = 16
HASH_BYTES = 32

UNSAFE_MARK = "unsafe-for-tests:"
"""What a hash of the fast profile begins with; only an App made with `unsafe_for_tests=True` accepts it."""
UNSAFE_MEMORY_KIB = 8
UNSAFE_ITERATIONS = 1
_FAST = re.compile(
    rf"\$argon2id\$v=19\$m={UNSAFE_MEMORY_KIB},t={UNSAFE_ITERATIONS},p={LANES}\$[A-Za-z0-9+/]{{22}}\$[A-Za-z0-9+/]{{43}}"
)

_logger = logging.getLogger("coatcheck.passwords")


class PasswordHasher:
    """Makes and checks password hashes; every method blocks for the time of one hash, or is immediate.

    New hashes are Argon2id, 19 MiB, two iterations, one lane (docs/protocol.md, rule 22.1). With `unsafe_for_tests`
    they cost next to nothing and are marked, so that an App without that flag refuses them.
    """

    def __init__(self, *, unsafe_for_tests: bool = False) -> None:
        self.is_fast = unsafe_for_tests
        """Whether new hashes are those of the fast profile."""
        self._dummy = (
            _fast(_random_phc(UNSAFE_MEMORY_KIB, UNSAFE_ITERATIONS))
            if unsafe_for_tests
            else recognise(_random_phc(MEMORY_KIB, ITERATIONS))
        )

    def hash(self, password: str) -> str:
        """Return a new hash of `password` with a fresh salt."""
        if self.is_fast:
            return UNSAFE_MARK + _argon2id(UNSAFE_MEMORY_KIB, UNSAFE_ITERATIONS).derive_phc_encoded(_bytes(password))
        return _argon2id(MEMORY_KIB, ITERATIONS).derive_phc_encoded(_bytes(password))

    def verify(self, password: str, stored: str) -> bool:
        """Whether `stored` is a hash of `password`.

        A stored hash that this App does not accept matches nothing, takes the time of one that does, and is reported
        in the log.
        """
        try:
            accepted = self._accept(stored)
        except ImportRefusedError as refused:
            _logger.warning("a stored password hash cannot be used: %s", refused)
            return self.verify_dummy(password)
        return accepted.matches(_bytes(password))

    def verify_dummy(self, password: str) -> bool:
        """Spend the time of a verification and return False: for an e-mail address nobody has."""
        self._dummy.matches(_bytes(password))
        return False

    def is_cheap(self, stored: str | None = None) -> bool:
        """Whether a new hash, or the check of a stored one, costs next to nothing."""
        return self.is_fast and (stored is None or stored.startswith(UNSAFE_MARK))

    def needs_rehash(self, stored: str) -> bool:
        """Whether a hash that has just matched should be replaced by a new one of the same password.

        A hash with today's parameters is kept even by an App for tests: a real hash is never replaced by a fast one.
        """
        if self.is_cheap(stored):
            return False
        return not stored.startswith(f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p={LANES}$")

    def check_import(self, stored: str) -> None:
        """Raise ImportRefusedError unless this App will be able to check `stored` at sign-in (rule 22.5)."""
        self._accept(stored)

    def _accept(self, stored: str) -> StoredHash:
        if not stored.startswith(UNSAFE_MARK):
            return recognise(stored)
        if not self.is_fast:
            raise ImportRefusedError("it was made with the fast profile for tests, which this App does not accept")
        return _fast(stored.removeprefix(UNSAFE_MARK))


def _argon2id(memory: int, iterations: int) -> Argon2id:
    salt = secrets.token_bytes(SALT_BYTES)
    return Argon2id(salt=salt, length=HASH_BYTES, iterations=iterations, lanes=LANES, memory_cost=memory)


def _fast(phc: str) -> Argon2idHash:
    """Recognise a hash of the fast profile, below the bounds that imported hashes have to keep."""
    if _FAST.fullmatch(phc) is None:
        raise ImportRefusedError("Password hash is in invalid format: it is marked as made for tests, and is not")
    return Argon2idHash(phc, UNSAFE_MEMORY_KIB, UNSAFE_ITERATIONS, LANES)


def _random_phc(memory: int, iterations: int) -> str:
    """Return what looks like a hash and is the hash of no known password; nothing is computed."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).rstrip(b"=").decode("ascii")
        for length in (SALT_BYTES, HASH_BYTES)
    )
    return f"$argon2id$v=19$m={memory},t={iterations},p={LANES}${salt}${digest}"


def _bytes(password: str) -> bytes:
    # JSON may carry half a surrogate pair, which plain UTF-8 refuses to encode.
    return password.encode("utf-8", "surrogatepass")
