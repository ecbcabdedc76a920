"""The browser SDK from npm, unmodified, against a real server: in cookie mode, in header mode, with anti-CSRF tokens."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from coatcheck import App, InputAppInfo
from coatcheck.claims import Clock, ManualClock
from coatcheck.recipes import emailpassword, session
from coatcheck.server import create_app
from coatcheck.server.fastapi import verify_session

SCRIPTS = Path(__file__).parent / "browser"
SEED = runpy.run_path(str(Path(__file__).parent / "seed" / "second_factor_claim.py"))
SecondFactorClaim = SEED["SecondFactorClaim"]
WEBSITE = "http://localhost:3000"
INSTALL_S, RUN_S = 180, 60
REFRESHED = "POST /auth/session/refresh 200"
REFRESH_REFUSED = "POST /auth/session/refresh 401"
WRONG_VALUE = {
    "id": "2fa-completed",
    "reason": {"message": "wrong value", "expectedValue": True, "actualValue": False},
}


@dataclass(frozen=True)
class Mode:
    """How the browser carries its tokens, and how the server guards those in cookies."""

    transfer: Literal["cookie", "header"]
    anti_csrf: Literal["NONE", "VIA_TOKEN"] = "NONE"

    def __str__(self) -> str:
        return self.transfer if self.anti_csrf == "NONE" else f"{self.transfer}-anti-csrf-token"


@dataclass(frozen=True)
class Story:
    """What the browser reported of each scenario."""

    mode: Mode
    lines: dict[str, dict[str, Any]]
    log: str

    def __getitem__(self, scenario: str) -> dict[str, Any]:
        assert scenario in self.lines, f"the browser did not get as far as {scenario!r}:\n{self.log}"
        line = self.lines[scenario]
        assert "error" not in line, f"{scenario!r} failed in the browser: {line['error']}\n{self.log}"
        facts: dict[str, Any] = line["facts"]
        return facts


# The server


@contextmanager
def server_for(mode: Mode) -> Iterator[str]:
    """Serve an App with the seed's override on a free port, until the block ends; return its address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        api = f"http://localhost:{listening.getsockname()[1]}"
        clock = ManualClock(Clock().now_ms() // 1000 * 1000)
        app = App(
            app_info=InputAppInfo(app_name="Browser", api_domain=api, website_domain=WEBSITE),
            recipe_list=[
                session.init(
                    anti_csrf=mode.anti_csrf,
                    override=session.InputOverrideConfig(functions=SEED["override_session_functions"]),
                ),
                emailpassword.init(),
            ],
            database="sqlite://",
            clock=clock,
            unsafe_for_tests=True,
        )
        served = create_app(app, routes(clock))
        server = uvicorn.Server(uvicorn.Config(served, log_level="warning", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield api
        finally:
            server.should_exit = True
            thread.join()
            app.close()


def routes(clock: ManualClock) -> list[BaseRoute]:
    """Return the application's own routes, and one that lets time pass."""
    verified = verify_session()
    with_second_factor = verify_session(
        override_global_claim_validators=lambda validators, _session, _context: [
            *validators,
            SecondFactorClaim.validators.has_value(True),
        ]
    )

    async def advance(request: Request) -> Response:
        clock.advance(float(await request.body()))
        return JSONResponse({"now": clock.now_ms()})

    async def me(request: Request) -> Response:
        return JSONResponse({"userId": (await verified(request)).get_user_id()})

    async def second_factor(request: Request) -> Response:
        await (await verified(request)).set_claim_value(SecondFactorClaim, True)
        return JSONResponse({})

    async def second_factor_only(request: Request) -> Response:
        return JSONResponse({"userId": (await with_second_factor(request)).get_user_id()})

    async def forbidden(request: Request) -> Response:
        await verified(request)
        return PlainTextResponse("not for you", 403)

    async def always_401(request: Request) -> Response:
        await verified(request)
        return JSONResponse({"message": "never"}, 401)

    async def role_by_handle(request: Request) -> Response:
        handle = (await verified(request)).get_handle()
        return JSONResponse(await session.merge_into_access_token_payload(handle, {"role": "admin"}))

    async def revoke_by_handle(request: Request) -> Response:
        return JSONResponse(await session.revoke_session((await verified(request)).get_handle()))

    return [
        Route("/advance", advance, methods=["POST"]),
        Route("/me", me),
        Route("/second-factor", second_factor, methods=["POST"]),
        Route("/second-factor-only", second_factor_only),
        Route("/forbidden", forbidden),
        Route("/always-401", always_401),
        Route("/role-by-handle", role_by_handle, methods=["POST"]),
        Route("/revoke-by-handle", revoke_by_handle, methods=["POST"]),
    ]


# The browser


def unavailable(reason: str) -> NoReturn:
    """Skip, or fail where nothing may be skipped."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str) -> str:
    """Return the path of a program that these tests need."""
    found = shutil.which(name)
    return found or unavailable(f"{name} is not installed: the browser SDK runs in node 20 or later")


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Return the installed npm packages: outside the checkout, installed once for every state of the lock file."""
    wanted = [SCRIPTS / "package.json", SCRIPTS / "package-lock.json"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in wanted)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coatcheck-tests"
    home = cache / digest
    if not home.exists():
        npm = program("npm")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as made:
            fresh = Path(made) / "fresh"
            fresh.mkdir()
            for path in wanted:
                shutil.copy(path, fresh)
            install([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], fresh)
            # Renamed when complete, so that neither an interrupted nor a parallel run leaves half of it behind.
            if not home.exists():
                fresh.rename(home)
    return home / "node_modules"


def install(command: list[str], directory: Path) -> None:
    """Install the packages in `directory`."""
    try:
        subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        unavailable(f"npm did not install the browser SDK within {INSTALL_S} seconds")
    except subprocess.CalledProcessError as error:
        unavailable(f"npm could not install the browser SDK: {error.stderr.strip()[-500:]}")


MODES = [Mode("cookie"), Mode("header"), Mode("cookie", "VIA_TOKEN")]


@pytest.fixture(scope="module", params=MODES, ids=str)
def story(request: pytest.FixtureRequest, node_modules: Path) -> Story:
    """Run every scenario once in one mode."""
    mode: Mode = request.param
    with server_for(mode) as api:
        ran = subprocess.run(
            [program("node"), str(SCRIPTS / "drive.mjs"), api, WEBSITE, mode.transfer],
            env={**os.environ, "NODE_PATH": str(node_modules)},
            capture_output=True,
            text=True,
            timeout=RUN_S,
        )
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return Story(mode, {line["scenario"]: line for line in lines}, f"exit code {ran.returncode}\n{ran.stderr}")


def actions(watched: dict[str, Any]) -> list[str]:
    """Return the names of the SDK's events."""
    return [event["action"] for event in watched["events"]]


def test_x(story: Story) -> None:
    for name, line in story.lines.items():
        print("=====", name)
        if "error" in line:
            print(line["error"])
        else:
            for k, v in line["facts"].items():
                if isinstance(v, dict) and "cookies" in v:
                    v["cookies"] = [f"{c['key']}{'*' if c['httpOnly'] else ''}" for c in v["cookies"]]
                print("  ", k, json.dumps(v)[:1500])
    print(story.log)
    assert 0
