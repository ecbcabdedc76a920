"""What the session engine hands out, and what it asks about users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection

from ..claims.payload import JSONObject


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token with its times, in milliseconds since the epoch; its `repr` does not show the token."""

    token: str = field(repr=False)
    expiry: int
    created_time: int

    def to_json(self) -> JSONObject:
        """Return it as it is written on the wire."""
        return {"token": self.token, "expiry": self.expiry, "createdTime": self.created_time}


@dataclass(frozen=True, slots=True)
class EngineSession:
    """A session as an operation left it.

    `payload` is the whole payload of `access_token` and may be shared: copy it before changing it. `updated` says that
    the access token is another than the client sent; `refresh_token` is set by creating and refreshing only.
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
    """Knows which login methods belong to one user; asked inside the engine's transactions."""

    def primary_id(self, connection: Connection, recipe_user_id: str) -> str:
        """Return the id of the user who owns a login method; an unknown id is its own owner."""
        ...

    def login_method_ids(self, connection: Connection, user_id: str) -> Sequence[str]:
        """Return the ids of all login methods of the user who has, or owns, `user_id`."""
        ...


class UnlinkedDirectory:
    """The directory of an application without linked accounts: every login method is a user."""

    def primary_id(self, connection: Connection, recipe_user_id: str) -> str:
        """Return the id given."""
        return recipe_user_id

    def login_method_ids(self, connection: Connection, user_id: str) -> Sequence[str]:
        """Return the id given, alone."""
        return [user_id]
