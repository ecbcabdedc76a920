"""The commands on docs/testing.md for tests in any language: typed into a shell, they do what the page says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import httpx2
import pytest

from ...kit import LIMIT_S, awaited, plain_environment

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[3] / "docs" / "testing.md").read_text()
TOKEN = "only-for-my-tests"
FORM = {"formFields": [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]}


def shown(pattern: str) -> str:
    """Return the one passage of the page that is set as commands and matches."""
    (found,) = re.findall(pattern, PAGE, re.DOTALL | re.MULTILINE)
    return dedent(found)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the server as the page does, but on a free port, and yield its address."""
    setting, command, *arguments = shlex.split(shown(r"^ {4}COATCHECK_TESTING_TOKEN=[^\n]*\n"))
    assert (setting, command) == (f"COATCHECK_TESTING_TOKEN={TOKEN}", "coatcheck")
    log = tmp_path_factory.mktemp("page") / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "coatcheck", *arguments],
            cwd=log.parent,
            env=plain_environment(COATCHECK_TESTING_TOKEN=TOKEN, COATCHECK_PORT="0"),
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        yield f"http://localhost:{port_of(process, log)}"
    finally:
        process.terminate()
        process.wait(LIMIT_S)


def port_of(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the log names the port."""
    return awaited(lambda: re.search(r"port (\d+)", log.read_text()), log, process)[1]


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="the page uses bash and curl")
def test_the_commands_of_the_page(url: str) -> None:
    """Every one of them is answered with status OK, and the outbox holds the mail that was asked for."""
    with httpx2.Client(base_url=url, verify=False) as client:
        user_id = client.post("/auth/signup", json=FORM).json()["user"]["id"]
        client.post("/auth/user/password/reset/token", json={"formFields": FORM["formFields"][:1]})
    commands = shown(r"^ {4}testing\(\) \{.*?(?=^\S)")
    script = commands.replace("http://localhost:3567", url).replace("curl -s", "curl --no-progress-meter -w '\\n'")
    environment = {**os.environ, "USER_ID": user_id}
    ran = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=LIMIT_S, env=environment)
    assert ran.returncode == 0, ran.stderr
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(answers) == len(re.findall(r"^testing .*\$base", commands, re.MULTILINE)) == 9
    assert [answer for answer in answers if answer["status"] != "OK"] == []
    clock, later, set_to, outbox, *_others, revoked = answers
    assert later["now_ms"] == clock["now_ms"] + 3_600_000
    assert f'"now_ms": {set_to["now_ms"]}' in commands
    assert [mail["to"] for mail in outbox["mails"]] == ["ann@example.com"]
    assert outbox["mails"][0]["links"][0]["parameters"]["token"]
    assert revoked["revoked"] == []  # nobody is signed in any more by the time that was set
