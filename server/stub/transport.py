"""The transport with which the recipes reach a stub provider in process, on any host name."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
from starlette.types import Message, Scope

from ...recipes.kit.driver import drive
from .provider import SlowAnswerError, StubProvider

_CHUNK = 65_536


class StubTransport(httpx2.BaseTransport):
    """Drives a stub provider's ASGI application by hand, in the calling thread, without an event loop."""

    def __init__(self, app: StubProvider) -> None:
        self.app = app

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the provider's answer; ReadTimeout at once if it was told to be slow."""
        exchange = _Exchange(request.read())
        try:
            drive(self.app(_scope(request), exchange.receive, exchange.send))
        except SlowAnswerError:
            raise httpx2.ReadTimeout("the stub provider was told not to answer", request=request) from None
        return httpx2.Response(exchange.status, headers=exchange.headers, stream=_Chunks(bytes(exchange.answer)))


class _Exchange:
    """One request and its answer, as ASGI messages."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.answer = bytearray()

    async def receive(self) -> Message:
        body, self._body = self._body, b""
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.answer += message.get("body", b"")


class _Chunks(httpx2.SyncByteStream):
    """A body in chunks, so that a client with a size limit stops reading as with a real connection."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._body), _CHUNK):
            yield self._body[start : start + _CHUNK]


def _scope(request: httpx2.Request) -> Scope:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 0),
        "state": {},
    }
