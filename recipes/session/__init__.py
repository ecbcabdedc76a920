"""The session recipe: `session.init(...)`, and its functions, awaitable and (under `session.sync`) plain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...claims.claim import SessionClaim
from .. import exceptions
from ..chain.chain import Chain, InputOverrideConfig
from ..kit.recipe import GeneralErrorResponse, RecipeSpecification
from ..kit.services import synced
from .api import ROUTES, SessionAPI
from .calls import (
    create_jwt,
    create_new_session,
    create_new_session_without_request_response,
    fetch_and_set_claim,
    get_all_session_handles_for_user,
    get_claim_value,
    get_jwks,
    get_open_id_discovery_configuration,
    get_session,
    get_session_information,
    get_session_without_request_response,
    merge_into_access_token_payload,
    refresh_session,
    refresh_session_without_request_response,
    remove_claim,
    revoke_all_sessions_for_user,
    revoke_multiple_sessions,
    revoke_session,
    set_claim_value,
    update_session_data_in_database,
    validate_claims_for_session_handle,
)
from .config import (
    InputErrorHandlers,
    SessionConfig,
    TokenTransferMethod,
    TransferMethodSelector,
    validated,
)
from .container import SessionContainer
from .functions import SessionFunctions
from .interface import (
    APIInterface,
    APIOptions,
    APIsLayer,
    FunctionsLayer,
    GetClaimValueOkResult,
    OverrideGlobalClaimValidators,
    RecipeInterface,
    SessionDoesNotExistError,
    SessionInformationResult,
    SignOutOkayResponse,
)
from .recipe import POSITIONAL_ORDERS, SessionRecipe
from .site import AntiCsrf, SameSite

if TYPE_CHECKING:
    from ..app import App

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
    return RecipeSpecification("session", validated(**locals()), _build)


def _build(app: App, config: SessionConfig) -> SessionRecipe:
    recipe = SessionRecipe(app, config, ROUTES)
    recipe.finish(
        Chain(
            RecipeInterface,
            SessionFunctions(recipe),
            recipe_id="session",
            kind="functions",
            positional_orders=POSITIONAL_ORDERS,
        ),
        Chain(APIInterface, SessionAPI(recipe), recipe_id="session", kind="apis"),
    )
    return recipe


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


__all__ = [
    "APIInterface",
    "APIOptions",
    "APIsLayer",
    "FunctionsLayer",
    "GeneralErrorResponse",
    "GetClaimValueOkResult",
    "InputErrorHandlers",
    "InputOverrideConfig",
    "OverrideGlobalClaimValidators",
    "RecipeInterface",
    "SessionContainer",
    "SessionDoesNotExistError",
    "SessionInformationResult",
    "SessionOverrideConfig",
    "SignOutOkayResponse",
    "TokenTransferMethod",
    "create_jwt",
    "create_new_session",
    "create_new_session_without_request_response",
    "exceptions",
    "fetch_and_set_claim",
    "get_all_session_handles_for_user",
    "get_claim_value",
    "get_jwks",
    "get_open_id_discovery_configuration",
    "get_session",
    "get_session_information",
    "get_session_without_request_response",
    "init",
    "merge_into_access_token_payload",
    "refresh_session",
    "refresh_session_without_request_response",
    "remove_claim",
    "revoke_all_sessions_for_user",
    "revoke_multiple_sessions",
    "revoke_session",
    "set_claim_value",
    "sync",
    "update_session_data_in_database",
    "validate_claims_for_session_handle",
]
