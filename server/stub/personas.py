"""The people who can sign in at a stub provider."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Persona:
    """Somebody with an account at a stub provider; `email` is None for one who gives no address away.

    A `user_id` made of digits fits every provider, GitHub included, whose ids are numbers.
    """

    user_id: str
    email: str | None
    email_verified: bool = True
    name: str = ""


PERSONAS = (
    Persona("1001", "ada@example.com", name="Ada Lovelace"),
    Persona("1002", "grace@example.com", name="Grace Hopper"),
    Persona("1003", "unverified@example.com", email_verified=False, name="Una Verified"),
    Persona("1004", None, name="Noel Address"),
)
"""Who can be chosen where `stub` was given nobody."""

_MAX_EMAIL = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets


def typed(email: str) -> Persona | None:
    """Return whoever owns an address that was typed, always the same; None if it is no address."""
    address = email.strip()
    local, _, domain = address.rpartition("@")
    if not local or not domain or len(address) > _MAX_EMAIL or not address.isprintable() or " " in address:
        return None
    digest = hashlib.sha256(address.lower().encode()).digest()
    return Persona(str(10**12 + int.from_bytes(digest[:6], "big")), address, name=local)
