"""What a protected route gets through compared with an unprotected one: real servers and sockets, keep-alive."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from measure import Size
from table import Row

GROUP = "routes"
SERVER = Path(__file__).with_name("served.py")
CONNECTIONS = 4
"""Each has one request under way at a time."""
TURN = 20
"""How many requests each sends before it is the other route's turn."""
FRAMEWORKS: dict[str, float | None] = {
    "starlette": 0.85,
    "fastapi": 0.85,
    "flask": None,
    "django-wsgi": None,
    "django-asgi": None,
    "django-rest": None,
}
"""The share of an unprotected route's throughput that is demanded, None where it is only stated."""


class Server(NamedTuple):
    """A running server: its port, and an access token that it accepts."""

    port: int
    token: str


def measured(size: Size) -> Iterable[Row]:
    """Yield the rows of this group."""
    with _servers() as servers:
        for framework, least in FRAMEWORKS.items():
            share, time_each = _share(servers[framework], "protected", "open", size)
            what = f"a protected route's requests, {framework}"
            yield Row(GROUP, what, time_each, share, "an unprotected one", least=least)
        share, time_each = _share(servers["fastapi"], "protected", "depending", size)
        yield Row(GROUP, "the same, fastapi", time_each, share, "one with an empty dependency")


def _share(server: Server, subject: str, yardstick: str, size: Size) -> tuple[float, float]:
    """Return the throughput of a route as a share of another's, and its time per request in seconds."""
    return asyncio.run(_compared(server, subject, yardstick, size))


async def _compared(server: Server, subject: str, yardstick: str, size: Size) -> tuple[float, float]:
    # A client that has a session sends its tokens to every route.
    headers = f"Host: localhost\r\nAuthorization: Bearer {server.token}\r\n\r\n"
    requests = {route: f"GET /{route} HTTP/1.1\r\n{headers}".encode() for route in (subject, yardstick)}
    connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(CONNECTIONS)]
    times: dict[str, list[float]] = {route: [] for route in requests}
    # Short turns on connections that stay: the machine's speed drifts, and is to be the same for both.
    for number in range(max(1, size.rounds * size.count // TURN) + 1):
        for route in list(requests) if number % 2 else reversed(list(requests)):
            begun = time.perf_counter()
            await asyncio.gather(*(_requests(*connection, requests[route]) for connection in connections))
            if number:
                times[route].append((time.perf_counter() - begun) / (CONNECTIONS * TURN))
    for _, writer in connections:
        writer.close()
        await writer.wait_closed()
    share = statistics.median(b / a for a, b in zip(times[subject], times[yardstick], strict=True))
    return share, statistics.median(times[subject])


async def _requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    for _ in range(TURN):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the route answered {head!r}")
        length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
        await reader.readexactly(int(length))


@contextmanager
def _servers() -> Iterator[dict[str, Server]]:
    """Have a server for each framework; all but the one that is measured are idle."""
    command = [sys.executable, SERVER, *FRAMEWORKS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready = [process.stdout.readline().split() for _ in FRAMEWORKS]
            yield {framework: Server(int(port), token) for framework, port, token in ready}
        finally:
            process.stdin.close()
