"""A request of any framework as one Starlette request, its user context, and what its scope holds for the library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from starlette.requests import Request

from ...claims.payload import UserContext
from ..exceptions import ConfigurationError
from .services import Services

# Requests of other frameworks

KEY = "coatcheck.request"
"""Where a middleware leaves the Starlette request in a WSGI environ (Django: in `request.META`)."""

_HANDSHAKE = "coatcheck.handshake"


class ASGIConnection(Protocol):
    """A request of Starlette, FastAPI, Litestar or Quart, or a websocket of Starlette."""

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
    """Return the Starlette request behind a framework's own; ConfigurationError if no middleware has seen it."""
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
    """Return the GET request that opens a websocket; the same object each time."""
    known = scope.get(KEY)
    if isinstance(known, Request):
        return known
    scope.setdefault("state", {})
    request = scope[KEY] = Request({"scheme": "ws", **scope, "type": "http", "method": "GET", _HANDSHAKE: True})
    return request


def is_handshake(request: Request) -> bool:
    """Whether a request is the handshake of a websocket; under WSGI only the headers say so."""
    # The scheme does not help: some middlewares replace it by https if TLS ends in front of the server.
    return _HANDSHAKE in request.scope or any(
        name == b"upgrade" and b"websocket" in value.lower() for name, value in request.scope["headers"]
    )


# The user context

_SCOPE_CONTEXT = "coatcheck.user_context"


def request_context(request: Request, given: Mapping[str, Any] | None = None) -> UserContext:
    """Return the user context of one request, after copying `given` into it (docs/protocol.md, rule 16.2)."""
    context: UserContext | None = request.scope.get(_SCOPE_CONTEXT)
    if context is None:
        context = request.scope[_SCOPE_CONTEXT] = {"_default": {"request": request}}
    else:
        with_request(context, request)  # a middleware may have made the context with another object for the request
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


# The App and the session of a request

_SCOPE_APP = "coatcheck.app"
_SCOPE_ON_SESSION = "coatcheck.on_session"
_STATE_SESSION = "supertokens"


def bind_app(scope: Any, app: Services) -> None:
    """Make `app` the App that serves the request of `scope`."""
    scope[_SCOPE_APP] = app


def app_of(request: Request) -> Services | None:
    """Return the App that serves the request, None if no middleware has bound one."""
    app: Services | None = request.scope.get(_SCOPE_APP)
    return app


def set_session(request: Request, session: Any) -> None:
    """Make `session` (or None) the session of the request: `request.state.supertokens`."""
    # `request.state` is a view of this dictionary; making the view costs time on every protected route.
    request.scope.setdefault("state", {})[_STATE_SESSION] = session
    notify = request.scope.get(_SCOPE_ON_SESSION)
    if notify is not None:
        notify(session)


def on_session(scope: Any, notify: Callable[[Any], None]) -> None:
    """Call `notify` with the session of the request whenever it changes, so that a framework can keep it elsewhere."""
    scope[_SCOPE_ON_SESSION] = notify


def ask_for_session(request: Request) -> None:
    """Tell the framework that the answer to a request depends on its session, even if there is none yet."""
    notify = request.scope.get(_SCOPE_ON_SESSION)
    if notify is not None:
        notify(request.scope.setdefault("state", {}).setdefault(_STATE_SESSION, None))


def release(request: Request) -> None:
    """Separate a request that has been served from its user context and its session, which both refer to it.

    Otherwise these objects, and all that the scope holds, stay in memory until the garbage collector runs.
    """
    request.scope.pop(_SCOPE_CONTEXT, None)
    session = request.scope.get("state", {}).get(_STATE_SESSION)
    if hasattr(session, "req_res_info"):
        session.req_res_info = None


# Jobs after the response

_SCOPE_JOBS = "coatcheck.after_response"
Job = Callable[[], Awaitable[object]]


def after_response(request: Request, job: Job) -> None:
    """Run `job` once the response to `request` has been sent; a failure is only logged."""
    request.scope.setdefault(_SCOPE_JOBS, []).append(job)


def has_jobs(scope: Any) -> bool:
    """Whether jobs wait until the response of `scope` has been sent."""
    return bool(scope.get(_SCOPE_JOBS))


def jobs_of(scope: Any) -> list[Job]:
    """Return and remove the jobs that wait until the response of `scope` has been sent."""
    jobs: list[Job] = scope.pop(_SCOPE_JOBS, [])
    return jobs


# CORS

CORS_HEADERS = ("rid", "fdi-version", "anti-csrf", "authorization", "st-auth-mode")


def get_all_cors_headers() -> list[str]:
    """Return the headers browser SDKs send besides Content-Type, for CORS to allow (docs/protocol.md, rule 2.1)."""
    return list(CORS_HEADERS)
