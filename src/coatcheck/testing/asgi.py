"""An HTTP transport that calls an ASGI application in this process, without network and without threads.

Around it: the lifespan of the application, and the event loops that run in the thread of the caller.
"""

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
SERVER_ERROR = b"Internal Server Error"


class ASGITransport(httpx2.BaseTransport):
    """Sends each request to an ASGI application and returns its complete answer.

    The application always runs on an event loop of the client, in the calling thread. Its background tasks have ended
    when the answer is there. If `raises` is true, errors of the application are raised here; else the client sees the
    answer of a server. `gateway` is the part of each path that a gateway in front removes. As a context manager, the
    transport runs the lifespan of the application.
    """

    def __init__(self, app: ASGIApp, *, raises: bool = True, gateway: str = "") -> None:
        self.app = app
        self._raises = raises
        self._gateway = gateway
        self._loops = Loops()
        self._lifespan = Lifespan(app, self._loops)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the application's answer; RemoteProtocolError if it is not complete."""
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
        """End the lifespan, if it was started, and close the event loops."""
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
        """Answer as a server does after an error of its application, unless the answer has already started."""
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


class Lifespan:
    """Runs the startup and the shutdown of an application; between them its task waits on a loop of the client.

    `state` holds what the application puts there for its requests. An application without a lifespan works, too.
    """

    def __init__(self, app: ASGIApp, loops: Loops) -> None:
        self._app = app
        self._loops = loops
        self._loop: CallersLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    def start(self) -> None:
        """Run the startup and raise its error."""
        self._loop = loop = self._loops.take()
        try:
            outside_loop(lambda: loop.run_until_complete(self._startup()))
        finally:
            self._loops.put_back(loop)

    def stop(self) -> None:
        """Run the shutdown, if there was a startup, and raise its error."""
        loop, self._loop = self._loop, None
        task, self._task = self._task, None
        if loop is not None and task is not None:
            outside_loop(lambda: loop.run_until_complete(self._shutdown(task)))

    async def _startup(self) -> None:
        self._orders: asyncio.Queue[Message] = asyncio.Queue()
        self._reports: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self._task = task = asyncio.create_task(_call(self._app, scope, self._orders, self._reports))
        report = await self._report_on("lifespan.startup", task)
        if report is None:
            # An application that raises or returns at once has no lifespan (ASGI, Lifespan Protocol).
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
            await task  # most applications raise the error after they have reported it
            raise RuntimeError(f"the application's {order} failed: {report.get('message', '')}")
        return report


async def _call(
    app: ASGIApp, scope: dict[str, Any], orders: asyncio.Queue[Message], reports: asyncio.Queue[Message]
) -> None:
    async def send(message: Message) -> None:
        reports.put_nowait(message)

    await app(scope, orders.get, send)


class Loops:
    """The event loops of one client: a single one, unless several threads use the client at the same time.

    Tasks that an application leaves on a loop continue with the next call, until `close` ends them. The garbage
    collector closes the loops of a client that is not closed.
    """

    def __init__(self) -> None:
        self._all: list[CallersLoop] = []
        self._idle: list[CallersLoop] = []
        self._finalizer = weakref.finalize(self, _close_all, self._all)

    def take(self) -> CallersLoop:
        """Return an idle loop, or a new one; give it back with `put_back`."""
        if self._idle:
            return self._idle.pop()
        self._all.append(CallersLoop())
        return self._all[-1]

    def put_back(self, loop: CallersLoop) -> None:
        """Mark a loop as idle."""
        self._idle.append(loop)

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine to its end in the current context."""
        loop = self.take()
        try:
            return outside_loop(lambda: loop.run_until_complete(coroutine))
        finally:
            self.put_back(loop)

    def close(self) -> None:
        """Cancel the tasks that are left on the loops, and close the loops."""
        while self._all:
            loop = self._all.pop()
            outside_loop(lambda loop=loop: _end_and_close(loop))  # type: ignore[misc]
        self._idle.clear()


def outside_loop(call: Callable[[], R]) -> R:
    """Call a function where no event loop runs: in this thread or, if one runs here, in a new one with this context.

    So synchronous clients work in asynchronous tests, too; the loop of the test waits.
    """
    if asyncio._get_running_loop() is None:
        return call()
    with ThreadPoolExecutor(1, thread_name_prefix="coatcheck-client") as worker:
        return worker.submit(contextvars.copy_context().run, call).result()


def _end_and_close(loop: CallersLoop) -> None:
    try:
        loop.run_until_complete(_end_tasks(loop))
    finally:
        loop.close()


async def _end_tasks(loop: CallersLoop) -> None:
    left = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.gather(*left, return_exceptions=True)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


def _close_all(loops: list[CallersLoop]) -> None:
    for loop in loops:
        loop.close()
