"""What no client library would send: raw requests, straight into the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message, Scope
from starlette.websockets import WebSocket

from coatcheck import App, InputAppInfo, RecipeUserId, current_app
from coatcheck.recipes import emailpassword, session
from coatcheck.recipes.kit.request import app_of
from coatcheck.server import create_app
from coatcheck.server.asgi import AuthMiddleware, verify_session

from ..kit import Make, Serve


async def me(request: Request) -> Response:
    """Tell whether there is a session."""
    found = await verify_session(session_required=False)(request)
    return JSONResponse({"userId": found and found.get_user_id()})


async def create(request: Request) -> Response:
    """Sign u1 in."""
    await session.create_new_session(request, "public", RecipeUserId("u1"))
    return JSONResponse({})


@pytest.fixture(scope="module")
def raw() -> Iterator[Callable[..., int]]:
    """Return a function that sends a raw request and returns the status of the answer."""
    app = App(
        app_info=InputAppInfo("Raw", "http://localhost:3567", website_domain="http://localhost:3000"),
        recipe_list=[session.init(anti_csrf="VIA_TOKEN", older_cookie_domain=""), emailpassword.init()],
        database="sqlite://",
        unsafe_for_tests=True,
    )
    served = create_app(
        app, [Route("/me", me, methods=["GET", "POST"]), Route("/create", create, methods=["GET", "POST"])]
    )

    def send(method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> int:
        return asyncio.run(_status(served, method, path, query, headers, body))

    yield send
    app.close()


async def _status(
    served: Starlette, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> int:
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "root_path": "",
        "query_string": query,
        "headers": headers,
        "server": ("127.0.0.1", 3567),
        "client": ("127.0.0.1", 1),
        "state": {},
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await served(scope, receive, send)
    return int(sent[0]["status"])


BELOW = [
    "signup",
    "signin",
    "signout",
    "session/refresh",
    "loginmethods",
    "jwt/jwks.json",
    "emailpassword/email/exists",
]
paths = st.one_of(
    st.sampled_from(["/me", "/create"]),
    st.sampled_from(BELOW).map(lambda path: f"/auth/{path}"),
    st.tuples(st.text(max_size=8), st.sampled_from(BELOW)).map(lambda parts: f"/auth/{parts[0]}/{parts[1]}"),
    st.text(max_size=20).map(lambda text: f"/{text}"),
)
names = st.sampled_from(
    [b"host", b"authorization", b"cookie", b"rid", b"fdi-version", b"st-auth-mode", b"anti-csrf", b"origin",
     b"content-type", b"content-length", b"access-control-request-method"]
)  # fmt: skip
values = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"Bearer ", b"Bearer a.b.c", b"cookie", b"header", b"[", b"http://localhost:3000", b"4.2,9" * 9]),
    st.binary(max_size=30).map(lambda value: b"sAccessToken=" + value + b"; sRefreshToken=" + value),
)


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "get", "HEAD", "OPTIONS", "PUT", "TRACE", "X"]),
    path=paths,
    query=st.binary(max_size=20),
    headers=st.lists(st.tuples(names, values), max_size=6),
    body=st.binary(max_size=30),
)
def test_no_raw_request_breaks_the_server(
    raw: Callable[..., int], method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """Any bytes in path, query, headers (repeated ones too) and body are answered, never with a 5xx."""
    assert raw(method, path, query, headers, body) < 500


@pytest.mark.parametrize("path", ["/auth/jwt/jwks.json", "/me", "/auth/loginmethods", "/nowhere"])
def test_a_query_that_is_not_utf_8(raw: Callable[..., int], path: str) -> None:
    """Bytes that are no UTF-8 in a query, which servers pass on, do no harm."""
    assert raw("GET", path, b"clientType=\xff\xfe&email=\x80", []) == (404 if path == "/nowhere" else 200)


@pytest.mark.parametrize("host", [b"[", b"", b"a b", b"\xff", b"localhost:99999", b"[::1"])
def test_a_host_that_is_none(raw: Callable[..., int], host: bytes) -> None:
    """Whatever the Host header holds, a request is answered by its path."""
    assert raw("GET", "/auth/jwt/jwks.json", b"", [(b"host", host)]) == 200
    assert raw("POST", "/create", b"", [(b"host", host), (b"st-auth-mode", b"cookie")]) == 200


# What is not HTTP


def test_a_websocket_passes(make_app: Make) -> None:
    """A websocket goes through the middleware untouched, with its App at hand."""
    coatcheck = make_app()

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json({"mine": current_app() is coatcheck})
        await websocket.close()

    app = Starlette(routes=[WebSocketRoute("/ws", endpoint)])
    app.add_middleware(AuthMiddleware, coatcheck=coatcheck)
    with TestClient(app) as client, client.websocket_connect("/ws") as websocket:
        assert websocket.receive_json() == {"mine": True}


def test_a_websocket_passes_the_complete_application(make_app: Make, serve: Serve) -> None:
    """The same holds through CORS and error handling."""

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    routes: list[Any] = [WebSocketRoute("/auth/signout", endpoint)]
    with serve(make_app(), routes).websocket_connect("/auth/signout") as websocket:
        assert websocket.receive_text() == "hello"


def test_the_lifespan_of_the_application_runs(make_app: Make) -> None:
    """Start-up and shutdown reach the application below."""
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        seen.append("up")
        yield
        seen.append("down")

    app = Starlette(lifespan=lifespan)
    with TestClient(AuthMiddleware(app, coatcheck=make_app())):
        assert seen == ["up"]
    assert seen == ["up", "down"]


def test_tokens_travel_although_the_scope_was_copied(make_app: Make) -> None:
    """A middleware in between that hands on a copy of the scope loses nothing (docs/protocol.md, rule 10.1)."""
    coatcheck = make_app()
    inner = Starlette(routes=[Route("/create", create, methods=["POST"])])

    async def copying(scope: Scope, receive: Any, send: Any) -> None:
        await inner({**scope}, receive, send)

    with TestClient(AuthMiddleware(copying, coatcheck=coatcheck)) as client:
        assert client.post("/create").headers["st-access-token"]


def test_the_app_of_a_request_is_known(make_app: Make, serve: Serve) -> None:
    """Functions that are given a request use the App that serves it, whatever the default is."""
    coatcheck = make_app()

    async def endpoint(request: Request) -> Response:
        assert app_of(request) is coatcheck
        with make_app().active():
            made = await session.create_new_session(request, "public", RecipeUserId("u1"))
        assert await session.get_session_information(made.get_handle()) is not None
        return JSONResponse({})

    assert serve(coatcheck, [Route("/", endpoint)]).get("/").status_code == 200
