"""An HTTP transport that calls a WSGI application in this process, such as a Flask or a Django one."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import httpx2

from .asgi import SERVER_ERROR, outside_loop
from .unhandled import unhandled

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment


class WSGITransport(httpx2.BaseTransport):
    """Sends each request to a WSGI application, in the calling thread, and returns its complete answer.

    If `raises` is true, errors of the application are raised here; else the client sees the answer of a server.
    `gateway` is the part of each path that a gateway in front removes.
    """

    def __init__(self, app: WSGIApplication, *, raises: bool = True, gateway: str = "") -> None:
        self.app = app
        self._raises = raises
        self._gateway = gateway

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the application's answer; RemoteProtocolError if there is none."""
        environ = self._environ(request)
        exchange = _Exchange()
        with unhandled(self.app, environ) as errors:
            try:
                outside_loop(lambda: exchange.run(self.app, environ))
            except Exception:
                if self._raises:
                    raise
                exchange.fail()
        if errors and self._raises:
            raise errors[0]
        return exchange.response(with_body=request.method != "HEAD")

    def _environ(self, request: httpx2.Request) -> WSGIEnvironment:
        url, body = request.url, request.read()
        path = unquote_to_bytes(url.raw_path.partition(b"?")[0]).decode("latin-1")
        if self._gateway and path.startswith(f"{self._gateway}/"):
            path = path.removeprefix(self._gateway)
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": url.query.decode("latin-1"),
            "SERVER_NAME": url.host,
            "SERVER_PORT": str(url.port or {"http": 80, "https": 443}[url.scheme]),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": str(len(body)) if body else "",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": url.scheme,
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
        }
        for name, value in _variables(request.headers.raw).items():
            environ[name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"] = value
        return environ


def _variables(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by their names in an environ, without `HTTP_`; several values of one name become one."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        separator = "; " if name == "COOKIE" else ","
        joined[name] = f"{joined[name]}{separator}{value}" if name in joined else value
    return joined


class _Exchange:
    """One answer, which the application builds as PEP 3333 says."""

    def __init__(self) -> None:
        self._status: str | None = None
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()

    def run(self, app: WSGIApplication, environ: WSGIEnvironment) -> None:
        """Call the application, collect the body that it returns, and close it."""
        chunks = app(environ, self._start)
        try:
            for chunk in chunks:
                self._body += chunk
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        if self._status is not None and exc_info is None:
            raise RuntimeError("the application called start_response twice")
        self._status, self._headers = status, list(headers)
        return self._body.extend

    def fail(self) -> None:
        """Answer as a server does after an error of its application."""
        self._start("500 Internal Server Error", [("content-type", "text/plain; charset=utf-8")], True)
        self._body[:] = SERVER_ERROR

    def response(self, *, with_body: bool) -> httpx2.Response:
        """Return the whole answer."""
        if self._status is None:
            raise httpx2.RemoteProtocolError("the application returned without calling start_response")
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._headers]
        body = bytes(self._body) if with_body else b""
        return httpx2.Response(int(self._status.split()[0]), headers=headers, stream=httpx2.ByteStream(body))
