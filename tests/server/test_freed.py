"""Served requests leave nothing behind for the garbage collector."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from weakref import ref
from wsgiref.util import setup_testing_defaults

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from coatcheck import App, RecipeUserId
from coatcheck.recipes import session
from coatcheck.recipes.kit.request import KEY
from coatcheck.server import asgi, wsgi

from ..kit import Make

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Seen = list[ref[Request]]


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Leave all freeing to reference counts."""
    gc.disable()
    yield
    gc.enable()


def new_token(app: App) -> str:
    """Sign in without a request; return the access token."""
    with app.active():
        return session.sync.create_new_session_without_request_response("public", RecipeUserId("ann")).access_token


def scope_with(token: str) -> Scope:
    """Return the scope of a request with a session."""
    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
    return {"type": "http", "method": "GET", "scheme": "http", "path": "/me", "query_string": b"", "headers": headers}


def environ_with(token: str) -> WSGIEnvironment:
    """Return the environ of a request with a session."""
    environ: WSGIEnvironment = {"HTTP_AUTHORIZATION": f"Bearer {token}", "PATH_INFO": "/me"}
    setup_testing_defaults(environ)
    return environ


async def receive() -> Message:
    """Receive an empty body."""
    return {"type": "http.request", "body": b""}


@pytest.mark.usefixtures("without_collector")
def test_a_request_of_asgi_is_freed_at_once(make_app: Make) -> None:
    """A protected request and its session go as soon as the response has been sent and nobody holds them."""
    app, seen, statuses = make_app(), Seen(), list[Any]()
    demand = asgi.verify_session()

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await demand(request)
        seen.append(ref(request))
        await PlainTextResponse("hello")(scope, receive, send)

    async def send(message: Message) -> None:
        statuses.append(message.get("status"))

    asyncio.run(asgi.AuthMiddleware(endpoint, app)(scope_with(new_token(app)), receive, send))
    assert statuses == [200, None]
    assert [request() for request in seen] == [None]


@pytest.mark.usefixtures("without_collector")
def test_a_request_of_wsgi_is_freed_at_once(make_app: Make) -> None:
    """So it is behind WSGI, where the environ holds the request, and the request reads from the environ."""
    app, seen = make_app(), Seen()

    def endpoint(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = environ[KEY]
        session.sync.get_session(request)
        seen.append(ref(request))
        start_response("200 OK", [])
        return [b"hello"]

    def start_response(status: str, _headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
        assert status == "200 OK"
        return lambda _: None

    body = wsgi.AuthMiddleware(endpoint, app)(environ_with(new_token(app)), start_response)
    assert list(body) == [b"hello"]
    body.close()  # type: ignore[attr-defined]  # PEP 3333: where there is one, the server calls it
    del body
    assert [request() for request in seen] == [None]


def test_a_session_outlives_its_request(make_app: Make) -> None:
    """Whoever keeps a session after the response may still change and end it; no response is left to carry that."""
    app, kept = make_app(), list[session.SessionContainer]()
    demand = asgi.verify_session()

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        kept.append(await demand(Request(scope, receive)))
        await PlainTextResponse("hello")(scope, receive, send)

    async def send(_message: Message) -> None:
        """Send nothing anywhere."""

    asyncio.run(asgi.AuthMiddleware(endpoint, app)(scope_with(new_token(app)), receive, send))
    with app.active():
        kept[0].sync.merge_into_access_token_payload({"role": "reader"})
        assert kept[0].get_access_token_payload()["role"] == "reader"
        kept[0].sync.revoke_session()
        assert session.sync.get_session_information(kept[0].get_handle()) is None
