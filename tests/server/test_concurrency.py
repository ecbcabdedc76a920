"""The synchronous API where many things run at once: event loops, greenlets, threads, and processes that fork."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path

import pytest
import uvloop

from coatcheck import App, RecipeUserId, blocking
from coatcheck.recipes import session
from coatcheck.recipes.session import SessionContainer

from ..kit import LIMIT_S, awaited, python

HERE = Path(__file__).parent


def test_the_sync_api_inside_a_running_uvloop(make_app: Callable[..., App], tmp_path: Path) -> None:
    """Plain calls work on a thread that runs uvloop, which runs on undisturbed, and beside awaited ones."""

    def doing(user: str) -> SessionContainer:
        made = session.sync.create_new_session_without_request_response("public", RecipeUserId(user))
        made.sync.merge_into_access_token_payload({"user": user})
        return made

    async def awaiting(user: str) -> str:
        made = await session.create_new_session_without_request_response("public", RecipeUserId(user))
        handle = made.get_handle()
        assert await blocking(session.sync.get_session_information, handle) is not None
        return handle

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, uvloop.Loop)
        ticked = asyncio.Event()
        loop.call_soon(ticked.set)
        others = [asyncio.ensure_future(awaiting(f"a{number}")) for number in range(5)]
        for number in range(5):
            assert doing(f"s{number}").get_access_token_payload()["user"] == f"s{number}"
            assert asyncio.get_running_loop() is loop
            await asyncio.sleep(0)
        assert len(set(await asyncio.gather(*others))) == 5
        await ticked.wait()

    with make_app(database=f"sqlite:///{tmp_path / 'd.db'}").active():
        uvloop.run(main())


@pytest.mark.slow
def test_parallel_requests_under_gevent(tmp_path: Path) -> None:
    """Twenty greenlets in the middle of one guarded view each keep their own request, user context and session."""
    ran = python(HERE / "gevent_site.py", tmp_path / "d.db")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["wrong"] == []
    assert told["mixed"] == told["inside"] == 0
    assert told["most"] > 1


@dataclass(frozen=True)
class Forked:
    """A running pre-forking server."""

    port: int
    process_id: int


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    """Run gunicorn with two worker processes of four threads each, the application loaded before the fork."""
    directory = tmp_path_factory.mktemp("forked")
    options = ["--preload", "-w", "2", "--threads", "4", "-b", "127.0.0.1:0"]
    log = directory / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *options, "--chdir", str(HERE), "prefork_site:site"],
            env={**os.environ, "SITE_DATABASE": str(directory / "d.db")},
            stderr=errors,
        )
    try:
        yield Forked(_listening(process, log), process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT_S)


def _listening(process: subprocess.Popen[bytes], log: Path) -> int:
    def port() -> int | None:
        text = log.read_text()
        found = re.search(r"Listening at: http://127.0.0.1:(\d+)", text)
        return int(found[1]) if found and text.count("Booting worker") == 2 else None

    return awaited(port, log, process)


def ask(server: Forked, method: str, path: str, token: str = "") -> tuple[str, Message]:
    """Ask on a connection of its own; return the user id in the answer, and its headers."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)
    with closing(connection):
        connection.request(method, path, headers={"authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        user: str = json.loads(answer.read())["userId"]
        return user, answer.headers


def visit(server: Forked, user: str) -> set[str]:
    """Sign in and ask who one is; return which processes answered."""
    _, made = ask(server, "POST", f"/create/{user}")
    told = [ask(server, "GET", "/me", made["st-access-token"]) for _ in range(3)]
    assert [who for who, _ in told] == [user] * 3
    return {headers["x-process"] for headers in (made, *(headers for _, headers in told))}


@pytest.mark.slow
def test_a_pre_forking_server(forked: Forked) -> None:
    """Keys, connections and loops of the process that forked do no harm: both workers know each other's sessions."""
    processes: set[str] = set()
    for number in range(40):
        processes |= visit(forked, f"f{number}")
        if len(processes) == 2 and number > 3:
            break
    assert len(processes) == 2
    assert str(forked.process_id) not in processes


@pytest.mark.slow
def test_wsgi_threads(forked: Forked) -> None:
    """Requests on parallel threads of one process, and of several, each get their own session."""
    with ThreadPoolExecutor(8) as clients:
        for processes in clients.map(lambda number: visit(forked, f"t{number}"), range(24)):
            assert processes
