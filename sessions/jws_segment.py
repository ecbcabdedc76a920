"""The base64url segments of a JSON Web Signature, read strictly (RFC 7515; RFC 4648, section 5)."""

from __future__ import annotations

import json
from typing import Any

from ..claims.payload import JSONObject
from .encoding import from_base64url


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
