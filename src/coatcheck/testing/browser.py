"""One browser: its memory, and what the SDK in its pages does with every request (docs/protocol.md, section 2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import TracebackType

import httpx2

from ..claims.clock import Clock, current_clock
from ..recipes.app import App
from ..recipes.session.config import TransferMethod
from ..recipes.session.recipe import SessionRecipe
from .cookies import CookieJar
from .tokens import Tokens

FDI_VERSION = "4.2"
"""The version of the front-end interface that the browser speaks."""


class BrowserClock(Clock):
    """The clock of the browser's machine, which is `offset_ms` ahead of the App's clock."""

    def __init__(self, server: Clock, offset_ms: int = 0) -> None:
        self.server = server
        self.offset_ms = offset_ms

    def now_ms(self) -> int:
        """Milliseconds since the epoch, by the clock of this machine."""
        return self.server.now_ms() + self.offset_ms


@dataclass(frozen=True, slots=True)
class Site:
    """The addresses of the API and its answer for expired sessions; `page` is the origin of the website, or None."""

    api: httpx2.URL
    refresh: httpx2.URL
    sign_out: httpx2.URL
    expired_status: int
    page: httpx2.URL | None

    @classmethod
    def of(cls, app: App, api: str | None = None, page: str | None = None) -> Site:
        """Return the configuration of an App's front end; `api` and `page` replace the addresses of the App."""
        own = app.info.origin if isinstance(app.info.origin, str) else None
        status = SessionRecipe.of(app).config.session_expired_status_code
        return _site(api or app.info.api_domain, app.info.api_base_path, status, page or own)


@lru_cache(maxsize=64)
def _site(api: str, base_path: str, expired_status: int, page: str | None) -> Site:
    # Cached, because parsing addresses takes longer than everything else about a new client.
    origin = httpx2.URL(api)
    return Site(
        api=origin,
        refresh=origin.join(f"{base_path}/session/refresh"),
        sign_out=origin.join(f"{base_path}/signout"),
        expired_status=expired_status,
        page=None if page is None else httpx2.URL(page),
    )


class Browser:
    """The cookies and tokens that all tabs of one browser share.

    Like the SDK, it adds headers to every request to the API's host: `rid`, `st-auth-mode`, `anti-csrf`, and
    Authorization if the session travels in headers. Headers that the caller has set do not change.
    """

    def __init__(self, site: Site, clock: BrowserClock, mode: TransferMethod) -> None:
        self.site = site
        self.clock = clock
        self.mode: TransferMethod = mode
        self.jar = CookieJar(clock, site.page)
        self.tokens = Tokens()

    def copy(self) -> Browser:
        """Return another browser with the same cookies and tokens."""
        copied = Browser(self.site, BrowserClock(self.clock.server, self.clock.offset_ms), self.mode)
        copied.jar = self.jar.copy(copied.clock)
        copied.tokens = replace(self.tokens)
        return copied

    def intercepts(self, url: httpx2.URL) -> bool:
        """Whether the SDK handles requests to `url`; only the hosts are compared, not the ports."""
        return url.host == self.site.api.host

    def missing_headers(self, request: httpx2.Request) -> list[tuple[bytes, bytes]]:
        """Return the headers that a request still needs; its own cookies are sent with those of the jar."""
        needed: list[tuple[bytes, str | None]] = [
            (b"cookie", _cookie_header(RequestCookies.of(request), self.jar.header(request.url))),
            (b"origin", self._origin(request)),
        ]
        if self.intercepts(request.url):
            refreshing = request.url.path == self.site.refresh.path
            bearer = self.tokens.refresh if refreshing else self.tokens.bearer
            needed += [
                (b"rid", "session" if refreshing else "anti-csrf"),
                (b"st-auth-mode", self.mode),
                (b"anti-csrf", self.tokens.anti_csrf),
                (b"authorization", None if bearer is None else f"Bearer {bearer}"),
            ]
        present = {name.lower() for name, _ in request.headers.raw}
        return [(name, value.encode()) for name, value in needed if value is not None and name not in present]

    def refresh_request(self) -> httpx2.Request:
        """Return the request that exchanges the refresh token; its missing headers are added when it is sent."""
        return httpx2.Request("POST", self.site.refresh, headers={"accept": "*/*", "fdi-version": FDI_VERSION})

    def receive(self, url: httpx2.URL, headers: httpx2.Headers) -> None:
        """Store the cookies and tokens of a response from `url`."""
        for value in headers.get_list("set-cookie"):
            self.jar.store(url, value)
        if self.intercepts(url):
            self.tokens.save(headers, self.clock)

    def _origin(self, request: httpx2.Request) -> str | None:
        page = self.site.page
        if page is None or (request.method in ("GET", "HEAD") and page.origin == request.url.origin):
            return None
        return str(page)


@dataclass(frozen=True, slots=True)
class RequestCookies:
    """Cookies of a single request, for its host only; after a redirect to another host they are not sent."""

    host: str
    cookies: Mapping[str, str]

    def add_to(self, request: httpx2.Request) -> None:
        """Add the cookies to a request."""
        request.extensions[_EXTENSION] = self

    @classmethod
    def of(cls, request: httpx2.Request) -> Mapping[str, str]:
        """Return the cookies of a request, none if it goes to another host now."""
        own: RequestCookies | None = request.extensions.get(_EXTENSION)
        return own.cookies if own is not None and own.host == request.url.host else {}


_EXTENSION = "coatcheck.cookies"


def _cookie_header(own: Mapping[str, str], from_jar: str | None) -> str | None:
    """Return the Cookie header with the cookies of a request and those of the jar; its own win over the same name."""
    if not own:
        return from_jar
    others = [pair for pair in (from_jar or "").split("; ") if pair and pair.partition("=")[0] not in own]
    return "; ".join([*(f"{name}={value}" for name, value in own.items()), *others])


MAX_ROUNDS = 10
"""How often one request is retried after a refresh, as in the SDK."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as the server received it, and its response."""

    request: httpx2.Request
    response: httpx2.Response


class Interception(httpx2.BaseTransport):
    """Carries the requests of one tab over `inner`, which it closes at the end if it is the `owner`.

    A 401 for a session that exists leads to one refresh and a retry. `exchanges` holds the last 200 exchanges, with
    refreshes and the 401s before them. `losses` holds the paths whose next response gets lost; None is any path.
    """

    def __init__(
        self, browser: Browser, inner: httpx2.BaseTransport, *, refreshes: bool = True, owner: bool = True
    ) -> None:
        self.browser = browser
        self.inner = inner
        self.refreshes = refreshes
        self.exchanges: deque[Exchange] = deque(maxlen=200)
        self.losses: list[str | None] = []
        self._owner = owner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer that the page sees; RuntimeError if ten refreshes do not help."""
        request.read()  # so that it can be sent again
        for _ in range(MAX_ROUNDS):
            updates = self.browser.tokens.updates
            response = self._exchange(request)
            if not self._needs_refresh(request, response):
                return response
            response.read()
            refused = self._refused_refresh(since=updates)
            if refused is not None:
                return refused
        raise RuntimeError(f"{request.url} was still refused after {MAX_ROUNDS} refreshes")

    def refresh(self) -> httpx2.Response:
        """Exchange the refresh token, and return the API's answer."""
        request = self.browser.refresh_request()
        response = self._exchange(request)
        response.read()
        if response.status_code == self.browser.site.expired_status:
            self.browser.tokens.forget()
        elif response.status_code == 200 and "front-token" not in response.headers:
            raise httpx2.RemoteProtocolError("a refresh was answered without a front-token", request=request)
        return response

    def deliver(self, request: httpx2.Request) -> Exchange:
        """Send a request to the server; the browser does not see the answer yet."""
        # A new request, because the headers added now would be wrong after a refresh or a redirect.
        headers = [*request.headers.raw, *self.browser.missing_headers(request)]
        sent = httpx2.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        token = current_clock.set(self.browser.clock.server)
        try:
            response = self.inner.handle_request(sent)
        finally:
            current_clock.reset(token)
        response.request = sent
        return Exchange(sent, response)

    def receive(self, exchange: Exchange) -> None:
        """Let the browser see an answer; ReadError if a test wants it to get lost."""
        url, response = exchange.request.url, exchange.response
        for lost in (url.path, None):
            if lost in self.losses:
                self.losses.remove(lost)
                response.close()
                raise httpx2.ReadError("the answer was lost on its way", request=exchange.request)
        self.browser.receive(url, response.headers)
        self.exchanges.append(exchange)

    def __enter__(self) -> Interception:
        if self._owner:
            self.inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if self._owner:
            self.inner.__exit__(kind, error, traceback)

    def close(self) -> None:
        """Close the inner transport."""
        if self._owner:
            self.inner.close()

    def _exchange(self, request: httpx2.Request) -> httpx2.Response:
        exchange = self.deliver(request)
        self.receive(exchange)
        return exchange.response

    def _needs_refresh(self, request: httpx2.Request, response: httpx2.Response) -> bool:
        site = self.browser.site
        return (
            self.refreshes
            and response.status_code == site.expired_status
            and self.browser.intercepts(request.url)
            and request.url.path != site.refresh.path
            and self.browser.tokens.exist
        )

    def _refused_refresh(self, *, since: int) -> httpx2.Response | None:
        """Refresh, unless another tab has done so; return the answer if the request cannot be retried."""
        if self.browser.tokens.updates != since:
            return None
        response = self.refresh()
        return response if response.status_code >= 300 else None
