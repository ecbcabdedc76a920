"""The examples do what they say: each is started by the commands it names, and driven over HTTP."""

from __future__ import annotations

import ast
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from ..kit import LIMIT_S, WEBSITE, awaited, form, free_port, python

ROOT = Path(__file__).parents[2]
PORT = "3567"
"""The port in the commands, in whose place each gets a free one."""

SERVERS = ("python", "uvicorn", "gunicorn", "waitress-serve")
DOCTOR = """
import sys
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.server.cli import run
for target in sys.argv[1:]:
    set_default_services(None)
    print(f"{target}: {run(['doctor', '--recipes', target])}")
"""
"""Runs the command for each application: in one interpreter, as starting takes longer than all that it does."""


@dataclass(frozen=True)
class Example:
    """A file, the application in it, and whether it answers other origins."""

    file: str
    application: str = "api"
    cors: bool = True

    @property
    def target(self) -> str:
        """What servers and the doctor call the application."""
        return f"examples.{self.file.removesuffix('.py')}:{self.application}"

    def commands(self) -> list[list[str]]:
        """Return the commands that start it, as its docstring names them."""
        said = ast.get_docstring(ast.parse((ROOT / "examples" / self.file).read_text()))
        lines = [shlex.split(line, comments=True) for line in (said or "").partition("any of these")[2].splitlines()]
        return [words for words in lines if words and words[0] in SERVERS]


EXAMPLES = [
    Example("fastapi_app.py"),
    Example("starlette_app.py"),
    Example("flask_app.py"),
    Example("django_app.py", "wsgi", cors=False),
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


def _run(words: list[str], log: Path, **variables: str) -> subprocess.Popen[bytes]:
    """Run a command where the examples are, as one who has installed coatcheck does."""
    beside = Path(sys.executable).parent
    program = [sys.executable] if words[0] == "python" else [sys.executable, str(beside / words[0])]
    environment = {**os.environ, **variables}
    with log.open("wb") as said:
        return subprocess.Popen([*program, *words[1:]], cwd=ROOT, env=environment, stdout=said, stderr=said)


def _start(words: list[str], log: Path) -> Running:
    port = free_port()
    return Running(_run([word.replace(PORT, str(port)) for word in words], log, PORT=str(port)), port, log)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Running]]]:
    """Start every example by each of its commands, on free ports; they get ready side by side."""
    directory = tmp_path_factory.mktemp("examples")
    started = {
        example.file: [
            _start(words, directory / f"{example.file}.{number}") for number, words in enumerate(example.commands())
        ]
        for example in EXAMPLES
    }
    processes = [one.process for each in started.values() for one in each]
    try:
        yield started
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(LIMIT_S)


def _wait_until_ready(started: Running) -> None:
    def listening() -> bool | None:
        with closing(socket.socket()) as probe:
            return True if probe.connect_ex(("127.0.0.1", started.port)) == 0 else None

    awaited(listening, started.log, started.process)


def _client(started: Running) -> httpx2.Client:
    _wait_until_ready(started)
    return httpx2.Client(base_url=f"http://localhost:{started.port}", timeout=LIMIT_S)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.file)
def test_the_second_factor(running: dict[str, list[Running]], example: Example) -> None:
    """Sign up, be refused, be sent a code, mistype it, have another sent, enter it, be let in: over real HTTP."""
    first, *_ = running[example.file]
    with _client(first) as client:
        both_factors(client, first, cors=example.cors)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.file)
def test_every_command_that_it_names_serves_it(running: dict[str, list[Running]], example: Example) -> None:
    """Under its own server and under others, the auth API answers and the protected route refuses."""
    _, *others = running[example.file]
    assert others
    for started in others:
        with _client(started) as client:
            assert client.get("/private").status_code == 401
            assert client.post("/auth/signin", json=form(email="ann@example.com", password="x")).status_code == 200


@pytest.mark.slow
def test_the_doctor_finds_no_errors() -> None:
    """`coatcheck doctor --recipes` on the application of each example ends without an error."""
    targets = [example.target for example in EXAMPLES]
    ran = python("-c", DOCTOR, *targets, cwd=ROOT)
    codes = [line for line in ran.stdout.splitlines() if line.startswith("examples.")]
    assert codes == [f"{target}: 0" for target in targets], ran.stdout + ran.stderr
    assert ran.stderr == ""


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


APPLICATION = ROOT / "examples" / "sdk_app"


def imported(path: Path) -> set[str]:
    """Return the packages that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


def test_the_application_knows_the_sdk_only() -> None:
    """Not a line of it mentions coatcheck."""
    files = list(APPLICATION.glob("*.py"))
    assert len(files) == 3
    for path in files:
        assert "supertokens_python" in imported(path)
        assert "coatcheck" not in path.read_text()


@pytest.mark.slow
def test_its_own_tests_pass_under_the_shim() -> None:
    """`python -m coatcheck.shim pytest` runs them all, with warnings as errors."""
    result = subprocess.run(
        [sys.executable, "-m", "coatcheck.shim", "pytest", "examples/sdk_app", "-q", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert "10 passed" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0
