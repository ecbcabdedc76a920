"""The auth API and the tokens of responses, as a middleware for any ASGI application; protected endpoints."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Literal, overload

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ..claims.payload import UserContext
from ..recipes.app import App
from ..recipes.kit.request import AnyRequest as AnyRequest, as_request as as_request, handshake_of, request_context
from ..recipes.session.container import SessionContainer
from ..recipes.session.interface import OverrideGlobalClaimValidators
from ..recipes.session.response import response_log
from .api import AuthAPI, finish
from .errors import error_response
from .guard import Guard, answer_to, requires as requires

AnyASGIApp = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application of any framework; each types its messages in its own way."""

Verified = Callable[[AnyRequest], Coroutine[Any, Any, SessionContainer]]
VerifiedOrNone = Callable[[AnyRequest], Coroutine[Any, Any, SessionContainer | None]]

_BEGINNINGS = frozenset(("http.response.start", "websocket.accept", "websocket.close", "websocket.http.response.start"))
_DENIAL = "websocket.http.response"
"""The extension with which a server lets a handshake be answered like any request."""
_POLICY_VIOLATION = 1008
"""The code that closes a websocket instead (RFC 6455, section 7.4.1); before it is accepted, servers answer 403."""
_INTERNAL_SERVER_ERROR = 500
_INTERNAL_ERROR_CLOSES = (1011, 4500)
"""The codes with which websockets are closed for the same reason, Litestar's among them."""


class AuthMiddleware:
    """Serves the auth API, and applies what happens to session tokens to every response that passes.

    `coatcheck` is the App to serve, by default the one that `init` made. Add it with the framework's `add_middleware`,
    or wrap a whole application in it. Errors of this library that nobody else handles are turned into their answers.
    Any other error passes through; if tokens have changed, it is answered first, so that the answer carries them. The
    tokens of a websocket's handshake travel with its acceptance; once it is accepted, errors pass through untouched.
    """

    def __init__(self, app: AnyASGIApp, coatcheck: App | None = None) -> None:
        self.app = app
        self._api = AuthAPI(coatcheck)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; a scope that is neither HTTP nor a websocket passes through untouched."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        coatcheck = self._api.app
        request = Request(scope, receive) if scope["type"] == "http" else handshake_of(scope)
        with coatcheck.active():
            self._api.bind(coatcheck, request)
            answer = _Answer(coatcheck, request, scope, send)
            try:
                await self._serve(coatcheck, request, scope, receive, send=answer)
            except Exception as error:
                if error is not answer.refused and (answer.begun or not await answer.refuse(error)):
                    await _fail(error, scope, receive, answer)
            finally:
                await finish(request)  # also if the client left before the answer, which servers may report as an error

    async def _serve(self, app: App, request: Request, scope: Scope, receive: Receive, *, send: Send) -> None:
        found = self._api.match(app, request) if scope["type"] == "http" else None
        if found is None:
            await self.app(scope, receive, send)
        else:
            response = await self._api.answer(app, found, request)
            await response(scope, receive, send)


class _Answer:
    """Passes an application's messages on, and adds the tokens to the first message; after that it has `begun`.

    Inner frameworks (a mounted application, Litestar) answer errors they do not know with 500. If such an error is one
    of this library's, its proper answer is sent instead, and the error is kept as `refused`.
    """

    __slots__ = ("_app", "_log", "_request", "_scope", "_send", "begun", "refused")

    def __init__(self, app: App, request: Request, scope: Scope, send: Send) -> None:
        self._app = app
        self._request = request
        self._scope = scope
        self._send = send
        self._log = response_log(request)
        self.begun = False
        self.refused: BaseException | None = None

    async def __call__(self, message: Message) -> None:
        if self.begun or message["type"] not in _BEGINNINGS:
            if self.refused is None:
                await self._send(message)
        elif not (_gives_up(message) and await self.refuse(sys.exception())):
            await self._pass(message)

    @property
    def changed(self) -> bool:
        """Whether tokens have changed."""
        return len(self._log) > 0

    async def refuse(self, error: BaseException | None) -> bool:
        """Answer an error of this library and return True; False for any other error."""
        refusal = await error_response(self._app, self._request, error) if isinstance(error, Exception) else None
        if refusal is None:
            return False
        self.refused = error
        if self._scope["type"] == "websocket" and _DENIAL not in (self._scope.get("extensions") or {}):
            await self._pass({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await refusal(self._scope, self._request.receive, self._pass)
        return True

    async def _pass(self, message: Message) -> None:
        if not self.begun:
            self.begun = True
            if self.changed and message["type"] != "websocket.close":
                # A copy, because an application may send the same message to several clients.
                message = {**message, "headers": message.get("headers", ())}
                self._log.apply(MutableHeaders(scope=message))
        await self._send(message)


async def _fail(error: Exception, scope: Scope, receive: Receive, answer: _Answer) -> None:
    """Raise an error; if tokens have changed, answer it first, as the application's outermost layer would."""
    if answer.begun or not answer.changed:
        raise error
    application = scope.get("app")
    handlers = application.exception_handlers if isinstance(application, Starlette) else {}
    handler: Any = handlers.get(_INTERNAL_SERVER_ERROR) or handlers.get(Exception)

    async def failed(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    await ServerErrorMiddleware(failed, handler, debug=getattr(application, "debug", False))(scope, receive, answer)


def _gives_up(message: Message) -> bool:
    """Whether an answer begins as a framework answers an error it does not know."""
    code = message.get("status") if message["type"] == "http.response.start" else message.get("code")
    return code in (_INTERNAL_SERVER_ERROR, *_INTERNAL_ERROR_CLOSES)


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
    session_required: bool = True,
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
    """Return a guard to keep, as `demand` for example; `await demand(request)` returns the session of a request.

    It takes a request of Starlette, Litestar or Quart, or a websocket that is not accepted yet. The session is also
    `request.state.supertokens`. A session that does not hold raises a SessionError, which the middleware answers.
    Options as in `coatcheck.server.guard.Guard`.
    """
    guard = Guard(anti_csrf_check, session_required, check_database, override_global_claim_validators, user_context)

    async def verified(request: AnyRequest) -> SessionContainer | None:
        return await guard.check(as_request(request))

    return verified


def user_context(request: AnyRequest) -> UserContext:
    """Return the user context of a request, the same from its first middleware to the end of its answer."""
    return request_context(as_request(request))


async def session_exception_handler(request: AnyRequest, exc: Exception) -> Response:
    """Answer a session error: an exception handler for applications without the middleware.

    It clears or renews tokens as the middleware does. An error that is not this library's is raised again.
    """
    served = as_request(request)
    response = await answer_to(served, exc)
    response_log(served).apply(response.headers)
    return response
