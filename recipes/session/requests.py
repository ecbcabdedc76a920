"""Sessions of HTTP requests: from the tokens in a request to the tokens in its response."""

from __future__ import annotations

import inspect
from typing import Any

from starlette.requests import Request

from ...claims.payload import JSONObject, UserContext, without_protected
from ...claims.recipe_user_id import RecipeUserId
from ...claims.validator import SessionClaimValidator
from ...sessions.exceptions import ClearDuplicateSessionCookiesError, TryRefreshTokenError, UnauthorisedError
from ..exceptions import ConfigurationError
from ..kit.request import ask_for_session, with_request
from ..kit.routing import ApiCall
from .container import SessionContainer
from .interface import OverrideGlobalClaimValidators
from .recipe import SessionRecipe
from .results import SessionInformationResult
from .transport import Transport, carried_by, checked_answer, has_legacy_cookie, has_rid, select_access_token

_CUSTOM_HEADER_MISSING = (
    "anti-csrf check failed. Please pass 'rid: \"session\"' header in the request, or set anti_csrf_check to false "
    "for this API"
)
_FOREIGN_HANDSHAKE = "a page of another origin than the website's opens this websocket with the website's cookies"
INSECURE_COOKIES = (
    "Since your API and website domain are different, for sessions to work, please use https on your apiDomain and "
    "don't set cookieSecure to false."
)
_DUPLICATE_COOKIES = (
    "The request contains multiple session cookies. This may happen if cookie_domain was changed. Set "
    "older_cookie_domain to the value it had before, so that the older cookies are cleared."
)


async def first_payload(
    recipe: SessionRecipe,
    recipe_user_id: RecipeUserId,
    tenant_id: str,
    given: JSONObject | None,
    user_context: UserContext,
    *,
    user_id: str | None = None,
) -> tuple[str, JSONObject]:
    """Return the primary user id and the payload a new session starts with (docs/protocol.md, rule 14.1).

    Fields that the server owns are dropped, `iss` is set, then the claims of the recipes are built in order. `user_id`
    is the id of a user that the caller has just read; without it the database is asked.
    """
    if user_id is None:
        user_id = await recipe.app.primary_user_id(recipe_user_id.get_as_string())
    payload: JSONObject = {"iss": recipe.app.info.issuer}
    payload.update({name: value for name, value in without_protected(given or {}).items() if name != "iss"})
    for claim in recipe.claims:
        payload.update(await claim.build(user_id, recipe_user_id, tenant_id, payload, user_context))
    return user_id, payload


async def create_session(
    recipe: SessionRecipe,
    request: Request,
    tenant_id: str,
    recipe_user_id: RecipeUserId,
    access_token_payload: JSONObject | None,
    session_data_in_database: JSONObject | None,
    user_context: UserContext,
    *,
    user_id: str | None = None,
) -> SessionContainer:
    """Create a session and put its tokens into the response to `request`; `user_id` as in `first_payload`."""
    with_request(user_context, request)
    user_id, payload = await first_payload(
        recipe, recipe_user_id, tenant_id, access_token_payload, user_context, user_id=user_id
    )
    transport = recipe.transport(request, user_context)
    method = transport.method_for_new_session()
    if method == "cookie" and transport.cookies_cannot_work():
        raise ConfigurationError(INSECURE_COOKIES)
    session = await recipe.functions.create_new_session(
        user_id,
        recipe_user_id,
        payload,
        session_data_in_database or {},
        method == "header",
        tenant_id,
        user_context=user_context,
    )
    transport.clear_other_at_creation(method)
    await session.attach_to_request_response(request, method, user_context)
    return session


async def get_session(
    recipe: SessionRecipe,
    request: Request,
    *,
    session_required: bool,
    anti_csrf_check: bool | None,
    check_database: bool,
    override_global_claim_validators: OverrideGlobalClaimValidators | None,
    user_context: UserContext,
) -> SessionContainer | None:
    """Verify the access token of a request, run the claim validators and attach the session to the request."""
    # Every verified request pays for each call here. So the token is chosen without a Transport (which chooses the
    # refresh token by the same rules), and the context of a request is not touched if it has the request already.
    if "_default" not in user_context:
        with_request(user_context, request)
    ask_for_session(request)
    authorization, anti_csrf, cookies = carried_by(request)
    if cookies and has_legacy_cookie(cookies):
        raise TryRefreshTokenError("using legacy session, please call the refresh API")
    selector = recipe.config.get_token_transfer_method
    answer = "any" if selector is None else checked_answer(selector(request, False, user_context))
    chosen = select_access_token(authorization, cookies, answer, recipe.tokens.candidate)
    if chosen is not None and chosen.duplicated:
        raise TryRefreshTokenError("The request contains the access token cookie more than once.")
    by_cookie = chosen is not None and chosen.method == "cookie"
    session = await recipe.functions.get_session(
        access_token=chosen.token if chosen else None,
        anti_csrf_token=anti_csrf,
        anti_csrf_check=by_cookie and _anti_csrf_flag(recipe.transport(request, user_context), anti_csrf_check),
        session_required=session_required,
        check_database=check_database,
        override_global_claim_validators=override_global_claim_validators,
        user_context=user_context,
    )
    if session is None:
        return None
    # Attached before the claims are validated, so that a 403 carries new tokens, too.
    await session.attach_to_request_response(request, chosen.method if chosen else "header", user_context)
    if recipe.has_validators or override_global_claim_validators is not None:
        await assert_required_claims(recipe, session, override_global_claim_validators, user_context)
    return session


async def unvalidated_session(
    recipe: SessionRecipe, request: Request, user_context: UserContext, *, session_required: bool
) -> SessionContainer | None:
    """Verify the access token of a request without running any claim validator."""
    return await get_session(
        recipe,
        request,
        session_required=session_required,
        anti_csrf_check=None,
        check_database=False,
        override_global_claim_validators=lambda _validators, _session, _context: [],
        user_context=user_context,
    )


async def required_session(call: ApiCall) -> SessionContainer:
    """Return the session of a request to an API, without claim validation; UnauthorisedError if there is none."""
    recipe = SessionRecipe.of(call.app)
    session = await unvalidated_session(recipe, call.request, call.user_context, session_required=True)
    assert session is not None  # session_required
    return session


def _anti_csrf_flag(transport: Transport, given: bool | None) -> bool:
    if given is not False and transport.foreign_handshake() and transport.anti_csrf_mode() != "NONE":
        raise TryRefreshTokenError(_FOREIGN_HANDSHAKE)
    check = transport.request.method.upper() != "GET" if given is None else given
    if check and transport.anti_csrf_mode() == "VIA_CUSTOM_HEADER":
        if not has_rid(transport.request):
            raise TryRefreshTokenError(_CUSTOM_HEADER_MISSING)
        return False
    return check and transport.anti_csrf_mode() == "VIA_TOKEN"


async def required_validators(
    recipe: SessionRecipe,
    tenant_id: str,
    user_id: str,
    recipe_user_id: RecipeUserId,
    subject: SessionContainer | SessionInformationResult,
    override: OverrideGlobalClaimValidators | None,
    user_context: UserContext,
) -> list[SessionClaimValidator]:
    """Return the validators to run: the global ones, or those that the override of this call returns."""
    validators = recipe.functions.get_global_claim_validators(
        tenant_id, user_id, recipe_user_id, recipe.claim_validators, user_context
    )
    if inspect.isawaitable(validators):
        validators = await validators
    if override is None:
        return validators
    replaced: Any = override(list(validators), subject, user_context)
    if inspect.isawaitable(replaced):
        replaced = await replaced
    return list(replaced)


async def assert_required_claims(
    recipe: SessionRecipe,
    session: SessionContainer,
    override: OverrideGlobalClaimValidators | None,
    user_context: UserContext,
) -> None:
    """Run the validators that apply to a session; InvalidClaimsError if any fails."""
    validators = await required_validators(
        recipe,
        session.tenant_id,
        session.user_id,
        session.recipe_user_id,
        session,
        override,
        user_context,
    )
    await session.assert_claims(validators, user_context)


async def refresh_session(recipe: SessionRecipe, request: Request, user_context: UserContext) -> SessionContainer:
    """Exchange the refresh token of a request (docs/protocol.md, rules 9.3 and 11.2)."""
    with_request(user_context, request)
    transport = recipe.transport(request, user_context)
    _refuse_duplicates(recipe, transport)
    transport.clear_legacy_cookie()
    chosen = transport.refresh_token()
    if chosen is None:
        raise UnauthorisedError(
            "Refresh token not found but access token is present. Clearing all tokens."
            if transport.has_any_access_token()
            else "Refresh token not found. Are you sending the refresh token in the request?"
        )
    if chosen.method == "cookie" and transport.anti_csrf_mode() == "VIA_CUSTOM_HEADER" and not has_rid(request):
        raise UnauthorisedError("anti-csrf check failed. Please pass 'rid: \"session\"' header in the request.")
    anti_csrf = request.headers.get("anti-csrf")
    session = await recipe.functions.refresh_session(chosen.token, anti_csrf, chosen.method == "header", user_context)
    transport.clear_other_at_refresh(chosen.method)
    await session.attach_to_request_response(request, chosen.method, user_context)
    return session


def _refuse_duplicates(recipe: SessionRecipe, transport: Transport) -> None:
    names = transport.duplicate_cookies()
    if not names:
        return
    if recipe.config.older_cookie_domain is None:
        raise ConfigurationError(_DUPLICATE_COOKIES)
    transport.clear_older(names)
    raise ClearDuplicateSessionCookiesError(
        "The request contains multiple session cookies. We are clearing the cookies from the older domain."
    )
