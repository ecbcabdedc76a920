"""What the test kit costs: a fresh App, a test that signs up, signs in and calls a protected route, a thousand of them.

The yardstick is one `jwt.encode` with RS256: such a test cannot do without two signatures.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from measure import Contender, Size, race, ratio, seconds
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from table import Row

from coatcheck import App
from coatcheck.recipes import session
from coatcheck.server import create_app
from coatcheck.testing import client, make_app, sign_in

GROUP = "kit"
ENCODE = "jwt.encode"
FRESH, MINTED = "a fresh App", "a fresh App and a minted session"
JOURNEY, BY_HAND = "sign-up, sign-in, protected call", "the same, ASGI messages by hand"
TARGETS = {FRESH: 4.0, JOURNEY: 15.0, BY_HAND: 15.0}
LOOP_S = 0.005
UNUSED = "the plugin, in a pytest run that does not use it"
UNUSED_S = 0.020
THOUSAND = 1_000
LONGEST_S = 10.0

FORM = {"formFields": [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]}
BODY = json.dumps(FORM).encode()
HERE = Path(__file__).parent

SUITE = """
import sys
sys.path.insert(0, {folder!r})
import pytest
from kit import signs_in

@pytest.mark.parametrize("number", range({count}))
def test_signing_in(coatcheck_app, number):
    signs_in(coatcheck_app)
"""


async def me(request: Request) -> Response:
    """Tell whose session it is."""
    found = await session.get_session(request)
    return JSONResponse({"user": None if found is None else found.user_id})


def signs_in(app: App) -> None:
    """Do what a typical test does."""
    browser = client(create_app(app, [Route("/me", me)]), coatcheck=app)
    assert browser.post("/auth/signup", json=FORM).json()["status"] == "OK"
    assert browser.post("/auth/signin", json=FORM).json()["status"] == "OK"
    assert browser.get("/me").status_code == 200
    browser.close()


async def signs_in_by_hand(app: App) -> None:
    """Do the same without a client: what is left is the application's own time."""
    served = create_app(app, [Route("/me", me)])
    await _asked(served, "POST", "/auth/signup", BODY)
    headers = await _asked(served, "POST", "/auth/signin", BODY)
    await _asked(served, "GET", "/me", b"", (b"authorization", b"Bearer " + headers[b"st-access-token"]))


async def _asked(served: Any, method: str, path: str, body: bytes, *more: tuple[bytes, bytes]) -> dict[bytes, bytes]:
    """Send one request in header mode and return the headers of its answer."""
    headers = [
        (b"host", b"localhost:3567"),
        (b"content-type", b"application/json"),
        (b"st-auth-mode", b"header"),
        *more,
    ]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "scheme": "http",
        "server": ("localhost", 3567),
        "headers": headers,
        "state": {},
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await served(scope, receive, send)
    assert sent[0]["status"] == 200
    assert b"null" not in sent[1]["body"]
    return dict(sent[0]["headers"])


def measured(size: Size) -> Iterable[Row]:
    """Yield the rows of this group."""
    yield from _loops(size)
    yield _unused(size.rounds)
    yield _whole_run(size.count * 5)


def _loops(size: Size) -> Iterable[Row]:
    contenders = {
        ENCODE: Contender(_encoding(), size.slow),
        FRESH: Contender(_with_app(lambda app: None), size.slow),
        MINTED: Contender(_with_app(lambda app: sign_in(app, "ann@example.com")), size.slow),
        JOURNEY: Contender(_with_app(signs_in), size.slow),
        BY_HAND: Contender(_with_app(lambda app: loop.run_until_complete(signs_in_by_hand(app))), size.slow),
    }
    with closing(asyncio.new_event_loop()) as loop:
        laps = race(contenders, rounds=size.rounds)
    for name in (FRESH, MINTED, JOURNEY, BY_HAND):
        yield Row(GROUP, name, seconds(laps, name), ratio(laps, name, ENCODE), ENCODE, most=TARGETS.get(name))
    for name in (JOURNEY, BY_HAND):
        yield Row(GROUP, f"{name}: the time itself", seconds(laps, name), most=LOOP_S)


def _with_app(act: Any) -> Any:
    def run(_: object) -> None:
        with make_app() as app:
            act(app)

    return run


def _encoding() -> Any:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    payload = {"sub": "user", "filling": secrets.token_urlsafe(300)}
    return lambda _: jwt.encode(payload, key, algorithm="RS256")


def _unused(rounds: int) -> Row:
    """Return what the plugin adds to a run of one trivial test: the median of the differences of runs in turns."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_trivial.py").write_text("def test_nothing():\n    pass\n")
        without = ("-p", "no:coatcheck")
        _pytest(folder)
        _pytest(folder, *without)
        differences = []
        for number in range(rounds):
            if number % 2:
                taken = _pytest(folder)
                differences.append(taken - _pytest(folder, *without))
            else:
                spared = _pytest(folder, *without)
                differences.append(_pytest(folder) - spared)
    # What a run takes varies by more than the plugin adds, so that a few runs may well say less than nothing.
    return Row(GROUP, UNUSED, max(statistics.median(differences), 0.0), most=UNUSED_S)


def _pytest(folder: str, *options: str, **variables: str) -> float:
    """Run the tests of a folder in an interpreter of its own, and return how many seconds that took."""
    # Python keeps what it has compiled, unless it is told not to.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, folder]
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, env=kept | variables)
    return time.perf_counter() - begun


def _whole_run(count: int) -> Row:
    """Return what pytest takes for so many tests, from its start to its end, in one process.

    Plugins that happen to be installed beside ours are left out: they take a second of their own.
    """
    ours_only = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_kit.py").write_text(SUITE.format(folder=str(HERE), count=count))
        _pytest(folder, "-p", "coatcheck.testing.plugin", "-k", "[0]", **ours_only)  # so that everything is compiled
        taken = _pytest(folder, "-p", "coatcheck.testing.plugin", **ours_only)
    return Row(GROUP, f"{count:,} such tests, all of pytest", taken, most=LONGEST_S if count == THOUSAND else None)
