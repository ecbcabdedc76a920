"""The session recipe with the signatures of the SDK: those of the seed's version and the newest ones.

All other functions of the SDK are those of `coatcheck.recipes.session`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from ..claims.claim import awaited
from ..claims.payload import JSONObject, UserContext
from ..claims.recipe_user_id import RecipeUserId
from ..claims.validator import ClaimsValidationResult, ClaimValidationError
from ..recipes import session
from ..recipes.app import current_app
from ..recipes.kit.recipe import RecipeSpecification
from ..recipes.kit.request import AnyRequest
from ..recipes.kit.services import synced
from ..recipes.session.container import SessionContainer
from ..recipes.session.interface import OverrideGlobalClaimValidators
from ..recipes.session.recipe import SessionRecipe
from ..recipes.session.requests import required_validators
from .frameworks import BaseResponse
from .overrides import with_sdk_request
from .users import login_method

JSONPrimitive = str | int | bool | None | dict[str, Any]
JSONPrimitiveList = list[str] | list[int] | list[bool] | list[None] | list[dict[str, Any]]

ResponseMutator = Callable[[BaseResponse, UserContext], None]


class GetSessionTokensDangerouslyDict(TypedDict):
    """What `get_all_session_tokens_dangerously` returns."""

    accessToken: str
    accessAndFrontTokenUpdated: bool
    refreshToken: str | None
    frontToken: str
    antiCsrfToken: str | None


def init(
    cookie_domain: str | None = None,
    older_cookie_domain: str | None = None,
    cookie_secure: bool | None = None,
    cookie_same_site: Any = None,
    session_expired_status_code: int | None = None,
    anti_csrf: Any = None,
    get_token_transfer_method: Callable[..., Any] | None = None,
    *rest: Any,
    **options: Any,
) -> RecipeSpecification:
    """Describe the session recipe; `get_token_transfer_method` gets a request of the SDK's kind."""
    selector = None if get_token_transfer_method is None else with_sdk_request(get_token_transfer_method)
    return session.init(
        cookie_domain,
        older_cookie_domain,
        cookie_secure,
        cookie_same_site,
        session_expired_status_code,
        anti_csrf,
        selector,
        *rest,
        **options,
    )


async def create_new_session(
    request: AnyRequest,
    tenant_id: str,
    recipe_user_id: RecipeUserId | str | None = None,
    access_token_payload: JSONObject | None = None,
    session_data_in_database: JSONObject | None = None,
    user_context: UserContext | None = None,
    *,
    user_id: str | None = None,
) -> SessionContainer:
    """Create a session of a login method (newest) or of a user id (seed); the response carries its tokens."""
    return await session.create_new_session(
        request,
        tenant_id,
        login_method(recipe_user_id, user_id),
        access_token_payload,
        session_data_in_database,
        user_context,
    )


async def create_new_session_without_request_response(
    tenant_id: str,
    recipe_user_id: RecipeUserId | str | None = None,
    access_token_payload: JSONObject | None = None,
    session_data_in_database: JSONObject | None = None,
    disable_anti_csrf: bool = False,
    user_context: UserContext | None = None,
    *,
    user_id: str | None = None,
) -> SessionContainer:
    """Create a session; the caller sends its tokens to the client."""
    return await session.create_new_session_without_request_response(
        tenant_id,
        login_method(recipe_user_id, user_id),
        access_token_payload,
        session_data_in_database,
        disable_anti_csrf,
        user_context,
    )


async def revoke_all_sessions_for_user(
    user_id: str,
    revoke_sessions_for_linked_accounts: bool | str | None = True,
    tenant_id: str | UserContext | None = None,
    user_context: UserContext | None = None,
) -> list[str]:
    """End the sessions of a user; older applications pass the tenant second and the user context third."""
    order = _newest_order(revoke_sessions_for_linked_accounts, tenant_id, user_context)
    return await session.revoke_all_sessions_for_user(user_id, *order)


async def get_all_session_handles_for_user(
    user_id: str,
    fetch_sessions_for_linked_accounts: bool | str | None = True,
    tenant_id: str | UserContext | None = None,
    user_context: UserContext | None = None,
) -> list[str]:
    """Return the handles of a user's live sessions; older applications pass the tenant second."""
    order = _newest_order(fetch_sessions_for_linked_accounts, tenant_id, user_context)
    return await session.get_all_session_handles_for_user(user_id, *order)


def _newest_order(
    linked: bool | str | None, tenant_id: str | UserContext | None, user_context: UserContext | None
) -> tuple[bool, str | None, UserContext | None]:
    if isinstance(tenant_id, dict):
        return (True, None if isinstance(linked, bool) else linked, tenant_id)
    return (linked, tenant_id, user_context) if isinstance(linked, bool) else (True, linked or tenant_id, user_context)


async def validate_claims_in_jwt_payload(
    tenant_id: str,
    user_id: str,
    jwt_payload: JSONObject,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: UserContext | None = None,
) -> ClaimsValidationResult:
    """Run the claim validators on a payload and fetch nothing; the override gets the user id as its second argument."""
    recipe = SessionRecipe.of(current_app())
    context: UserContext = {} if user_context is None else user_context
    failures: list[ClaimValidationError] = []
    with recipe.app.active():
        for validator in await required_validators(
            recipe,
            tenant_id,
            user_id,
            RecipeUserId(user_id),
            user_id,  # type: ignore[arg-type]
            override_global_claim_validators,
            context,
        ):
            verdict = await awaited(validator.validate(jwt_payload, context))
            if not verdict.is_valid:
                failures.append(ClaimValidationError(validator.id, verdict.reason))
    return ClaimsValidationResult(failures, None)


class sync:
    """The same functions as plain calls, for code that cannot await."""

    create_new_session = staticmethod(synced(create_new_session))
    create_new_session_without_request_response = staticmethod(synced(create_new_session_without_request_response))
    revoke_all_sessions_for_user = staticmethod(synced(revoke_all_sessions_for_user))
    get_all_session_handles_for_user = staticmethod(synced(get_all_session_handles_for_user))
    validate_claims_in_jwt_payload = staticmethod(synced(validate_claims_in_jwt_payload))
