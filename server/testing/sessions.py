"""The testing routes of sessions: those of a user, and ending them behind the user's back."""

from __future__ import annotations

from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response

from ...recipes import session
from ...recipes.exceptions import BadInputError
from ...recipes.kit.routing import ApiResponse
from .body import NoQuery, query_of


class SessionRoute(HTTPEndpoint):
    """`DELETE sessions/{handle}`."""

    async def delete(self, request: Request) -> Response:
        """End one session."""
        query_of(request, NoQuery)
        return ApiResponse({"status": "OK", "revoked": await session.revoke_session(_named(request, "handle"))})


class UserSessionsRoute(HTTPEndpoint):
    """`GET users/{user_id}/sessions`, `DELETE ...`."""

    async def get(self, request: Request) -> Response:
        """Answer with the handles of a user's sessions."""
        query_of(request, NoQuery)
        handles = await session.get_all_session_handles_for_user(_named(request, "user_id"))
        return ApiResponse({"status": "OK", "session_handles": handles})

    async def delete(self, request: Request) -> Response:
        """End all sessions of a user."""
        query_of(request, NoQuery)
        revoked = await session.revoke_all_sessions_for_user(_named(request, "user_id"))
        return ApiResponse({"status": "OK", "revoked": revoked})


def _named(request: Request, name: str) -> str:
    value: str = request.path_params[name]
    if "\0" in value:  # PostgreSQL cannot hold it, so nothing can be named so.
        raise BadInputError(f"{name} has a NUL character in it")
    return value
