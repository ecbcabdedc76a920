"""Requests of Django: each has one Starlette request, which its middleware makes and leaves in `request.META`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from django.http import HttpRequest
from django.http.request import UnreadablePostError
from starlette.requests import ClientDisconnect, Request

from ...recipes.exceptions import BadInputError, ConfigurationError
from ...recipes.kit.request import KEY, on_session
from ...recipes.kit.routing import MAX_BODY_BYTES, TOO_LARGE
from ...recipes.session.container import SessionContainer
from ..wsgi import number, request_from, scope_of


class SessionRequest(HttpRequest):
    """What a request is where a session is demanded, for annotations only."""

    supertokens: SessionContainer


def leave_request(request: HttpRequest) -> Request:
    """Make the Starlette request of a request of Django's, and leave it there for whoever asks next."""

    def body() -> bytes:
        if _length(request) > MAX_BODY_BYTES:
            raise BadInputError(TOO_LARGE)
        try:
            return request.body
        except UnreadablePostError:
            raise ClientDisconnect from None

    # Behind ASGI the port is a number.
    variables = {**request.META, "REMOTE_PORT": str(request.META.get("REMOTE_PORT", ""))}
    scope = scope_of(variables, path=request.path, scheme=request.scheme or "http")
    left = request.META[KEY] = request_from(scope, body)
    return left


def tell_of_session(request: HttpRequest, own: Request) -> None:
    """Have `request.supertokens` be the session, None at first; and have `cache_page` keep no answer that asked for it.

    `cache_page` stores an answer as soon as the view has returned it, before the middleware says what it depends on.
    """
    asked = cast("Any", request)
    asked.supertokens = None

    def tell(session: SessionContainer | None) -> None:
        asked.supertokens = session
        asked._cache_update_cache = False  # what Django's cache goes by; it has no public name

    on_session(own.scope, tell)


@contextmanager
def varying(request: Any) -> Iterator[None]:
    """Ask for the session meanwhile: the answer will say in time that it depends on it, so that it may be cached.

    After an error it stays uncached: whoever answers that does not say so.
    """
    asked = getattr(request, "_request", request)  # Django REST framework wraps it
    before = getattr(asked, "_cache_update_cache", False)
    yield
    asked._cache_update_cache = before


def request_among(arguments: tuple[Any, ...]) -> Any:
    """Return the request among a view's arguments: the first of them, or the one after `self`."""
    for given in arguments[:2]:
        if hasattr(given, "META"):
            return given
    raise ConfigurationError("verify_session protects views, but it was called without a request of Django's")


def _length(request: HttpRequest) -> int:
    """Return how long a body is that nobody has read yet, which Django would read as a whole; else 0."""
    asked = cast("Any", request)
    if asked._read_started or hasattr(asked, "_body"):
        return 0
    if asked._stream.seekable():  # Behind ASGI it waits in a file, whatever its announced length.
        length: int = asked._stream.seek(0, os.SEEK_END)
        asked._stream.seek(0)
        return length
    return number(request.META.get("CONTENT_LENGTH"))
