"""The one place that maps errors to answers (docs/protocol.md, section 17)."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..claims.exceptions import CoatcheckError, ProtectedClaimError
from ..claims.payload import UserContext
from ..recipes.exceptions import BadInputError, ConfigurationError, UnknownTenantError
from ..recipes.kit.request import request_context
from ..recipes.kit.routing import ApiResponse
from ..recipes.kit.services import Services
from ..recipes.session.recipe import SessionRecipe
from ..sessions.exceptions import (
    ClearDuplicateSessionCookiesError,
    DatabaseError,
    HashingBusyError,
    InvalidClaimsError,
    SessionError,
    TokenTheftError,
    TryRefreshTokenError,
    UnauthorisedError,
)

logger = logging.getLogger("coatcheck.server")

_STATUS_OF: dict[type[CoatcheckError], int] = {
    BadInputError: 400,
    UnknownTenantError: 404,
    HashingBusyError: 503,
    DatabaseError: 503,
    ConfigurationError: 500,
    ProtectedClaimError: 500,
}
"""The status of errors that are not about sessions; the answer has the message of the error."""


async def error_response(app: Services, request: Request, error: Exception) -> Response | None:
    """Return the answer to an error of this library, clearing tokens if it says so; None for any other error."""
    if isinstance(error, SessionError):
        try:
            return await _session_error(SessionRecipe.of(app), request, error)
        except DatabaseError as failure:  # the stolen session could not be revoked
            error = failure
    for kind, status in _STATUS_OF.items():
        if isinstance(error, kind):
            return _plain_error(error, status)
    return None


async def internal_error(_request: Request, _error: Exception) -> Response:
    """Return the answer to an error of the server itself, which says nothing about it."""
    return ApiResponse({"message": "internal server error"}, 500)


def _plain_error(error: Exception, status: int) -> Response:
    if status >= 500:
        logger.error("answered %d: %s", status, error, exc_info=error)
    message = "the service is unavailable, try again later" if status == 503 else str(error)
    return ApiResponse({"message": message}, status)


async def _session_error(recipe: SessionRecipe, request: Request, error: SessionError) -> Response:
    config, handlers = recipe.config, recipe.config.error_handlers
    context = request_context(request)
    logger.debug("session error: %s", error)
    match error:
        case UnauthorisedError():
            if error.clear_tokens:
                recipe.transport(request, context).clear_all()
            return await _handled(
                handlers.on_unauthorised,
                request,
                str(error),
                response=_message("unauthorised", config.session_expired_status_code),
            )
        case TryRefreshTokenError():
            return await _handled(
                handlers.on_try_refresh_token,
                request,
                str(error),
                response=_message("try refresh token", config.session_expired_status_code),
            )
        case TokenTheftError():
            return await _theft(recipe, request, error, context)
        case InvalidClaimsError():
            body = {
                "message": "invalid claim",
                "claimValidationErrors": [failure.to_json() for failure in error.payload],
            }
            return await _handled(
                handlers.on_invalid_claim,
                request,
                error.payload,
                response=ApiResponse(body, config.invalid_claim_status_code),
            )
        case ClearDuplicateSessionCookiesError():
            return await _handled(
                handlers.on_clear_duplicate_session_cookies,
                request,
                str(error),
                response=_message(str(error), 200),
            )
        case _:
            raise error


async def _theft(recipe: SessionRecipe, request: Request, error: TokenTheftError, context: UserContext) -> Response:
    handler = recipe.config.error_handlers.on_token_theft_detected
    response = _message("token theft detected", recipe.config.session_expired_status_code)
    logger.warning("token theft detected: session %s of user %s", error.session_handle, error.user_id)
    if handler is None:
        # Revoke first: if the database is down, the owner keeps the token that proves the theft, and can send it again.
        await recipe.functions.revoke_session(error.session_handle, context)
    recipe.transport(request, context).clear_all()
    return await _handled(
        handler, request, error.session_handle, error.user_id, error.recipe_user_id, response=response
    )


async def _handled(handler: Callable[..., Any] | None, *arguments: Any, response: Response) -> Response:
    if handler is None:
        return response
    handled = handler(*arguments, response)
    if inspect.isawaitable(handled):
        handled = await handled
    if not isinstance(handled, Response):
        raise ConfigurationError(f"the error handler {handler!r} must return the response to send, not {handled!r}")
    return handled


def _message(text: str, status: int) -> Response:
    return ApiResponse({"message": text}, status)
