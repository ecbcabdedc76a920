"""The auth API and the tokens of responses, as a middleware for any ASGI application; protected endpoints."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal, overload

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..recipes.any_request import AnyRequest, as_request, handshake_of
from ..recipes.app import App
from ..recipes.context import response_log
from ..recipes.session_container import SessionContainer
from ..recipes.session_interface import OverrideGlobalClaimValidators
from ..recipes.session_response import ResponseLog
from .auth_api import AuthAPI, run_jobs
from .errors import error_response
from .guard import Guard, answer_to, served_by
from .requires import requires

__all__ = ["AuthMiddleware", "requires", "session_exception_handler", "session_refusal", "verify_session"]

Verified = Callable[[AnyRequest], Coroutine[Any, Any, SessionContainer]]
VerifiedOrNone = Callable[[AnyRequest], Coroutine[Any, Any, SessionContainer | None]]

DENIAL = "websocket.http.response"
"""The extension with which a server lets a handshake be answered like any request."""
POLICY_VIOLATION = 1008
"""The code that closes a websocket instead (RFC 6455, section 7.4.1); before it is accepted, servers answer 403."""


class AuthMiddleware:
    """Serves the auth API, and applies what happens to session tokens to every response that passes.

    `coatcheck` is the App to serve, by default the one that `init` made. Errors of this library that reach it are
    turned into their answers; any other error passes through, where tokens have changed after its answer, which has to
    carry them. Add it with the framework's `add_middleware`: wrapped around a whole Starlette application, it would
    find errors already answered with 500. The tokens of a websocket's handshake travel with its acceptance; once it is
    accepted, errors pass through untouched.
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
        request = Request(scope, receive) if scope["type"] == "http" else handshake_of(scope)
        with coatcheck.active():
            self._api.begin(coatcheck, request)
            answer = _Answer(send, response_log(request))
            try:
                await self._serve(coatcheck, request, scope, receive, send=answer)
            except Exception as error:
                if answer.begun:
                    raise
                refusal = await error_response(coatcheck, request, error)
                if refusal is None and len(response_log(request)):
                    await _fail(error, scope, receive, answer)
                if refusal is None:
                    raise
                await _refuse(refusal, scope, receive, answer)
            await run_jobs(request)

    async def _serve(self, app: App, request: Request, scope: Scope, receive: Receive, *, send: Send) -> None:
        found = self._api.match(app, request) if scope["type"] == "http" else None
        if found is None:
            await self.app(scope, receive, send)
        else:
            response = await self._api.answer(app, found, request)
            await response(scope, receive, send)


class _Answer:
    """Sends an application's messages on, the first of them with tokens; `begun` once there was one."""

    __slots__ = ("_log", "_send", "begun")

    def __init__(self, send: Send, log: ResponseLog) -> None:
        self._send = send
        self._log = log
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if not self.begun:
            self.begun = True
            if len(self._log) and message["type"] != "websocket.close":
                # A copy: an application may send the same message to everybody.
                message = {**message, "headers": message.get("headers", ())}
                self._log.apply(MutableHeaders(scope=message))
        await self._send(message)


async def _fail(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an error as the application's outermost layer would, which is out of reach for tokens, and raise it."""
    application = scope.get("app")
    handlers = application.exception_handlers if isinstance(application, Starlette) else {}
    handler: Any = handlers.get(500) or handlers.get(Exception)

    async def failed(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    await ServerErrorMiddleware(failed, handler, debug=getattr(application, "debug", False))(scope, receive, send)


async def _refuse(refusal: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and DENIAL not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
    else:
        await refusal(scope, receive, send)


@overload
def verify_session(
    anti_csrf_check: bool | None = None,
    session_required: Literal[True] = True,
    check_database: bool = False,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: Mapping[str, Any] | None = None,
) -> Verified: ...


@overload
def verify_session(
    anti_csrf_check: bool | None = None,
    *,
    session_required: bool,
    check_database: bool = False,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: Mapping[str, Any] | None = None,
) -> VerifiedOrNone: ...


def verify_session(
    anti_csrf_check: bool | None = None,
    session_required: bool = True,
    check_database: bool = False,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: Mapping[str, Any] | None = None,
) -> Any:
    """Return a guard: kept as `demand`, it gives an endpoint its session by `await demand(request)`.

    It takes what Starlette, Litestar or Quart call a request, or a websocket that is not accepted yet. The session is
    also `request.state.supertokens`; where it does not hold, a SessionError is raised, which the middleware answers.
    Options as in `coatcheck.server.guard.Guard`.
    """
    guard = Guard(anti_csrf_check, session_required, check_database, override_global_claim_validators, user_context)

    async def verified(request: AnyRequest) -> SessionContainer | None:
        return await guard.check(as_request(request))

    return verified


async def session_exception_handler(request: AnyRequest, exc: Exception) -> Response:
    """Answer a session error: an exception handler, for applications without the middleware, and where it sees none.

    Tokens are cleared or renewed all the same. An error that is not this library's is raised again.
    """
    served = as_request(request)
    response = await answer_to(served, exc)
    response_log(served).apply(response.headers)
    return response


def session_refusal(request: AnyRequest, exc: Exception) -> Response:
    """Return the same answer where nothing can be awaited, as in an exception handler of Litestar's."""
    app = served_by(as_request(request))
    with app.active():
        return app.driver(session_exception_handler(request, exc))
