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
    # A client that has a session sends its tokens to every route.
    headers = f"Host: localhost\r\nAuthorization: Bearer {server.token}\r\n\r\n"
    rates: dict[str, list[float]] = {subject: [], yardstick: []}
    for number in range(size.rounds + 1):
        for route in list(rates) if number % 2 else reversed(list(rates)):
            request = f"GET /{route} HTTP/1.1\r\n{headers}".encode()
            rate = asyncio.run(_rate(server.port, request, size.count))
            if number:
                rates[route].append(rate)
    share = statistics.median(a / b for a, b in zip(rates[subject], rates[yardstick], strict=True))
    time_each = statistics.median(1 / rate for rate in rates[subject])
    return share, time_each


async def _rate(port: int, request: bytes, count: int) -> float:
    """Return requests per second over a few connections, each with one request under way at a time."""
    begun = time.perf_counter()
    await asyncio.gather(*(_requests(port, request, count) for _ in range(CONNECTIONS)))
    return CONNECTIONS * count / (time.perf_counter() - begun)


async def _requests(port: int, request: bytes, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the route answered {head!r}")
        length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()
    await writer.wait_closed()


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
