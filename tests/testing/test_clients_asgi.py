"""The client drives any ASGI application: with an event loop, without a thread, and without leaving anything behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx2
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from coatcheck import App
from coatcheck.claims import ManualClock
from coatcheck.claims.clock import current_clock
from coatcheck.server import create_app
from coatcheck.server.asgi import AuthMiddleware
from coatcheck.testing import client

from ..kit import LIMIT_S, Make

Send = Callable[[Any], Any]
FORM = {"formFields": [{"id": "email", "value": "ada@example.com"}, {"id": "password", "value": "correct horse 1"}]}


@pytest.fixture
def app(make_app: Make) -> App:
    """Return an App."""
    return make_app()


def test_a_def_route_of_fastapi(app: App) -> None:
    """Its thread pool works, and its threads are gone afterwards."""
    api = FastAPI()
    api.add_middleware(AuthMiddleware, coatcheck=app)

    @api.get("/def")
    def in_a_thread() -> str:
        return threading.current_thread().name

    before = set(threading.enumerate())
    with client(api) as one:
        assert one.get("/def").json() != threading.current_thread().name
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_the_app_is_found_in_the_middleware(app: App) -> None:
    """An application that was given its App need not be told twice."""
    api = FastAPI()
    api.add_middleware(AuthMiddleware, coatcheck=app)
    with client(api) as one:
        assert one.post("/auth/signup", json=FORM).json()["status"] == "OK"


def test_the_application_sees_who_asks(app: App) -> None:
    """A request comes from this machine's own address, as the ASGI specification writes it."""

    async def address(request: Request) -> Response:
        assert request.client is not None
        return PlainTextResponse(request.client.host)

    with client(Starlette(routes=[Route("/", address)]), coatcheck=app) as one:
        assert one.get("/").text == "127.0.0.1"


def test_middleware_that_reads_the_response(app: App) -> None:
    """Starlette's BaseHTTPMiddleware, which runs the application in a task of its own."""

    async def shout(request: Request, call_next: Callable[[Request], Any]) -> Response:
        response: Response = await call_next(request)
        response.headers["x-shout"] = "yes"
        return response

    inner = create_app(app, [Route("/", lambda _: PlainTextResponse("quiet"))])
    with client(BaseHTTPMiddleware(inner, dispatch=shout), coatcheck=app) as one:
        assert one.get("/").headers["x-shout"] == "yes"
        assert one.post("/auth/signup", json=FORM).json()["status"] == "OK"


def test_waiting_background_and_streams(app: App) -> None:
    """Whatever the application awaits is awaited; its background work is done when the answer is there."""
    done: list[str] = []

    async def answer(_request: Request) -> Response:
        await asyncio.sleep(0)
        await anyio.to_thread.run_sync(done.append, "thread")
        return Response("ok", background=BackgroundTask(done.append, "background"))

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"a", b"b", b"c"):
            await asyncio.sleep(0)
            yield piece

    async def stream(_request: Request) -> Response:
        return StreamingResponse(pieces())

    with client(create_app(app, [Route("/", answer), Route("/stream", stream)])) as one:
        assert one.get("/").text == "ok"
        assert done == ["thread", "background"]
        assert one.get("/stream").content == b"abc"
        head = one.head("/stream")
        assert (head.status_code, head.content) == (200, b"")


def test_the_loop_is_the_same_for_all_requests(app: App) -> None:
    """So what an application keeps on its loop works from one request to the next, also in other tabs."""
    loops: set[int] = set()

    async def note(_request: Request) -> Response:
        loops.add(id(asyncio.get_running_loop()))
        return Response()

    with client(create_app(app, [Route("/", note)])) as one:
        for tab in (one, one.tab(), one.copy(), one):
            tab.get("/")
    assert len(loops) == 1


def test_what_is_left_running_is_cancelled_at_the_end(app: App) -> None:
    """A task that outlives its request goes on with the next one, and ends with the client."""
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def begin(request: Request) -> Response:
        request.app.state.task = asyncio.create_task(forever())
        return Response()

    one = client(create_app(app, [Route("/", begin)]))
    one.get("/")
    assert not ended
    one.close()
    assert ended == ["cancelled"]


def test_a_client_that_is_forgotten_leaves_nothing_behind(app: App) -> None:
    """Neither a warning nor a loop: tests need not close their clients."""
    one = client(app)
    one.post("/auth/signup", json=FORM)
    del one
    gc.collect()


def test_a_closed_client_refuses_requests(app: App) -> None:
    """As any httpx2 client."""
    one = client(app)
    one.close()
    with pytest.raises(RuntimeError, match="closed"):
        one.get("/")


def test_inside_a_running_event_loop(app: App) -> None:
    """An asynchronous test uses the client like any other; its own loop waits meanwhile."""

    async def asynchronous_test() -> int:
        with client(app) as one:
            return one.post("/auth/signup", json=FORM).status_code

    before = threading.active_count()
    assert asyncio.run(asynchronous_test()) == 200
    assert threading.active_count() == before


def test_several_threads_at_once(app: App) -> None:
    """Each thread that is inside at the same time gets a loop of its own."""
    barrier = threading.Barrier(3)

    async def meet(_request: Request) -> Response:
        barrier.wait(LIMIT_S)
        return Response("met")

    with client(create_app(app, [Route("/", meet)])) as one, ThreadPoolExecutor(3) as threads:
        assert [answer.text for answer in threads.map(lambda _: one.get("/"), range(3))] == ["met"] * 3


# Errors


async def broken(_request: Request) -> Response:
    raise LookupError("in the view")


def test_errors_of_the_application_are_raised(app: App) -> None:
    """A test sees what went wrong, not a page with 500; what the browser knows is not touched."""
    with client(create_app(app, [Route("/", broken)])) as one:
        with pytest.raises(LookupError, match="in the view"):
            one.get("/")
        assert one.get("/healthz").status_code == 200


def test_or_answered_as_a_server_would(app: App) -> None:
    """With `raise_app_exceptions=False`."""
    with client(create_app(app, [Route("/", broken)]), raise_app_exceptions=False) as one:
        answer = one.get("/")
    assert answer.status_code == 500
    assert answer.json() == {"message": "internal server error"}


def test_an_application_without_any_error_handling(app: App) -> None:
    """Where nothing was answered before, the client sees what every server sends."""

    async def bare(scope: Any, receive: Any, send: Send) -> None:
        raise LookupError("bare")

    with client(bare, coatcheck=app, raise_app_exceptions=False) as one:
        assert (one.get("/").status_code, one.get("/").text) == (500, "Internal Server Error")
    with client(bare, coatcheck=app) as one, pytest.raises(LookupError, match="bare"):
        one.get("/")


START = {"type": "http.response.start", "status": 200, "headers": []}
PIECE = {"type": "http.response.body", "body": b"x", "more_body": True}
END = {"type": "http.response.body"}


@pytest.mark.parametrize("messages", [[], [START], [START, PIECE]])
def test_an_answer_that_breaks_off(app: App, messages: list[Any]) -> None:
    """An application that returns too early is a protocol error, as it is behind a server."""

    async def early(scope: Any, receive: Any, send: Send) -> None:
        for message in messages:
            await send(message)

    with client(early, coatcheck=app) as one, pytest.raises(httpx2.RemoteProtocolError):
        one.get("/")


@pytest.mark.parametrize("messages", [[PIECE], [START, START], [START, END, END], [{"type": "http.nonsense"}]])
def test_messages_at_the_wrong_moment(app: App, messages: list[Any]) -> None:
    """They are errors of the application."""

    async def wrong(scope: Any, receive: Any, send: Send) -> None:
        for message in messages:
            await send(message)

    with client(wrong, coatcheck=app) as one, pytest.raises(RuntimeError, match="not allowed"):
        one.get("/")


def test_the_disconnect_comes_after_the_answer(app: App) -> None:
    """Who listens for it during the request waits until the answer is complete."""
    heard: list[str] = []

    async def listening(scope: Any, receive: Any, send: Send) -> None:
        heard.append((await receive())["type"])
        listener = asyncio.create_task(receive())
        await asyncio.sleep(0)
        assert not listener.done()
        for message in (START, END):
            await send(message)
        heard.append((await listener)["type"])

    client(listening, coatcheck=app).get("/")
    assert heard == ["http.request", "http.disconnect"]


def test_the_request_as_the_application_sees_it(app: App, clock: ManualClock) -> None:
    """Scheme, host, path and query are those of the App's API; time is the App's."""

    async def describe(request: Request) -> Response:
        scope = request.scope
        told = [request.base_url, scope["path"], scope["raw_path"].decode(), scope["query_string"].decode()]
        return PlainTextResponse("\n".join(str(part) for part in [*told, current_clock.get().now_ms()]))

    starlette = Starlette(routes=[Route("/{rest:path}", describe)])
    with client(starlette, coatcheck=app) as one:
        told = one.get("/a%20b/c%2Fd", params={"q": "ä"}).text
    seen = ["http://localhost:3567/", "/a b/c/d", "/a%20b/c%2Fd", "q=%C3%A4", str(clock.now_ms())]
    assert told.split("\n") == seen


class Wrapper:
    """A middleware that is called as a plain function, and returns what has to be awaited."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return self.app(scope, receive, send)


def test_a_plain_callable_that_takes_three_is_asgi(app: App) -> None:
    """It need not be a coroutine function itself; a partial one is recognised, too."""

    async def bare(_more: str, scope: Any, receive: Any, send: Send) -> None:
        await Response("bare")(scope, receive, send)

    for application in (Wrapper(create_app(app)), Wrapper(partial(bare, "x")), partial(bare, "x")):
        one = client(application, coatcheck=app)
        assert one.get("/healthz").status_code == 200
        one.close()


def test_starlettes_own_client_stands_for_its_application(app: App) -> None:
    """Whoever has one already can hand it over."""
    with client(TestClient(create_app(app))) as one:
        assert one.get("/healthz").status_code == 200


# Lifespan


def test_the_lifespan_runs_around_the_block(app: App) -> None:
    """Startup and shutdown run where the client is a context manager; what startup left is there in requests."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[dict[str, str]]:
        events.append("up")
        yield {"left": "here"}
        events.append("down")

    async def show(request: Request) -> Response:
        return PlainTextResponse(getattr(request.state, "left", "nothing"))

    starlette = Starlette(routes=[Route("/", show)], lifespan=lifespan)
    with client(starlette, coatcheck=app) as one:
        assert events == ["up"]
        assert one.get("/").text == "here"
        with one.tab() as tab:
            assert tab.get("/").text == "here"
        assert one.get("/").text == "here"
    assert events == ["up", "down"]
    one = client(starlette, coatcheck=app)
    assert one.get("/").text == "nothing"
    one.close()
    assert events == ["up", "down"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lifespan_that_fails(app: App, when: str) -> None:
    """Its own error is raised, at the beginning or at the end of the block."""

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        if when == "before":
            raise LookupError(when)
        yield
        raise LookupError(when)

    with pytest.raises(LookupError, match=when), client(Starlette(lifespan=lifespan), coatcheck=app):
        assert when == "after"


def test_a_lifespan_that_only_reports_failure(app: App) -> None:
    """The report is raised where the application does not raise anything itself."""

    async def reporting(scope: Any, receive: Any, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.failed", "message": "no coffee"})

    with pytest.raises(RuntimeError, match="no coffee"), client(reporting, coatcheck=app):
        pass


@pytest.mark.parametrize("raises", [True, False])
def test_an_application_that_knows_no_lifespan(app: App, raises: bool) -> None:
    """It raises or returns when it sees the scope, and is served without."""

    async def simple(scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            if raises:
                raise LookupError(scope["type"])
            return
        await Response("served")(scope, receive, send)

    with client(simple, coatcheck=app) as one:
        assert one.get("/").text == "served"


def test_a_database_in_a_file(make_app: Make, tmp_path: Path) -> None:
    """Work that would go to worker threads is done in the calling one."""
    app = make_app(database=f"sqlite:///{tmp_path / 'clients.db'}")
    names: set[str] = set()

    async def note(_request: Request) -> Response:
        names.add(await app.on_database_thread(lambda: threading.current_thread().name))
        return Response()

    with client(create_app(app, [Route("/", note)])) as one:
        assert one.post("/auth/signup", json=FORM).json()["status"] == "OK"
        one.get("/")
    assert names == {threading.current_thread().name}
