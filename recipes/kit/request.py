"""Requests of other frameworks: each is traced back to the one Starlette request its middleware made of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from starlette.requests import Request

from ...claims.payload import UserContext
from ..exceptions import ConfigurationError
from .services import Services

KEY = "coatcheck.request"
"""Where a middleware leaves the Starlette request in a WSGI environ (Django: in `request.META`)."""

_HANDSHAKE = "coatcheck.handshake"


class ASGIConnection(Protocol):
    """What Starlette, FastAPI, Litestar and Quart call a request, and Starlette's websockets."""

    @property
    def scope(self) -> Any:
        """The ASGI scope."""


class WSGIRequest(Protocol):
    """A request of Flask, or anything else that holds a WSGI environ."""

    @property
    def environ(self) -> Any:
        """The WSGI environ."""


class DjangoRequest(Protocol):
    """A request of Django, or one that Django REST framework wraps."""

    @property
    def META(self) -> Any:
        """What the server says about the request."""


AnyRequest = Request | ASGIConnection | WSGIRequest | DjangoRequest


def as_request(given: AnyRequest) -> Request:
    """Return the Starlette request behind a framework's own; ConfigurationError where no middleware has seen it."""
    if isinstance(given, Request):
        return given
    for holder, middleware in (("META", "coatcheck.server.django.Middleware"), ("environ", "CoatCheck(app)")):
        held = getattr(given, holder, None)
        if held is None:
            continue
        found = held.get(KEY)
        if isinstance(found, Request):
            return found
        raise ConfigurationError(f"the middleware has not seen this request: add {middleware} to the application")
    scope = getattr(given, "scope", None)
    if not isinstance(scope, dict) or scope.get("type") not in ("http", "websocket"):
        raise ConfigurationError(f"{given!r} is not a request: it has neither an ASGI scope nor a WSGI environ")
    return Request(scope) if scope["type"] == "http" else handshake_of(scope)


def handshake_of(scope: Any) -> Request:
    """Return a websocket's handshake as the GET request it was, the same one each time."""
    known = scope.get(KEY)
    if isinstance(known, Request):
        return known
    scope.setdefault("state", {})
    request = scope[KEY] = Request({"scheme": "ws", **scope, "type": "http", "method": "GET", _HANDSHAKE: True})
    return request


def is_handshake(request: Request) -> bool:
    """Say whether a request is the handshake of a websocket, which under WSGI only its headers tell."""
    # Not by the scheme: where TLS ends in front of the server, some middlewares write https over it.
    return _HANDSHAKE in request.scope or any(
        name == b"upgrade" and b"websocket" in value.lower() for name, value in request.scope["headers"]
    )


_SCOPE_APP = "coatcheck.app"
_SCOPE_JOBS = "coatcheck.after_response"
_SCOPE_CONTEXT = "coatcheck.user_context"
_SCOPE_ON_SESSION = "coatcheck.on_session"
_STATE_SESSION = "supertokens"

Job = Callable[[], Awaitable[object]]

CORS_HEADERS = ("rid", "fdi-version", "anti-csrf", "authorization", "st-auth-mode")


def get_all_cors_headers() -> list[str]:
    """Return the headers browser SDKs send besides Content-Type, for CORS to allow (docs/protocol.md, rule 2.1)."""
    return list(CORS_HEADERS)


def request_context(request: Request, given: Mapping[str, Any] | None = None) -> UserContext:
    """Return the user context of one request, after copying `given` into it (docs/protocol.md, rule 16.2)."""
    context: UserContext | None = request.scope.get(_SCOPE_CONTEXT)
    if context is None:
        context = request.scope[_SCOPE_CONTEXT] = {"_default": {"request": request}}
    else:
        with_request(context, request)  # a middleware may have begun it, with an object of its own for the request
    if given:
        context.update((name, value) for name, value in given.items() if name != "_default")
    return context


def with_request(user_context: UserContext | None, request: Request) -> UserContext:
    """Return the same user context (or a new one) after putting the request into it."""
    context: UserContext = {} if user_context is None else user_context
    default = context.setdefault("_default", {})
    if isinstance(default, dict):
        default["request"] = request
    return context


def get_request_from_user_context(user_context: UserContext | None) -> Request | None:
    """Return the request that a user context belongs to, None outside a request."""
    default = (user_context or {}).get("_default")
    request = default.get("request") if isinstance(default, dict) else None
    return request if isinstance(request, Request) else None


def bind_app(scope: Any, app: Services) -> None:
    """Say which App serves the request of `scope`."""
    scope[_SCOPE_APP] = app


def app_of(request: Request) -> Services | None:
    """Return the App that serves the request, None where no middleware has said so."""
    app: Services | None = request.scope.get(_SCOPE_APP)
    return app


def set_session(request: Request, session: Any) -> None:
    """Make `session` (or None) the session of the request: `request.state.supertokens`."""
    # What `request.state` is a view of; protected routes are too busy to make the view.
    request.scope.setdefault("state", {})[_STATE_SESSION] = session
    told = request.scope.get(_SCOPE_ON_SESSION)
    if told is not None:
        told(session)


def ask_for_session(request: Request) -> None:
    """Tell the framework that the answer to a request depends on its session, whichever that is, or will be."""
    told = request.scope.get(_SCOPE_ON_SESSION)
    if told is not None:
        told(request.scope.setdefault("state", {}).setdefault(_STATE_SESSION, None))


def let_go(request: Request) -> None:
    """Untie a request that has been served from its user context and its session, which both know the request.

    Bound to each other they, and all that a scope holds, would stay until the garbage collector comes round.
    """
    request.scope.pop(_SCOPE_CONTEXT, None)
    session = request.scope.get("state", {}).get(_STATE_SESSION)
    if hasattr(session, "req_res_info"):
        session.req_res_info = None


def on_session(scope: Any, told: Callable[[Any], None]) -> None:
    """Have `told` called with whatever becomes the session of the request, for a framework's own place for it."""
    scope[_SCOPE_ON_SESSION] = told


def after_response(request: Request, job: Job) -> None:
    """Run `job` once the response to `request` has been sent; a failure is logged and reaches nobody."""
    request.scope.setdefault(_SCOPE_JOBS, []).append(job)


def has_jobs(scope: Any) -> bool:
    """Say whether jobs wait for the response of `scope` to be sent."""
    return bool(scope.get(_SCOPE_JOBS))


def jobs_of(scope: Any) -> list[Job]:
    """Take the jobs that wait for the response of `scope` to be sent."""
    jobs: list[Job] = scope.pop(_SCOPE_JOBS, [])
    return jobs
