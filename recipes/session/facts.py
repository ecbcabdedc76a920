"""What the tokens of a session say: its ids, its payload, and the tokens themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...claims.payload import JSONObject, UserContext, copied
from ...claims.recipe_user_id import RecipeUserId
from ...sessions.engine import EngineSession, TokenInfo
from ...sessions.session import front_token


class SessionFacts:
    """What can be told about a session without asking anybody; `session["name"]` reads an attribute."""

    __slots__ = ("_payload", "_tokens", "access_token", "access_token_updated")

    # Set by SessionContainer, the only kind there is: every request makes one, and a call more for it can be measured.
    _tokens: EngineSession
    _payload: Mapping[str, Any]
    access_token: str
    access_token_updated: bool

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.session_handle} of user {self.user_id}>"

    @property
    def session_handle(self) -> str:
        """The id of the session, constant over refreshes."""
        return self._tokens.handle

    @property
    def user_id(self) -> str:
        """The primary id of the user."""
        return self._tokens.user_id

    @property
    def recipe_user_id(self) -> RecipeUserId:
        """The id of the login method the session was created with."""
        return RecipeUserId(self._tokens.recipe_user_id)

    @property
    def tenant_id(self) -> str:
        """The tenant the session lives in."""
        return self._tokens.tenant_id

    @property
    def refresh_token(self) -> TokenInfo | None:
        """The refresh token, only just after it was issued."""
        return self._tokens.refresh_token

    @property
    def anti_csrf_token(self) -> str | None:
        """The anti-CSRF token, None where the session has none."""
        return self._tokens.anti_csrf_token

    @property
    def front_token(self) -> str:
        """The mirror of the payload that JavaScript reads (docs/protocol.md, section 4)."""
        return front_token(self._payload)

    @property
    def user_data_in_access_token(self) -> JSONObject:
        """A copy of the access token's payload."""
        return copied(self._payload)

    def get_user_id(self, user_context: UserContext | None = None) -> str:
        """Return the primary id of the user."""
        return self._tokens.user_id

    def get_recipe_user_id(self, user_context: UserContext | None = None) -> RecipeUserId:
        """Return the id of the login method the session was created with."""
        return self.recipe_user_id

    def get_tenant_id(self, user_context: UserContext | None = None) -> str:
        """Return the tenant the session lives in."""
        return self._tokens.tenant_id

    def get_access_token_payload(self, user_context: UserContext | None = None) -> JSONObject:
        """Return a copy of the access token's payload, fields owned by the server included."""
        return copied(self._payload)

    def get_handle(self, user_context: UserContext | None = None) -> str:
        """Return the session handle."""
        return self._tokens.handle

    def get_access_token(self, user_context: UserContext | None = None) -> str:
        """Return the current access token."""
        return self.access_token

    def get_all_session_tokens_dangerously(self) -> JSONObject:
        """Return every token of the session; they are secrets."""
        refresh = self.refresh_token
        return {
            "accessToken": self.access_token,
            "accessAndFrontTokenUpdated": self.access_token_updated,
            "refreshToken": None if refresh is None else refresh.token,
            "frontToken": self.front_token,
            "antiCsrfToken": self.anti_csrf_token,
        }
