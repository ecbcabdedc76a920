"""Base64url without padding (RFC 4648, section 5), of which every byte string has exactly one form."""

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
    """Return the bytes that `text` stands for; ValueError if it is not exactly what `base64url` makes of them."""
    padded = text.encode("ascii").translate(_TO_STANDARD) + b"=" * (-len(text) % 4)
    data = binascii.a2b_base64(padded, strict_mode=True)
    # The decoder overlooks spare bits and lets the standard alphabet pass; either would be a second spelling.
    if base64url(data) != text:
        raise ValueError("not base64url in its one form")
    return data


def decoded_object(segment: str) -> JSONObject:
    """Return the JSON object a base64url segment holds; ValueError if it holds anything else."""
    return object_of(from_base64url(segment))


def object_of(data: bytes) -> JSONObject:
    """Return the JSON object in `data`, members in their order.

    ValueError for anything else, for NaN and infinities, for a name given twice (readers could disagree on its
    value), and for nesting deeper than the parser goes.
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
        raise ValueError("a name is given twice in a JSON object")
    return result


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
