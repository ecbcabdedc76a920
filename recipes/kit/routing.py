"""Routes of the auth API as data, the bodies of its requests and answers, and the version that a client speaks."""

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

# Routes and answers


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
    """Return a request's path as the browser sees it: with the gateway's path, and without a trailing slash."""
    # `request.url` fails if the query is not UTF-8.
    path: str = request.scope["path"]
    return info.api_gateway_path + path.rstrip("/")


class ApiResponse(JSONResponse):
    """Compact JSON in UTF-8, with the charset in its content type (docs/protocol.md, rule 17.1)."""

    media_type = "application/json; charset=utf-8"

    def render(self, content: Any) -> bytes:
        """Return the body; text that UTF-8 cannot hold is escaped."""
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


# Bodies of requests

MAX_BODY_BYTES = 1_048_576
"""The largest body that is read; APIs need far less."""

TOO_LARGE = f"the body is larger than {MAX_BODY_BYTES} bytes"


async def json_body(request: Request, message: str = "Please provide a JSON body") -> dict[str, Any]:
    """Return the object in a request's body; BadInputError with `message` if there is no object."""
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
        # Nobody reads the answer, but this is no error of the server.
        raise BadInputError("the client went away before the body was complete") from None
    request._body = bytes(raw)  # where Starlette looks for a body that has been read
    return request._body


# Versions of the front-end interface

Version = tuple[int, int]
NEWEST: Version = (4, 2)
_VERSIONS = re.compile(r"(?:^|,)\s*(\d{1,6})\.(\d{1,6})\s*(?=,|$)")


def fdi_version(request: Request) -> Version:
    """Return the highest version that a client lists, or the newest one (docs/protocol.md, rule 18.4)."""
    known = [(int(major), int(minor)) for major, minor in _VERSIONS.findall(request.headers.get("fdi-version", ""))]
    return max(known, default=NEWEST)


def has_user_objects(version: Version) -> bool:
    """Whether a client expects the newer user object, with login methods."""
    return (1, 18) <= version < (2, 0) or version >= (3, 0)


def knows_linking_flag(version: Version) -> bool:
    """Whether a client sends `shouldTryLinkingWithSessionUser`, so that its absence means false."""
    return version >= (3, 1)
