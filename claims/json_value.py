"""JSON values compared and copied the way a token compares and copies them (docs/protocol.md, rule 13.12)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

# Payloads are copied on every check of a session, so plain types come first: asking for a Mapping is slow.
_SCALARS = frozenset({str, int, float, bool, type(None)})
_OBJECTS = (dict, Mapping)
_ARRAYS = (list, tuple)


def copied(value: Any) -> Any:
    """Return a deep copy of `value` that shares nothing mutable with it; tuples become lists, as they do in JSON."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is dict or (kind is not list and isinstance(value, Mapping)):
        return {name: copied(item) for name, item in value.items()}
    if isinstance(value, _ARRAYS):
        return [copied(item) for item in value]
    return copy.deepcopy(value)


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal, all the way down; unlike `==`, true is not 1 and false is not 0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, _OBJECTS) and isinstance(other, _OBJECTS):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, _ARRAYS) and isinstance(other, _ARRAYS):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
