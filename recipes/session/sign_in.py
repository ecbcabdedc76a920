"""The session's part in signing in and up: which session an API is given, and which one it answers with."""

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

LINKING_FUNCTION_MISSING = (
    "linking to the user of a session was asked for (by shouldTryLinkingWithSessionUser, or by passing a session), but "
    "no function that decides about account linking is configured: linking accounts is not supported yet"
)

LINKING_FAILED = "Cannot sign in / up due to security reasons. Please contact support. (ERR_CODE_{code:03})"
LINKING_REASONS = (
    "EMAIL_VERIFICATION_REQUIRED",
    "RECIPE_USER_ID_ALREADY_LINKED_WITH_ANOTHER_PRIMARY_USER_ID_ERROR",
    "ACCOUNT_INFO_ALREADY_ASSOCIATED_WITH_ANOTHER_PRIMARY_USER_ID_ERROR",
    "SESSION_USER_ACCOUNT_INFO_ALREADY_ASSOCIATED_WITH_ANOTHER_PRIMARY_USER_ID_ERROR",
)


def linking_flag(request: Request, body: object) -> bool | None:
    """Return the wish of a request to link accounts; None from clients too old to have one (rule 18.4)."""
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
    flag = linking_flag(call.request, body)
    if flag is False:
        return None, flag, call.tenant_id
    recipe = SessionRecipe.of(call.app)
    session = await unvalidated_session(recipe, call.request, call.user_context, session_required=flag is True)
    return session, flag, call.tenant_id if session is None else session.tenant_id


def refuse_linking(session: SessionContainer | None, flag: bool | None) -> None:
    """Refuse what would need a linking function; anything else is a first factor."""
    if session is not None and flag is True:
        raise ConfigurationError(LINKING_FUNCTION_MISSING)


def linking_failure(reason: str, *, first_code: int) -> str:
    """Return the text, with a support code, that says why accounts could not be linked (rule 20.9)."""
    return LINKING_FAILED.format(code=first_code + LINKING_REASONS.index(reason))


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
    """Return the session of a user who has just signed in: the present one if it is theirs, otherwise a new one."""
    recipe = SessionRecipe.of(app)
    theirs = [method.recipe_user_id for method in user.login_methods]
    if session is not None and session.recipe_user_id in theirs:
        # Its access token outlives it, and nobody is signed in by a session that has ended.
        stored = await recipe.functions.get_session_information(session.session_handle, user_context)
        if stored is not None:
            return session
    known = user.id if recipe_user_id in theirs else None
    return await create_session(recipe, request, tenant_id, recipe_user_id, None, None, user_context, user_id=known)
