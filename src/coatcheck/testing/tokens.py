"""The tokens that the SDK in a page stores itself: responses give them to scripts in headers, not in cookies."""

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
    """The tokens that a page has received.

    `updates` counts the changes; `received_ms` is the time of the last front token, in ms since the epoch. Access and
    refresh token come from headers; with cookies there is only an access token, if the server exposes it.
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
        """The access token for the header Authorization, None if the session travels in cookies."""
        return self.access if self.refresh is not None else None

    def content(self) -> dict[str, Any]:
        """Return the front token as `{"uid": user id, "ate": expiry in ms, "up": payload}`; empty if there is none."""
        content: dict[str, Any] = {} if self.front is None else json.loads(base64.b64decode(self.front))
        return content

    def save(self, headers: httpx2.Headers, clock: Clock) -> None:
        """Store the tokens that a response sets, and forget those that it removes."""
        self.refresh = _new_value(self.refresh, headers.get(REFRESH_HEADER))
        self.access = _new_value(self.access, headers.get(ACCESS_HEADER))
        front = headers.get(FRONT_HEADER)
        if front == _REMOVED:
            self.forget()
        elif front is not None:
            self.front = front
            self.updates += 1
            self.received_ms = clock.now_ms()
        self.anti_csrf = _new_value(self.anti_csrf, headers.get(ANTI_CSRF_HEADER))

    def forget(self) -> None:
        """Drop every token, as after a sign-out."""
        self.front = self.anti_csrf = self.access = self.refresh = None
        self.updates += 1

    def has_expired(self, clock: Clock) -> bool:
        """Whether the access token has expired, as far as the page knows.

        The page knows its own clock, and how much that differed from the server's when the front token came.
        """
        if not self.exist:
            return False
        content = self.content()
        skew_ms = content["up"]["iat"] * 1000 - self.received_ms
        server_ms = clock.now_ms() + (skew_ms if abs(skew_ms) >= _LEAST_SKEW_MS else 0)
        return bool(content["ate"] < server_ms)


def _new_value(stored: str | None, header: str | None) -> str | None:
    return stored if header is None else header or None
