"""The browser SDK from npm, unmodified, against a real server: with cookies, with headers, with anti-CSRF tokens."""

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
from concurrent.futures import ThreadPoolExecutor
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
from coatcheck.recipes import session, thirdpartyemailpassword
from coatcheck.server import create_app
from coatcheck.server.asgi import verify_session
from coatcheck.server.stub import Persona, stub

from ..kit import LIMIT_S, WEBSITE

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parent / "browser"
SEED = runpy.run_path(str(Path(__file__).parents[1] / "seed" / "second_factor_claim.py"))
SecondFactorClaim = SEED["SecondFactorClaim"]
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
                thirdpartyemailpassword.init(providers=[stub("google", [Persona("1001", "ada@example.com")])]),
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

    async def always_401(_request: Request) -> Response:
        return JSONResponse({"message": "never"}, 401)

    async def always_401_verified(request: Request) -> Response:
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
        Route("/always-401-verified", always_401_verified),
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
        subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        unavailable(f"npm did not install the browser SDK within {LIMIT_S} seconds")
    except subprocess.CalledProcessError as error:
        causes = [
            line.removeprefix("npm error ") for line in error.stderr.splitlines() if line.startswith("npm error ")
        ]
        unavailable(f"npm could not install the browser SDK: {'; '.join(causes[:4])}")


MODES = [Mode("cookie"), Mode("header"), Mode("cookie", "VIA_TOKEN")]


def story_of(mode: Mode, node: str, node_modules: Path) -> Story:
    """Run every scenario once in one mode, on a server of its own."""
    with server_for(mode) as api:
        ran = subprocess.run(
            [node, str(SCRIPTS / "drive.mjs"), api, WEBSITE, mode.transfer],
            env={**os.environ, "NODE_PATH": str(node_modules)},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return Story(mode, {line["scenario"]: line for line in lines}, f"exit code {ran.returncode}\n{ran.stderr}")


@pytest.fixture(scope="module")
def stories(node_modules: Path) -> dict[Mode, Story]:
    """Run all modes side by side: most of the time a browser waits for its own locks."""
    node = program("node")
    with ThreadPoolExecutor(len(MODES)) as pool:
        return dict(zip(MODES, pool.map(lambda mode: story_of(mode, node, node_modules), MODES), strict=True))


@pytest.fixture(params=MODES, ids=str)
def story(request: pytest.FixtureRequest, stories: dict[Mode, Story]) -> Story:
    """Return what happened in one mode."""
    return stories[request.param]


def actions(watched: dict[str, Any]) -> list[str]:
    """Return the names of the SDK's events."""
    return [event["action"] for event in watched["events"]]


FORGOTTEN = ["st-last-access-token-update"]
"""What a browser without a session remembers: that it has none."""


def forgot(watched: dict[str, Any]) -> bool:
    """Tell whether nothing of a session is left in the browser, neither for the SDK nor in the server's cookies."""
    return bool(watched["scriptCookies"] == FORGOTTEN and watched["httpOnlyCookies"] == [])


def test_a_first_visit_asks_once(story: Story) -> None:
    """A browser that never signed in asks for a refresh once, is told at once, and remembers (rule 17.2)."""
    facts = story["first_visit"]
    assert facts["first"]["value"] is False
    assert facts["first"]["calls"] == [REFRESH_REFUSED]
    assert facts["second"]["value"] is False
    assert facts["second"]["calls"] == []
    assert forgot(facts["second"])


def test_tokens_travel_in_the_way_of_the_mode(story: Story) -> None:
    """Cookies no script can read, or a header and no cookie of the server's; never both (rule 9.1)."""
    signed_up = story["sign_up"]["signing"]
    sent = story["refresh_on_401"]["expired"]["sent"]
    if story.mode.transfer == "cookie":
        assert signed_up["httpOnlyCookies"] == ["sAccessToken", "sRefreshToken"]
        assert not {"st-access-token", "st-refresh-token"} & set(signed_up["scriptCookies"])
        assert "authorization" not in sent
    else:
        assert signed_up["httpOnlyCookies"] == []
        assert {"st-access-token", "st-refresh-token"} < set(signed_up["scriptCookies"])
        assert "authorization" in sent
    assert ("anti-csrf" in sent) is (story.mode.anti_csrf == "VIA_TOKEN")


def test_signing_up(story: Story) -> None:
    """A sign-up makes a session that the SDK knows of, in the way of its mode."""
    facts = story["sign_up"]
    assert facts["signing"]["value"]["status"] == "OK"
    assert "SESSION_CREATED" in actions(facts["signing"])
    assert facts["session"]["value"] is True
    assert facts["session"]["calls"] == []
    assert facts["userId"] == facts["signing"]["value"]["user"]["id"]
    assert facts["hasAccessToken"] is (story.mode.transfer == "header")
    assert ("sAntiCsrf" in facts["session"]["scriptCookies"]) is (story.mode.anti_csrf == "VIA_TOKEN")
    assert facts["again"] == "FIELD_ERROR"
    assert facts["emailExists"] is True


def test_signing_in(story: Story) -> None:
    """A wrong password makes no session, the right one does, with the second factor to be done again."""
    facts = story["sign_in"]
    assert facts["wrong"]["value"] == "WRONG_CREDENTIALS_ERROR"
    assert actions(facts["wrong"]) == []
    assert facts["right"]["value"] == "OK"
    assert actions(facts["right"]) == ["SESSION_CREATED"]
    assert facts["me"] == {"status": 200, "body": {"userId": facts["userId"]}}
    assert facts["claim"]["v"] is False


def test_signing_in_with_a_provider(story: Story) -> None:
    """The SDK's own provider flow, by way of a stubbed Google, signs up once and signs in after that (rule 27.1)."""
    facts = story["third_party"]
    first, second = facts["first"]["value"], facts["second"]["value"]
    assert (first["status"], second["status"]) == ("OK", "OK")
    assert (first["createdNewRecipeUser"], second["createdNewRecipeUser"]) == (True, False)
    assert first["user"] == second["user"]
    assert first["user"]["thirdParty"] == [{"id": "google", "userId": "1001"}]
    assert first["user"]["id"] == facts["userId"] == facts["me"]["body"]["userId"]
    assert facts["claim"]["v"] is False
    assert "SESSION_CREATED" in actions(facts["first"])


def test_the_seeds_claim_is_in_the_payload(story: Story) -> None:
    """The page's override puts its claim where the SDK's own claim class reads it."""
    facts = story["claim"]
    assert facts["claim"]["v"] is facts["value"] is False
    assert isinstance(facts["claim"]["t"], int)
    assert facts["failures"] == [WRONG_VALUE]


def test_a_refused_claim_is_read_from_the_403(story: Story) -> None:
    """The body of a 403 is what the SDK's event and helper read; another 403 is left alone (rule 17.5)."""
    facts = story["forbidden"]
    assert facts["refused"]["value"]["status"] == 403
    assert actions(facts["refused"]) == ["API_INVALID_CLAIM"]
    assert facts["refused"]["events"][0]["claimValidationErrors"] == facts["read"] == [WRONG_VALUE]
    assert facts["plain"]["value"] == {"status": 403, "body": "not for you"}
    assert actions(facts["plain"]) == []


def test_setting_the_claim_opens_the_route(story: Story) -> None:
    """A claim set by a route reaches the browser with that very answer."""
    facts = story["claim_set"]
    assert actions(facts["setting"]) == ["ACCESS_TOKEN_PAYLOAD_UPDATED"]
    assert facts["claim"]["v"] is facts["value"] is True
    assert facts["failures"] == []
    assert facts["open"]["value"]["status"] == 200


def test_an_expired_access_token_is_refreshed(story: Story) -> None:
    """On 401 the SDK refreshes once and repeats the call; the claim survives."""
    facts = story["refresh_on_401"]
    assert facts["expired"]["value"]["status"] == 200
    assert facts["expired"]["calls"] == ["GET /second-factor-only 401", REFRESHED, "GET /second-factor-only 200"]
    assert facts["after"]["calls"] == ["GET /second-factor-only 200"]
    assert facts["claim"]["v"] is True
    early = story["refresh_before_reading"]
    assert early["first"]["calls"] == [REFRESHED]
    assert early["second"]["calls"] == []
    assert early["first"]["value"] is early["second"]["value"] is True
    by_xhr = story["refresh_by_xhr"]
    assert by_xhr["expired"]["value"] == {"status": 200, "body": {"userId": by_xhr["userId"]}}
    assert by_xhr["expired"]["calls"] == [REFRESHED]


def test_parallel_calls_make_one_refresh(story: Story) -> None:
    """Ten calls with an expired token: one refresh, ten answers."""
    facts = story["parallel_calls"]["parallel"]
    assert facts["value"] == [200] * 10
    assert facts["calls"].count(REFRESHED) == 1
    assert REFRESH_REFUSED not in facts["calls"]


def test_a_change_by_handle_arrives_with_the_next_refresh(story: Story) -> None:
    """A payload changed by handle is seen after a refresh, not before (rule 14.5)."""
    assert story["by_handle"] == {"before": None, "refreshed": True, "after": "admin"}


def test_refreshing_again_and_again_is_no_theft(story: Story) -> None:
    """An API that always answers 401 makes the SDK refresh ten times and give up; the session lives on (rule 6.1)."""
    facts = story["many_refreshes"]
    blind, verifying = facts["blind"], facts["verifying"]
    assert "maximum session refresh limit" in blind["rejected"]
    assert blind["calls"] == ["GET /always-401 401", *[REFRESHED, "GET /always-401 401"] * 10]
    # Verifying a refreshed session renews its access token on that very 401; the SDK takes it for another tab's refresh
    # and repeats the call without one of its own, so that every other of its ten rounds is a refresh.
    assert "maximum session refresh limit" in verifying["rejected"]
    assert verifying["calls"].count(REFRESHED) == 5
    assert verifying["calls"].count("GET /always-401-verified 401") == 11
    assert REFRESH_REFUSED not in verifying["calls"]
    assert facts["after"]["calls"] == ["GET /me 200"]


def test_a_revoked_session_ends_in_the_browser(story: Story) -> None:
    """Once the refresh is refused, the browser knows that the session is over."""
    facts = story["revoked"]
    assert facts["calling"]["calls"] == ["GET /me 401", REFRESH_REFUSED]
    assert facts["calling"]["events"] == [{"action": "UNAUTHORISED", "sessionExpiredOrRevoked": True}]
    assert forgot(facts["calling"])
    assert facts["session"]["value"] is False
    assert facts["session"]["calls"] == []


def test_signing_out(story: Story) -> None:
    """Signing out ends the session in the browser, also with an expired token (then after a refresh) (rule 14.8)."""
    facts = story["sign_out"]
    assert facts["leaving"]["calls"] == ["POST /auth/signout 200"]
    assert actions(facts["leaving"]) == ["SIGN_OUT"]
    assert forgot(facts["leaving"])
    assert facts["session"]["value"] is facts["hasAccessToken"] is False
    # No refresh is tried: the browser knows that there is nothing to be refreshed.
    assert facts["calling"]["calls"] == ["GET /me 401"]
    expired = story["sign_out_expired"]["leaving"]
    assert expired["calls"] == [REFRESHED, "POST /auth/signout 200"]
    assert actions(expired)[-1] == "SIGN_OUT"
    assert forgot(expired)


def test_deleted_cookies_are_no_session(story: Story) -> None:
    """A browser whose cookies are gone is told so once, and that nothing was revoked."""
    facts = story["cookies_deleted"]["calling"]
    assert facts["value"]["status"] == 401
    assert facts["calls"] == [REFRESH_REFUSED, "GET /me 401"]
    assert facts["events"] == [{"action": "UNAUTHORISED", "sessionExpiredOrRevoked": False}]


def test_a_server_clock_ahead_makes_no_refresh_loop(story: Story) -> None:
    """The browser works out the difference of the clocks from the front token (rule 4.1)."""
    facts = story["server_ahead"]
    assert facts["session"]["value"] is True
    assert facts["session"]["calls"] == []
    assert facts["calling"]["calls"] == ["GET /me 200"]
