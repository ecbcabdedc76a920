"""The middleware beside others, around whole applications, and around mounted ones."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, Router
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from coatcheck import RecipeUserId
from coatcheck.recipes import session
from coatcheck.server.asgi import AuthMiddleware

from ..kit import Make, Wire
from .asgi_site import ROUTES, demand, served


def test_lifespan_passes(make_app: Make) -> None:
    """Start-up and shut-down reach the application, and what it keeps in its state reaches its requests."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, str]]:
        events.append("up")
        yield {"kept": "since start-up"}
        events.append("down")

    async def kept(request: Request) -> Response:
        return PlainTextResponse(request.state.kept)

    asgi = Starlette(
        routes=[Route("/", kept)], lifespan=lifespan, middleware=[Middleware(AuthMiddleware, coatcheck=make_app())]
    )
    with TestClient(asgi) as client:
        assert client.get("/").text == "since start-up"
    assert events == ["up", "down"]


class Passing(BaseHTTPMiddleware):
    """A middleware that does nothing but be one of Starlette's."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Pass on."""
        response = await call_next(request)
        response.headers["x-passed"] = "yes"
        return response


class Guarding(BaseHTTPMiddleware):
    """A middleware that demands a session for everything but signing in."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Pass on who is signed in."""
        if request.url.path != "/create":
            await demand(request)
        return await call_next(request)


@pytest.mark.parametrize("place", ["outside", "inside"])
def test_beside_a_base_http_middleware(make_app: Make, place: str) -> None:
    """Starlette's BaseHTTPMiddleware may stand outside or inside: tokens, errors and streams pass through both."""

    async def stream(request: Request) -> Response:
        await (await demand(request)).merge_into_access_token_payload({"k": 1})
        return StreamingResponse(iter([b"a", b"b"]))

    client = TestClient(served(make_app(), [Route("/stream", stream)], **{place: [Middleware(Passing)]}))
    assert client.get("/me").json() == {"message": "unauthorised"}
    made = client.post("/create")
    assert made.headers["x-passed"] == "yes"
    headers = {"authorization": f"Bearer {made.headers['st-access-token']}"}
    assert client.get("/me", headers=headers).json() == {"userId": "u1"}
    streamed = client.get("/stream", headers=headers)
    assert streamed.text == "ab"
    assert streamed.headers["st-access-token"]


def test_a_base_http_middleware_may_demand_a_session(make_app: Make) -> None:
    """A guard in a middleware further in refuses, and the endpoint behind it finds the session it verified."""

    async def found(request: Request) -> Response:
        return PlainTextResponse(request.state.supertokens.get_user_id())

    client = TestClient(served(make_app(), [Route("/found", found)], inside=[Middleware(Guarding)]))
    assert client.get("/found").status_code == 401
    token = client.post("/create").headers["st-access-token"]
    assert client.get("/found", headers={"authorization": f"Bearer {token}"}).text == "u1"


@pytest.mark.parametrize("place", ["outside", "inside"])
def test_beside_gzip(make_app: Make, place: str) -> None:
    """Compressed answers carry tokens, whichever of the two stands outside."""

    async def long(request: Request) -> Response:
        await session.create_new_session(request, "public", RecipeUserId("u1"))
        return PlainTextResponse("x" * 5000)

    async def scenario() -> Wire:
        asgi = served(make_app(), [Route("/long", long)], **{place: [Middleware(GZipMiddleware)]})
        return await Wire("/long", headers={"accept-encoding": "gzip"}).run(asgi)

    wire = asyncio.run(scenario())
    assert wire.response_headers["content-encoding"] == "gzip"
    assert wire.response_headers["st-access-token"]
    assert gzip.decompress(wire.body) == b"x" * 5000


def test_mounted_applications_and_routers(make_app: Make) -> None:
    """One middleware around everything serves mounted applications, with error handling of their own, and routers."""
    inner = [
        Mount("/app", Starlette(routes=[*ROUTES])),
        Mount("/router", Router(routes=[*ROUTES])),
        Mount("/routes", routes=[Mount("/deeper", routes=[*ROUTES])]),
    ]
    client = TestClient(served(make_app(), [*inner]))
    for place in ("/app", "/router", "/routes/deeper"):
        refused = client.get(f"{place}/me")
        assert (refused.status_code, refused.json()) == (401, {"message": "unauthorised"})
        made = client.post(f"{place}/create")
        headers = {"authorization": f"Bearer {made.headers['st-access-token']}"}
        assert client.get(f"{place}/me", headers=headers).json() == {"userId": "u1"}
        assert client.post(f"{place}/change", headers=headers).headers["st-access-token"]


def test_around_a_whole_application(make_app: Make) -> None:
    """Wrapped around an application that answers errors itself, the middleware still answers those that are ours."""
    errors: dict[str, Exception] = {
        "/ours": session.exceptions.UnauthorisedError("x"),
        "/theirs": RuntimeError("theirs"),
    }

    async def endpoint(request: Request) -> Response:
        raise errors[request.url.path]

    async def page(_request: Request, error: Exception) -> Response:
        return PlainTextResponse("our house style", 500)

    routes = [Route(path, endpoint) for path in errors]
    asgi = AuthMiddleware(Starlette(routes=routes, exception_handlers={Exception: page}), make_app())
    client = TestClient(asgi, raise_server_exceptions=False)
    refused, failed = client.get("/ours"), client.get("/theirs")
    assert (refused.status_code, refused.json()) == (401, {"message": "unauthorised"})
    assert refused.headers["front-token"] == "remove"
    assert (failed.status_code, failed.text) == (500, "our house style")
    with pytest.raises(RuntimeError, match="theirs"):
        TestClient(asgi).get("/theirs")


def test_an_applications_own_answer_to_a_session_error_stands(make_app: Make) -> None:
    """An application that handles the error itself, by a redirection or otherwise, is not corrected."""

    async def to_sign_in(_request: Request, _error: Exception) -> Response:
        return PlainTextResponse("sign in first", 302, {"location": "/sign-in"})

    asgi = served(make_app(), [])
    asgi.add_exception_handler(session.exceptions.SessionError, to_sign_in)
    answer = TestClient(asgi, follow_redirects=False).get("/me")
    assert (answer.status_code, answer.headers["location"]) == (302, "/sign-in")


def test_other_kinds_of_connection_pass_through(make_app: Make) -> None:
    """What is neither HTTP nor a websocket is none of the middleware's business."""
    seen: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    asyncio.run(Wire(kind="x-other").run(AuthMiddleware(application, make_app())))
    assert seen == ["x-other"]
