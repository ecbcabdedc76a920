"""The access-token payload: the fields that the server owns, updates, and JSON values compared and copied.

Values are compared and copied as they are in a token (docs/protocol.md, rule 13.12).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

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
    """Return a copy of `payload` without the fields that the server owns."""
    return {name: value for name, value in payload.items() if name not in _PROTECTED_SET}


def refuse_protected(payload: Mapping[str, Any]) -> None:
    """Raise ProtectedClaimError if `payload` names a field that the server owns."""
    found = [name for name in payload if name in _PROTECTED_SET]
    if found:
        raise ProtectedClaimError(found)


def merged(payload: Mapping[str, Any], update: Mapping[str, Any]) -> JSONObject:
    """Return `payload` without protected fields, changed by `update`; a null at the top level removes its key.

    Nested objects are replaced, not merged. An update that sets a protected field raises ProtectedClaimError.
    """
    refuse_protected({name: value for name, value in update.items() if value is not None})
    result = {**without_protected(payload), **update}
    return {name: value for name, value in result.items() if not (name in update and value is None)}


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> JSONObject:
    """Return the fields of `after` that are new or have another value than in `before`."""
    return {name: value for name, value in after.items() if name not in before or not same_value(before[name], value)}


# Payloads are copied on every check of a session, so plain types come first: asking for a Mapping is slow.
_SCALARS = frozenset({str, int, float, bool, type(None)})
_OBJECTS = (dict, Mapping)
_ARRAYS = (list, tuple)


def same_value(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal at every level; unlike with `==`, true is not 1 and false is not 0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, _OBJECTS) and isinstance(other, _OBJECTS):
        return one.keys() == other.keys() and all(same_value(value, other[name]) for name, value in one.items())
    if isinstance(one, _ARRAYS) and isinstance(other, _ARRAYS):
        return len(one) == len(other) and all(map(same_value, one, other))
    return bool(one == other)


def copied(payload: Mapping[str, Any]) -> JSONObject:
    """Return a deep copy of a JSON object."""
    return {name: copied_value(value) for name, value in payload.items()}


def copied_value(value: Any) -> Any:
    """Return a deep copy of any JSON value; tuples become lists, as they do in JSON."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is dict or (kind is not list and isinstance(value, Mapping)):
        return {name: copied_value(item) for name, item in value.items()}
    if isinstance(value, _ARRAYS):
        return [copied_value(item) for item in value]
    return copy.deepcopy(value)
