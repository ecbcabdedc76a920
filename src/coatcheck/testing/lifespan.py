"""The lifespan of an ASGI application: what it does when a server starts, and when it stops."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message

from ..sessions.blocking import CallersLoop
from .loop import Loops, apart


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
