"""How a browser comes by a session that was made without it: as if the response that signed in had reached it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import httpx2
from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..recipes.session.recipe import SessionRecipe
from ..recipes.session.requests import INSECURE_COOKIES
from ..recipes.session.response import ResponseLog, SetTokens
from ..recipes.session.transport import Transport
from .browser import Browser


class HasTokens(Protocol):
    """The tokens of a session: what signing in without a browser returns."""

    @property
    def access_token(self) -> str:
        """The access token."""
        ...

    @property
    def refresh_token(self) -> str:
        """The refresh token."""
        ...

    @property
    def refresh_expires_ms(self) -> int:
        """When the refresh token expires, in milliseconds."""
        ...

    @property
    def front_token(self) -> str:
        """What scripts may read of the access token."""
        ...

    @property
    def anti_csrf_token(self) -> str | None:
        """The anti-CSRF token, None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class _RefreshToken:
    token: str = field(repr=False)
    expiry: int


def hand_over(browser: Browser, app: App, signed_in: HasTokens) -> None:
    """Give a browser the tokens of a session, in the way its sessions travel.

    ConfigurationError for cookies that browsers would drop, as where a session is created (docs/protocol.md, rule 8.4).
    """
    transport = Transport(SessionRecipe.of(app), _sign_in_request(browser), {})
    if browser.mode == "cookie" and transport.cookies_cannot_work():
        raise ConfigurationError(INSECURE_COOKIES)
    tokens = SetTokens(
        method=browser.mode,
        access_token=signed_in.access_token,
        front_token=signed_in.front_token,
        settings=transport.settings,
        now_ms=app.clock.now_ms(),
        refresh_token=_RefreshToken(signed_in.refresh_token, signed_in.refresh_expires_ms),
        anti_csrf_token=signed_in.anti_csrf_token,
    )
    log, headers = ResponseLog(), MutableHeaders(raw=[])
    log.add(tokens)
    log.apply(headers)
    browser.receive(browser.site.api, httpx2.Headers(headers.raw))


def _sign_in_request(browser: Browser) -> Request:
    """Return the request that the sign-in could have been, for whoever wants to know the website."""
    page = browser.site.page
    origin = [] if page is None else [(b"origin", str(page).encode())]
    return Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": origin})
