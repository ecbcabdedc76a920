"""One browser: what it remembers, and what the SDK in its pages does to every request (docs/protocol.md, section 2)."""

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
    """The clock of a browser's machine: that of the App, `offset_ms` ahead of it."""

    def __init__(self, server: Clock, offset_ms: int = 0) -> None:
        self.server = server
        self.offset_ms = offset_ms

    def now_ms(self) -> int:
        """Milliseconds since the epoch, as this machine believes."""
        return self.server.now_ms() + self.offset_ms


@dataclass(frozen=True, slots=True)
class Site:
    """Where the API is, and how it speaks of sessions; `page` is the origin of the website, None without a page."""

    api: httpx2.URL
    refresh: httpx2.URL
    sign_out: httpx2.URL
    expired_status: int
    page: httpx2.URL | None

    @classmethod
    def of(cls, app: App, api: str | None = None, page: str | None = None) -> Site:
        """Return what the front end of an App would be configured with; `api` overrides where the API is."""
        own = app.info.origin if isinstance(app.info.origin, str) else None
        status = SessionRecipe.of(app).config.session_expired_status_code
        return _site(api or app.info.api_domain, app.info.api_base_path, status, page or own)


@lru_cache(maxsize=64)
def _site(api: str, base_path: str, expired_status: int, page: str | None) -> Site:
    # Remembered, because reading addresses takes longer than everything else about a new client.
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

    Every request to the API's host is dressed as the SDK does it: `rid`, `st-auth-mode`, `anti-csrf`, and
    Authorization where the session travels in headers. What the caller has set itself stays.
    """

    def __init__(self, site: Site, clock: BrowserClock, mode: TransferMethod) -> None:
        self.site = site
        self.clock = clock
        self.mode: TransferMethod = mode
        self.jar = CookieJar(clock, site.page)
        self.tokens = Tokens()

    def copy(self) -> Browser:
        """Return another browser that knows the same cookies and tokens now."""
        copied = Browser(self.site, BrowserClock(self.clock.server, self.clock.offset_ms), self.mode)
        copied.jar = self.jar.copy(copied.clock)
        copied.tokens = replace(self.tokens)
        return copied

    def intercepts(self, url: httpx2.URL) -> bool:
        """Tell whether the SDK looks after requests to `url`: the hosts are compared, ports are not."""
        return url.host == self.site.api.host

    def dressing(self, request: httpx2.Request) -> list[tuple[bytes, bytes]]:
        """Return the headers that a request still lacks; cookies that it brings go with those of the jar."""
        lacking: list[tuple[bytes, str | None]] = [
            (b"cookie", _joined(Brought.to(request), self.jar.header(request.url))),
            (b"origin", self._origin(request)),
        ]
        if self.intercepts(request.url):
            refreshing = request.url.path == self.site.refresh.path
            bearer = self.tokens.refresh if refreshing else self.tokens.bearer
            lacking += [
                (b"rid", "session" if refreshing else "anti-csrf"),
                (b"st-auth-mode", self.mode),
                (b"anti-csrf", self.tokens.anti_csrf),
                (b"authorization", None if bearer is None else f"Bearer {bearer}"),
            ]
        present = {name.lower() for name, _ in request.headers.raw}
        return [(name, value.encode()) for name, value in lacking if value is not None and name not in present]

    def refresh_request(self) -> httpx2.Request:
        """Return the request that exchanges the refresh token, before it is dressed."""
        return httpx2.Request("POST", self.site.refresh, headers={"accept": "*/*", "fdi-version": FDI_VERSION})

    def receive(self, url: httpx2.URL, headers: httpx2.Headers) -> None:
        """Keep what a response from `url` hands out."""
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
class Brought:
    """Cookies that a single request brings, for the host that it is made to; they do not follow it elsewhere."""

    host: str
    cookies: Mapping[str, str]

    def put_on(self, request: httpx2.Request) -> None:
        """Let a request bring them."""
        request.extensions[_BROUGHT] = self

    @classmethod
    def to(cls, request: httpx2.Request) -> Mapping[str, str]:
        """Return what a request brings to where it goes."""
        brought: Brought | None = request.extensions.get(_BROUGHT)
        return brought.cookies if brought is not None and brought.host == request.url.host else {}


_BROUGHT = "coatcheck.cookies"


def _joined(brought: Mapping[str, str], kept: str | None) -> str | None:
    """Return the Cookie header for what a request brings and what the jar keeps; of one name, what it brings."""
    if not brought:
        return kept
    others = [pair for pair in (kept or "").split("; ") if pair and pair.partition("=")[0] not in brought]
    return "; ".join([*(f"{name}={value}" for name, value in brought.items()), *others])


MAX_ROUNDS = 10
"""How often one request is retried after a refresh, as in the SDK."""

_KEPT = 200


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as it was sent, and the response as it came."""

    request: httpx2.Request
    response: httpx2.Response


class Interception(httpx2.BaseTransport):
    """Carries the requests of one tab over `inner`, which it closes at the end where it is its `owner`.

    A 401 for a session that exists leads to one refresh and a retry. `exchanges` holds the last 200 exchanges, those
    of refreshes and of the 401s before them included; `losses` the paths whose next response gets lost, None for any.
    """

    def __init__(
        self, browser: Browser, inner: httpx2.BaseTransport, *, refreshes: bool = True, owner: bool = True
    ) -> None:
        self.browser = browser
        self.inner = inner
        self.refreshes = refreshes
        self.exchanges: deque[Exchange] = deque(maxlen=_KEPT)
        self.losses: list[str | None] = []
        self._owner = owner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer that the page sees; RuntimeError after ten rounds of refreshing in vain."""
        request.read()  # so that it can be sent again
        for _ in range(MAX_ROUNDS):
            updates = self.browser.tokens.updates
            response = self._exchanged(request)
            if not self._calls_for_refresh(request, response):
                return response
            response.read()
            refused = self._refreshed(since=updates)
            if refused is not None:
                return refused
        raise RuntimeError(f"{request.url} was still refused after {MAX_ROUNDS} refreshes")

    def refresh(self) -> httpx2.Response:
        """Exchange the refresh token, and return the API's answer."""
        request = self.browser.refresh_request()
        response = self._exchanged(request)
        response.read()
        if response.status_code == self.browser.site.expired_status:
            self.browser.tokens.forget()
        elif response.status_code == 200 and "front-token" not in response.headers:
            raise httpx2.RemoteProtocolError("a refresh was answered without a front-token", request=request)
        return response

    def deliver(self, request: httpx2.Request) -> Exchange:
        """Let the server answer; the browser has not seen the answer yet."""
        # A request of its own, so that what is added now is not in the way after a refresh or a redirect.
        headers = [*request.headers.raw, *self.browser.dressing(request)]
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
        """Let the browser see an answer; ReadError where it was to get lost on its way."""
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
        """Close what carries the requests."""
        if self._owner:
            self.inner.close()

    def _exchanged(self, request: httpx2.Request) -> httpx2.Response:
        exchange = self.deliver(request)
        self.receive(exchange)
        return exchange.response

    def _calls_for_refresh(self, request: httpx2.Request, response: httpx2.Response) -> bool:
        site = self.browser.site
        return (
            self.refreshes
            and response.status_code == site.expired_status
            and self.browser.intercepts(request.url)
            and request.url.path != site.refresh.path
            and self.browser.tokens.exist
        )

    def _refreshed(self, *, since: int) -> httpx2.Response | None:
        """Refresh, unless another tab has done so meanwhile; return the answer if it ends the matter."""
        if self.browser.tokens.updates != since:
            return None
        response = self.refresh()
        return response if response.status_code >= 300 else None
