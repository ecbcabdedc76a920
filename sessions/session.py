"""What the session engine returns, the payloads and front tokens in it, and what the engine asks about users."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from sqlalchemy import Connection

from ..claims.payload import JSONObject, without_protected
from .refresh_token import tenant_of
from .rows import SessionRow


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token with its times, in milliseconds since the epoch; its `repr` does not show the token."""

    token: str = field(repr=False)
    expiry: int
    created_time: int

    def to_json(self) -> JSONObject:
        """Return {"token": ..., "expiry": ..., "createdTime": ...}."""
        return {"token": self.token, "expiry": self.expiry, "createdTime": self.created_time}


@dataclass(frozen=True, slots=True)
class EngineSession:
    """A session after an operation.

    `payload` is the whole payload of `access_token` and may be shared: copy it before changing it. `updated` says that
    the client gets a new access token; only creating and refreshing set `refresh_token`.
    """

    handle: str
    user_id: str
    recipe_user_id: str
    tenant_id: str
    payload: Mapping[str, Any] = field(repr=False)
    access_token: str = field(repr=False)
    updated: bool
    refresh_token: TokenInfo | None
    anti_csrf_token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionInformation:
    """What is stored about a session; times in milliseconds since the epoch."""

    session_handle: str
    user_id: str
    recipe_user_id: str
    session_data_in_database: JSONObject
    expiry: int
    custom_claims_in_access_token_payload: JSONObject
    time_created: int
    tenant_id: str


class Directory(Protocol):
    """Knows which login methods belong to one user; called inside the engine's transactions."""

    def primary_id(self, connection: Connection, recipe_user_id: str) -> str:
        """Return the id of the user who owns a login method; an unknown id is its own owner."""
        ...

    def login_method_ids(self, connection: Connection, user_id: str) -> Sequence[str]:
        """Return the ids of all login methods of the user who has, or owns, `user_id`."""
        ...


_compact_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Pairing:
    """What connects an access token with its refresh token; there is a parent until the client has used the token."""

    hash1: str
    parent_hash1: str | None
    anti_csrf_token: str | None


def pairing_of(payload: Mapping[str, Any]) -> Pairing:
    """Return the pairing in a payload; an empty parent, or one of a wrong type, counts as none."""
    return Pairing(payload["refreshTokenHash1"], parent_of(payload), _text(payload.get("antiCsrfToken")))


def parent_of(payload: Mapping[str, Any]) -> str | None:
    """Return the parent in the pairing of a payload."""
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


def confirmed_session(payload: Mapping[str, Any], access_token: str) -> EngineSession | None:
    """Return the session of a verified access token; None if its use must first confirm a refresh."""
    return session_of(payload, access_token, updated=False) if parent_of(payload) is None else None


def claims_differ(payload: Mapping[str, Any], stored: str) -> bool:
    """Whether the custom claims of a token differ from the stored ones; `true` and `1` are different."""
    claims = without_protected(payload)
    return to_json(claims) != stored and _sorted(claims) != _sorted(without_protected(from_json(stored)))


def to_json(value: Mapping[str, Any] | None) -> str:
    """Return an object as compact JSON, None as `{}`; a value that is no JSON raises TypeError or ValueError."""
    return _compact_json(value or {})


def from_json(text: str) -> JSONObject:
    """Return the object in a stored text."""
    return cast(JSONObject, json.loads(text))


def _sorted(claims: JSONObject) -> str:
    # Texts are compared, because in Python True == 1 == 1.0.
    return json.dumps(claims, sort_keys=True)


def front_token(payload: Mapping[str, Any]) -> str:
    """Return the front token for the payload of a signed access token; its members keep their order.

    It is base64 of {"uid": user id, "ate": expiry in milliseconds, "up": the payload}. Some clients compare `up` with
    the payload of the access token as text, so `payload` must be the decoded payload of that token.
    """
    content = {"uid": payload["sub"], "ate": int(payload["exp"] * 1000), "up": dict(payload)}
    return base64.b64encode(_utf8(content)).decode()


def _utf8(content: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair is legal in JSON but has no UTF-8, so it is escaped.
        return json.dumps(content, separators=(",", ":")).encode()
