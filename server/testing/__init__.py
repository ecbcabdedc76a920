"""The testing routes, below `<api_base_path>/testing/`: tests in any language control a server with them.

They stand outside everything else that an application serves, CORS included, so that no header lets a website read
them.
"""

from __future__ import annotations

import logging
import time

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...claims.exceptions import CoatcheckError
from ...recipes.app import App
from ...recipes.kit.routing import ApiResponse, public_path
from ..errors import internal_error
from ..guard import answer_to
from .commands import (
    ClockRoute,
    OutboxRoute,
    ProvidersRoute,
    RequestsRoute,
    ScriptRoute,
    SessionRoute,
    UserSessionsRoute,
)
from .guard import Guard, guard_of

__all__ = ["PendingWork", "TestingMiddleware", "guard_of", "testing_path"]

_LONGEST_S = 5.0
_PAUSE_S = 0.002

_SERVED = (
    "GET and POST clock, GET and DELETE outbox, GET providers, POST and DELETE providers/{third_party_id}/script, "
    "GET providers/{third_party_id}/requests, GET and DELETE users/{user_id}/sessions, DELETE sessions/{handle}"
)

logger = logging.getLogger("coatcheck.server")


class TestingMiddleware:
    """Serves the testing routes of an App to requests that the guard accepts; every other request goes on to `app`.

    The answer to a testing route waits (five seconds at most) for the jobs after earlier responses, so that a test
    finds the mails that those jobs send.
    """

    __test__ = False  # pytest would take a class of this name for tests

    def __init__(self, app: ASGIApp, coatcheck: App, guard: Guard) -> None:
        self.app = app
        self._coatcheck = coatcheck
        self._guard = guard
        self._base = testing_path(coatcheck)
        self._pending_work = PendingWork()
        self._routes = _routes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = public_path(Request(scope), self._coatcheck.info)
        if path != self._base and not path.startswith(f"{self._base}/"):
            await self._pending_work.follow(self.app, scope, receive, send)
            return
        refusal = self._guard.refusal(Request(scope))
        if refusal is not None:
            logger.warning("a request to the testing routes was refused with %d", refusal.status_code)
            await refusal(scope, receive, send)
            return
        await self._pending_work.wait()
        below = {**scope, "path": path.removeprefix(self._base) or "/", "root_path": ""}
        with self._coatcheck.active():
            await self._routes(below, receive, send)


def testing_path(app: App) -> str:
    """Return the path below which an App's testing routes are served."""
    return f"{app.info.api_base_path}/testing"


def _routes() -> Starlette:
    return Starlette(
        routes=[
            Route("/clock", ClockRoute),
            Route("/outbox", OutboxRoute),
            Route("/providers", ProvidersRoute),
            Route("/providers/{third_party_id}/script", ScriptRoute),
            Route("/providers/{third_party_id}/requests", RequestsRoute),
            Route("/sessions/{handle}", SessionRoute),
            Route("/users/{user_id}/sessions", UserSessionsRoute),
        ],
        exception_handlers={HTTPException: _refused, CoatcheckError: answer_to, Exception: internal_error},
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = error.detail
    if error.status_code == 404 and message == "Not Found":
        message = f"there is no such testing route; there are {_SERVED}"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        message = f"this testing route does not take {request.method}, but {allowed}"
    return ApiResponse({"message": message}, error.status_code, error.headers)


class PendingWork:
    """The requests that were answered but still have work to do: jobs after the response, background tasks."""

    def __init__(self) -> None:
        self._answered: set[object] = set()

    async def follow(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and remember it from its last byte until all its work is done."""
        mark = object()

        async def send_and_mark(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._answered.add(mark)
            await send(message)

        try:
            await app(scope, receive, send_and_mark)
        finally:
            self._answered.discard(mark)

    async def wait(self) -> None:
        """Wait for the work of all requests answered so far; five seconds of real time at most."""
        waited_for = set(self._answered)
        end = time.monotonic() + _LONGEST_S
        # An Event would belong to one event loop; requests may run on those of several threads.
        while waited_for & self._answered and time.monotonic() < end:  # noqa: ASYNC110
            await anyio.sleep(_PAUSE_S)
