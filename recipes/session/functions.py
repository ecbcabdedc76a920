"""The session recipe's own functions: the innermost layer of the chain."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from ...claims.claim import SessionClaim
from ...claims.payload import JSONObject, UserContext, merged, without_protected
from ...claims.recipe_user_id import RecipeUserId
from ...claims.validator import ClaimsValidationResult, SessionClaimValidator, validate_claims
from ...sessions.exceptions import TryRefreshTokenError, UnauthorisedError
from ...sessions.session import SessionInformation
from ..chain.view import OpenRecursion
from ..exceptions import ConfigurationError
from .container import SessionContainer
from .interface import MaybeAwaitableValidators, OverrideGlobalClaimValidators, RecipeInterface
from .recipe import SessionRecipe
from .results import (
    AccessTokenObj,
    GetClaimValueOkResult,
    RegenerateAccessTokenOkResult,
    SessionDoesNotExistError,
    SessionInformationResult,
    SessionObj,
)

NO_SESSION = (
    "Session does not exist. Are you sending the session tokens in the request with the appropriate token transfer "
    "method?"
)
JWKS_PATH = "/jwt/jwks.json"
_HUNDRED_YEARS_S = 3_153_600_000
"""The lifetime of a token of `create_jwt`, in seconds, unless the caller gives one."""
_WRONG_KIND = "The access token doesn't match the use_dynamic_access_token_signing_key setting"


class SessionFunctions(OpenRecursion[RecipeInterface], RecipeInterface):
    """The functions without any override; they call each other through the top of the chain."""

    def __init__(self, recipe: SessionRecipe) -> None:
        self._recipe = recipe
        self._app = recipe.app
        self._on_database_thread = recipe.app.on_database_thread
        self._engine = recipe.engine
        self._static = not recipe.config.use_dynamic_access_token_signing_key
        self._via_token = recipe.config.anti_csrf == "VIA_TOKEN"
        self._via_custom_header = recipe.config.anti_csrf == "VIA_CUSTOM_HEADER"

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
        """Store a new session of the login method `recipe_user_id` and sign its first tokens."""
        created = await self._on_database_thread(
            self._engine.create,
            tenant_id=tenant_id,
            recipe_user_id=recipe_user_id.get_as_string(),
            payload=access_token_payload or {},
            data=session_data_in_database or {},
            anti_csrf=self._via_token and disable_anti_csrf is not True,
            static=self._static,
        )
        return SessionContainer(self.calls, self._recipe.transport, created)

    def get_global_claim_validators(
        self,
        tenant_id: str,
        user_id: str,
        recipe_user_id: RecipeUserId,
        claim_validators_added_by_other_recipes: list[SessionClaimValidator],
        user_context: UserContext,
    ) -> MaybeAwaitableValidators:
        """Return the validators that recipes registered."""
        return claim_validators_added_by_other_recipes

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
        """Verify an access token; no I/O unless it follows a refresh or `check_database` is set."""
        if self._via_custom_header and anti_csrf_check is not False:
            raise ConfigurationError(
                "anti_csrf is VIA_CUSTOM_HEADER, which needs the request: pass anti_csrf_check=False after checking "
                "the header yourself, or use VIA_TOKEN"
            )
        if access_token is None:
            if session_required is False:
                return None
            raise UnauthorisedError(NO_SESSION, clear_tokens=False)
        tokens = self._recipe.tokens
        try:
            verified = tokens.verify_in_memory(access_token)
            if verified is None:
                verified = await self._on_database_thread(tokens.verify, access_token)
        except TryRefreshTokenError:
            if tokens.candidate(access_token):
                raise
            if session_required is False:
                return None
            raise UnauthorisedError("Token parsing failed", clear_tokens=False) from None
        if (verified.kind == "d") is self._static:
            raise TryRefreshTokenError(_WRONG_KIND)
        if self._via_token and anti_csrf_check is not False:
            _check_anti_csrf(verified.payload, anti_csrf_token)
        check = check_database is True
        session = None if check else verified.session
        if session is None:
            session = await self._on_database_thread(
                self._engine.verify, verified.payload, access_token, check_database=check
            )
        return SessionContainer(self.calls, self._recipe.transport, session)

    async def validate_claims(
        self,
        user_id: str,
        recipe_user_id: RecipeUserId,
        access_token_payload: JSONObject,
        claim_validators: list[SessionClaimValidator],
        user_context: UserContext,
    ) -> ClaimsValidationResult:
        """Refetch the claims that need it, and run every validator, in order."""
        return await validate_claims(
            user_id=user_id,
            recipe_user_id=recipe_user_id,
            tenant_id=access_token_payload.get("tId") or "public",
            access_token_payload=access_token_payload,
            claim_validators=claim_validators,
            user_context=user_context,
        )

    async def refresh_session(
        self,
        refresh_token: str,
        anti_csrf_token: str | None,
        disable_anti_csrf: bool,
        user_context: UserContext,
    ) -> SessionContainer:
        """Exchange a refresh token; a superseded one is theft."""
        via_token = self._via_token and not disable_anti_csrf
        refreshed = await self._on_database_thread(
            self._engine.refresh,
            refresh_token,
            anti_csrf_token=anti_csrf_token,
            check_anti_csrf=via_token,
            anti_csrf=via_token,
            static=self._static,
        )
        return SessionContainer(self.calls, self._recipe.transport, refreshed)

    async def revoke_session(self, session_handle: str, user_context: UserContext) -> bool:
        """End a session."""
        return await self._on_database_thread(self._engine.revoke, session_handle)

    async def revoke_all_sessions_for_user(
        self,
        user_id: str,
        revoke_sessions_for_linked_accounts: bool,
        tenant_id: str,
        revoke_across_all_tenants: bool,
        user_context: UserContext,
    ) -> list[str]:
        """End the sessions of a user, in one tenant or in all."""
        return await self._on_database_thread(
            self._engine.revoke_all,
            user_id,
            linked=revoke_sessions_for_linked_accounts,
            tenant_id=None if revoke_across_all_tenants else tenant_id,
        )

    async def get_all_session_handles_for_user(
        self,
        user_id: str,
        fetch_sessions_for_linked_accounts: bool,
        tenant_id: str,
        fetch_across_all_tenants: bool,
        user_context: UserContext,
    ) -> list[str]:
        """Return the handles of a user's live sessions, in one tenant or in all."""
        return await self._on_database_thread(
            self._engine.handles_of,
            user_id,
            linked=fetch_sessions_for_linked_accounts,
            tenant_id=None if fetch_across_all_tenants else tenant_id,
        )

    async def revoke_multiple_sessions(self, session_handles: list[str], user_context: UserContext) -> list[str]:
        """End several sessions."""
        return await self._on_database_thread(self._engine.revoke_many, session_handles)

    async def get_session_information(
        self, session_handle: str, user_context: UserContext
    ) -> SessionInformationResult | None:
        """Return what is stored about a live session."""
        found = await self._on_database_thread(self._engine.information, session_handle)
        return None if found is None else _information(found)

    async def update_session_data_in_database(
        self, session_handle: str, new_session_data: JSONObject | None, user_context: UserContext
    ) -> bool:
        """Replace the data stored with a session."""
        return await self._on_database_thread(self._engine.update_data, session_handle, new_session_data or {})

    async def merge_into_access_token_payload(
        self, session_handle: str, access_token_payload_update: JSONObject, user_context: UserContext
    ) -> bool:
        """Merge an update into the stored payload."""
        merged({}, access_token_payload_update)  # refuses protected names before anything is read
        known = await self.calls.get_session_information(session_handle, user_context)
        if known is None:
            return False
        return await self._on_database_thread(self._engine.merge_payload, session_handle, access_token_payload_update)

    async def fetch_and_set_claim(
        self, session_handle: str, claim: SessionClaim[Any], user_context: UserContext
    ) -> bool:
        """Fetch a claim's value and store it."""
        known = await self.calls.get_session_information(session_handle, user_context)
        if known is None:
            return False
        update = await claim.build(
            known.user_id,
            known.recipe_user_id,
            known.tenant_id,
            known.custom_claims_in_access_token_payload,
            user_context,
        )
        return await self.calls.merge_into_access_token_payload(session_handle, update, user_context)

    async def set_claim_value(
        self, session_handle: str, claim: SessionClaim[Any], value: Any, user_context: UserContext
    ) -> bool:
        """Store a value of a claim."""
        update = claim.add_to_payload_({}, value, user_context)
        return await self.calls.merge_into_access_token_payload(session_handle, update, user_context)

    async def get_claim_value(
        self, session_handle: str, claim: SessionClaim[Any], user_context: UserContext
    ) -> SessionDoesNotExistError | GetClaimValueOkResult:
        """Read a claim's value from the stored payload."""
        known = await self.calls.get_session_information(session_handle, user_context)
        if known is None:
            return SessionDoesNotExistError()
        return GetClaimValueOkResult(
            claim.get_value_from_payload(known.custom_claims_in_access_token_payload, user_context)
        )

    async def remove_claim(self, session_handle: str, claim: SessionClaim[Any], user_context: UserContext) -> bool:
        """Remove a claim from the stored payload."""
        update = claim.remove_from_payload_by_merge_({}, user_context)
        return await self.calls.merge_into_access_token_payload(session_handle, update, user_context)

    async def regenerate_access_token(
        self, access_token: str, new_access_token_payload: JSONObject | None, user_context: UserContext
    ) -> RegenerateAccessTokenOkResult | None:
        """Store a new payload and sign an access token that expires when the presented one does."""
        result = await self._on_database_thread(self._engine.regenerate, access_token, new_access_token_payload or {})
        if result is None:
            return None
        found, signed = result
        session = SessionObj(
            found.handle,
            found.user_id,
            RecipeUserId(found.recipe_user_id),
            without_protected(found.payload),
            found.tenant_id,
        )
        token = None if signed is None else AccessTokenObj(signed.token, signed.expiry, signed.created_time)
        return RegenerateAccessTokenOkResult(session, token)

    async def create_jwt(
        self,
        payload: JSONObject,
        validity_seconds: float | None,
        use_static_signing_key: bool | None,
        user_context: UserContext,
    ) -> str:
        """Sign a token of the application's own; the caller's `iss` wins, `iat` and `exp` are always set here."""
        now_s = self._app.clock.now_ms() // 1000
        validity = _HUNDRED_YEARS_S if validity_seconds is None else validity_seconds
        claims = {"iss": self._app.info.issuer, **payload, "iat": now_s, "exp": int(now_s + validity)}
        return await self._on_database_thread(
            self._recipe.keys.sign, claims, static=use_static_signing_key is not False, version=None
        )

    async def get_jwks(self, user_context: UserContext) -> JSONObject:
        """Return the public keys."""
        return {"keys": await self._on_database_thread(self._recipe.keys.jwks)}

    async def get_open_id_discovery_configuration(self, user_context: UserContext) -> JSONObject:
        """Return the discovery document; endpoints that are not served are omitted."""
        issuer = self._app.info.issuer
        return {
            "issuer": issuer,
            "jwks_uri": issuer + JWKS_PATH,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "id_token token"],
        }


def _check_anti_csrf(payload: Mapping[str, Any], given: str | None) -> None:
    expected = payload.get("antiCsrfToken")
    if (
        not isinstance(expected, str)
        or given is None
        # Both texts may hold half a surrogate pair, which plain UTF-8 refuses to encode.
        or not hmac.compare_digest(expected.encode("utf-8", "surrogatepass"), given.encode("utf-8", "surrogatepass"))
    ):
        raise TryRefreshTokenError("anti-csrf check failed")


def _information(found: SessionInformation) -> SessionInformationResult:
    return SessionInformationResult(
        session_handle=found.session_handle,
        user_id=found.user_id,
        recipe_user_id=RecipeUserId(found.recipe_user_id),
        session_data_in_database=dict(found.session_data_in_database),
        expiry=found.expiry,
        custom_claims_in_access_token_payload=dict(found.custom_claims_in_access_token_payload),
        time_created=found.time_created,
        tenant_id=found.tenant_id,
    )
