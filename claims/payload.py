"""The access-token payload: which fields the server owns, and how updates are laid over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import json_value
from .exceptions import ProtectedClaimError

JSONObject = dict[str, Any]
UserContext = dict[str, Any]

PROTECTED = (
    "sub",
    "iat",
    "exp",
    "sessionHandle",
    "parentRefreshTokenHash1",
    "refreshTokenHash1",
    "antiCsrfToken",
    "rsub",
    "tId",
    "stt",
)
"""The fields of an access token that the server owns (docs/protocol.md, rule 3.3)."""

_PROTECTED_SET = frozenset(PROTECTED)


def without_protected(payload: Mapping[str, Any]) -> JSONObject:
    """Return a copy of `payload` that lacks the fields the server owns."""
    return {name: value for name, value in payload.items() if name not in _PROTECTED_SET}


def refuse_protected(payload: Mapping[str, Any]) -> None:
    """Raise ProtectedClaimError if `payload` names a field the server owns."""
    found = [name for name in payload if name in _PROTECTED_SET]
    if found:
        raise ProtectedClaimError(found)


def merged(payload: Mapping[str, Any], update: Mapping[str, Any]) -> JSONObject:
    """Return `payload` without protected fields, overlaid with `update`; a null at the top level removes its key.

    The overlay is shallow: nested objects are replaced, not merged. An update that sets a protected field raises
    ProtectedClaimError.
    """
    refuse_protected({name: value for name, value in update.items() if value is not None})
    result = {**without_protected(payload), **update}
    return {name: value for name, value in result.items() if not (name in update and value is None)}


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> JSONObject:
    """Return what `after` has and `before` lacks, or has with another value: an update that touches nothing else."""
    return {
        name: value for name, value in after.items() if name not in before or not json_value.same(before[name], value)
    }


def copied(payload: Mapping[str, Any]) -> JSONObject:
    """Return a copy of a JSON object that shares nothing that can be changed with the original."""
    return {name: json_value.copied(value) for name, value in payload.items()}
