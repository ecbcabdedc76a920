"""What the functions of the session recipe return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...claims.payload import JSONObject
from ...claims.recipe_user_id import RecipeUserId
from ..kit.recipe import Result


@dataclass(frozen=True, slots=True)
class SessionInformationResult:
    """What is stored about a session; `expiry` and `time_created` in ms."""

    session_handle: str
    user_id: str
    recipe_user_id: RecipeUserId
    session_data_in_database: JSONObject
    expiry: int
    custom_claims_in_access_token_payload: JSONObject
    time_created: int
    tenant_id: str

    def to_json(self) -> JSONObject:
        """Return the camelCase form."""
        return {
            "sessionHandle": self.session_handle,
            "userId": self.user_id,
            "recipeUserId": self.recipe_user_id.get_as_string(),
            "sessionDataInDatabase": self.session_data_in_database,
            "expiry": self.expiry,
            "customClaimsInAccessTokenPayload": self.custom_claims_in_access_token_payload,
            "timeCreated": self.time_created,
            "tenantId": self.tenant_id,
        }


@dataclass(frozen=True, slots=True)
class SessionDoesNotExistError(Result):
    """The result (not an exception) for a handle that names no live session."""

    status: str = field(default="SESSION_DOES_NOT_EXIST_ERROR", kw_only=True)


@dataclass(frozen=True, slots=True)
class GetClaimValueOkResult(Result):
    """The value of a claim, None where the stored payload has none."""

    value: Any


@dataclass(frozen=True, slots=True)
class SessionObj:
    """The session a regenerated access token belongs to."""

    handle: str
    user_id: str
    recipe_user_id: RecipeUserId
    user_data_in_jwt: JSONObject
    tenant_id: str


@dataclass(frozen=True, slots=True)
class AccessTokenObj:
    """A newly signed access token; `expiry` and `created_time` in ms."""

    token: str
    expiry: int
    created_time: int

    def to_json(self) -> JSONObject:
        """Return the camelCase form: `{"token": ..., "expiry": ..., "createdTime": ...}`."""
        return {"token": self.token, "expiry": self.expiry, "createdTime": self.created_time}


@dataclass(frozen=True, slots=True)
class RegenerateAccessTokenOkResult(Result):
    """The stored payload has changed; `access_token` is None if the presented one had already expired."""

    session: SessionObj
    access_token: AccessTokenObj | None


@dataclass(frozen=True, slots=True)
class SignOutOkayResponse(Result):
    """The session has ended."""
