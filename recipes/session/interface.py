"""What the session recipe does: the functions and the HTTP APIs an application can override."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from ...claims.claim import SessionClaim
from ...claims.payload import JSONObject, UserContext
from ...claims.recipe_user_id import RecipeUserId
from ...claims.validator import ClaimsValidationResult, SessionClaimValidator
from ..chain.view import Layer
from ..kit.recipe import APIOptions, GeneralErrorResponse
from .container import SessionContainer
from .results import (
    GetClaimValueOkResult,
    RegenerateAccessTokenOkResult,
    SessionDoesNotExistError,
    SessionInformationResult,
    SignOutOkayResponse,
)

MaybeAwaitableValidators: TypeAlias = "list[SessionClaimValidator] | Awaitable[list[SessionClaimValidator]]"
OverrideGlobalClaimValidators: TypeAlias = Callable[
    [list[SessionClaimValidator], Any, UserContext],
    "Sequence[SessionClaimValidator] | Awaitable[Sequence[SessionClaimValidator]]",
]
"""Takes the global validators, the session (or its information) and the user context; the result replaces the list."""


class RecipeInterface(ABC):
    """The functions of the session recipe; each can be overridden (docs/protocol.md, section 14)."""

    @abstractmethod
    async def create_new_session(
        self,
        user_id: str,
        recipe_user_id: RecipeUserId,
        access_token_payload: JSONObject | None,
        session_data_in_database: JSONObject | None,
        disable_anti_csrf: bool | None,
        tenant_id: str,
        user_context: UserContext,
    ) -> SessionContainer:
        """Store a new session and sign its first tokens."""

    @abstractmethod
    def get_global_claim_validators(
        self,
        tenant_id: str,
        user_id: str,
        recipe_user_id: RecipeUserId,
        claim_validators_added_by_other_recipes: list[SessionClaimValidator],
        user_context: UserContext,
    ) -> MaybeAwaitableValidators:
        """Return the validators that every protected route runs; an override may be async."""

    @abstractmethod
    async def get_session(
        self,
        access_token: str | None,
        anti_csrf_token: str | None = None,
        anti_csrf_check: bool | None = None,
        session_required: bool | None = None,
        check_database: bool | None = None,
        override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
        user_context: UserContext | None = None,
    ) -> SessionContainer | None:
        """Verify an access token; UnauthorisedError or TryRefreshTokenError if it is not valid."""

    @abstractmethod
    async def validate_claims(
        self,
        user_id: str,
        recipe_user_id: RecipeUserId,
        access_token_payload: JSONObject,
        claim_validators: list[SessionClaimValidator],
        user_context: UserContext,
    ) -> ClaimsValidationResult:
        """Refetch the claims that need it, and run every validator."""

    @abstractmethod
    async def refresh_session(
        self,
        refresh_token: str,
        anti_csrf_token: str | None,
        disable_anti_csrf: bool,
        user_context: UserContext,
    ) -> SessionContainer:
        """Exchange a refresh token for new tokens; UnauthorisedError or TokenTheftError if it is not valid."""

    @abstractmethod
    async def revoke_session(self, session_handle: str, user_context: UserContext) -> bool:
        """End a session; True if there was one."""

    @abstractmethod
    async def revoke_all_sessions_for_user(
        self,
        user_id: str,
        revoke_sessions_for_linked_accounts: bool,
        tenant_id: str,
        revoke_across_all_tenants: bool,
        user_context: UserContext,
    ) -> list[str]:
        """End the sessions of a user and return their handles."""

    @abstractmethod
    async def get_all_session_handles_for_user(
        self,
        user_id: str,
        fetch_sessions_for_linked_accounts: bool,
        tenant_id: str,
        fetch_across_all_tenants: bool,
        user_context: UserContext,
    ) -> list[str]:
        """Return the handles of a user's live sessions."""

    @abstractmethod
    async def revoke_multiple_sessions(self, session_handles: list[str], user_context: UserContext) -> list[str]:
        """End several sessions and return the handles of those that existed."""

    @abstractmethod
    async def get_session_information(
        self, session_handle: str, user_context: UserContext
    ) -> SessionInformationResult | None:
        """Return what is stored about a live session."""

    @abstractmethod
    async def update_session_data_in_database(
        self, session_handle: str, new_session_data: JSONObject | None, user_context: UserContext
    ) -> bool:
        """Replace the data stored with a session; False if there is no such session."""

    @abstractmethod
    async def merge_into_access_token_payload(
        self, session_handle: str, access_token_payload_update: JSONObject, user_context: UserContext
    ) -> bool:
        """Merge an update into the stored payload; clients get it with the next refresh."""

    @abstractmethod
    async def fetch_and_set_claim(
        self, session_handle: str, claim: SessionClaim[Any], user_context: UserContext
    ) -> bool:
        """Fetch a claim's value and store it in the payload."""

    @abstractmethod
    async def set_claim_value(
        self, session_handle: str, claim: SessionClaim[Any], value: Any, user_context: UserContext
    ) -> bool:
        """Store a value of a claim in the payload."""

    @abstractmethod
    async def get_claim_value(
        self, session_handle: str, claim: SessionClaim[Any], user_context: UserContext
    ) -> SessionDoesNotExistError | GetClaimValueOkResult:
        """Read a claim's value from the stored payload."""

    @abstractmethod
    async def remove_claim(self, session_handle: str, claim: SessionClaim[Any], user_context: UserContext) -> bool:
        """Remove a claim from the stored payload."""

    @abstractmethod
    async def regenerate_access_token(
        self, access_token: str, new_access_token_payload: JSONObject | None, user_context: UserContext
    ) -> RegenerateAccessTokenOkResult | None:
        """Store a new payload and sign an access token with it that expires when the presented one does."""

    @abstractmethod
    async def create_jwt(
        self,
        payload: JSONObject,
        validity_seconds: float | None,
        use_static_signing_key: bool | None,
        user_context: UserContext,
    ) -> str:
        """Sign a token of the application's own."""

    @abstractmethod
    async def get_jwks(self, user_context: UserContext) -> JSONObject:
        """Return the public keys that verify tokens (RFC 7517), as `{"keys": [{"kty": "RSA", "kid": ..., ...}]}`."""

    @abstractmethod
    async def get_open_id_discovery_configuration(self, user_context: UserContext) -> JSONObject:
        """Return the OpenID discovery document, as `{"issuer": ..., "jwks_uri": ..., ...}`."""


class APIInterface(ABC):
    """The HTTP APIs of the session recipe; each can be overridden, or disabled."""

    disable_refresh_post = False
    disable_signout_post = False
    disable_jwks_get = False
    disable_open_id_discovery_configuration_get = False

    @abstractmethod
    async def refresh_post(self, api_options: APIOptions, user_context: UserContext) -> SessionContainer:
        """Answer POST <base>/session/refresh."""

    @abstractmethod
    async def signout_post(
        self, session: SessionContainer, api_options: APIOptions, user_context: UserContext
    ) -> SignOutOkayResponse | GeneralErrorResponse:
        """Answer POST <base>/signout."""

    @abstractmethod
    async def verify_session(
        self,
        api_options: APIOptions,
        anti_csrf_check: bool | None,
        session_required: bool,
        check_database: bool,
        override_global_claim_validators: OverrideGlobalClaimValidators | None,
        user_context: UserContext,
    ) -> SessionContainer | None:
        """Check the session of a protected route."""

    @abstractmethod
    async def jwks_get(self, api_options: APIOptions, user_context: UserContext) -> JSONObject | GeneralErrorResponse:
        """Answer GET <base>/jwt/jwks.json.

        An override may add `validityInSecs`: for how many seconds caches keep the answer, or None. It is not sent.
        """

    @abstractmethod
    async def open_id_discovery_configuration_get(
        self, api_options: APIOptions, user_context: UserContext
    ) -> JSONObject | GeneralErrorResponse:
        """Answer GET <base>/.well-known/openid-configuration."""


class FunctionsLayer(Layer[RecipeInterface], RecipeInterface):
    """A layer over the functions, written as a class: override what is to change, reach the rest by `super()`."""


class APIsLayer(Layer[APIInterface], APIInterface):
    """A layer over the APIs, written as a class."""
