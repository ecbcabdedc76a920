"""Websockets: the handshake is checked, refused and given tokens; what comes after it is left alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from coatcheck import App, RecipeUserId, current_app
from coatcheck.claims import BooleanClaim
from coatcheck.recipes import session
from coatcheck.server.asgi import AuthMiddleware, requires, verify_session

from ..kit import API, LIMIT_S, WEBSITE, Make, Wire
from .asgi_site import served

Failing = BooleanClaim("st-false", lambda *_: False)
WS = API.replace("http", "ws")
demand = verify_session()


async def greet(websocket: WebSocket) -> None:
    """Greet whoever has a session."""
    found = await demand(websocket)
    await websocket.accept()
    await websocket.send_json({"userId": found.get_user_id(), "app": current_app().info.app_name})
    await websocket.close()


async def change(websocket: WebSocket) -> None:
    """Change the payload in the handshake."""
    await (await demand(websocket)).merge_into_access_token_payload({"changed": True})
    await websocket.accept(headers=[(b"x-own", b"yes")])
    await websocket.close()


async def change_and_refuse(websocket: WebSocket) -> None:
    """Change the payload in the handshake, then refuse it."""
    await (await demand(websocket)).merge_into_access_token_payload({"changed": True})
    await verify_session(override_global_claim_validators=lambda *_: [Failing.validators.is_true()])(websocket)


async def too_late(websocket: WebSocket) -> None:
    """Raise an error of the library's once the connection is open."""
    await websocket.accept()
    raise session.exceptions.UnauthorisedError("too late")


@requires()
async def required(websocket: WebSocket) -> None:
    """Greet whoever has a session, demanded by the decorator."""
    await websocket.accept()
    await websocket.send_text(websocket.state.supertokens.get_user_id())
    await websocket.close()


class Echo(WebSocketEndpoint):
    """An endpoint as a class."""

    encoding = "text"

    @requires()
    async def on_connect(self, websocket: WebSocket) -> None:
        """Open the connection."""
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        """Say who said what."""
        await websocket.send_text(f"{websocket.state.supertokens.get_user_id()}: {data}")


ROUTES: list[BaseRoute] = [
    WebSocketRoute("/greet", greet),
    WebSocketRoute("/change", change),
    WebSocketRoute("/refuse", change_and_refuse),
    WebSocketRoute("/late", too_late),
    WebSocketRoute("/required", required),
    WebSocketRoute("/echo", Echo),
]


def client_of(app: App) -> TestClient:
    """Return a client that signs in by cookie at `/create`."""
    return TestClient(served(app, ROUTES), base_url=API)


def bearer(client: TestClient) -> dict[str, str]:
    """Sign in and return the header that says so."""
    return {"authorization": f"Bearer {client.post('/create').headers['st-access-token']}"}


def test_a_session_opens_a_websocket(make_app: Make) -> None:
    """With a token in the header or in a cookie the endpoint finds the session, and its App is the current one."""
    client = client_of(make_app())
    with client.websocket_connect("/greet", headers=bearer(client)) as opened:
        assert opened.receive_json() == {"userId": "u1", "app": "Test"}
    client.post("/create", headers={"st-auth-mode": "cookie"})
    with client.websocket_connect(f"{WS}/greet") as opened:
        assert opened.receive_json()["userId"] == "u1"


@pytest.mark.parametrize("path", ["/greet", "/required", "/echo"])
def test_a_handshake_without_a_session_is_answered(make_app: Make, path: str) -> None:
    """Where the server can answer a handshake, it gets the status and the body of any other request."""
    client = client_of(make_app())
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(path):
        pass
    assert denied.value.status_code == 401
    assert denied.value.json() == {"message": "unauthorised"}


def test_a_handshake_that_cannot_be_answered_is_closed(make_app: Make) -> None:
    """Elsewhere the websocket is closed before it is accepted, which servers make a 403 of."""
    wire = asyncio.run(Wire("/greet", kind="websocket").run(served(make_app(), ROUTES)))
    assert wire.messages == [{"type": "websocket.close", "code": 1008}]


def test_a_denial_carries_tokens(make_app: Make) -> None:
    """A 403 to a handshake names the claims that failed, and hands out what changed before it."""
    client = client_of(make_app())
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/refuse", headers=bearer(client)):
        pass
    assert denied.value.status_code == 403
    assert denied.value.json()["claimValidationErrors"][0]["id"] == "st-false"
    assert denied.value.headers["st-access-token"]


def test_tokens_of_a_handshake_travel_with_its_acceptance(make_app: Make) -> None:
    """What changes before a websocket is accepted is in the headers of the acceptance, beside the endpoint's own."""
    client = client_of(make_app())
    with client.websocket_connect("/change", headers=bearer(client)) as opened:
        headers = Headers(raw=opened.extra_headers)
    assert headers["x-own"] == "yes"
    assert headers["st-access-token"]
    assert headers["front-token"]


def test_an_error_after_acceptance_passes_through(make_app: Make) -> None:
    """Once a websocket is open, errors are the application's and the server's business."""
    client = client_of(make_app())
    with (
        pytest.raises(session.exceptions.UnauthorisedError, match="too late"),
        client.websocket_connect("/late") as opened,
    ):
        opened.receive()


def test_the_decorator_on_endpoints(make_app: Make) -> None:
    """`requires` guards functions and classes that serve websockets; messages are untouched."""
    client = client_of(make_app())
    headers = bearer(client)
    with client.websocket_connect("/required", headers=headers) as opened:
        assert opened.receive_text() == "u1"
    with client.websocket_connect("/echo", headers=headers) as opened:
        opened.send_text("hello")
        assert opened.receive_text() == "u1: hello"


def test_a_mounted_application_is_answered_for(make_app: Make) -> None:
    """A framework that closes a handshake because of an error it does not know is answered for; any other close not."""

    async def closing(scope: Any, receive: Any, send: Any) -> None:
        try:
            await greet(WebSocket(scope, receive, send))
        except Exception:
            await send({"type": "websocket.close", "code": int(scope["path"].removeprefix("/"))})

    client = TestClient(AuthMiddleware(closing, make_app()))
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/1011"):
        pass
    assert denied.value.status_code == 401
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/4001"):
        pass
    assert closed.value.code == 4001


@pytest.mark.parametrize(
    ("origin", "mode", "refused"),
    [
        (WEBSITE, "VIA_CUSTOM_HEADER", False),
        (None, "VIA_CUSTOM_HEADER", False),
        ("https://evil.example", "VIA_CUSTOM_HEADER", True),
        ("null", "VIA_TOKEN", True),
        ("https://evil.example", "NONE", False),
    ],
)
def test_hijacking_from_another_site_is_refused(make_app: Make, origin: str | None, mode: str, refused: bool) -> None:
    """A foreign page cannot open a websocket with the cookies of a visitor (docs/protocol.md, rule 7.7)."""
    client = client_of(make_app(anti_csrf=mode))
    client.post("/create", headers={"st-auth-mode": "cookie"})
    headers = {} if origin is None else {"origin": origin}
    with contextlib.ExitStack() as stack:
        denied = stack.enter_context(pytest.raises(WebSocketDenialResponse)) if refused else None
        with client.websocket_connect(f"{WS}/greet", headers=headers) as opened:
            assert opened.receive_json()["userId"] == "u1"
    assert denied is None or denied.value.json() == {"message": "try refresh token"}


def test_attack_hijacking_where_a_proxy_ends_tls(make_app: Make) -> None:
    """A middleware that writes the scheme of a proxy, https, over a handshake's does not hide that it is one."""
    app = make_app(anti_csrf="VIA_CUSTOM_HEADER")
    inside = served(app, ROUTES)

    async def behind_a_proxy(scope: Any, receive: Any, send: Any) -> None:
        await inside({**scope, "scheme": "https"}, receive, send)

    client = TestClient(behind_a_proxy, base_url=API)
    client.post("/create", headers={"st-auth-mode": "cookie"})
    foreign = {"origin": "https://evil.example"}
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(f"{WS}/greet", headers=foreign):
        pass
    assert denied.value.json() == {"message": "try refresh token"}


def test_a_route_may_allow_other_origins(make_app: Make) -> None:
    """`anti_csrf_check=False` lets any page open the websocket; tokens in headers are never a visitor's own."""
    open_to_all = verify_session(anti_csrf_check=False)

    async def greet_all(websocket: WebSocket) -> None:
        await open_to_all(websocket)
        await websocket.accept()
        await websocket.close()

    app = make_app(anti_csrf="VIA_CUSTOM_HEADER")
    client = TestClient(served(app, [*ROUTES, WebSocketRoute("/all", greet_all)]), base_url=API)
    foreign = {"origin": "https://evil.example"}
    with client.websocket_connect("/greet", headers={**bearer(client), **foreign}):
        pass
    client.post("/create", headers={"st-auth-mode": "cookie"})
    with client.websocket_connect(f"{WS}/all", headers=foreign):
        pass


# A real server


@contextlib.contextmanager
def listening(app: ASGIApp) -> Iterator[int]:
    """Serve an application with uvicorn, in a thread, and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="wsproto", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def handshake(port: int, path: str, headers: dict[str, str]) -> str:
    """Send a handshake and return the head of the answer."""
    lines = {
        "Host": "localhost",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **headers,
    }
    text = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as connection:
        connection.sendall(text.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536)
    return answer.split(b"\r\n\r\n")[0].decode()


def test_on_a_real_server(make_app: Make) -> None:
    """Over a socket: 101 with tokens where there is a session, 401 where there is none."""
    app = make_app()
    with app.active():
        made = session.sync.create_new_session_without_request_response("public", RecipeUserId("u1"))
    asgi = Starlette(routes=ROUTES, middleware=[Middleware(AuthMiddleware, coatcheck=app)])
    with listening(asgi) as port:
        opened = handshake(port, "/change", {"Authorization": f"Bearer {made.get_access_token()}"})
        refused = handshake(port, "/change", {})
    assert opened.startswith("HTTP/1.1 101")
    assert "st-access-token: " in opened
    assert refused.startswith("HTTP/1.1 401")
