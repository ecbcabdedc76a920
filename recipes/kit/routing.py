"""Routes of the auth API as data: what a recipe serves, and what its handlers are given."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from ...claims.payload import UserContext
from ..exceptions import BadInputError, ConfigurationError
from .app_info import AppInfo
from .services import Services


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One HTTP request to one API."""

    app: Services
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


MAX_BODY_BYTES = 1_048_576
"""How much of a body is read; an API has no use for more than a fraction of it."""

TOO_LARGE = f"the body is larger than {MAX_BODY_BYTES} bytes"


async def json_body(request: Request, message: str = "Please provide a JSON body") -> dict[str, Any]:
    """Return the object in a request's body; BadInputError with `message` where there is none."""
    try:
        body = json.loads(await limited_body(request))
    except (ValueError, RecursionError):
        raise BadInputError(message) from None
    if not isinstance(body, dict):
        raise BadInputError(message)
    return body


async def limited_body(request: Request) -> bytes:
    """Return a request's body, which an override can read again; BadInputError if it is incomplete or far too large."""
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_BODY_BYTES:
                raise BadInputError(TOO_LARGE)
    except ClientDisconnect:
        # Nobody is left to read the answer, but an error of the server it is not.
        raise BadInputError("the client went away before the body was complete") from None
    request._body = bytes(raw)  # where Starlette looks for a body that has been read
    return request._body


Version = tuple[int, int]

NEWEST: Version = (4, 2)
_VERSIONS = re.compile(r"(?:^|,)\s*(\d{1,6})\.(\d{1,6})\s*(?=,|$)")


def fdi_version(request: Request) -> Version:
    """Return the highest version a client lists, the newest one if it lists none that can be read."""
    known = [(int(major), int(minor)) for major, minor in _VERSIONS.findall(request.headers.get("fdi-version", ""))]
    return max(known, default=NEWEST)


def has_user_objects(version: Version) -> bool:
    """Whether a client expects the newer user object, with login methods."""
    return (1, 18) <= version < (2, 0) or version >= (3, 0)


def knows_linking_flag(version: Version) -> bool:
    """Whether a client sends `shouldTryLinkingWithSessionUser`, so that its absence means false."""
    return version >= (3, 1)
