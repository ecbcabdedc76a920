"""What a protected route gets through compared with an unprotected one: uvicorn, real sockets, keep-alive.

Run as a script, this file is the server; the benchmark starts it and drives it from its own process.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import uvicorn
from apps import MEMORY, active_app, new_session
from measure import Size
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from table import Row

from coatcheck.server import create_app
from coatcheck.server.fastapi import verify_session

GROUP = "routes"
CONNECTIONS = 4


def measured(size: Size) -> Iterable[Row]:
    """Yield the rows of this group."""
    with _server() as (port, token):
        headers = {"protected": f"Authorization: Bearer {token}\r\n", "open": ""}
        rates: dict[str, list[float]] = {route: [] for route in headers}
        for number in range(size.rounds + 1):
            for route in list(headers) if number % 2 else reversed(list(headers)):
                request = f"GET /{route} HTTP/1.1\r\nHost: localhost\r\n{headers[route]}\r\n".encode()
                rate = asyncio.run(_rate(port, request, size.count))
                if number:
                    rates[route].append(rate)
    share = statistics.median(a / b for a, b in zip(rates["protected"], rates["open"], strict=True))
    time_each = statistics.median(1 / rate for rate in rates["protected"])
    yield Row(GROUP, "requests per second of a protected route", time_each, share, "an unprotected one", least=0.85)


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
def _server() -> Iterator[tuple[int, str]]:
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port, token = process.stdout.readline().split()
        yield int(port), token
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def _open(_request: Request) -> JSONResponse:
    return JSONResponse({"hello": "world"})


async def _protected(request: Request) -> JSONResponse:
    await verify_session()(request)
    return JSONResponse({"hello": "world"})


def _serve() -> None:
    with active_app(MEMORY) as app, socket.create_server(("127.0.0.1", 0)) as listening:
        served = create_app(app, [Route("/open", _open), Route("/protected", _protected)])
        print(listening.getsockname()[1], new_session().access_token, flush=True)
        config = uvicorn.Config(served, log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    _serve()
