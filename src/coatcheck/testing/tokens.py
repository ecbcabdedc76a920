"""What the browser SDK remembers beside the server's cookies: the tokens that responses hand to scripts."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import httpx2

from ..claims.clock import Clock
from ..recipes.session.response import ACCESS_HEADER, ANTI_CSRF_HEADER, FRONT_HEADER, REFRESH_HEADER

_REMOVED = "remove"
_LEAST_SKEW_MS = 7_000


@dataclass(slots=True)
class Tokens:
    """The tokens a page has seen; `updates` counts how often they changed, `received_ms` is when the last ones came.

    Access and refresh token are those of the transfer by header (the access token also where it is exposed).
    """

    front: str | None = None
    anti_csrf: str | None = None
    access: str | None = None
    refresh: str | None = None
    updates: int = 0
    received_ms: int = 0

    @property
    def exist(self) -> bool:
        """Whether the page believes that it has a session."""
        return self.front is not None

    @property
    def bearer(self) -> str | None:
        """The token for Authorization, where the session travels in headers."""
        return self.access if self.refresh is not None else None

    def content(self) -> dict[str, Any]:
        """Return what the front token says: `uid`, `ate`, `up`; empty where there is none."""
        content: dict[str, Any] = {} if self.front is None else json.loads(base64.b64decode(self.front))
        return content

    def save(self, headers: httpx2.Headers, clock: Clock) -> None:
        """Keep what a response hands out, and forget what it takes back."""
        self.refresh = _kept(self.refresh, headers.get(REFRESH_HEADER))
        self.access = _kept(self.access, headers.get(ACCESS_HEADER))
        front = headers.get(FRONT_HEADER)
        if front == _REMOVED:
            self.forget()
        elif front is not None:
            self.front = front
            self.updates += 1
            self.received_ms = clock.now_ms()
        self.anti_csrf = _kept(self.anti_csrf, headers.get(ANTI_CSRF_HEADER))

    def forget(self) -> None:
        """Drop every token, as after a sign-out."""
        self.front = self.anti_csrf = self.access = self.refresh = None
        self.updates += 1

    def has_expired(self, clock: Clock) -> bool:
        """Tell whether the access token has expired as far as the page can tell.

        It knows its own clock, and by how much that differed from the server's when the front token came.
        """
        if not self.exist:
            return False
        content = self.content()
        skew_ms = content["up"]["iat"] * 1000 - self.received_ms
        server_ms = clock.now_ms() + (skew_ms if abs(skew_ms) >= _LEAST_SKEW_MS else 0)
        return bool(content["ate"] < server_ms)


def _kept(known: str | None, told: str | None) -> str | None:
    return known if told is None else told or None
