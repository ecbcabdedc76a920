"""Base64url without padding (RFC 4648, section 5), with one text for every byte string, and JSON objects in it."""

from __future__ import annotations

import binascii
import json
from typing import Any

from ..claims.payload import JSONObject

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def base64url(data: bytes) -> str:
    """Return `data` in base64url without padding."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL_SAFE).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """Return the bytes that `text` encodes; ValueError if it is not exactly what `base64url` returns for them."""
    padded = text.encode("ascii").translate(_TO_STANDARD) + b"=" * (-len(text) % 4)
    data = binascii.a2b_base64(padded, strict_mode=True)
    # The decoder ignores unused bits and accepts the standard alphabet; both would give a second text.
    if base64url(data) != text:
        raise ValueError("not the one base64url text of its bytes")
    return data


def decoded_object(segment: str) -> JSONObject:
    """Return the JSON object in a base64url segment; ValueError if there is anything else in it."""
    return object_of(from_base64url(segment))


def object_of(data: bytes) -> JSONObject:
    """Return the JSON object in `data`, with its members in their order.

    Raises ValueError for anything else, for NaN and infinities, for a repeated name (readers could take different
    values), and for nesting that is too deep for the parser.
    """
    try:
        value = _decoder.decode(data.decode())
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> JSONObject:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a JSON object repeats a name")
    return result


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
