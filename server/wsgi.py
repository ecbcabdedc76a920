"""The auth API and the tokens of responses, as a middleware for any WSGI application."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from ..recipes.app import App
from ..recipes.kit.request import KEY, has_jobs
from ..recipes.kit.routing import MAX_BODY_BYTES
from ..recipes.session.response import response_log
from .api import AuthAPI, finish_sync, run_jobs
from .guard import answer_to

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ENVIRON = "coatcheck.environ"
_GONE: Message = {"type": "http.disconnect"}


class TokenMiddleware:
    """Applies what happens to session tokens to every response that passes; an inner layer serves the auth API.

    Bodies pass chunk by chunk, and files in the server's own wrapper unless jobs wait for the response to be sent.
    """

    def __init__(self, app: WSGIApplication, coatcheck: App | None = None) -> None:
        self.app = app
        self.api = AuthAPI(coatcheck)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        coatcheck = self.api.app
        request = request_of(environ)
        self.api.bind(coatcheck, request)
        log = response_log(request)

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
            if len(log):
                carried = MutableHeaders(raw=[(name.lower().encode("latin-1"), _raw(value)) for name, value in headers])
                log.apply(carried)
                headers = carried.items()
            return start_response(status, headers, *exc_info)

        try:
            with coatcheck.active():
                body = self.respond(coatcheck, request, environ, start)
        except BaseException:
            _finish(coatcheck, request)
            raise
        if _is_file(body, environ) and not has_jobs(request.scope):
            # The server sends the file in a faster way of its own, which any wrapper would prevent.
            _finish(coatcheck, request)
            return body
        if coatcheck.unsafe_for_tests and has_jobs(request.scope):
            # Some test clients, such as Flask's, do not close the body that they have read.
            with coatcheck.active():
                coatcheck.driver(run_jobs(request))
        return _Body(body, coatcheck, request)

    def respond(
        self, coatcheck: App, request: Request, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Let the application answer."""
        return self.app(environ, start_response)


class AuthMiddleware(TokenMiddleware):
    """Serves the auth API as well, and turns errors of this library into their answers.

    `coatcheck` is the App to serve, by default the one that `init` made. Errors during the production of the body are
    answered as well, as long as none of it has been sent; after that they pass through, as any other error does.
    """

    def respond(
        self, coatcheck: App, request: Request, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer requests of the auth API; let the application answer all others."""
        response = self.api.serve(coatcheck, request)
        if response is not None:
            return _sent(response, start_response)
        begun = False

        def begin(*response: Any) -> Callable[[bytes], object]:
            nonlocal begun
            begun = True
            return start_response(*response)

        def refuse(error: Exception) -> list[bytes]:
            response = coatcheck.driver(answer_to(request, error))
            # Only an error may replace a response that has begun (PEP 3333).
            return _sent(response, start_response, *([sys.exc_info()] if begun else ()))

        try:
            body = self.app(environ, begin)
        except Exception as error:
            return refuse(error)
        return body if _is_file(body, environ) else _Refusable(body, refuse)


class _Refusable:
    """The body of an application's response; `refuse` answers an error in its place as long as nothing was sent."""

    def __init__(self, body: Iterable[bytes], refuse: Callable[[Exception], Iterable[bytes]]) -> None:
        self._body = body
        self._refuse = refuse

    def __iter__(self) -> Iterator[bytes]:
        sent = False
        try:
            for chunk in self._body:
                sent = True
                yield chunk
        except Exception as error:
            if sent:
                raise
            yield from self._refuse(error)

    def close(self) -> None:
        _close(self._body)


class _Body:
    """The body of a response, produced while the App is the current one; closing it finishes the request."""

    def __init__(self, body: Iterable[bytes], app: App, request: Request) -> None:
        self._body = body
        self._app = app
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        return produced_within(self._app, self._body)

    def close(self) -> None:
        try:
            with self._app.active():
                _close(self._body)
        finally:
            _finish(self._app, self._request)


def produced_within(app: App, body: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks of a body; the App is the current one while each is produced."""
    chunks = iter(body)
    while True:
        with app.active():
            try:
                chunk = next(chunks)
            except StopIteration:
                return
        yield chunk


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _is_file(body: Iterable[bytes], environ: WSGIEnvironment) -> bool:
    files = environ.get("wsgi.file_wrapper")
    return isinstance(files, type) and isinstance(body, files)


def _finish(app: App, request: Request) -> None:
    finish_sync(app, request)
    # Break the reference cycle request <-> environ.
    request.scope.pop(_ENVIRON, None)


def request_of(environ: WSGIEnvironment) -> Request:
    """Make the Starlette request of a WSGI environ (PEP 3333), and leave it there for `as_request` to find."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    scope = scope_of(environ, path=_raw(path).decode("utf-8", "replace"), scheme=environ["wsgi.url_scheme"])
    scope[_ENVIRON] = environ
    request = environ[KEY] = Request(scope, _receiving(lambda: _read(scope.get(_ENVIRON))))
    return request


def scope_of(environ: Mapping[str, Any], *, path: str, scheme: str) -> dict[str, Any]:
    """Return the ASGI scope of a request that is described by CGI variables."""
    return {
        "type": "http",
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2],
        "method": environ["REQUEST_METHOD"],
        "scheme": scheme,
        "path": path,
        "root_path": environ.get("SCRIPT_NAME", ""),
        "query_string": _raw(environ.get("QUERY_STRING", "")),
        "headers": list(_headers(environ)),
        "server": (environ.get("SERVER_NAME", ""), number(environ.get("SERVER_PORT"))),
        "client": (environ["REMOTE_ADDR"], number(environ.get("REMOTE_PORT"))) if environ.get("REMOTE_ADDR") else None,
    }


def request_from(scope: dict[str, Any], read: Callable[[], bytes]) -> Request:
    """Return a Starlette request whose body is read on demand."""
    return Request(scope, _receiving(lambda: {"type": "http.request", "body": read()}))


def status_line(response: Response) -> str:
    """Return the status line that WSGI wants for a response."""
    try:
        return f"{response.status_code} {HTTPStatus(response.status_code).phrase}"
    except ValueError:
        return f"{response.status_code} Unknown"


def body_of(response: Response) -> bytes:
    """Return the body of a response of this library, which always sends its body as a whole."""
    return bytes(response.body)


def _sent(response: Response, start_response: StartResponse, *exc_info: Any) -> list[bytes]:
    headers = [(name.decode(), value.decode("latin-1")) for name, value in response.raw_headers]
    start_response(status_line(response), headers, *exc_info)
    return [body_of(response)]


def _headers(environ: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-").lower().encode("latin-1"), _raw(value)
        elif name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            yield name.replace("_", "-").lower().encode(), _raw(value)


def _receiving(first: Callable[[], Message]) -> Callable[[], Any]:
    read = False

    async def receive() -> Message:
        nonlocal read
        if read:
            return _GONE
        read = True
        return first()

    return receive


def _read(environ: WSGIEnvironment | None) -> Message:
    """Read a body up to one byte more than is allowed; a body shorter than announced is a disconnect."""
    if environ is None:
        return _GONE
    ends = environ.get("wsgi.input_terminated")
    wanted = MAX_BODY_BYTES + 1 if ends else min(number(environ.get("CONTENT_LENGTH")), MAX_BODY_BYTES + 1)
    try:
        body = environ["wsgi.input"].read(wanted)
    except OSError:  # servers raise it for a broken connection and for malformed chunks
        return _GONE
    return _GONE if len(body) < wanted and not ends else {"type": "http.request", "body": body}


def number(given: str | int | None) -> int:
    """Return a number that a server passes, mostly as text; 0 if it passes none."""
    return int(given) if given is not None and re.fullmatch("[0-9]{1,18}", str(given)) else 0


def _raw(text: str) -> bytes:
    return text.encode("latin-1", "replace")
