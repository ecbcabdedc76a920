"""Hashing and checking passwords: Argon2id for new hashes, several formats for imported ones."""

from __future__ import annotations

import base64
import binascii
import logging
import re
import secrets
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ..exceptions import RecipeError

try:
    import bcrypt
except ImportError:  # without the extra, such a hash is refused with a message, not with an ImportError
    bcrypt = None  # type: ignore[assignment]


# Making and checking hashes

MEMORY_KIB = 19_456
ITERATIONS = 2
LANES = 1
SALT_BYTES = 16
HASH_BYTES = 32
UNSAFE_MARK = "unsafe-for-tests:"
"""What a hash of the fast profile begins with; only an App made with `unsafe_for_tests=True` accepts it."""

_UNSAFE_MEMORY_KIB = 8
_UNSAFE_ITERATIONS = 1
_FAST = re.compile(
    rf"\$argon2id\$v=19\$m={_UNSAFE_MEMORY_KIB},t={_UNSAFE_ITERATIONS},p={LANES}\$[A-Za-z0-9+/]{{22}}\$[A-Za-z0-9+/]{{43}}"
)

_logger = logging.getLogger("coatcheck.passwords")


class ImportRefusedError(RecipeError, ValueError):
    """This App cannot check a password hash: its format is unknown, or its cost out of bounds."""


class PasswordHasher:
    """Makes and checks password hashes; every method blocks for the time of one hash, or is immediate.

    New hashes are Argon2id, 19 MiB, two iterations, one lane (docs/protocol.md, rule 22.1). With `unsafe_for_tests`
    they cost almost nothing and are marked, so that an App without that flag refuses them.
    """

    def __init__(self, *, unsafe_for_tests: bool = False) -> None:
        self.is_fast = unsafe_for_tests
        """Whether new hashes are those of the fast profile."""
        self._dummy = (
            _fast(_random_phc(_UNSAFE_MEMORY_KIB, _UNSAFE_ITERATIONS))
            if unsafe_for_tests
            else recognise(_random_phc(MEMORY_KIB, ITERATIONS))
        )

    def hash(self, password: str) -> str:
        """Return a new hash of `password` with a fresh salt."""
        if self.is_fast:
            return UNSAFE_MARK + _argon2id(_UNSAFE_MEMORY_KIB, _UNSAFE_ITERATIONS).derive_phc_encoded(_bytes(password))
        return _argon2id(MEMORY_KIB, ITERATIONS).derive_phc_encoded(_bytes(password))

    def verify(self, password: str, stored: str) -> bool:
        """Whether `stored` is a hash of `password`.

        A stored hash that this App does not accept matches no password, takes the usual time, and is logged.
        """
        try:
            accepted = self._accept(stored)
        except ImportRefusedError as refused:
            _logger.warning("a stored password hash cannot be used: %s", refused)
            return self.verify_dummy(password)
        return accepted.matches(_bytes(password))

    def verify_dummy(self, password: str) -> bool:
        """Take the time of a verification and return False: for an unknown e-mail address."""
        self._dummy.matches(_bytes(password))
        return False

    def is_cheap(self, stored: str | None = None) -> bool:
        """Whether a new hash, or the check of a stored one, costs almost nothing."""
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
    """Recognise a hash of the fast profile, which costs less than imported hashes may."""
    if _FAST.fullmatch(phc) is None:
        raise ImportRefusedError("Password hash is in invalid format: it is marked as made for tests, and is not")
    return Argon2idHash(phc, _UNSAFE_MEMORY_KIB, _UNSAFE_ITERATIONS, LANES)


def _random_phc(memory: int, iterations: int) -> str:
    """Return a text that looks like a hash but belongs to no known password; nothing is computed."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).rstrip(b"=").decode("ascii")
        for length in (SALT_BYTES, HASH_BYTES)
    )
    return f"$argon2id$v=19$m={memory},t={iterations},p={LANES}${salt}${digest}"


def _bytes(password: str) -> bytes:
    # JSON can hold half a surrogate pair, which plain UTF-8 refuses to encode.
    return password.encode("utf-8", "surrogatepass")


# The formats that can be checked

MIN_SALT_BYTES, MAX_SALT_BYTES = 8, 64
MIN_HASH_BYTES, MAX_HASH_BYTES = 16, 64

# The lower bounds are about a millisecond of work, the upper ones a few seconds and 256 MiB.
ARGON2_MIN_MEMORY_KIB, ARGON2_MAX_MEMORY_KIB = 512, 262_144

ARGON2_MAX_LANES = 16

ARGON2_MAX_MEMORY_PASSES_KIB = 1_048_576
"""The upper bound of memory times iterations."""

BCRYPT_MIN_COST, BCRYPT_MAX_COST = 4, 15
BCRYPT_INPUT_BYTES = 72
"""Bcrypt reads only this many bytes of a password, also when an imported hash was made."""

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
        _check_bounds("m (KiB)", memory, ARGON2_MIN_MEMORY_KIB, ARGON2_MAX_MEMORY_KIB)
        _check_bounds("m times t", memory * iterations, 1, ARGON2_MAX_MEMORY_PASSES_KIB)
        _check_bounds("p", lanes, 1, ARGON2_MAX_LANES)
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
        _check_bounds("ln", ln, SCRYPT_MIN_LN, SCRYPT_MAX_LN)
        _check_bounds("r", r, 1, SCRYPT_MAX_R)
        _check_bounds("p", p, 1, SCRYPT_MAX_P)
        _check_bounds("N times r times p", 2**ln * r * p, 1, SCRYPT_MAX_WORK)
        salt, digest = stored.split("$")[-2:]
        return cls(ln, r, p, _decode(salt), _decode(digest))

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
        _check_bounds("the bcrypt cost", cost, BCRYPT_MIN_COST, BCRYPT_MAX_COST)
        if bcrypt is None:
            raise ImportRefusedError("checking bcrypt hashes needs an extra: pip install 'coatcheck[bcrypt]'")
        return cls(stored, cost)

    def matches(self, password: bytes) -> bool:
        """Whether it is the hash of the first 72 bytes of `password`."""
        assert bcrypt is not None  # `parse` refuses such hashes without it
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
    _check_bounds("the salt's length in bytes", len(_decode(found[4])), MIN_SALT_BYTES, MAX_SALT_BYTES)
    _check_bounds("the hash's length in bytes", len(_decode(found[5])), MIN_HASH_BYTES, MAX_HASH_BYTES)
    return int(found[1]), int(found[2]), int(found[3])


def _decode(text: str) -> bytes:
    """Decode base64 without padding, in its canonical form only."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raw = b""
    if base64.b64encode(raw).rstrip(b"=").decode("ascii") != text:
        raise ImportRefusedError("Password hash is in invalid format: its salt or hash is not base64")
    return raw


def _check_bounds(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ImportRefusedError(f"Password hash is refused: {name} is {value}, accepted is {low} to {high}")
