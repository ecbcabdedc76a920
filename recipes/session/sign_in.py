"""Sessions in APIs that sign in or up: the session that the API gets, and the session that it answers with."""

from __future__ import annotations

from starlette.requests import Request

from ...claims.payload import UserContext
from ...claims.recipe_user_id import RecipeUserId
from ..exceptions import BadInputError, ConfigurationError
from ..kit.routing import ApiCall, fdi_version, knows_linking_flag
from ..kit.services import Services
from ..users.user import User
from .container import SessionContainer
from .recipe import SessionRecipe
from .requests import create_session, unvalidated_session

_LINKING_FUNCTION_MISSING = (
    "the request (by shouldTryLinkingWithSessionUser) or the call (by its session) wants to link accounts, but no "
    "function that decides about account linking is configured: linking accounts is not supported yet"
)

_LINKING_FAILED = "Cannot sign in / up due to security reasons. Please contact support. (ERR_CODE_{code:03})"
_LINKING_REASONS = (
    "EMAIL_VERIFICATION_REQUIRED",
    "RECIPE_USER_ID_ALREADY_LINKED_WITH_ANOTHER_PRIMARY_USER_ID_ERROR",
    "ACCOUNT_INFO_ALREADY_ASSOCIATED_WITH_ANOTHER_PRIMARY_USER_ID_ERROR",
    "SESSION_USER_ACCOUNT_INFO_ALREADY_ASSOCIATED_WITH_ANOTHER_PRIMARY_USER_ID_ERROR",
)


def _linking_flag(request: Request, body: object) -> bool | None:
    """Return whether a request wants to link accounts; None from clients that are too old to say so (rule 18.4)."""
    given = body.get("shouldTryLinkingWithSessionUser") if isinstance(body, dict) else None
    if given is not None and not isinstance(given, bool):
        raise BadInputError("shouldTryLinkingWithSessionUser must be a boolean")
    if not knows_linking_flag(fdi_version(request)):
        return None
    return given is True


async def session_for_sign_in(call: ApiCall, body: object) -> tuple[SessionContainer | None, bool | None, str]:
    """Return the session with which an API signs in, the linking flag, and the tenant (docs/protocol.md, rule 20.8).

    No claim validator is run. With the flag false no session is loaded; with true one is required
    (UnauthorisedError). The tenant is the session's, or without one that of the path.
    """
    flag = _linking_flag(call.request, body)
    if flag is False:
        return None, flag, call.tenant_id
    recipe = SessionRecipe.of(call.app)
    session = await unvalidated_session(recipe, call.request, call.user_context, session_required=flag is True)
    return session, flag, call.tenant_id if session is None else session.tenant_id


def refuse_linking(session: SessionContainer | None, flag: bool | None) -> None:
    """Refuse a sign-in that needs a linking function; any other sign-in is a first factor."""
    if session is not None and flag is True:
        raise ConfigurationError(_LINKING_FUNCTION_MISSING)


def linking_failure(reason: str, *, first_code: int) -> str:
    """Return the text, with a support code, that says why accounts could not be linked (rule 20.9)."""
    return _LINKING_FAILED.format(code=first_code + _LINKING_REASONS.index(reason))


async def session_after_sign_in(
    app: Services,
    request: Request,
    user: User,
    recipe_user_id: RecipeUserId,
    *,
    tenant_id: str,
    session: SessionContainer | None,
    user_context: UserContext,
) -> SessionContainer:
    """Return the session of a user who has just signed in: the current one if it is the user's, else a new one."""
    recipe = SessionRecipe.of(app)
    login_method_ids = [method.recipe_user_id for method in user.login_methods]
    if session is not None and session.recipe_user_id in login_method_ids:
        # The session may have ended: its access token is valid for longer.
        stored = await recipe.functions.get_session_information(session.session_handle, user_context)
        if stored is not None:
            return session
    known = user.id if recipe_user_id in login_method_ids else None
    return await create_session(recipe, request, tenant_id, recipe_user_id, None, None, user_context, user_id=known)
