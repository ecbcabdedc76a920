"""Protected routes in FastAPI and Starlette."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, overload

from starlette.requests import Request
from starlette.responses import Response

from ..recipes.context import app_of, request_context, response_log, set_session
from ..recipes.current_app import current_app
from ..recipes.session_api import api_options
from ..recipes.session_container import SessionContainer
from ..recipes.session_interface import OverrideGlobalClaimValidators
from ..recipes.session_recipe import SessionRecipe
from .errors import error_response

Verified = Callable[[Request], Awaitable[SessionContainer]]
VerifiedOrNone = Callable[[Request], Awaitable[SessionContainer | None]]


@overload
def verify_session(
    anti_csrf_check: bool | None = None,
    session_required: Literal[True] = True,
    check_database: bool = False,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: Mapping[str, Any] | None = None,
) -> Verified: ...


@overload
def verify_session(
    anti_csrf_check: bool | None = None,
    *,
    session_required: bool,
    check_database: bool = False,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: Mapping[str, Any] | None = None,
) -> VerifiedOrNone: ...


def verify_session(
    anti_csrf_check: bool | None = None,
    session_required: bool = True,
    check_database: bool = False,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: Mapping[str, Any] | None = None,
) -> Any:
    """Return a dependency that checks the session of a request: `Depends(verify_session())` in FastAPI.

    In a Starlette endpoint, `session = await verify_session()(request)`. The session is also
    `request.state.supertokens`. Every request gets a user context of its own, seeded with a copy of `user_context`.
    """

    async def verified(request: Request) -> SessionContainer | None:
        app = app_of(request) or current_app()
        recipe = SessionRecipe.of(app)
        with app.active():
            session = await recipe.apis.verify_session(
                api_options(recipe, request),
                anti_csrf_check,
                session_required,
                check_database,
                override_global_claim_validators,
                request_context(request, user_context),
            )
        set_session(request, session)
        return session

    return verified


async def session_exception_handler(request: Request, exc: Exception) -> Response:
    """Answer a session error in an application without the middleware; tokens are cleared or renewed all the same."""
    app = app_of(request) or current_app()
    with app.active():
        response = await error_response(app, request, exc)
    if response is None:
        raise exc
    response_log(request).apply(response.headers)
    return response
