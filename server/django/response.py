"""Responses of Django: made of our answers, and given what happens to session tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Container, Iterable, Iterator
from contextlib import aclosing
from http.cookies import Morsel, SimpleCookie
from typing import TypeVar, cast

from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from starlette.datastructures import MutableHeaders
from starlette.responses import Response

from ...recipes.app import App
from ...recipes.session.cookies import key_of
from ...recipes.session.response import ResponseLog
from ..wsgi import body_of

R = TypeVar("R")

SESSION_HEADERS = ("Cookie", "Authorization")
"""The headers of a request that carry the tokens."""

_SET_COOKIE = "set-cookie"


def django_response(answer: Response) -> HttpResponse:
    """Return Django's response for one of our answers."""
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
    """Write what happened to the tokens into a response; cookies of anybody else stay as they are."""
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


def depends_on_session(response: R) -> R:
    """Say that a response depends on the tokens of the request, lest a cache hand it to somebody else."""
    if isinstance(response, HttpResponseBase):
        patch_vary_headers(response, SESSION_HEADERS)
    return response


def stream_within(app: App, response: HttpResponseBase) -> None:
    """Have the body of a streaming response produced while the App is the current one."""
    if not isinstance(response, StreamingHttpResponse) or isinstance(response, FileResponse):
        return  # files are sent by the server, in a way of its own
    content = response.streaming_content
    if response.is_async:
        response.streaming_content = _produced_async(app, cast("AsyncGenerator[bytes, None]", content))
    else:
        response.streaming_content = _produced(app, cast("Iterable[bytes]", content))


def _produced(app: App, content: Iterable[bytes]) -> Iterator[bytes]:
    rest = iter(content)
    while True:
        with app.active():
            try:
                chunk = next(rest)
            except StopIteration:
                return
        yield chunk


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
    """Add a cookie, under its name or, beside another one of that name, under all that identifies it."""
    parsed = SimpleCookie(set_cookie)
    if not parsed:  # it has an attribute that this Python does not know
        response.headers[_SET_COOKIE] = set_cookie
    for name, morsel in parsed.items():
        cookie = _Cookie()
        cookie.set(name, morsel.value, morsel.coded_value)
        cookie.update(morsel)
        response.cookies[name if name not in response.cookies else "; ".join(key_of(set_cookie))] = cookie


class _Cookie(Morsel[str]):
    """A cookie whose attributes are spelled as everywhere else (docs/protocol.md, rule 2.9)."""

    def OutputString(self, attrs: Container[str] | None = None) -> str:
        return super().OutputString(attrs).replace("; expires=", "; Expires=", 1)


def _sent(morsel: Morsel[str]) -> str:
    return morsel.OutputString().encode("latin-1", "replace").decode("latin-1")
