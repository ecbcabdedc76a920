"""Litestar: the middleware around the application, guards of its own kind, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import litestar
import pytest
from litestar.config.cors import CORSConfig
from litestar.connection import ASGIConnection
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler
from starlette.middleware.cors import CORSMiddleware
from starlette.testclient import TestClient, WebSocketDenialResponse

from coatcheck import RecipeUserId
from coatcheck.claims import BooleanClaim
from coatcheck.recipes import session
from coatcheck.server.asgi import AuthMiddleware, verify_session

from ..kit import API, WEBSITE, Make, Wire, form
from .foreign_page import HEADERS, PAGE, may_use

Connection = ASGIConnection[Any, Any, Any, Any]
Request = litestar.Request[Any, Any, Any]
SecondFactor = BooleanClaim("2fa-completed", lambda *_: False)

demand = verify_session()
demand_second_factor = verify_session(
    override_global_claim_validators=lambda validators, *_: [*validators, SecondFactor.validators.is_true()]
)


async def signed_in(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Let pass who has a session."""
    await demand(connection)


async def second_factor(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Let pass who has completed the second factor."""
    await demand_second_factor(connection)


@litestar.post("/create")
async def create(request: Request) -> dict[str, str]:
    """Sign u1 in."""
    made = await session.create_new_session(request, "public", RecipeUserId("u1"))
    return {"userId": made.get_user_id()}


@litestar.get("/me", guards=[signed_in])
async def me(request: Request) -> dict[str, str]:
    """Tell who is there."""
    return {"userId": request.state.supertokens.get_user_id()}


@litestar.post("/complete", guards=[signed_in])
async def complete(request: Request) -> dict[str, str]:
    """Complete the second factor."""
    await request.state.supertokens.set_claim_value(SecondFactor, True)
    return {"status": "OK"}


@litestar.get("/second", guards=[second_factor])
async def second(request: Request) -> dict[str, str]:
    """Tell who is there, with both factors."""
    return {"userId": request.state.supertokens.get_user_id()}


@litestar.websocket("/ws", guards=[signed_in])
async def ws(socket: litestar.WebSocket[Any, Any, Any]) -> None:
    """Tell who is there."""
    await socket.accept()
    await socket.send_text(socket.state.supertokens.get_user_id())
    await socket.close()


@pytest.fixture
def client(make_app: Make) -> TestClient:
    """Return a client on the application behind the middleware."""
    app = litestar.Litestar([create, me, complete, second, ws], openapi_config=None)
    return TestClient(AuthMiddleware(app, make_app(claims=[SecondFactor])), base_url=API)


def test_the_auth_api_is_served(client: TestClient) -> None:
    """Sign-up is answered by the middleware, whose tokens Litestar's routes accept."""
    made = client.post("/auth/signup", json=form(email="ann@example.com", password="correct horse 1"))
    assert made.json()["status"] == "OK"
    headers = {"authorization": f"Bearer {made.headers['st-access-token']}"}
    assert client.get("/me", headers=headers).json() == {"userId": made.json()["user"]["id"]}


def test_guards(client: TestClient) -> None:
    """A guard refuses with the standard answers, and the route behind it finds the session, changed or not."""
    refused = client.get("/me")
    assert (refused.status_code, refused.json()) == (401, {"message": "unauthorised"})
    client.post("/create", headers={"st-auth-mode": "cookie"})
    assert client.get("/me").json() == {"userId": "u1"}
    missing = client.get("/second")
    assert missing.status_code == 403
    assert missing.json()["claimValidationErrors"][0]["id"] == "2fa-completed"
    completed = client.post("/complete")
    assert completed.json() == {"status": "OK"}
    assert completed.headers["front-token"]
    assert client.get("/second").json() == {"userId": "u1"}


def test_websockets(client: TestClient) -> None:
    """A guard refuses the handshake of a websocket, or lets it pass."""
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/ws"):
        pass
    assert denied.value.status_code == 401
    token = client.post("/create").headers["st-access-token"]
    with client.websocket_connect("/ws", headers={"authorization": f"Bearer {token}"}) as opened:
        assert opened.receive_text() == "u1"


def test_cors_stands_outside(make_app: Make) -> None:
    """Starlette's CORSMiddleware around both lets a page of the website ask first, and read what is refused."""
    app = litestar.Litestar([create, me], openapi_config=None)
    outermost = CORSMiddleware(
        AuthMiddleware(app, make_app()),
        allow_origins=[WEBSITE],
        allow_credentials=True,
        allow_methods=["GET", "POST"],
        allow_headers=HEADERS,
    )
    may_use(TestClient(outermost, base_url=API))


def test_litestars_own_cors_stands_inside(make_app: Make) -> None:
    """CORSConfig reaches neither the auth API nor a 401, which the middleware around the application answers."""
    cors = CORSConfig(allow_origins=[WEBSITE], allow_credentials=True)
    app = litestar.Litestar([create, me], openapi_config=None, cors_config=cors)
    client = TestClient(AuthMiddleware(app, make_app()), base_url=API, headers=PAGE)
    assert client.post("/create").headers["access-control-allow-origin"] == WEBSITE
    for hidden in (client.get("/me"), client.post("/auth/session/refresh")):
        assert hidden.status_code == 401
        assert "access-control-allow-origin" not in hidden.headers


def test_other_errors_are_litestars(make_app: Make) -> None:
    """What is not ours, Litestar answers as it always does."""

    @litestar.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    @litestar.get("/missing")
    async def missing() -> None:
        raise NotFoundException(detail="nothing here")

    asgi = AuthMiddleware(litestar.Litestar([broken, missing], openapi_config=None), make_app())
    statuses = [asyncio.run(Wire(path).run(asgi)).status for path in ("/broken", "/missing", "/nowhere")]
    assert statuses == [500, 404, 404]
