"""A live server is really there while the block lasts, and nothing is left of it afterwards."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import flask
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from coatcheck import App
from coatcheck.claims import ManualClock
from coatcheck.claims.clock import current_clock
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.server import create_app
from coatcheck.server.fastapi import verify_session
from coatcheck.server.flask import CoatCheck, verify_session as flask_session
from coatcheck.testing import client, live_server

from ..kit import Make

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

FORM = {"formFields": [{"id": "email", "value": "ada@example.com"}, {"id": "password", "value": "correct horse 1"}]}


async def me(request: Request) -> Response:
    return PlainTextResponse((await verify_session()(request)).user_id)


async def now(_request: Request) -> Response:
    return PlainTextResponse(str(current_clock.get().now_ms()))


def flask_scene(app: App) -> flask.Flask:
    made = flask.Flask("live")
    CoatCheck(made, app)

    @made.get("/me")
    @flask_session()
    def me() -> str:
        return str(flask.g.supertokens.user_id)

    @made.get("/now")
    def now() -> str:
        return str(current_clock.get().now_ms())

    return made


def starlette_scene(app: App) -> Starlette:
    return create_app(app, [Route("/me", me), Route("/now", now)])


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fail where a thread is left; the library's own workers stay, one set per process."""
    before = set(threading.enumerate())
    yield
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in left if not name.startswith(("coatcheck-hashing", "coatcheck-blocking"))}


@pytest.mark.parametrize("scene", [starlette_scene, flask_scene])
def test_a_session_over_real_http(make_app: Make, clock: ManualClock, scene: Callable[[App], Any]) -> None:
    """The browser of the test kit works with it as with an application in process, time included."""
    with nothing_left():
        with live_server(scene(make_app(anti_csrf="VIA_TOKEN"))) as server:
            one = client(server)
            assert one.post("/auth/signup", json=FORM).json()["status"] == "OK"
            clock.advance(3600)
            assert one.get("/me").text == (one.session_payload() or {})["sub"]
            assert len(one.refreshes) == 1
            assert one.get("/now").text == str(clock.now_ms())
            one.close()
        with pytest.raises(httpx2.ConnectError), client(server) as late:
            late.get("/me")


def test_the_app_may_know_its_address(make_app: Make) -> None:
    """`build` gets the address before anything is served, so the issuer of tokens is the real one."""

    def build(url: str) -> App:
        return make_app(api_domain=url)

    with live_server(build=build, host="127.0.0.1") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert server.coatcheck.info.api_domain == server.url
        assert httpx2.get(f"{server.url}/healthz").json() == {"status": "OK"}


def test_two_servers_have_two_ports(make_app: Make) -> None:
    """The system chooses them; connections on which nothing is said do not keep a server from stopping."""
    other = flask_scene(make_app())
    with ExitStack() as idle, nothing_left(), live_server(make_app()) as one, live_server(other) as two:
        assert one.url != two.url
        for server in (one, two):
            idle.enter_context(socket.create_connection(("127.0.0.1", httpx2.URL(server.url).port or 0)))
            asked = httpx2.get(f"{server.url}/auth/emailpassword/email/exists?email=a@example.com")
            assert asked.json()["exists"] is False


def test_a_connection_that_breaks_does_not_matter(make_app: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """The server goes on, and nothing is printed."""
    with live_server(flask_scene(make_app())) as server:
        broken = socket.create_connection(("127.0.0.1", httpx2.URL(server.url).port or 0))
        broken.sendall(b"GET / HTTP/1.1\r\n")
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        broken.close()
        assert httpx2.get(f"{server.url}/auth/emailpassword/email/exists?email=a@example.com").status_code == 200
    assert capfd.readouterr().err == ""


def test_an_application_that_does_not_start(make_app: Make) -> None:
    """The block is not entered, and nothing is left."""

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        raise LookupError("no coffee")
        yield

    failing, app = Starlette(lifespan=lifespan), make_app()
    with nothing_left(), pytest.raises(RuntimeError, match="did not start"), live_server(failing, coatcheck=app):
        pytest.fail("it did start")


def test_errors_of_a_live_application_stay_there(make_app: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """The client gets 500; the server goes on."""

    def bare(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/broken":
            raise LookupError("in the view")
        start_response("200 OK", [])
        return [b"fine"]

    with live_server(bare, coatcheck=make_app()) as server, client(server) as one:
        assert one.get("/broken").status_code == 500
        assert one.get("/").text == "fine"
    assert "in the view" in capfd.readouterr().err


@pytest.mark.parametrize("given", [{}, {"app": "x", "build": str}])
def test_either_an_application_or_its_builder(given: dict[str, Any]) -> None:
    """Neither and both are refused."""
    with pytest.raises(ConfigurationError, match="either"), live_server(**given):
        pytest.fail("it was entered")
