"""Quart: the middleware around its ASGI side, a decorator, and an error handler."""

from __future__ import annotations

from typing import Any

import pytest
import quart
from starlette.middleware.cors import CORSMiddleware
from starlette.testclient import TestClient, WebSocketDenialResponse

from coatcheck import App, RecipeUserId
from coatcheck.claims import BooleanClaim
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import SessionError
from coatcheck.server.asgi import AuthMiddleware, requires, session_exception_handler, verify_session

from ..kit import API, WEBSITE, Make, form
from .foreign_page import HEADERS, may_use

SecondFactor = BooleanClaim("2fa-completed", lambda *_: False)

signed_in = requires(request_of=lambda: quart.request)
demand = verify_session()


def application(coatcheck: App) -> quart.Quart:
    """Return what a user of Quart writes."""
    app = quart.Quart(__name__)
    app.asgi_app = AuthMiddleware(app.asgi_app, coatcheck)  # type: ignore[method-assign, assignment]

    @app.errorhandler(SessionError)
    async def refused(error: SessionError) -> quart.Response:
        connection = quart.request if quart.has_request_context() else quart.websocket
        answer = await session_exception_handler(connection, error)
        return quart.Response(bytes(answer.body), answer.status_code, dict(answer.headers))

    @app.post("/create")
    async def create() -> dict[str, str]:
        made = await session.create_new_session(quart.request, "public", RecipeUserId("u1"))
        return {"userId": made.get_user_id()}

    @app.get("/me")
    @signed_in
    async def me() -> dict[str, str]:
        found = quart.request.scope["state"]["supertokens"]
        return {"userId": found.get_user_id()}

    @app.post("/complete")
    async def complete() -> dict[str, str]:
        found = await demand(quart.request)
        await found.set_claim_value(SecondFactor, True)
        return {"status": "OK"}

    @app.get("/second")
    @requires(
        override_global_claim_validators=lambda *_: [SecondFactor.validators.is_true()],
        request_of=lambda: quart.request,
    )
    async def second() -> dict[str, str]:
        return {"status": "OK"}

    @app.websocket("/ws")
    async def ws() -> None:
        found = await demand(quart.websocket)
        await quart.websocket.accept()
        await quart.websocket.send(found.get_user_id())

    return app


@pytest.fixture
def client(make_app: Make) -> TestClient:
    """Return a client on the application."""
    app: Any = application(make_app(claims=[SecondFactor]))
    return TestClient(app, base_url=API)


def test_the_auth_api_is_served(client: TestClient) -> None:
    """Sign-up is answered by the middleware, whose tokens Quart's routes accept."""
    made = client.post("/auth/signup", json=form(email="ann@example.com", password="correct horse 1"))
    assert made.json()["status"] == "OK"
    headers = {"authorization": f"Bearer {made.headers['st-access-token']}"}
    assert client.get("/me", headers=headers).json() == {"userId": made.json()["user"]["id"]}


def test_a_decorator_guards_views(client: TestClient) -> None:
    """The decorator refuses with the standard answers, and tokens travel with what a view returns."""
    refused = client.get("/me")
    assert (refused.status_code, refused.json()) == (401, {"message": "unauthorised"})
    client.post("/create", headers={"st-auth-mode": "cookie"})
    assert client.get("/me").json() == {"userId": "u1"}
    assert client.get("/second").status_code == 403
    completed = client.post("/complete")
    assert completed.json() == {"status": "OK"}
    assert completed.headers["front-token"]
    assert client.get("/second").json() == {"status": "OK"}


def test_websockets(client: TestClient) -> None:
    """A websocket demands its session before it is accepted."""
    token = client.post("/create").headers["st-access-token"]
    with client.websocket_connect("/ws", headers={"authorization": f"Bearer {token}"}) as opened:
        assert opened.receive_text() == "u1"
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/ws"):
        pass
    assert denied.value.status_code == 401


def test_cors_stands_outside(make_app: Make) -> None:
    """Starlette's CORSMiddleware around the ASGI side lets a page of the website ask first, and read refusals."""
    app: Any = application(make_app(claims=[SecondFactor]))
    app.asgi_app = CORSMiddleware(
        app.asgi_app,
        allow_origins=[WEBSITE],
        allow_credentials=True,
        allow_methods=["GET", "POST"],
        allow_headers=HEADERS,
    )
    may_use(TestClient(app, base_url=API))
