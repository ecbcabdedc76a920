"""The payload of an access token, put together from a stored session and read back from a token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..claims.payload import JSONObject, without_protected
from .refresh_token import tenant_of
from .rows import SessionRow
from .session import EngineSession, TokenInfo

_compact_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Pairing:
    """What ties an access token to the refresh token it came with; a parent is there until the client has used it."""

    hash1: str
    parent_hash1: str | None
    anti_csrf_token: str | None


def pairing_of(payload: Mapping[str, Any]) -> Pairing:
    """Return the pairing that a payload states; an empty parent, or one of a wrong type, is none."""
    return Pairing(payload["refreshTokenHash1"], parent_of(payload), _text(payload.get("antiCsrfToken")))


def parent_of(payload: Mapping[str, Any]) -> str | None:
    """Return the parent in the pairing that a payload states."""
    return _text(payload.get("parentRefreshTokenHash1"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def access_payload(row: SessionRow, user_id: str, pairing: Pairing, *, issued_ms: int, expires_ms: int) -> JSONObject:
    """Return the payload to sign, its keys in the order of docs/protocol.md, rule 3.2; it may hold no custom claims."""
    return {
        "iat": issued_ms // 1000,
        "exp": expires_ms // 1000,
        "sub": user_id,
        "tId": row.tenant_id,
        "rsub": row.recipe_user_id,
        "sessionHandle": row.handle,
        "refreshTokenHash1": pairing.hash1,
        "parentRefreshTokenHash1": pairing.parent_hash1,
        "antiCsrfToken": pairing.anti_csrf_token,
        **without_protected(from_json(row.payload)),
    }


def session_of(
    payload: Mapping[str, Any], access_token: str, *, updated: bool, refresh_token: TokenInfo | None = None
) -> EngineSession:
    """Return the session that the payload of an access token describes."""
    handle = payload["sessionHandle"]
    return EngineSession(
        handle=handle,
        user_id=payload["sub"],
        recipe_user_id=payload.get("rsub", payload["sub"]),
        tenant_id=payload.get("tId") or tenant_of(handle),
        payload=payload,
        access_token=access_token,
        updated=updated,
        refresh_token=refresh_token,
        anti_csrf_token=_text(payload.get("antiCsrfToken")),
    )


def settled_session(payload: Mapping[str, Any], access_token: str) -> EngineSession | None:
    """Return the session of a verified access token; None where a refresh has to be confirmed first."""
    return session_of(payload, access_token, updated=False) if parent_of(payload) is None else None


def claims_differ(payload: Mapping[str, Any], stored: str) -> bool:
    """Say whether the custom claims of a token are others than those stored; `true` and `1` are different."""
    claims = without_protected(payload)
    return to_json(claims) != stored and _sorted(claims) != _sorted(without_protected(from_json(stored)))


def to_json(value: Mapping[str, Any] | None) -> str:
    """Return an object as compact JSON, nothing as `{}`; what JSON cannot express raises TypeError or ValueError."""
    return _compact_json(value or {})


def from_json(text: str) -> JSONObject:
    """Return the object that a stored text expresses."""
    return cast(JSONObject, json.loads(text))


def _sorted(claims: JSONObject) -> str:
    # Equality of texts, because in Python True == 1 == 1.0.
    return json.dumps(claims, sort_keys=True)
