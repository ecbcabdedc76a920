"""One browser: what it remembers, and what the SDK in its pages does to every request (docs/protocol.md, section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import httpx2

from ..claims.clock import Clock
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
