"""The auth API and the tokens of responses, as a middleware for any ASGI application."""

from __future__ import annotations

import logging

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..recipes.app import App
from ..recipes.context import bind_app, jobs_of, request_context, response_log
from ..recipes.current_app import current_app
from ..recipes.multitenancy import tenant_of
from ..recipes.routing import ApiCall
from .errors import error_response
from .router import Match, Router

logger = logging.getLogger("coatcheck.server")


class AuthMiddleware:
    """Serves the auth API, and applies what happens to session tokens to every response that passes.

    `coatcheck` is the App to serve, by default the one that `init` made. Errors of this library that reach it are
    turned into their answers; any other error passes through. Add it with the framework's `add_middleware`: wrapped
    around a whole Starlette application, it would find errors already answered with 500.
    """

    def __init__(self, app: ASGIApp, coatcheck: App | None = None) -> None:
        self.app = app
        self._coatcheck = coatcheck
        self._router: tuple[App, Router] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; what is neither HTTP nor a websocket passes through untouched."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        coatcheck = self._coatcheck or current_app()
        bind_app(scope, coatcheck)
        with coatcheck.active():
            if scope["type"] == "websocket":
                await self.app(scope, receive, send)
            else:
                await self._http(coatcheck, scope, receive, send)

    async def _http(self, coatcheck: App, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        log = response_log(request)  # Begun here: whoever copies the scope further in still shares it.
        started = False

        async def send_with_tokens(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                log.apply(MutableHeaders(scope=message))
            await send(message)

        try:
            found = self._router_of(coatcheck).match(request)
            if found is None:
                await self.app(scope, receive, send_with_tokens)
            else:
                response = await _answer(coatcheck, found, request)
                await response(scope, receive, send_with_tokens)
        except Exception as error:
            if started:
                raise
            refusal = await error_response(coatcheck, request, error)
            if refusal is None:
                raise
            await refusal(scope, receive, send_with_tokens)
        await run_jobs(scope)

    def _router_of(self, coatcheck: App) -> Router:
        if self._router is None or self._router[0] is not coatcheck:
            self._router = (coatcheck, Router(coatcheck))
        return self._router[1]


async def _answer(coatcheck: App, found: Match, request: Request) -> Response:
    context = request_context(request)
    tenant_id = await tenant_of(coatcheck, found.tenant_id, context)
    return await found.route.handler(ApiCall(coatcheck, request, tenant_id, context))


async def run_jobs(scope: Scope) -> None:
    """Run what waited for the response to be sent; failures are logged."""
    for job in jobs_of(scope):
        try:
            await job()
        except Exception:
            logger.exception("a job after the response failed")
