"""An HTTP transport that calls an ASGI application in this process, without a network and without threads."""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

import httpx2
from starlette.types import ASGIApp, Message, Scope

from ..sessions.blocking import CallersLoop
from .unhandled import unhandled

R = TypeVar("R")


class Loops:
    """The event loops of one client: a single one, unless several threads use the client at the same time.

    What an application leaves running on a loop goes on with the next call. `close` ends it; a client that was
    forgotten loses its loops with itself.
    """

    def __init__(self) -> None:
        self._made: list[CallersLoop] = []
        self._idle: list[CallersLoop] = []
        self._forgotten = weakref.finalize(self, _abandon, self._made)

    def take(self) -> CallersLoop:
        """Return a loop that nobody uses now; give it back with `put_back`."""
        if self._idle:
            return self._idle.pop()
        self._made.append(CallersLoop())
        return self._made[-1]

    def put_back(self, loop: CallersLoop) -> None:
        """Say that a loop is free again."""
        self._idle.append(loop)

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine to its end, in the present context."""
        loop = self.take()
        try:
            return apart(lambda: loop.run_until_complete(coroutine))
        finally:
            self.put_back(loop)

    def close(self) -> None:
        """Cancel what is left on the loops, and close them."""
        while self._made:
            loop = self._made.pop()
            apart(lambda loop=loop: _wind_up(loop))  # type: ignore[misc]
        self._idle.clear()


def apart(call: Callable[[], R]) -> R:
    """Call a function where no event loop runs: here, or else in a thread of its own, with the present context.

    So synchronous clients work in asynchronous tests, too; the test's own loop waits meanwhile.
    """
    if asyncio._get_running_loop() is None:
        return call()
    with ThreadPoolExecutor(1, thread_name_prefix="coatcheck-client") as worker:
        return worker.submit(contextvars.copy_context().run, call).result()


def _wind_up(loop: CallersLoop) -> None:
    try:
        loop.run_until_complete(_end(loop))
    finally:
        loop.close()


async def _end(loop: CallersLoop) -> None:
    left = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.gather(*left, return_exceptions=True)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


def _abandon(loops: list[CallersLoop]) -> None:
    for loop in loops:
        loop.close()


class Lifespan:
    """Runs an application's startup and shutdown, between which its task waits on one of the client's loops.

    `state` is what the application left there for its requests. An application that knows no lifespan does without.
    """

    def __init__(self, app: ASGIApp, loops: Loops) -> None:
        self._app = app
        self._loops = loops
        self._loop: CallersLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    def start(self) -> None:
        """Run the startup; its error is raised here."""
        self._loop = loop = self._loops.take()
        try:
            apart(lambda: loop.run_until_complete(self._startup()))
        finally:
            self._loops.put_back(loop)

    def stop(self) -> None:
        """Run the shutdown, if there was a startup; its error is raised here."""
        loop, self._loop = self._loop, None
        task, self._task = self._task, None
        if loop is not None and task is not None:
            apart(lambda: loop.run_until_complete(self._shutdown(task)))

    async def _startup(self) -> None:
        self._orders: asyncio.Queue[Message] = asyncio.Queue()
        self._reports: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self._task = task = asyncio.create_task(_called(self._app, scope, self._orders, self._reports))
        report = await self._report_on("lifespan.startup", task)
        if report is None:
            # An application that raises, or returns, at the very scope knows no lifespan (ASGI, Lifespan Protocol).
            self._task = None
            task.exception()

    async def _shutdown(self, task: asyncio.Task[None]) -> None:
        await self._report_on("lifespan.shutdown", task)
        await task

    async def _report_on(self, order: str, task: asyncio.Task[None]) -> Message | None:
        self._orders.put_nowait({"type": order})
        asking = asyncio.create_task(self._reports.get())
        await asyncio.wait({asking, task}, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            asking.cancel()
            return None
        report = asking.result()
        if report["type"] == f"{order}.failed":
            self._task = None
            await task  # Most raise what went wrong, after they have reported it.
            raise RuntimeError(f"the application's {order} failed: {report.get('message', '')}")
        return report


async def _called(
    app: ASGIApp, scope: dict[str, Any], orders: asyncio.Queue[Message], reports: asyncio.Queue[Message]
) -> None:
    async def send(message: Message) -> None:
        reports.put_nowait(message)

    await app(scope, orders.get, send)


SERVER_ERROR = b"Internal Server Error"


class ASGITransport(httpx2.BaseTransport):
    """Sends each request to an ASGI application and returns its answer once it is complete.

    The application runs on an event loop of the client's own, in the calling thread; only it knows what it awaits, so
    it always gets one. Its background tasks have ended when the answer is there. What it raises is raised here, as
    long as `raises` is true; otherwise the client sees what a server would send. `gateway` is the part of each path
    that a gateway in front takes away. Entered as a context manager, the transport runs the application's lifespan.
    """

    def __init__(self, app: ASGIApp, *, raises: bool = True, gateway: str = "") -> None:
        self.app = app
        self._raises = raises
        self._gateway = gateway
        self._loops = Loops()
        self._lifespan = Lifespan(app, self._loops)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the application's answer; RemoteProtocolError where it breaks off."""
        exchange = _Exchange(self.app, request, self._scope(request))
        with unhandled(self.app, exchange.scope) as errors:
            try:
                self._loops.run(exchange.run())
            except Exception:
                if self._raises:
                    raise
                exchange.fail()
        if errors and self._raises:
            raise errors[0]
        return exchange.response()

    def __enter__(self) -> ASGITransport:
        self._lifespan.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the lifespan, if it was begun, and close the event loop."""
        try:
            self._lifespan.stop()
        finally:
            self._loops.close()

    def _scope(self, request: httpx2.Request) -> Scope:
        url = request.url
        path, raw_path = url.path, url.raw_path.partition(b"?")[0]
        if self._gateway and path.startswith(f"{self._gateway}/"):
            path, raw_path = path.removeprefix(self._gateway), raw_path.removeprefix(self._gateway.encode())
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": path,
            "raw_path": raw_path,
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (url.host, url.port or {"http": 80, "https": 443}[url.scheme]),
            "client": ("127.0.0.1", 50_000),
            "state": self._lifespan.state.copy(),
            "extensions": {},
        }


class _Exchange:
    """One request and its answer, as ASGI messages."""

    def __init__(self, app: ASGIApp, request: httpx2.Request, scope: Scope) -> None:
        self._app = app
        self._request = request
        self.scope = scope
        self._asked = False
        self._ended = asyncio.Event()
        self._start: Message | None = None
        self._body = bytearray()

    async def run(self) -> None:
        await self._app(self.scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._request.read(), "more_body": False}
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind: Any = message["type"]
        if kind == "http.response.start" and self._start is None:
            self._start = message
        elif kind == "http.response.body" and self._start is not None and not self._ended.is_set():
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                self._ended.set()
        else:
            raise RuntimeError(f"the application sent {kind} at a moment when that is not allowed")

    def fail(self) -> None:
        """Answer as a server does whose application has raised, unless it had answered before."""
        if self._start is None:
            self._start = {"status": 500, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}
            self._body += SERVER_ERROR
            self._ended.set()

    def response(self) -> httpx2.Response:
        """Return the whole answer."""
        if self._start is None or not self._ended.is_set():
            raise httpx2.RemoteProtocolError("the application returned before its answer was complete")
        body = b"" if self._request.method == "HEAD" else bytes(self._body)
        headers = list(self._start.get("headers", []))
        return httpx2.Response(self._start["status"], headers=headers, stream=httpx2.ByteStream(body))
