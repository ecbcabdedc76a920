"""Base64url without padding (RFC 4648, section 5), of which every byte string has exactly one form."""

from __future__ import annotations

import binascii

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def base64url(data: bytes) -> str:
    """Return `data` in base64url without padding."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL_SAFE).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """Return the bytes that `text` stands for; ValueError if it is not exactly what `base64url` makes of them."""
    padded = text.encode("ascii").translate(_TO_STANDARD) + b"=" * (-len(text) % 4)
    data = binascii.a2b_base64(padded, strict_mode=True)
    # The decoder overlooks spare bits and lets the standard alphabet pass; either would be a second spelling.
    if base64url(data) != text:
        raise ValueError("not base64url in its one form")
    return data
