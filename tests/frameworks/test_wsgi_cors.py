"""CORS in a plain WSGI application: around the auth middleware, and it answers what browsers ask first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from coatcheck import App
from coatcheck.recipes.kit.request import as_request
from coatcheck.server.guard import Guard
from coatcheck.server.wsgi import AuthMiddleware

from ..kit import API, WEBSITE
from .foreign_page import HEADERS, PAGE, may_use

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ALLOWED = [("access-control-allow-origin", WEBSITE), ("access-control-allow-credentials", "true")]
ASKED = [
    ("access-control-allow-methods", "GET, POST"),
    ("access-control-allow-headers", ", ".join(HEADERS)),
]


class Incoming:
    """The least that a request object of a WSGI framework is."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        self.environ = environ


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Demand a session for everything."""
    refusal = Guard().refusal_now(as_request(Incoming(environ)))
    status, body = ("200 OK", b"") if refusal is None else (f"{refusal.status_code} Refused", bytes(refusal.body))
    start_response(status, [("content-type", "application/json")])
    return [body]


def cors(inner: WSGIApplication) -> WSGIApplication:
    """Do what a CORS middleware for WSGI does, for the website."""

    def outermost(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def with_headers(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, [*headers, *ALLOWED], *exc_info)

        if "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            start_response("204 No Content", [*ALLOWED, *ASKED])
            return []
        return inner(environ, with_headers)

    return outermost


@pytest.fixture
def browse() -> Iterator[Callable[[WSGIApplication], httpx2.Client]]:
    """Open clients on WSGI applications."""
    opened: list[httpx2.Client] = []

    def opening(wsgi: WSGIApplication) -> httpx2.Client:
        opened.append(httpx2.Client(transport=httpx2.WSGITransport(wsgi), base_url=API))
        return opened[-1]

    yield opening
    for client in opened:
        client.close()


def test_cors_stands_outside(make_app: Callable[..., App], browse: Callable[..., httpx2.Client]) -> None:
    """A CORS middleware around the auth middleware lets a page of the website ask first, and read refusals."""
    may_use(browse(cors(AuthMiddleware(application, make_app()))))


def test_cors_inside_leaves_the_auth_api_out(
    make_app: Callable[..., App], browse: Callable[..., httpx2.Client]
) -> None:
    """Inside the auth middleware it reaches the application's own answers alone."""
    client = browse(AuthMiddleware(cors(application), make_app()))
    assert client.get("/me", headers=PAGE).headers["access-control-allow-origin"] == WEBSITE
    assert "access-control-allow-origin" not in client.post("/auth/session/refresh", headers=PAGE).headers
