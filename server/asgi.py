"""The auth API and the tokens of responses, as a middleware for any ASGI application; protected endpoints."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..recipes.any_request import handshake_of
from ..recipes.app import App
from ..recipes.context import response_log
from .auth_api import AuthAPI, run_jobs
from .errors import error_response


class AuthMiddleware:
    """Serves the auth API, and applies what happens to session tokens to every response that passes.

    `coatcheck` is the App to serve, by default the one that `init` made. Errors of this library that reach it are
    turned into their answers; any other error passes through. Add it with the framework's `add_middleware`: wrapped
    around a whole Starlette application, it would find errors already answered with 500.
    """

    def __init__(self, app: ASGIApp, coatcheck: App | None = None) -> None:
        self.app = app
        self._api = AuthAPI(coatcheck)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; what is neither HTTP nor a websocket passes through untouched."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        coatcheck = self._api.app
        with coatcheck.active():
            if scope["type"] == "websocket":
                self._api.begin(coatcheck, handshake_of(scope))
                await self.app(scope, receive, send)
            else:
                await self._http(coatcheck, Request(scope, receive), send)

    async def _http(self, coatcheck: App, request: Request, send: Send) -> None:
        scope, receive = request.scope, request.receive
        self._api.begin(coatcheck, request)
        log = response_log(request)
        started = False

        async def send_with_tokens(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                log.apply(MutableHeaders(scope=message))
            await send(message)

        try:
            found = self._api.match(coatcheck, request)
            if found is None:
                await self.app(scope, receive, send_with_tokens)
            else:
                response = await self._api.answer(coatcheck, found, request)
                await response(scope, receive, send_with_tokens)
        except Exception as error:
            if started:
                raise
            refusal = await error_response(coatcheck, request, error)
            if refusal is None:
                raise
            await refusal(scope, receive, send_with_tokens)
        await run_jobs(request)
