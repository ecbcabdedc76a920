"""The middleware leaves responses as they are: background tasks, streams, disconnects; requests side by side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coatcheck import RecipeUserId, get_request_from_user_context
from coatcheck.recipes import session
from coatcheck.recipes.session import InputOverrideConfig, SessionContainer
from coatcheck.recipes.session.config import TransferMethod
from coatcheck.server.asgi import AuthMiddleware, user_context, verify_session

from ..kit import API, DISCONNECT, Make, Wire
from .asgi_site import demand, served, signed_in


def text(message: Message) -> bytes:
    """Return the part of the body in a message."""
    part: bytes = message.get("body", b"")
    return part


# Responses


def test_background_tasks_run_after_the_response(make_app: Make) -> None:
    """A BackgroundTask begins once the response is complete, tokens and all, and may take as long as it likes."""
    order: list[str] = []

    async def endpoint(request: Request) -> Response:
        await session.create_new_session(request, "public", RecipeUserId("u1"))
        return PlainTextResponse("x", background=BackgroundTask(task))

    async def task() -> None:
        order.append("task")

    async def heard(message: Message) -> None:
        order.append(message["type"])

    async def scenario() -> None:
        wire = await Wire(heard=heard).run(served(make_app(), [Route("/", endpoint)]))
        assert wire.response_headers["st-access-token"]

    asyncio.run(scenario())
    assert order == ["http.response.start", "http.response.body", "task"]


@pytest.mark.parametrize("media_type", ["text/plain", "text/event-stream"])
def test_streams_are_not_buffered(make_app: Make, media_type: str) -> None:
    """Each chunk of a stream, server-sent events among them, is with the client before the next one is made."""
    arrived: list[bytes] = []

    async def scenario() -> Wire:
        received = asyncio.Event()

        async def chunks() -> AsyncIterator[bytes]:
            for number in range(3):
                yield f"data: {number}\n\n".encode()
                await received.wait()
                received.clear()

        async def endpoint(request: Request) -> Response:
            await (await demand(request)).merge_into_access_token_payload({"streamed": True})
            return StreamingResponse(chunks(), media_type=media_type)

        async def heard(message: Message) -> None:
            if text(message):
                arrived.append(text(message))
                received.set()

        asgi = served(make_app(), [Route("/", endpoint)])
        return await Wire(headers=await signed_in(asgi), heard=heard).run(asgi)

    wire = asyncio.run(scenario())
    assert arrived == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]
    assert wire.response_headers["st-access-token"]


def test_disconnects_are_seen(make_app: Make) -> None:
    """An endpoint that waits for the client to go away is told so."""
    seen: list[Message] = []

    async def endpoint(request: Request) -> Response:
        await request.body()
        seen.append(await request.receive())
        return PlainTextResponse("nobody reads this")

    async def scenario() -> None:
        wire = Wire()
        async with asyncio.TaskGroup() as group:
            group.create_task(wire.run(served(make_app(), [Route("/", endpoint)])))
            wire.hang_up()

    asyncio.run(scenario())
    assert seen == [DISCONNECT]


def test_a_disconnect_ends_a_stream(make_app: Make) -> None:
    """A stream without end is cancelled when its client goes away."""
    ended: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0)
        finally:
            ended.append("cancelled")

    async def endpoint(_request: Request) -> Response:
        return StreamingResponse(endless())

    async def scenario() -> None:
        wire = Wire()

        async def heard(_message: Message) -> None:
            if len(wire.messages) == 5:
                wire.hang_up()

        wire.heard = heard
        await wire.run(served(make_app(), [Route("/", endpoint)]))

    asyncio.run(scenario())
    assert ended == ["cancelled"]


def test_a_mail_is_sent_though_the_client_left_before_the_answer(make_app: Make) -> None:
    """Servers may raise an OSError where nobody is left to be answered; what was to be done afterwards is done."""
    app = make_app()

    async def asked(path: str, heard: Callable[[Message], Awaitable[object]] | None = None) -> None:
        fields = [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]
        body = json.dumps({"formFields": fields if path == "/auth/signup" else fields[:1]}).encode()
        said: list[Message] = [{"type": "http.request", "body": body}]
        await Wire(path, method="POST", said=said, heard=heard).run(served(app, []))

    async def gone(_message: Message) -> None:
        raise OSError("connection lost")

    asyncio.run(asked("/auth/signup"))
    with pytest.raises(OSError, match="connection lost"):
        asyncio.run(asked("/auth/user/password/reset/token", gone))
    assert [mail.to for mail in app.outbox.mails] == ["ann@example.com"]


def test_tokens_reach_the_client_with_the_applications_own_response(make_app: Make) -> None:
    """A response object that the application made itself, before the change, carries the new tokens."""
    client = TestClient(served(make_app(), []))
    token = client.post("/create").headers["st-access-token"]
    answer = client.post("/change", headers={"authorization": f"Bearer {token}"})
    assert (answer.text, answer.headers["x-own"]) == ("done", "yes")
    assert answer.headers["st-access-token"] != token


def test_a_message_that_everybody_is_sent_keeps_no_tokens(make_app: Make) -> None:
    """An application that sends the same start message each time does not send one user's tokens to the next."""
    start: Message = {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"yes")]}

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/in":
            await session.create_new_session(Request(scope), "public", RecipeUserId("u1"))
        await send(start)
        await send({"type": "http.response.body"})

    async def scenario() -> tuple[Wire, Wire]:
        asgi = AuthMiddleware(application, make_app())
        return await Wire("/in").run(asgi), await Wire("/").run(asgi)

    first, second = asyncio.run(scenario())
    assert first.response_headers["st-access-token"]
    assert second.messages[0]["headers"] == [(b"x-own", b"yes")]


def test_early_hints_carry_no_tokens(make_app: Make) -> None:
    """What is sent before the answer passes as it is; the tokens are the answer's."""
    hint: Message = {"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]}

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await session.create_new_session(Request(scope), "public", RecipeUserId("u1"))
        await send(hint)
        await PlainTextResponse("x")(scope, receive, send)

    wire = asyncio.run(Wire().run(AuthMiddleware(application, make_app())))
    assert wire.messages[0] == {"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]}
    assert b"st-access-token" in dict(wire.messages[1]["headers"])


def test_an_answer_without_headers_gets_tokens_too(make_app: Make) -> None:
    """A start message may leave its headers out; the tokens are its first."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await session.create_new_session(Request(scope), "public", RecipeUserId("u1"))
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    wire = asyncio.run(Wire().run(AuthMiddleware(application, make_app())))
    assert wire.response_headers["st-access-token"]


def test_an_error_after_the_response_began_passes_through(make_app: Make) -> None:
    """What is already being answered is not answered a second time."""

    async def endpoint(request: Request) -> Response:
        async def broken() -> AsyncIterator[bytes]:
            yield b"x"
            raise session.exceptions.UnauthorisedError("too late")

        return StreamingResponse(broken())

    async def scenario() -> None:
        wire = Wire()
        with pytest.raises(session.exceptions.UnauthorisedError, match="too late"):
            await wire.run(served(make_app(), [Route("/", endpoint)]))
        assert [message["type"] for message in wire.messages] == ["http.response.start", "http.response.body"]

    asyncio.run(scenario())


class BrokenError(Exception):
    """What an endpoint of the application's raises."""


def test_an_error_after_a_token_change_reaches_the_server(make_app: Make) -> None:
    """The answer to an unexpected error carries the tokens, and the server is told of the error all the same."""

    async def endpoint(request: Request) -> Response:
        await session.create_new_session(request, "public", RecipeUserId("u1"))
        raise BrokenError

    asgi = served(make_app(), [Route("/", endpoint)])
    with pytest.raises(BrokenError):
        TestClient(asgi).get("/")
    answer = TestClient(asgi, raise_server_exceptions=False).get("/")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert answer.headers["st-access-token"]


# What an application asks for


@pytest.mark.parametrize("method", ["cookie", "header"])
def test_a_session_is_attached_to_a_request(make_app: Make, method: TransferMethod) -> None:
    """A session made without a request becomes the request's, and its tokens travel with the response as told."""

    async def endpoint(request: Request) -> Response:
        made = await session.create_new_session_without_request_response("public", RecipeUserId("ann"))
        await made.attach_to_request_response(request, method)
        return PlainTextResponse(request.state.supertokens.get_user_id())

    client = TestClient(served(make_app(), [Route("/attach", endpoint, methods=["POST"])]), base_url=API)
    attached = client.post("/attach")
    assert attached.text == "ann"
    assert attached.headers["front-token"]
    token = attached.headers.get("st-access-token")
    assert set(client.cookies) == ({"sAccessToken", "sRefreshToken"} if method == "cookie" else set())
    assert (token is None) == (method == "cookie")
    bearer = {} if token is None else {"authorization": f"Bearer {token}"}
    assert client.get("/me", headers=bearer).json() == {"userId": "ann"}


class Hook:
    """A middleware of an application's own that says in the user context who it is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            user_context(Request(scope)).setdefault("hooks", []).append(scope["path"])
        await self.app(scope, receive, send)


def test_the_user_context_is_shared(make_app: Make) -> None:
    """Middlewares outside and inside, what the guard calls and the endpoint have one user context, the request's."""

    def noting(original: session.RecipeInterface) -> session.RecipeInterface:
        verify = original.get_session

        async def get_session(**given: Any) -> SessionContainer | None:
            given["user_context"]["hooks"].append("guard")
            return await verify(**given)

        original.get_session = get_session  # type: ignore[assignment, method-assign]
        return original

    welcome = verify_session(session_required=False)

    async def endpoint(request: Request) -> Response:
        await welcome(request)
        return JSONResponse(user_context(request)["hooks"])

    app = make_app(override=InputOverrideConfig(functions=noting))
    routes = [Mount("/below", routes=[Route("/x", endpoint)]), Route("/{name}", endpoint)]
    hook = [Middleware(Hook)]
    client = TestClient(served(app, [*routes], outside=hook, inside=hook))
    for path in ("/a", "/b", "/below/x"):
        assert client.get(path).json() == [path, path, "guard"]


# Requests side by side


def test_overlapping_requests_of_one_route_have_contexts_of_their_own(make_app: Make) -> None:
    """Two requests inside one guarded route at the same time each see their own request and their own entries."""
    seen: list[tuple[str, str]] = []

    async def scenario() -> None:
        both_inside = asyncio.Barrier(2)

        def override(original: session.RecipeInterface) -> session.RecipeInterface:
            verify = original.get_session

            async def get_session(**given: Any) -> SessionContainer | None:
                context = given["user_context"]
                request = get_request_from_user_context(context)
                assert request is not None
                context["mine"] = request.headers["x-name"]
                await both_inside.wait()
                after = get_request_from_user_context(context)
                assert after is not None
                assert after is request
                seen.append((context["mine"], after.headers["x-name"]))
                return await verify(**given)

            original.get_session = get_session  # type: ignore[assignment, method-assign]
            return original

        asgi = served(make_app(override=InputOverrideConfig(functions=override)), [Route("/shared", shared)])
        headers = await signed_in(asgi)
        answers = await asyncio.gather(
            *(Wire("/shared", headers={**headers, "x-name": name}).run(asgi) for name in ("ann", "bob"))
        )
        assert [wire.status for wire in answers] == [200, 200]

    given = {"of the route": True}
    guard = verify_session(user_context=given)

    async def shared(request: Request) -> Response:
        await guard(request)
        return PlainTextResponse("in")

    asyncio.run(scenario())
    assert sorted(seen) == [("ann", "ann"), ("bob", "bob")]
    assert given == {"of the route": True}


def test_two_tabs_refresh_at_once(make_app: Make) -> None:
    """Two tabs that refresh with one token at the same moment get one successor, and both stay signed in."""

    async def scenario() -> None:
        asgi = served(make_app(), [])
        first = await Wire("/create", method="POST").run(asgi)
        refresh = {"authorization": f"Bearer {first.response_headers['st-refresh-token']}"}
        tabs = await asyncio.gather(
            *(Wire("/auth/session/refresh", method="POST", headers=refresh).run(asgi) for _ in range(2))
        )
        assert len({tab.response_headers["st-refresh-token"] for tab in tabs}) == 1
        for tab in tabs:
            token = tab.response_headers["st-access-token"]
            answer = await Wire("/me", headers={"authorization": f"Bearer {token}"}).run(asgi)
            assert (answer.status, answer.body) == (200, b'{"userId":"u1"}')

    asyncio.run(scenario())
