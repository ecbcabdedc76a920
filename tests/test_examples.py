"""The examples do what they say: each is started by its one command, and driven over HTTP."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from .conftest import WEBSITE, form

ROOT = Path(__file__).parents[1]
START_S = 30


@dataclass(frozen=True)
class Example:
    """A file, the arguments it is started with before the port, and whether it answers other origins."""

    file: str
    arguments: tuple[str, ...] = ()
    cors: bool = True


EXAMPLES = [
    Example("fastapi_app.py"),
    Example("starlette_app.py"),
    Example("flask_app.py"),
    Example("django_app.py", ("runserver", "--noreload"), cors=False),
]


@dataclass(frozen=True)
class Running:
    """A running example."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def code(self) -> str:
        """Return the last code that was sent."""
        codes: list[str] = re.findall(r"your code is (\d{6})", self.log.read_text())
        return codes[-1]


def _start(example: Example, directory: Path) -> Running:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = directory / f"{example.file}.log"
    command = [sys.executable, str(ROOT / "examples" / example.file), *example.arguments, str(port)]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=errors)
    return Running(process, port, log)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    """Start every example on a free port; they get ready side by side."""
    directory = tmp_path_factory.mktemp("examples")
    started = {example.file: _start(example, directory) for example in EXAMPLES}
    try:
        yield started
    finally:
        for one in started.values():
            one.process.terminate()
        for one in started.values():
            one.process.wait(START_S)


def _wait_until_ready(started: Running) -> None:
    deadline, pause = time.monotonic() + START_S, threading.Event()
    while time.monotonic() < deadline and started.process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", started.port)) == 0:
                return
        pause.wait(0.02)
    pytest.fail(f"the example did not start:\n{started.log.read_text()}")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.file)
def test_the_second_factor(running: dict[str, Running], example: Example) -> None:
    """Sign up, be refused, be sent a code, mistype it, have another sent, enter it, be let in: over real HTTP."""
    started = running[example.file]
    _wait_until_ready(started)
    with httpx2.Client(base_url=f"http://localhost:{started.port}", timeout=20) as client:
        both_factors(client, started, cors=example.cors)


def both_factors(client: httpx2.Client, started: Running, *, cors: bool) -> None:
    """Go through the whole story."""
    assert client.get("/private").status_code == 401
    mode = {"st-auth-mode": "cookie"}
    fields = form(email="ann@example.com", password="correct horse 1")
    signed_up = client.post("/auth/signup", json=fields, headers=mode).json()
    assert signed_up["status"] == "OK"

    refused = client.get("/private", headers={"origin": WEBSITE})
    assert refused.status_code == 403
    assert refused.json()["claimValidationErrors"] == [
        {"id": "2fa-completed", "reason": {"message": "wrong value", "expectedValue": True, "actualValue": False}}
    ]
    assert refused.headers.get("access-control-allow-origin") == (WEBSITE if cors else None)

    assert client.post("/second-factor/code").json() == {"status": "OK"}
    mistyped = {"code": "wrong"}
    assert client.post("/second-factor", json=mistyped).json() == {"status": "WRONG_CODE_ERROR"}
    assert client.post("/second-factor", json={"code": started.code()}).json() == {"status": "WRONG_CODE_ERROR"}
    assert client.post("/second-factor/code").json() == {"status": "OK"}
    completed = client.post("/second-factor", json={"code": started.code()})
    assert completed.json() == {"status": "OK"}
    assert completed.headers["front-token"]
    assert client.get("/private").json() == {"user": signed_up["user"]["id"]}

    assert client.post("/auth/signin", json=fields, headers=mode).json()["status"] == "OK"
    assert client.get("/private").status_code == 403  # a new session begins with the first factor
