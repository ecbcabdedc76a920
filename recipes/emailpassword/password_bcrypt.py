"""Checking bcrypt hashes, which needs the extra `coatcheck[bcrypt]`."""

from __future__ import annotations

import bcrypt

BCRYPT_INPUT_BYTES = 72
"""Bcrypt reads no more of a password than this; the rest was ignored when an imported hash was made."""


def bcrypt_matches(password: bytes, stored: str) -> bool:
    """Whether `stored` is the bcrypt hash of the first 72 bytes of `password`."""
    return bcrypt.checkpw(password[:BCRYPT_INPUT_BYTES], stored.encode("ascii"))
