"""Routes of the auth API as data: what a recipe serves, and what its handlers are given."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...claims.payload import UserContext
from ..exceptions import ConfigurationError

if TYPE_CHECKING:
    from ..app import App
    from .app_info import AppInfo


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


def public_path(request: Request, info: AppInfo) -> str:
    """Return a request's path as the browser sees it, the gateway's path in front, without a trailing slash."""
    # Not `request.url`, which cannot be put together from a query that is not UTF-8.
    path: str = request.scope["path"]
    return info.api_gateway_path + path.rstrip("/")


class ApiResponse(JSONResponse):
    """Compact JSON in UTF-8, and said to be (docs/protocol.md, rule 17.1)."""

    media_type = "application/json; charset=utf-8"

    def render(self, content: Any) -> bytes:
        """Return the body; text that UTF-8 cannot hold is escaped rather than refused."""
        try:
            return super().render(content)
        except UnicodeEncodeError:
            return json.dumps(content, separators=(",", ":")).encode()


def answer(result: Any, status_code: int = 200) -> Response:
    """Return the JSON answer for an API's result (a mapping, or an object with `to_json`)."""
    if result is None:
        raise ConfigurationError(
            "an API has returned nothing: its override must return a result, or what the original does"
        )
    return ApiResponse(result if isinstance(result, dict) else result.to_json(), status_code)
