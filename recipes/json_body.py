"""The JSON bodies of API requests."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from .exceptions import BadInputError

MAX_BODY_BYTES = 1_048_576
"""How much of a body is read; an API has no use for more than a fraction of it."""


async def json_body(request: Request, message: str = "Please provide a JSON body") -> dict[str, Any]:
    """Return the object in a request's body; BadInputError with `message` where there is none."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise BadInputError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        body = json.loads(bytes(raw))
    except (ValueError, RecursionError):
        raise BadInputError(message) from None
    if not isinstance(body, dict):
        raise BadInputError(message)
    return body
