"""ASGI by hand: one connection, its messages as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message

LIMIT_S = 10
DISCONNECT: Message = {"type": "http.disconnect"}
CONNECT: Message = {"type": "websocket.connect"}


@dataclass
class Wire:
    """What a server and an application say to each other over one connection; `heard` is called with each message.

    After `said`, the client stays connected until `hang_up` is called.
    """

    path: str = "/"
    kind: str = "http"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()
    said: list[Message] = field(default_factory=lambda: [{"type": "http.request", "body": b"", "more_body": False}])
    heard: Callable[[Message], Awaitable[object]] | None = None
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._gone = asyncio.Event()
        if self.kind == "websocket":
            self.said = [CONNECT]

    def hang_up(self) -> None:
        """Disconnect."""
        self._gone.set()

    async def run(self, app: ASGIApp) -> Wire:
        """Let an application serve the connection to its end."""
        await asyncio.wait_for(app(self._scope(), self._receive, self._send), LIMIT_S)
        return self

    @property
    def status(self) -> int:
        """The status of the answer."""
        status: int = self.messages[0]["status"]
        return status

    @property
    def response_headers(self) -> Headers:
        """The headers of the first message."""
        return Headers(raw=list(self.messages[0].get("headers", [])))

    @property
    def body(self) -> bytes:
        """The body of the answer."""
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    def _scope(self) -> dict[str, Any]:
        scope: dict[str, Any] = {
            "type": self.kind,
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "http" if self.kind == "http" else "ws",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in self.headers.items()],
            "server": ("localhost", 3567),
            "client": ("127.0.0.1", 1),
            "extensions": {name: {} for name in self.extensions},
            "state": {},
        }
        if self.kind == "http":
            scope["method"] = self.method
        return scope

    async def _receive(self) -> Message:
        if self.said:
            return self.said.pop(0)
        await self._gone.wait()
        return DISCONNECT

    async def _send(self, message: Message) -> None:
        self.messages.append(message)
        if self.heard is not None:
            await self.heard(message)
