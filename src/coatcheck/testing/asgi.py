"""An HTTP transport that calls an ASGI application in this process, without a network and without threads."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

import httpx2
from starlette.types import ASGIApp, Message, Scope

from .lifespan import Lifespan
from .loop import Loops
from .unhandled import unhandled

SERVER_ERROR = b"Internal Server Error"


class ASGITransport(httpx2.BaseTransport):
    """Sends each request to an ASGI application and returns its answer once it is complete.

    The application runs on an event loop of the client's own, in the calling thread; only it knows what it awaits, so
    it always gets one. Its background tasks have ended when the answer is there. What it raises is raised here, as
    long as `raises` is true; otherwise the client sees what a server would send. `gateway` is the part of each path
    that a gateway in front takes away. Entered as a context manager, the transport runs the application's lifespan.
    """

    def __init__(self, app: ASGIApp, *, raises: bool = True, gateway: str = "") -> None:
        self.app = app
        self._raises = raises
        self._gateway = gateway
        self._loops = Loops()
        self._lifespan = Lifespan(app, self._loops)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the application's answer; RemoteProtocolError where it breaks off."""
        exchange = _Exchange(self.app, request, self._scope(request))
        with unhandled(self.app, exchange.scope) as errors:
            try:
                self._loops.run(exchange.run())
            except Exception:
                if self._raises:
                    raise
                exchange.fail()
        if errors and self._raises:
            raise errors[0]
        return exchange.response()

    def __enter__(self) -> ASGITransport:
        self._lifespan.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the lifespan, if it was begun, and close the event loop."""
        try:
            self._lifespan.stop()
        finally:
            self._loops.close()

    def _scope(self, request: httpx2.Request) -> Scope:
        url = request.url
        path, raw_path = url.path, url.raw_path.partition(b"?")[0]
        if self._gateway and path.startswith(f"{self._gateway}/"):
            path, raw_path = path.removeprefix(self._gateway), raw_path.removeprefix(self._gateway.encode())
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": path,
            "raw_path": raw_path,
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (url.host, url.port or {"http": 80, "https": 443}[url.scheme]),
            "clients": ("127.0.0.1", 50_000),
            "state": self._lifespan.state.copy(),
            "extensions": {},
        }


class _Exchange:
    """One request and its answer, as ASGI messages."""

    def __init__(self, app: ASGIApp, request: httpx2.Request, scope: Scope) -> None:
        self._app = app
        self._request = request
        self.scope = scope
        self._asked = False
        self._ended = asyncio.Event()
        self._start: Message | None = None
        self._body = bytearray()

    async def run(self) -> None:
        await self._app(self.scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._request.read(), "more_body": False}
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind: Any = message["type"]
        if kind == "http.response.start" and self._start is None:
            self._start = message
        elif kind == "http.response.body" and self._start is not None and not self._ended.is_set():
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                self._ended.set()
        else:
            raise RuntimeError(f"the application sent {kind} at a moment when that is not allowed")

    def fail(self) -> None:
        """Answer as a server does whose application has raised, unless it had answered before."""
        if self._start is None:
            self._start = {"status": 500, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}
            self._body += SERVER_ERROR
            self._ended.set()

    def response(self) -> httpx2.Response:
        """Return the whole answer."""
        if self._start is None or not self._ended.is_set():
            raise httpx2.RemoteProtocolError("the application returned before its answer was complete")
        body = b"" if self._request.method == "HEAD" else bytes(self._body)
        headers = list(self._start.get("headers", []))
        return httpx2.Response(self._start["status"], headers=headers, stream=httpx2.ByteStream(body))
