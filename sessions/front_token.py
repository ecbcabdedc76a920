"""The front token: what the browser may read of an access token (docs/protocol.md, section 4)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any


def front_token(payload: Mapping[str, Any]) -> str:
    """Return the front token for the payload of a signed access token; its members keep their order.

    `uid` is the user id, `ate` the expiry in milliseconds, `up` the payload itself. Some clients compare `up` with the
    payload of the access token as text, so pass what decoding that very token gave.
    """
    content = {"uid": payload["sub"], "ate": int(payload["exp"] * 1000), "up": dict(payload)}
    return base64.b64encode(_utf8(content)).decode()


def _utf8(content: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair is legal in JSON but has no UTF-8; escaped, it reaches the client unharmed.
        return json.dumps(content, separators=(",", ":")).encode()
