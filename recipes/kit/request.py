"""Requests of other frameworks: each is traced back to the one Starlette request its middleware made of it."""

from __future__ import annotations

from typing import Any, Protocol

from starlette.requests import Request

from ..exceptions import ConfigurationError

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
