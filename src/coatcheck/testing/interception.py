"""How the requests of one tab reach the server: with what the SDK adds, and refreshed and retried where it does."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from types import TracebackType

import httpx2

from ..claims.clock import current_clock
from .browser import Browser

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
