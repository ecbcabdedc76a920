"""The session recipe: `session.init(...)`, and its functions, awaitable and (under `session.sync`) plain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request

from ...claims.claim import SessionClaim
from ...claims.payload import JSONObject, UserContext, changed, copied
from ...claims.recipe_user_id import RecipeUserId
from ...claims.validator import ClaimsValidationResult, SessionClaimValidator
from .. import exceptions as exceptions
from ..chain.chain import InputOverrideConfig as InputOverrideConfig
from ..kit.recipe import APIOptions as APIOptions, GeneralErrorResponse as GeneralErrorResponse, RecipeSpecification
from ..kit.request import AnyRequest, app_of, as_request, with_request
from ..kit.services import current_services, synced
from . import requests
from .api import ROUTES, SessionAPI
from .config import (
    AntiCsrf,
    InputErrorHandlers as InputErrorHandlers,
    SameSite,
    TokenTransferMethod as TokenTransferMethod,
    TransferMethodSelector,
    validated,
)
from .container import SessionContainer as SessionContainer
from .functions import SessionFunctions
from .interface import (
    APIInterface as APIInterface,
    APIsLayer as APIsLayer,
    FunctionsLayer as FunctionsLayer,
    OverrideGlobalClaimValidators as OverrideGlobalClaimValidators,
    RecipeInterface as RecipeInterface,
)
from .recipe import SessionRecipe
from .results import (
    GetClaimValueOkResult as GetClaimValueOkResult,
    SessionDoesNotExistError as SessionDoesNotExistError,
    SessionInformationResult as SessionInformationResult,
    SignOutOkayResponse as SignOutOkayResponse,
)

SessionOverrideConfig = InputOverrideConfig


def init(
    cookie_domain: str | None = None,
    older_cookie_domain: str | None = None,
    cookie_secure: bool | None = None,
    cookie_same_site: SameSite | None = None,
    session_expired_status_code: int | None = None,
    anti_csrf: AntiCsrf | None = None,
    get_token_transfer_method: TransferMethodSelector | None = None,
    error_handlers: InputErrorHandlers | None = None,
    override: InputOverrideConfig | None = None,
    invalid_claim_status_code: int | None = None,
    use_dynamic_access_token_signing_key: bool | None = None,
    expose_access_token_to_frontend_in_cookie_based_auth: bool | None = None,
    jwks_refresh_interval_sec: float | None = None,
    *,
    claims: Iterable[SessionClaim[Any]] = (),
    access_token_validity_seconds: float = 3_600,
    refresh_token_validity_seconds: float = 8_640_000,
    absolute_lifetime_seconds: float | None = None,
    signing_key_rotation_seconds: float = 604_800,
) -> RecipeSpecification:
    """Describe the session recipe for an App's `recipe_list`; nothing else happens until the App is made.

    `claims` are built into every new session. Lifetimes and intervals in seconds, fractions allowed; every option is in
    docs/configuration.md. A wrong option is a ConfigurationError that names it.
    """
    config = validated(
        cookie_domain=cookie_domain,
        older_cookie_domain=older_cookie_domain,
        cookie_secure=cookie_secure,
        cookie_same_site=cookie_same_site,
        session_expired_status_code=session_expired_status_code,
        anti_csrf=anti_csrf,
        get_token_transfer_method=get_token_transfer_method,
        error_handlers=error_handlers,
        override=override,
        invalid_claim_status_code=invalid_claim_status_code,
        use_dynamic_access_token_signing_key=use_dynamic_access_token_signing_key,
        expose_access_token_to_frontend_in_cookie_based_auth=expose_access_token_to_frontend_in_cookie_based_auth,
        jwks_refresh_interval_sec=jwks_refresh_interval_sec,
        claims=claims,
        access_token_validity_seconds=access_token_validity_seconds,
        refresh_token_validity_seconds=refresh_token_validity_seconds,
        absolute_lifetime_seconds=absolute_lifetime_seconds,
        signing_key_rotation_seconds=signing_key_rotation_seconds,
    )
    return RecipeSpecification(SessionRecipe, config, SessionFunctions, SessionAPI, ROUTES)


# Sessions of requests


def _served(given: AnyRequest) -> tuple[SessionRecipe, Request]:
    request = as_request(given)
    return SessionRecipe.of(app_of(request) or current_services()), request


async def create_new_session(
    request: AnyRequest,
    tenant_id: str,
    recipe_user_id: RecipeUserId,
    access_token_payload: JSONObject | None = None,
    session_data_in_database: JSONObject | None = None,
    user_context: UserContext | None = None,
) -> SessionContainer:
    """Create a session; its tokens travel with the response to `request`."""
    recipe, served = _served(request)
    context: UserContext = {} if user_context is None else user_context
    with recipe.app.active():
        return await requests.create_session(
            recipe, served, tenant_id, recipe_user_id, access_token_payload, session_data_in_database, context
        )


async def get_session(
    request: AnyRequest,
    session_required: bool | None = None,
    anti_csrf_check: bool | None = None,
    check_database: bool | None = None,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: UserContext | None = None,
) -> SessionContainer | None:
    """Return the verified session of a request; None only if it is optional and the request carries none.

    Raises UnauthorisedError, TryRefreshTokenError or InvalidClaimsError.
    """
    recipe, served = _served(request)
    with recipe.app.active():
        return await requests.get_session(
            recipe,
            served,
            session_required=session_required is not False,
            anti_csrf_check=anti_csrf_check,
            check_database=check_database is True,
            override_global_claim_validators=override_global_claim_validators,
            user_context=with_request(user_context, served),
        )


async def refresh_session(request: AnyRequest, user_context: UserContext | None = None) -> SessionContainer:
    """Exchange the refresh token of a request; UnauthorisedError or TokenTheftError if it is not valid."""
    recipe, served = _served(request)
    with recipe.app.active():
        return await requests.refresh_session(recipe, served, {} if user_context is None else user_context)


# Sessions without a request


async def create_new_session_without_request_response(
    tenant_id: str,
    recipe_user_id: RecipeUserId,
    access_token_payload: JSONObject | None = None,
    session_data_in_database: JSONObject | None = None,
    disable_anti_csrf: bool = False,
    user_context: UserContext | None = None,
) -> SessionContainer:
    """Create a session; the caller sends its tokens to the client."""
    recipe = SessionRecipe.of(current_services())
    context: UserContext = {} if user_context is None else user_context
    with recipe.app.active():
        user_id, payload = await requests.first_payload(
            recipe, recipe_user_id, tenant_id, access_token_payload, context
        )
        return await recipe.functions.create_new_session(
            user_id,
            recipe_user_id,
            payload,
            session_data_in_database or {},
            disable_anti_csrf,
            tenant_id,
            user_context=context,
        )


async def get_session_without_request_response(
    access_token: str,
    anti_csrf_token: str | None = None,
    anti_csrf_check: bool | None = None,
    session_required: bool | None = None,
    check_database: bool | None = None,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: UserContext | None = None,
) -> SessionContainer | None:
    """Verify an access token and run the claim validators; None only if the session is optional."""
    recipe = SessionRecipe.of(current_services())
    context: UserContext = {} if user_context is None else user_context
    with recipe.app.active():
        session = await recipe.functions.get_session(
            access_token,
            anti_csrf_token,
            anti_csrf_check,
            session_required is not False,
            check_database is True,
            override_global_claim_validators,
            context,
        )
        if session is not None and (recipe.has_validators or override_global_claim_validators is not None):
            await requests.assert_required_claims(recipe, session, override_global_claim_validators, context)
        return session


async def refresh_session_without_request_response(
    refresh_token: str,
    disable_anti_csrf: bool = False,
    anti_csrf_token: str | None = None,
    user_context: UserContext | None = None,
) -> SessionContainer:
    """Exchange a refresh token; UnauthorisedError or TokenTheftError if it is not valid."""
    return await SessionRecipe.call(
        lambda functions, context: functions.refresh_session(
            refresh_token, anti_csrf_token, disable_anti_csrf, context
        ),
        user_context,
    )


# Sessions by handle and by user


async def revoke_session(session_handle: str, user_context: UserContext | None = None) -> bool:
    """End a session; True if there was one. Access tokens that were already issued stay valid until they expire."""
    return await SessionRecipe.call(
        lambda functions, context: functions.revoke_session(session_handle, context), user_context
    )


async def revoke_all_sessions_for_user(
    user_id: str,
    revoke_sessions_for_linked_accounts: bool = True,
    tenant_id: str | None = None,
    user_context: UserContext | None = None,
) -> list[str]:
    """End the sessions of a user, in one tenant or (None) in all; return their handles."""
    return await SessionRecipe.call(
        lambda functions, context: functions.revoke_all_sessions_for_user(
            user_id, revoke_sessions_for_linked_accounts, tenant_id or "public", tenant_id is None, context
        ),
        user_context,
    )


async def get_all_session_handles_for_user(
    user_id: str,
    fetch_sessions_for_linked_accounts: bool = True,
    tenant_id: str | None = None,
    user_context: UserContext | None = None,
) -> list[str]:
    """Return the handles of a user's live sessions, in one tenant or (None) in all."""
    return await SessionRecipe.call(
        lambda functions, context: functions.get_all_session_handles_for_user(
            user_id, fetch_sessions_for_linked_accounts, tenant_id or "public", tenant_id is None, context
        ),
        user_context,
    )


async def revoke_multiple_sessions(session_handles: list[str], user_context: UserContext | None = None) -> list[str]:
    """End several sessions; return the handles of those that existed."""
    return await SessionRecipe.call(
        lambda functions, context: functions.revoke_multiple_sessions(session_handles, context), user_context
    )


async def get_session_information(
    session_handle: str, user_context: UserContext | None = None
) -> SessionInformationResult | None:
    """Return what is stored about a live session, None if there is none."""
    return await SessionRecipe.call(
        lambda functions, context: functions.get_session_information(session_handle, context), user_context
    )


async def update_session_data_in_database(
    session_handle: str, new_session_data: JSONObject | None, user_context: UserContext | None = None
) -> bool:
    """Replace the data stored with a session; False if there is no such session."""
    return await SessionRecipe.call(
        lambda functions, context: functions.update_session_data_in_database(session_handle, new_session_data, context),
        user_context,
    )


async def merge_into_access_token_payload(
    session_handle: str, new_access_token_payload: JSONObject, user_context: UserContext | None = None
) -> bool:
    """Merge an update into the stored payload; clients get it with the next refresh. False if there is no session."""
    return await SessionRecipe.call(
        lambda functions, context: functions.merge_into_access_token_payload(
            session_handle, new_access_token_payload, context
        ),
        user_context,
    )


# Claims by handle


async def fetch_and_set_claim(
    session_handle: str, claim: SessionClaim[Any], user_context: UserContext | None = None
) -> bool:
    """Fetch a claim's value and store it in the session's payload; False if there is no such session."""
    return await SessionRecipe.call(
        lambda functions, context: functions.fetch_and_set_claim(session_handle, claim, context), user_context
    )


async def set_claim_value(
    session_handle: str, claim: SessionClaim[Any], value: Any, user_context: UserContext | None = None
) -> bool:
    """Store a value of a claim in the session's payload; False if there is no such session."""
    return await SessionRecipe.call(
        lambda functions, context: functions.set_claim_value(session_handle, claim, value, context), user_context
    )


async def get_claim_value(
    session_handle: str, claim: SessionClaim[Any], user_context: UserContext | None = None
) -> SessionDoesNotExistError | GetClaimValueOkResult:
    """Read a claim's value from the session's stored payload."""
    return await SessionRecipe.call(
        lambda functions, context: functions.get_claim_value(session_handle, claim, context), user_context
    )


async def remove_claim(session_handle: str, claim: SessionClaim[Any], user_context: UserContext | None = None) -> bool:
    """Remove a claim from the session's stored payload; False if there is no such session."""
    return await SessionRecipe.call(
        lambda functions, context: functions.remove_claim(session_handle, claim, context), user_context
    )


async def validate_claims_for_session_handle(
    session_handle: str,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: UserContext | None = None,
) -> SessionDoesNotExistError | ClaimsValidationResult:
    """Refetch and validate the claims stored for a session; refetched values are stored."""
    recipe = SessionRecipe.of(current_services())
    context = {} if user_context is None else user_context
    with recipe.app.active():
        known = await recipe.functions.get_session_information(session_handle, context)
        if known is None:
            return SessionDoesNotExistError()
        validators = await requests.required_validators(
            recipe,
            known.tenant_id,
            known.user_id,
            known.recipe_user_id,
            known,
            override_global_claim_validators,
            context,
        )
        return await _validate_stored(recipe, known, validators, context)


async def _validate_stored(
    recipe: SessionRecipe,
    known: SessionInformationResult,
    validators: list[SessionClaimValidator],
    context: UserContext,
) -> SessionDoesNotExistError | ClaimsValidationResult:
    # The stored payload lacks the tenant, which fetching a claim needs (docs/protocol.md, rule 14.9).
    payload = {**known.custom_claims_in_access_token_payload, "tId": known.tenant_id}
    result = await recipe.functions.validate_claims(
        known.user_id, known.recipe_user_id, copied(payload), validators, context
    )
    if result.access_token_payload_update is not None:
        update = changed(payload, result.access_token_payload_update | {"tId": known.tenant_id})
        stored = await recipe.functions.merge_into_access_token_payload(known.session_handle, update, context)
        if not stored:
            return SessionDoesNotExistError()
    return ClaimsValidationResult(result.invalid_claims, None)


# Tokens of the application's own, and keys


async def create_jwt(
    payload: JSONObject,
    validity_seconds: float | None = None,
    use_static_signing_key: bool | None = None,
    user_context: UserContext | None = None,
) -> str:
    """Sign a token of the application's own (RS256), by default with a static key and for a hundred years.

    `iss` is the App's issuer unless the payload has one; `iat` and `exp` are always set here.
    """
    return await SessionRecipe.call(
        lambda functions, context: functions.create_jwt(payload, validity_seconds, use_static_signing_key, context),
        user_context,
    )


async def get_jwks(user_context: UserContext | None = None) -> JSONObject:
    """Return the public keys that verify tokens (RFC 7517).

    For example: `{"keys": [{"kty": "RSA", "kid": "d-...", "n": "...", "e": "AQAB", "alg": "RS256", "use": "sig"}]}`.
    """
    return await SessionRecipe.call(lambda functions, context: functions.get_jwks(context), user_context)


async def get_open_id_discovery_configuration(user_context: UserContext | None = None) -> JSONObject:
    """Return the OpenID discovery document of the current App.

    The keys are `issuer`, `jwks_uri`, `subject_types_supported`, `id_token_signing_alg_values_supported` and
    `response_types_supported`.
    """
    return await SessionRecipe.call(
        lambda functions, context: functions.get_open_id_discovery_configuration(context), user_context
    )


class sync:
    """The same functions for code that cannot await."""

    create_new_session = staticmethod(synced(create_new_session))
    get_session = staticmethod(synced(get_session))
    refresh_session = staticmethod(synced(refresh_session))
    create_new_session_without_request_response = staticmethod(synced(create_new_session_without_request_response))
    get_session_without_request_response = staticmethod(synced(get_session_without_request_response))
    refresh_session_without_request_response = staticmethod(synced(refresh_session_without_request_response))
    revoke_session = staticmethod(synced(revoke_session))
    revoke_all_sessions_for_user = staticmethod(synced(revoke_all_sessions_for_user))
    get_all_session_handles_for_user = staticmethod(synced(get_all_session_handles_for_user))
    revoke_multiple_sessions = staticmethod(synced(revoke_multiple_sessions))
    get_session_information = staticmethod(synced(get_session_information))
    update_session_data_in_database = staticmethod(synced(update_session_data_in_database))
    merge_into_access_token_payload = staticmethod(synced(merge_into_access_token_payload))
    fetch_and_set_claim = staticmethod(synced(fetch_and_set_claim))
    set_claim_value = staticmethod(synced(set_claim_value))
    get_claim_value = staticmethod(synced(get_claim_value))
    remove_claim = staticmethod(synced(remove_claim))
    validate_claims_for_session_handle = staticmethod(synced(validate_claims_for_session_handle))
    create_jwt = staticmethod(synced(create_jwt))
    get_jwks = staticmethod(synced(get_jwks))
    get_open_id_discovery_configuration = staticmethod(synced(get_open_id_discovery_configuration))
