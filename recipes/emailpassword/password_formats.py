"""The formats of password hashes that can be checked: recognised, bounded in cost, and compared.

Argon2id and scrypt are PHC strings, bcrypt is its own modular format (docs/protocol.md, section 22).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ..exceptions import RecipeError

try:
    import bcrypt
except ImportError:  # the extra is not installed: such a hash is refused by name, not with an ImportError
    bcrypt = None  # type: ignore[assignment]

MIN_SALT_BYTES, MAX_SALT_BYTES = 8, 64
MIN_HASH_BYTES, MAX_HASH_BYTES = 16, 64

# The lower bounds are about a millisecond of work, the upper ones a few seconds and 256 MiB.
ARGON2_MIN_MEMORY_KIB, ARGON2_MAX_MEMORY_KIB = 512, 262_144
ARGON2_MAX_LANES = 16
ARGON2_MAX_MEMORY_PASSES_KIB = 1_048_576
"""The upper bound of memory times iterations."""
BCRYPT_MIN_COST, BCRYPT_MAX_COST = 4, 15
BCRYPT_INPUT_BYTES = 72
"""Bcrypt reads no more of a password than this; the rest was ignored when an imported hash was made."""
SCRYPT_MIN_LN, SCRYPT_MAX_LN = 10, 18
SCRYPT_MAX_R, SCRYPT_MAX_P = 32, 16
SCRYPT_MAX_WORK = 2**21
"""The upper bound of N times r times p."""

_BASE64 = "[A-Za-z0-9+/]+"
_ARGON2ID = re.compile(
    rf"\$argon2id\$v=19\$m=([1-9][0-9]{{0,9}}),t=([1-9][0-9]{{0,9}}),p=([1-9][0-9]{{0,9}})\$({_BASE64})\$({_BASE64})"
)
_SCRYPT = re.compile(
    rf"\$scrypt\$ln=([1-9][0-9]{{0,3}}),r=([1-9][0-9]{{0,9}}),p=([1-9][0-9]{{0,9}})\$({_BASE64})\$({_BASE64})"
)
_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")


class ImportRefusedError(RecipeError, ValueError):
    """A password hash cannot be checked by this App: its format is unknown, or its cost out of all proportion."""


class StoredHash(Protocol):
    """A password hash that was recognised, and whose cost is within the bounds."""

    def matches(self, password: bytes) -> bool:
        """Whether it is the hash of `password`; compared in constant time."""
        ...


@dataclass(frozen=True, slots=True)
class Argon2idHash:
    """An Argon2id hash of version 1.3 (RFC 9106) as a PHC string; memory in KiB."""

    phc: str
    memory: int
    iterations: int
    lanes: int

    @classmethod
    def parse(cls, stored: str) -> Argon2idHash:
        """Recognise `stored`, or raise ImportRefusedError."""
        memory, iterations, lanes = _parameters(_ARGON2ID, stored, "$argon2id$v=19$m=<KiB>,t=<n>,p=<n>$<salt>$<hash>")
        _bounded("m (KiB)", memory, ARGON2_MIN_MEMORY_KIB, ARGON2_MAX_MEMORY_KIB)
        _bounded("m times t", memory * iterations, 1, ARGON2_MAX_MEMORY_PASSES_KIB)
        _bounded("p", lanes, 1, ARGON2_MAX_LANES)
        return cls(stored, memory, iterations, lanes)

    def matches(self, password: bytes) -> bool:
        """Whether it is the hash of `password`."""
        try:
            Argon2id.verify_phc_encoded(password, self.phc)
        except InvalidKey:
            return False
        return True


@dataclass(frozen=True, slots=True)
class ScryptHash:
    """An scrypt hash (RFC 7914) as a PHC string, N = 2**ln."""

    ln: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    @classmethod
    def parse(cls, stored: str) -> ScryptHash:
        """Recognise `stored`, or raise ImportRefusedError."""
        ln, r, p = _parameters(_SCRYPT, stored, "$scrypt$ln=<n>,r=<n>,p=<n>$<salt>$<hash>")
        _bounded("ln", ln, SCRYPT_MIN_LN, SCRYPT_MAX_LN)
        _bounded("r", r, 1, SCRYPT_MAX_R)
        _bounded("p", p, 1, SCRYPT_MAX_P)
        _bounded("N times r times p", 2**ln * r * p, 1, SCRYPT_MAX_WORK)
        salt, digest = stored.split("$")[-2:]
        return cls(ln, r, p, _decoded(salt), _decoded(digest))

    def matches(self, password: bytes) -> bool:
        """Whether it is the hash of `password`."""
        derivation = Scrypt(salt=self.salt, length=len(self.digest), n=2**self.ln, r=self.r, p=self.p)
        try:
            derivation.verify(password, self.digest)
        except InvalidKey:
            return False
        return True


@dataclass(frozen=True, slots=True)
class BcryptHash:
    """A bcrypt hash made by any implementation without the sign-extension defect ($2a$, $2b$, $2y$)."""

    modular: str
    cost: int

    @classmethod
    def parse(cls, stored: str) -> BcryptHash:
        """Recognise `stored`, or raise ImportRefusedError, also where the extra is not installed."""
        found = _BCRYPT.fullmatch(stored)
        if found is None:
            raise ImportRefusedError("a bcrypt hash reads $2b$<two digits>$<53 characters>; $2x$ is not supported")
        cost = int(found[1])
        _bounded("the bcrypt cost", cost, BCRYPT_MIN_COST, BCRYPT_MAX_COST)
        if bcrypt is None:
            raise ImportRefusedError("checking bcrypt hashes needs an extra: pip install 'coatcheck[bcrypt]'")
        return cls(stored, cost)

    def matches(self, password: bytes) -> bool:
        """Whether it is the hash of the first 72 bytes of `password`."""
        try:
            return bcrypt.checkpw(password[:BCRYPT_INPUT_BYTES], self.modular.encode("ascii"))
        except ValueError:  # 53 characters of the alphabet that do not decode
            return False


def recognise(stored: str) -> StoredHash:
    """Return what `stored` is; ImportRefusedError says why it is not accepted, without quoting the hash."""
    if stored.startswith("$argon2id$"):
        return Argon2idHash.parse(stored)
    if stored.startswith("$scrypt$"):
        return ScryptHash.parse(stored)
    if stored.startswith("$2"):
        return BcryptHash.parse(stored)
    if stored.startswith(("$argon2i$", "$argon2d$")):
        raise ImportRefusedError("Argon2i and Argon2d hashes are not supported: of the Argon2 family, only Argon2id is")
    raise ImportRefusedError("Password hash is in invalid format: neither Argon2id, scrypt (PHC) nor bcrypt")


def _parameters(pattern: re.Pattern[str], stored: str, shape: str) -> tuple[int, int, int]:
    """Return the three cost parameters of a PHC string, after its salt and hash were found to be well-formed."""
    found = pattern.fullmatch(stored)
    if found is None:
        raise ImportRefusedError(f"Password hash is in invalid format: it should read {shape}")
    _bounded("the salt's length in bytes", len(_decoded(found[4])), MIN_SALT_BYTES, MAX_SALT_BYTES)
    _bounded("the hash's length in bytes", len(_decoded(found[5])), MIN_HASH_BYTES, MAX_HASH_BYTES)
    return int(found[1]), int(found[2]), int(found[3])


def _decoded(text: str) -> bytes:
    """Decode base64 without padding, in its canonical form only."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raw = b""
    if base64.b64encode(raw).rstrip(b"=").decode("ascii") != text:
        raise ImportRefusedError("Password hash is in invalid format: its salt or hash is not base64")
    return raw


def _bounded(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ImportRefusedError(f"Password hash is refused: {name} is {value}, accepted is {low} to {high}")
