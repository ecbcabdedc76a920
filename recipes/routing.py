"""Routes of the auth API as data: what a recipe serves, and what its handlers are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..claims.payload import UserContext

if TYPE_CHECKING:
    from .app import App


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One HTTP request to one API."""

    app: App
    request: Request
    tenant_id: str
    user_context: UserContext


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path below the API base path, and the API it serves."""

    method: str
    path: str
    api: str
    handler: Callable[[ApiCall], Awaitable[Response]]
    tenant_scoped: bool = True


def answer(result: Any, status_code: int = 200) -> Response:
    """Return the JSON answer for an API's result (a mapping, or an object with `to_json`)."""
    body = result if isinstance(result, dict) else result.to_json()
    return JSONResponse(body, status_code)
