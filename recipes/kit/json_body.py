"""The bodies of API requests, read up to a limit."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from ..exceptions import BadInputError

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
