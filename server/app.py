"""A complete Starlette application: the auth API, a health check, and CORS for the website around everything."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..recipes.app import App, current_app
from ..recipes.kit.request import get_all_cors_headers, request_context
from ..recipes.kit.routing import ApiResponse
from ..sessions.exceptions import DatabaseError
from .asgi import AuthMiddleware
from .errors import internal_error
from .stub import stub_routes
from .testing import TestingMiddleware, guard_of

logger = logging.getLogger("coatcheck.server")

CORS_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS")


class WebsiteCORS:
    """CORS for the website's origin and no other; an origin that is a function is asked again for every request."""

    def __init__(self, app: ASGIApp, coatcheck: App) -> None:
        self.app = app
        self._coatcheck = coatcheck

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection with the headers that let the website read the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        info, request = self._coatcheck.info, Request(scope)
        # The answer serves the whole request, so the function gets the user context of the request.
        origin = info.website_origin(request, request_context(request) if callable(info.origin) else {})
        cors = CORSMiddleware(
            self.app,
            allow_origins=[origin],
            allow_methods=CORS_METHODS,
            allow_headers=["content-type", *get_all_cors_headers()],
            allow_credentials=True,
        )
        await cors(scope, receive, send)


def create_app(
    coatcheck: App | None = None, routes: Sequence[BaseRoute] = (), *, testing_token: str | None = None
) -> Starlette:
    """Return a Starlette application that serves the auth API of an App, `/healthz` and the given routes.

    If the App has stub providers, their authorization pages are served below `<api_base_path>/stub/`. With a
    `testing_token`, and only then, the testing routes are served below `<api_base_path>/testing/` to clients that send
    it in the header `x-coatcheck-testing`; ConfigurationError unless the App was made with `unsafe_for_tests=True`.
    """
    served = coatcheck or current_app()

    async def healthz(_request: Request) -> Response:
        try:
            await served.on_database_thread(served.database.ping)
        except DatabaseError as error:
            logger.error("healthz: %s", error)
            return ApiResponse({"status": "DATABASE_UNAVAILABLE"}, 503)
        return ApiResponse({"status": "OK"})

    testing = _testing(served, testing_token)
    return Starlette(
        routes=[Route("/healthz", healthz), *stub_routes(served), *routes],
        middleware=[
            *testing,  # outermost: no CORS header may let a website read its answers
            Middleware(WebsiteCORS, coatcheck=served),
            # Starlette's own stands outside CORS, and a browser could not read the status of its answer.
            Middleware(ServerErrorMiddleware, handler=internal_error),
            Middleware(AuthMiddleware, coatcheck=served),
        ],
        exception_handlers={Exception: internal_error},
    )


def _testing(served: App, token: str | None) -> list[Middleware]:
    if token is None:
        return []
    # The guard is made here so that it fails now: Starlette makes the middlewares when the first request comes.
    return [Middleware(TestingMiddleware, coatcheck=served, guard=guard_of(served, token))]
