"""A browser for tests: `client(app)` talks to an application in this process, with cookies and refreshes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import httpx2
from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..recipes.kit.app_info import normal_origin
from ..recipes.session.config import TransferMethod
from ..recipes.session.recipe import SessionRecipe
from ..recipes.session.requests import INSECURE_COOKIES
from ..recipes.session.response import ACCESS_COOKIE, REFRESH_COOKIE, ResponseLog, SetTokens
from ..recipes.session.transport import METHODS
from .browser import Browser, BrowserClock, Exchange, Interception, RequestCookies, Site
from .cookies import CookieView
from .server_under_test import Application, LiveServer, ServerUnderTest


def client(
    app: Application | LiveServer,
    *,
    signed_in: HasTokens | None = None,
    mode: TransferMethod = "cookie",
    coatcheck: App | None = None,
    website: str | None = None,
    raise_app_exceptions: bool = True,
) -> BrowserClient:
    """Return a client that talks to an application like a browser with the SDK in its page.

    `app` is an App, an ASGI application (Starlette, FastAPI, Django's), a WSGI application (Flask, Django's), or a
    LiveServer. `coatcheck` is the App of an application that names none, if it is not the current App either. With
    `signed_in`, the client starts with that session. `mode` says how its sessions travel. `website` is the origin of
    the page, by default that of the App. Errors of the application are raised here, unless `raise_app_exceptions` is
    False.
    """
    if mode not in METHODS:
        raise ConfigurationError(f'mode is "cookie" or "header", not {mode!r}')
    if website is not None:
        website = normal_origin(website, "website")
    if isinstance(app, LiveServer):
        site = Site.of(app.coatcheck, app.url, website)
        # This machine's own address has no TLS; without it, httpx2 need not load certificates.
        transport: httpx2.BaseTransport = httpx2.HTTPTransport(verify=False, trust_env=False)
        coatcheck = app.coatcheck
    else:
        server = ServerUnderTest.of(app, coatcheck)
        coatcheck = server.coatcheck
        site = Site.of(coatcheck, page=website)
        transport = server.transport(raises=raise_app_exceptions)
    browser = Browser(site, BrowserClock(coatcheck.clock), mode)
    if signed_in is not None:
        sign_in_browser(browser, coatcheck, signed_in)
    return BrowserClient(Interception(browser, transport))


class BrowserClient(httpx2.Client):
    """An httpx2.Client that behaves as one tab of a browser with the SDK in its page.

    Relative addresses belong to the API's domain, so https cookies come back; the application also answers requests to
    all other addresses. Cookies expire by the App's clock, and domain, path, Secure and SameSite limit where they go.
    Requests to the API carry `rid`, `st-auth-mode` and the tokens of the session. A 401 for a session that exists leads
    to one refresh and a retry, unless `automatic_refresh` is False. The client follows redirects, unless
    `follow_redirects` is False. As a context manager, it runs the lifespan of an ASGI application. It works in
    asynchronous tests on asyncio, too.
    """

    def __init__(self, interception: Interception) -> None:
        self._interception = interception
        self._view = CookieView(interception.browser.jar, interception.browser.site.api.host)
        super().__init__(
            base_url=interception.browser.site.api, transport=interception, follow_redirects=True, trust_env=False
        )

    @property
    def browser(self) -> Browser:
        """The browser of this tab: cookies, tokens, clock."""
        return self._interception.browser

    @property
    def interception(self) -> Interception:
        """The transport that carries the requests of this tab."""
        return self._interception

    @property
    def cookies(self) -> CookieView:
        """The cookies of the browser, by name."""
        return self._view

    @cookies.setter
    def cookies(self, cookies: Any) -> None:
        self._view.clear()
        self._view.update(cookies)

    @property
    def automatic_refresh(self) -> bool:
        """Whether a 401 leads to a refresh and a retry."""
        return self._interception.refreshes

    @automatic_refresh.setter
    def automatic_refresh(self, wanted: bool) -> None:
        self._interception.refreshes = wanted

    def build_request(self, method: str, url: httpx2.URL | str, **parts: Any) -> httpx2.Request:
        """Build a request that can be sent with `send`."""
        cookies = parts.pop("cookies", None)
        request = super().build_request(
            method, _absolute(str(self.base_url), url) if isinstance(url, str) else url, **parts
        )
        if cookies:
            RequestCookies(request.url.host, dict(httpx2.Cookies(cookies))).add_to(request)
        return request

    # Other tabs, other browsers

    def tab(self) -> BrowserClient:
        """Return another tab of the same browser, which shares cookies and tokens; it closes with this client."""
        return self._client_of(self.browser)

    def copy(self) -> BrowserClient:
        """Return another browser with copies of all cookies and tokens, like a thief's; it closes with this client."""
        return self._client_of(self.browser.copy())

    def _client_of(self, browser: Browser) -> BrowserClient:
        own = self._interception
        other = BrowserClient(Interception(browser, own.inner, refreshes=own.refreshes, owner=False))
        other.headers, other.follow_redirects = self.headers, self.follow_redirects
        return other

    # The session, as the page sees it

    @property
    def session_exists(self) -> bool:
        """Whether the page believes that it has a session."""
        return self.browser.tokens.exist

    @property
    def session_handle(self) -> str:
        """The handle of the session; LookupError if there is none."""
        if not self.session_exists:
            raise LookupError("this client has no session")
        return str(self.browser.tokens.content()["up"]["sessionHandle"])

    @property
    def access_token(self) -> str | None:
        """The access token that the next request will carry."""
        return self.browser.tokens.bearer or self._cookie(ACCESS_COOKIE)

    @property
    def refresh_token(self) -> str | None:
        """The refresh token that the next refresh will present."""
        return self.browser.tokens.refresh or self._cookie(REFRESH_COOKIE)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The last 200 exchanges with the server, also those that the page never saw (a 401, a refresh)."""
        return tuple(self._interception.exchanges)

    @property
    def refreshes(self) -> tuple[Exchange, ...]:
        """The refreshes among the exchanges."""
        path = self.browser.site.refresh.path
        return tuple(exchange for exchange in self.exchanges if exchange.request.url.path == path)

    def session_payload(self) -> dict[str, Any] | None:
        """Return the payload of the access token, None without a session.

        As in the SDK, a token that has expired by the clock of this machine is refreshed first.
        """
        if self.browser.tokens.has_expired(self.browser.clock):
            self.refresh()
        payload: dict[str, Any] | None = self.browser.tokens.content().get("up")
        return payload

    def refresh(self) -> httpx2.Response:
        """Exchange the refresh token now and return the API's answer; after a 401 the client has no session."""
        return self._interception.refresh()

    def sign_out(self) -> httpx2.Response:
        """Sign out and return the API's answer."""
        return self.post(self.browser.site.sign_out, headers={"rid": "session"})

    def _cookie(self, name: str) -> str | None:
        found = self.browser.jar.find(name)
        return found[0].value if found else None


class HasTokens(Protocol):
    """The tokens of a session, such as those of a SignedIn."""

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
        """The time at which the refresh token expires, in milliseconds since the epoch."""
        ...

    @property
    def front_token(self) -> str:
        """The part of the access token that scripts may read."""
        ...

    @property
    def anti_csrf_token(self) -> str | None:
        """The anti-CSRF token, None if there is none."""
        ...


def sign_in_browser(browser: Browser, app: App, signed_in: HasTokens) -> None:
    """Give a browser the tokens of a session, in cookies or headers as its mode says.

    ConfigurationError for cookies that browsers would drop, as for a new session (docs/protocol.md, rule 8.4).
    """
    transport = SessionRecipe.of(app).transport(_sign_in_request(browser), {})
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
    """Return a request that could have signed in; a function `origin` reads the website from it."""
    page = browser.site.page
    origin = [] if page is None else [(b"origin", str(page).encode())]
    return Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": origin})


@dataclass(frozen=True, slots=True)
class _RefreshToken:
    token: str = field(repr=False)
    expiry: int


@lru_cache(maxsize=256)
def _absolute(base: str, address: str) -> httpx2.URL:
    # Cached, because parsing an address takes long and tests use the same addresses again and again.
    given, origin = httpx2.URL(address), httpx2.URL(base)
    if not given.is_relative_url:
        return given
    return origin.copy_with(raw_path=origin.raw_path + given.raw_path.lstrip(b"/"))  # as httpx2 joins them
