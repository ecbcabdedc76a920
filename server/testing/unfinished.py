"""Work that goes on after a response has been sent, and waiting for it."""

from __future__ import annotations

import time

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LONGEST_S = 5.0
_PAUSE_S = 0.002


class Unfinished:
    """The requests that were answered, but whose work goes on: jobs after the response, background tasks."""

    def __init__(self) -> None:
        self._answered: set[object] = set()

    async def follow(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, remembered from its last byte on until all its work is done."""
        mark = object()

        async def send_noticed(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._answered.add(mark)
            await send(message)

        try:
            await app(scope, receive, send_noticed)
        finally:
            self._answered.discard(mark)

    async def settle(self) -> None:
        """Wait for the work of all requests answered so far; five seconds of real time at most."""
        waited_for = set(self._answered)
        end = time.monotonic() + _LONGEST_S
        # An Event would belong to one event loop; requests may run on those of several threads.
        while waited_for & self._answered and time.monotonic() < end:  # noqa: ASYNC110
            await anyio.sleep(_PAUSE_S)
