"""What an e-mail address and a password must look like by default; the front ends apply the same rules."""

from __future__ import annotations

import re

EMAIL_INVALID = "Email is not valid"
PASSWORD_SHORT = "Password must contain at least 8 characters, including a number"  # noqa: S105
PASSWORD_LONG = "Password's length must be lesser than 100 characters"  # noqa: S105
PASSWORD_NO_LETTER = "Password must contain at least one alphabet"  # noqa: S105
PASSWORD_NO_DIGIT = "Password must contain at least one number"  # noqa: S105

MIN_PASSWORD_LENGTH = 8
TOO_LONG_PASSWORD = 100

# Every repetition is possessive: what it has matched is never tried again in another way, so the time an address
# takes is proportional to its length. NUL and half surrogate pairs are what no database stores.
_WORD = r"[^<>()\[\]\\.,;:\s@\"\ufeff\0\ud800-\udfff]++"
_LOCAL_PART = re.compile(rf"{_WORD}(?:\.{_WORD})*+")
_QUOTED_LOCAL_PART = re.compile(r"\"(?:[^\"\\\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]|\\[\"\\])++\"")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9-]++\.)++[A-Za-z]{2,}+")
_ADDRESS_LITERAL = re.compile(r"\[[0-9]{1,3}(?:\.[0-9]{1,3}){3}\]")


async def valid_email(value: str, tenant_id: str) -> str | None:
    """Return why the text is no e-mail address, None if it is one (docs/protocol.md, rule 20.3)."""
    local, _, domain = value.rpartition("@")
    good_local = _LOCAL_PART.fullmatch(local) or _QUOTED_LOCAL_PART.fullmatch(local)
    good_domain = _DOMAIN.fullmatch(domain) or _ADDRESS_LITERAL.fullmatch(domain)
    return None if good_local and good_domain else EMAIL_INVALID


async def valid_password(value: str, tenant_id: str) -> str | None:
    """Return the first rule that the password breaks, None if it breaks none (docs/protocol.md, rule 20.4)."""
    if len(value) < MIN_PASSWORD_LENGTH:
        return PASSWORD_SHORT
    if len(value) >= TOO_LONG_PASSWORD:
        return PASSWORD_LONG
    if re.search(r"[A-Za-z]", value) is None:
        return PASSWORD_NO_LETTER
    if re.search(r"[0-9]", value) is None:
        return PASSWORD_NO_DIGIT
    return None
