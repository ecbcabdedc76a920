"""Requests and responses of Django: the Starlette request in `request.META`, and tokens and bodies in responses."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Container, Iterable, Iterator
from contextlib import aclosing, contextmanager
from http.cookies import Morsel, SimpleCookie
from typing import Any, TypeVar, cast

from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.request import UnreadablePostError
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ...recipes.app import App
from ...recipes.exceptions import BadInputError, ConfigurationError
from ...recipes.kit.request import KEY, on_session
from ...recipes.kit.routing import MAX_BODY_BYTES, TOO_LARGE
from ...recipes.session.container import SessionContainer
from ...recipes.session.response import ResponseLog, key_of
from ..wsgi import body_of, number, produced_within, request_from, scope_of


class SessionRequest(HttpRequest):
    """The type of a request in a view that demands a session, for annotations only."""

    supertokens: SessionContainer


def attach_request(request: HttpRequest) -> Request:
    """Make the Starlette request of a Django request, and leave it there for `as_request` to find."""

    def body() -> bytes:
        if _length(request) > MAX_BODY_BYTES:
            raise BadInputError(TOO_LARGE)
        try:
            return request.body
        except UnreadablePostError:
            raise ClientDisconnect from None

    # Under ASGI the port is a number.
    variables = {**request.META, "REMOTE_PORT": str(request.META.get("REMOTE_PORT", ""))}
    scope = scope_of(variables, path=request.path, scheme=request.scheme or "http")
    made = request.META[KEY] = request_from(scope, body)
    return made


def expose_session(request: HttpRequest, own: Request) -> None:
    """Keep `request.supertokens` equal to the session, None at first; forbid `cache_page` to store what asked for it.

    `cache_page` stores an answer as soon as the view has returned it, before the middleware sets its Vary header.
    """
    target = cast("Any", request)
    target.supertokens = None

    def expose(session: SessionContainer | None) -> None:
        target.supertokens = session
        target._cache_update_cache = False  # Django's cache reads it; it has no public name

    on_session(own.scope, expose)


@contextmanager
def keep_cacheable(request: Any) -> Iterator[None]:
    """Let a cache store the answer although this block asks for the session: the caller sets its Vary header.

    After an error the answer is not stored, because the code that answers the error sets no Vary header.
    """
    target = getattr(request, "_request", request)  # Django REST framework wraps it
    before = getattr(target, "_cache_update_cache", False)
    yield
    target._cache_update_cache = before


def request_among(arguments: tuple[Any, ...]) -> Any:
    """Return the request among a view's arguments: the first of them, or the one after `self`."""
    for given in arguments[:2]:
        if hasattr(given, "META"):
            return given
    raise ConfigurationError("verify_session protects views, but it was called without a request of Django's")


def _length(request: HttpRequest) -> int:
    """Return the length of a body that is still unread, since Django reads it as a whole; 0 for one already read."""
    unread = cast("Any", request)
    if unread._read_started or hasattr(unread, "_body"):
        return 0
    if unread._stream.seekable():  # under ASGI a file holds it, and the announced length may be wrong
        length: int = unread._stream.seek(0, os.SEEK_END)
        unread._stream.seek(0)
        return length
    return number(request.META.get("CONTENT_LENGTH"))


# Responses

R = TypeVar("R")

SESSION_HEADERS = ("Cookie", "Authorization")
"""The headers of a request that carry the tokens."""

_SET_COOKIE = "set-cookie"


def django_response(answer: Response) -> HttpResponse:
    """Return Django's response for an answer of this library."""
    response = HttpResponse(body_of(answer), status=answer.status_code)
    del response.headers["Content-Type"]
    for raw_name, raw_value in answer.raw_headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name == _SET_COOKIE:
            _add_cookie(response, value)
        else:
            response.headers[name] = value
    return response


def send_tokens(response: HttpResponseBase, log: ResponseLog) -> None:
    """Write the changes of tokens into a response; other cookies stay as they are."""
    if not len(log):
        return
    written = {_sent(morsel): key for key, morsel in response.cookies.items()}
    headers = [(name.lower(), value) for name, value in response.items()]
    cookies = [(_SET_COOKIE, text) for text in written]
    carried = MutableHeaders(
        raw=[(name.encode("ascii"), value.encode("latin-1")) for name, value in (*headers, *cookies)]
    )
    log.apply(carried)
    _take_cookies(response, carried.getlist(_SET_COOKIE), written)
    for name in [name for name, _ in response.items() if name.lower() not in carried]:
        del response.headers[name]
    for name, value in carried.items():
        if name != _SET_COOKIE and response.headers.get(name) != value:
            response.headers[name] = value


def vary_on_session(response: R) -> R:
    """Set Vary to the headers that carry tokens, so that no cache gives the response to another user."""
    if isinstance(response, HttpResponseBase):
        patch_vary_headers(response, SESSION_HEADERS)
    return response


def stream_within(app: App, response: HttpResponseBase) -> None:
    """Make the App the current one while the body of a streaming response is produced."""
    if not isinstance(response, StreamingHttpResponse) or isinstance(response, FileResponse):
        return  # the server sends files in a faster way of its own
    content = response.streaming_content
    if response.is_async:
        response.streaming_content = _produced_async(app, cast("AsyncGenerator[bytes, None]", content))
    else:
        response.streaming_content = produced_within(app, cast("Iterable[bytes]", content))


async def _produced_async(app: App, content: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(content):
        while True:
            with app.active():
                try:
                    chunk = await anext(content)
                except StopAsyncIteration:
                    return
            yield chunk


def _take_cookies(response: HttpResponseBase, kept: list[str], written: dict[str, str]) -> None:
    header = response.headers.get(_SET_COOKIE)
    if header is not None and header not in kept:
        del response.headers[_SET_COOKIE]
    for text, key in written.items():
        if text not in kept:
            del response.cookies[key]
    for text in kept:
        if text not in written and text != header:
            _add_cookie(response, text)


def _add_cookie(response: HttpResponseBase, set_cookie: str) -> None:
    """Add a cookie under its name or, if that is taken, under name, domain and path."""
    parsed = SimpleCookie(set_cookie)
    if not parsed:  # this Python does not know one of its attributes
        response.headers[_SET_COOKIE] = set_cookie
    for name, morsel in parsed.items():
        cookie = _Cookie()
        cookie.set(name, morsel.value, morsel.coded_value)
        cookie.update(morsel)
        response.cookies[name if name not in response.cookies else "; ".join(key_of(set_cookie))] = cookie


class _Cookie(Morsel[str]):
    """A cookie whose attributes are spelled as under every other framework (docs/protocol.md, rule 2.9)."""

    def OutputString(self, attrs: Container[str] | None = None) -> str:
        return super().OutputString(attrs).replace("; expires=", "; Expires=", 1)


def _sent(morsel: Morsel[str]) -> str:
    return morsel.OutputString().encode("latin-1", "replace").decode("latin-1")
