"""What the browser gets to read of an access token (docs/protocol.md, section 4)."""

from __future__ import annotations

import base64
import json
from typing import Any

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions.access_token import AccessTokens
from coatcheck.sessions.keys import KeyRing
from coatcheck.sessions.session import front_token


def decoded(token: str) -> dict[str, Any]:
    """Return what a client decodes."""
    content: dict[str, Any] = json.loads(base64.b64decode(token, validate=True))
    return content


def test_the_form_is_compact_utf_8_in_standard_base64() -> None:
    """Members in the order uid, ate, up; no spaces; letters beyond ASCII as they are."""
    token = front_token({"sub": "user-1", "exp": 1_700_003_600, "name": "Zoë"})
    content = '{"uid":"user-1","ate":1700003600000,"up":{"sub":"user-1","exp":1700003600,"name":"Zoë"}}'
    assert token == base64.b64encode(content.encode()).decode()


def test_a_client_reads_the_published_example() -> None:
    """The worked example of docs/protocol.md decodes to what it says, with the same bytes for the same content."""
    example = "eyJ1aWQiOiJ1c2VyLTEiLCJhdGUiOjE3MDAwMDM2MDAwMDAsInVwIjp7Im5hbWUiOiJab8OrIn19"
    content = {"uid": "user-1", "ate": 1_700_003_600_000, "up": {"name": "Zoë"}}
    assert decoded(example) == content
    ours = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    assert base64.b64encode(ours).decode() == example


def test_the_members_keep_the_order_of_the_signed_payload(ring: KeyRing, clock: ManualClock) -> None:
    """A client that compares `up` with the payload of the access token as text finds them equal."""
    now_s = clock.now_ms() // 1000
    payload = {
        "iat": now_s, "exp": now_s + 60, "sub": "u", "tId": "public", "rsub": "u", "sessionHandle": "h",
        "refreshTokenHash1": "x", "parentRefreshTokenHash1": None, "antiCsrfToken": None,
        "zulu": [1, 2.5, {"b": 1, "a": None}], "alpha": "ë\u2028</script>",
    }  # fmt: skip
    tokens = AccessTokens(ring, clock)
    access_token = tokens.mint(payload, static=False)
    segment = access_token.split(".")[1]
    signed = json.loads(base64.urlsafe_b64decode(segment + "=="))
    up = decoded(front_token(tokens.verify(access_token).payload))["up"]
    assert json.dumps(up) == json.dumps(signed) == json.dumps(payload)


def test_the_expiry_is_in_milliseconds() -> None:
    """`ate` is `exp` in milliseconds, so their whole seconds agree."""
    content = decoded(front_token({"sub": "u", "exp": 1_700_000_001}))
    assert content["ate"] == 1_700_000_001_000
    assert content["up"]["exp"] == content["ate"] // 1000


def test_half_a_surrogate_pair_is_escaped() -> None:
    """A string that has no UTF-8 reaches the client nevertheless."""
    assert decoded(front_token({"sub": "u", "exp": 1, "name": "\ud83d"}))["up"]["name"] == "\ud83d"
