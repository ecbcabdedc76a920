"""One suite, the same assertions for every framework, each behind a real server."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from coatcheck.claims import Clock

from ..kit import LIMIT_S, form

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
UVICORN = ("uvicorn", "--log-level", "warning", "--fd", "{fd}")
GUNICORN = ("gunicorn", "--log-level", "warning", "--threads", "4", "--bind", "fd://{fd}")
SERVERS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "fastapi": (UVICORN, "serve_fastapi", ""),
    "starlette": (UVICORN, "serve_starlette", ""),
    "flask": (GUNICORN, "serve_flask", ""),
    "django-wsgi": (GUNICORN, "serve_django", "tests.frameworks.targets.django_sync"),
    "django-asgi": (UVICORN, "serve_django", "tests.frameworks.targets.django_async"),
    "django-rest": (GUNICORN, "serve_django", "tests.frameworks.targets.django_rest"),
}
INVALID_CLAIM = {
    "message": "invalid claim",
    "claimValidationErrors": [
        {
            "id": "2fa-completed",
            "reason": {"message": "wrong value", "expectedValue": True, "actualValue": False},
        }
    ],
}
NAMES = {"cookie": ("sAccessToken", "sRefreshToken"), "header": ("st-access-token", "st-refresh-token")}
"""What the tokens are called in which they travel, by the mode that a client asks for."""

COOKIES = {"st-auth-mode": "cookie"}
in_each_mode = pytest.mark.parametrize("mode", list(NAMES))


@pytest.fixture(scope="module", params=list(SERVERS))
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the scene in one framework, and yield its address."""
    command, module, urls = SERVERS[request.param]
    directory = tmp_path_factory.mktemp("scene")
    environment = {
        **os.environ,
        "SCENE_DATABASE": f"sqlite:///{directory / 'scene.db'}",
        "SCENE_URLS": urls,
        "TZ": "America/St_Johns",  # no server's clock shows GMT
    }
    with listening() as (fd, port), (directory / "log").open("wb") as log:
        arguments = [word.format(fd=fd) for word in command]
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments, f"tests.frameworks.targets.{module}:application"],
            cwd=ROOT,
            env=environment,
            pass_fds=[fd],
            stderr=log,
            stdout=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process, directory / "log")
        yield address
    finally:
        process.terminate()
        process.wait(LIMIT_S)


@contextmanager
def listening() -> Iterator[tuple[int, int]]:
    """Yield the descriptor and the port of a socket that listens: whoever connects too early waits in its queue."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        # uvicorn takes what it is given for a Unix socket, for which asyncio does not set this option.
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield server.fileno(), server.getsockname()[1]


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the first answer of a server, and say what it logged if there is none."""
    try:
        httpx2.get(f"{address}/open", timeout=LIMIT_S, verify=False).raise_for_status()
    except httpx2.HTTPError as error:
        process.kill()
        pytest.fail(f"{error!r}\n{log.read_text()}")


@pytest.fixture
def browser(url: str) -> Iterator[Callable[..., Browser]]:
    """Open browsers: `browser(**headers)`."""
    opened: list[Browser] = []

    def opening(**headers: str) -> Browser:
        opened.append(Browser(url, headers))
        return opened[-1]

    yield opening
    for one in opened:
        one.close()


class Browser(httpx2.Client):
    """A client that keeps cookies and, as the browser SDK does, the tokens that it was last given in headers."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.refresh_bearer: dict[str, str] = {}
        super().__init__(
            base_url=url,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            timeout=LIMIT_S,
            verify=False,  # plain HTTP needs no certificates, and reading them takes longer than any request here
            event_hooks={"response": [self._remember]},
        )

    def _remember(self, response: httpx2.Response) -> None:
        if "anti-csrf" in response.headers:
            self.headers["anti-csrf"] = response.headers["anti-csrf"]
        access, refresh = (response.headers.get(name) for name in NAMES["header"])
        if access is not None:
            self.headers.pop("authorization", None)
            self.headers.update({"authorization": f"Bearer {access}"} if access else {})
        if refresh is not None:
            self.refresh_bearer = {"authorization": f"Bearer {refresh}"}

    def login(self, user: str = "ann") -> httpx2.Response:
        return self.post(f"/login/{user}")

    def refresh(self) -> httpx2.Response:
        return self.post("/auth/session/refresh", headers={"rid": "session", **self.refresh_bearer})

    def tokens_sent(self) -> dict[str, str]:
        """Return the headers in which a request would carry the tokens of now."""
        headers = self.build_request("GET", "/").headers
        return {name: headers[name] for name in ("cookie", "authorization") if name in headers}


def payload(response: httpx2.Response) -> dict[str, Any]:
    """Return the access-token payload that a response's front token mirrors."""
    found: dict[str, Any] = json.loads(base64.b64decode(response.headers["front-token"]))["up"]
    return found


def cookies(response: httpx2.Response) -> dict[str, str]:
    """Return the attributes of the cookies a response sets, by name; no name may be set twice."""
    lines = response.headers.get_list("set-cookie")
    found = {line.partition("=")[0]: line for line in lines}
    assert len(found) == len(lines)
    return found


def tokens(response: httpx2.Response) -> dict[str, str]:
    """Return the tokens that a response hands out, of both modes and by name, empty where it clears one."""
    in_cookies = {name: line.partition("=")[2].partition(";")[0] for name, line in cookies(response).items()}
    return in_cookies | {name: response.headers[name] for name in NAMES["header"] if name in response.headers}


def cleared(response: httpx2.Response, mode: str = "cookie") -> bool:
    """Tell whether a response clears the tokens of a mode, and hands out none of the other."""
    found = tokens(response)
    emptied = set(NAMES[mode]) <= found.keys() and not any(found.values())
    return emptied and response.headers.get("front-token") == "remove"


Browse = Callable[..., Browser]


def test_signing_up_and_in_sets_cookies(browser: Browse) -> None:
    """The auth API is served, with the cookies, the front token and the anti-CSRF token of a session."""
    ann = browser(**COOKIES)
    credentials = form(email="ann@example.com", password="correct horse 1")
    for path in ("/auth/signup", "/auth/signin"):
        response = ann.post(path, json=credentials)
        assert response.status_code == 200
        assert response.json()["status"] == "OK"
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        assert set(cookies(response)) == {"sAccessToken", "sRefreshToken"}
        assert response.headers["access-control-expose-headers"] == "front-token, anti-csrf"
        assert ann.get("/me").json() == {"user": payload(response)["sub"]}
    assert ann.post("/auth/signup", json=credentials).json()["status"] == "FIELD_ERROR"


def test_cookies_expire_in_gmt_in_every_time_zone(browser: Browse) -> None:
    """A cookie's expiry is told in GMT whatever the time zone of the server, in the one form of RFC 9110."""
    created = browser(**COOKIES).login()
    lifetimes = {"sAccessToken": 365 * 86_400, "sRefreshToken": 100 * 86_400}
    for name, line in cookies(created).items():
        expires = re.split("expires=", line, flags=re.IGNORECASE)[1].partition(";")[0]
        assert expires.endswith(" GMT")
        assert len(expires) == len("Wed, 24 Nov 2027 07:58:54 GMT")
        lifetime = parsedate_to_datetime(expires).timestamp() - payload(created)["iat"]
        assert lifetime == pytest.approx(lifetimes[name], abs=2)
        assert "HttpOnly" in line


def test_headers_carry_tokens(browser: Browse) -> None:
    """With header transfer no cookie is set, and the tokens go back in headers, for the refresh too."""
    ann = browser(st_auth_mode="header")
    created = tokens(ann.login())
    assert tuple(created) == NAMES["header"]
    assert ann.get("/me").json() == {"user": "ann"}
    assert ann.post("/me").json() == {"user": "ann"}
    refreshed = ann.refresh()
    assert refreshed.status_code == 200
    renewed = tokens(refreshed)
    assert renewed.keys() == created.keys()
    assert not set(renewed.values()) & set(created.values())
    assert ann.get("/me").json() == {"user": "ann"}


@in_each_mode
def test_a_session_created_in_a_view(browser: Browse, mode: str) -> None:
    """A view of the application's signs a user in, and the claim is in the token."""
    ann = browser(st_auth_mode=mode)
    response = ann.login()
    assert response.json() == {"user": "ann"}
    assert tuple(tokens(response)) == NAMES[mode]
    assert payload(response)["2fa-completed"]["v"] is False
    assert response.headers["cache-control"] == "no-store"
    assert ann.get("/me").json() == {"user": "ann"}


def test_no_session_is_401(browser: Browse) -> None:
    """Without a session a protected route answers 401 and clears nothing."""
    response = browser().get("/me")
    assert (response.status_code, response.json()) == (401, {"message": "unauthorised"})
    assert "set-cookie" not in response.headers
    assert "front-token" not in response.headers


def test_an_open_route_changes_nothing(browser: Browse) -> None:
    """Where no session is asked for, no token is touched."""
    ann = browser(**COOKIES)
    ann.login()
    response = ann.get("/open")
    assert response.json() == {"open": True}
    assert "set-cookie" not in response.headers
    assert "front-token" not in response.headers


def test_an_optional_session(browser: Browse) -> None:
    """Where the session is optional the view runs with it and without it."""
    ann = browser(**COOKIES)
    assert ann.get("/optional").json() == {"user": None}
    ann.login()
    assert ann.get("/optional").json() == {"user": "ann"}


def test_an_expired_access_token_is_refreshed(browser: Browse) -> None:
    """An expired access token is 401 "try refresh token", clears nothing, and a refresh mends it."""
    ann = browser(**COOKIES)
    ann.login()
    ann.post("/advance/3601")
    for path in ("/me", "/optional"):
        expired = ann.get(path)
        assert (expired.status_code, expired.json()) == (401, {"message": "try refresh token"})
        assert "set-cookie" not in expired.headers
    refreshed = ann.refresh()
    assert (refreshed.status_code, refreshed.json()) == (200, {})
    assert set(cookies(refreshed)) == {"sAccessToken", "sRefreshToken"}
    assert ann.get("/me").json() == {"user": "ann"}


def test_a_stolen_refresh_token(browser: Browse) -> None:
    """The refresh token's second use, after its successor was used, is theft: 401, all cleared, the session ended."""
    ann = browser(**COOKIES)
    ann.login()
    thief = {"cookie": f"sRefreshToken={ann.cookies.get('sRefreshToken')}", "anti-csrf": ann.headers["anti-csrf"]}
    for _ in range(2):
        ann.refresh()
        assert ann.get("/me").json() == {"user": "ann"}
    response = browser().post("/auth/session/refresh", headers=thief)
    assert (response.status_code, response.json()) == (401, {"message": "token theft detected"})
    assert cleared(response)
    assert ann.refresh().status_code == 401


def test_the_anti_csrf_token_is_demanded(browser: Browse) -> None:
    """With cookies, anything but GET needs the anti-CSRF token."""
    ann = browser(**COOKIES)
    ann.login()
    assert ann.post("/me").json() == {"user": "ann"}
    del ann.headers["anti-csrf"]
    assert ann.get("/me").json() == {"user": "ann"}
    for wrong in ({}, {"anti-csrf": "wrong"}):
        response = ann.post("/me", headers=wrong)
        assert (response.status_code, response.json()) == (401, {"message": "try refresh token"})


def test_a_claim_is_demanded_by_one_route(browser: Browse) -> None:
    """A route's own validators answer 403 until the claim has the value, which a view sets."""
    ann = browser(**COOKIES)
    ann.login()
    refused = ann.get("/second")
    assert (refused.status_code, refused.json()) == (403, INVALID_CLAIM)
    completed = ann.post("/complete")
    assert "done" in completed.text
    assert ann.get("/second").json() == {"user": "ann"}


@in_each_mode
def test_tokens_changed_in_a_view_travel_with_the_applications_own_response(browser: Browse, mode: str) -> None:
    """A response made by the application itself keeps its headers, and carries the new access token besides."""
    ann = browser(st_auth_mode=mode)
    ann.login()
    completed = ann.post("/complete")
    assert completed.headers["x-own"] == "yes"
    assert tuple(tokens(completed)) == NAMES[mode][:1]
    assert payload(completed)["2fa-completed"]["v"] is True
    assert ann.get("/second").json() == {"user": "ann"}


def test_claims_asserted_inside_a_view(browser: Browse) -> None:
    """A claim error raised in a view is the same 403 as one raised before it."""
    ann = browser(**COOKIES)
    ann.login()
    refused = ann.get("/asserting")
    assert (refused.status_code, refused.json()) == (403, INVALID_CLAIM)
    ann.post("/complete")
    assert ann.get("/asserting").json() == {"user": "ann"}


@in_each_mode
def test_a_session_revoked_in_a_view(browser: Browse, mode: str) -> None:
    """A view ends the session: the tokens are cleared, and a check of the database refuses the old one."""
    ann = browser(st_auth_mode=mode)
    ann.login()
    old = ann.tokens_sent()
    assert ann.get("/checked").json() == {"user": "ann"}
    response = ann.post("/revoke")
    assert response.json() == {"revoked": True}
    assert cleared(response, mode)
    assert ann.tokens_sent() == {}
    assert ann.get("/me").status_code == 401
    kept = ann.get("/checked", headers=old)
    assert (kept.status_code, kept.json()) == (401, {"message": "unauthorised"})
    assert cleared(kept, mode)


def test_signing_out(browser: Browse) -> None:
    """The auth API ends the session."""
    ann = browser(**COOKIES)
    ann.login()
    response = ann.post("/auth/signout")
    assert response.json() == {"status": "OK"}
    assert cleared(response)


@in_each_mode
def test_a_user_thrown_out_right_after_signing_in(browser: Browse, mode: str) -> None:
    """An UnauthorisedError raised after a session was created clears what would have been set."""
    response = browser(st_auth_mode=mode).post("/ban")
    assert (response.status_code, response.json()) == (401, {"message": "unauthorised"})
    assert cleared(response, mode)


@in_each_mode
def test_an_error_in_a_view_after_a_token_change(browser: Browse, mode: str) -> None:
    """The server's error page carries the tokens all the same: what happened to them has happened."""
    ann = browser(st_auth_mode=mode)
    ann.login()
    # After an error some servers close the connection, at a moment when the client may be using it again.
    response = ann.post("/fail", headers={"connection": "close"})
    assert response.status_code == 500
    assert payload(response)["failed"] is True
    assert tuple(tokens(response)) == NAMES[mode][:1]
    assert ann.get("/me").json() == {"user": "ann"}


def test_a_streaming_response(browser: Browse) -> None:
    """A streamed body arrives whole, and the tokens come before it."""
    ann = browser(**COOKIES)
    ann.login()
    with ann.stream("GET", "/stream") as response:
        assert payload(response)["streamed"] is True
        assert response.read() == b"onetwothree"


def test_a_body_that_is_no_json(browser: Browse) -> None:
    """The auth API refuses what it cannot read with 400, a body that is too large with it."""
    client = browser()
    for body in (b"", b"{", b"[]", b"\xff", b" " * 1_200_000):
        response = client.post("/auth/signin", content=body, headers={"content-type": "application/json"})
        assert response.status_code == 400, body[:10]
        assert response.json()["message"]


def test_paths_that_are_not_the_auth_apis(browser: Browse) -> None:
    """Unknown paths and methods below the base path are the application's, which does not know them either."""
    client = browser()
    assert client.get("/auth/unknown").status_code == 404
    assert client.get("/auth/signin").status_code == 404
    assert client.get("/authx/signin").status_code == 404
    assert client.get("/auth/jwt/jwks.json").json()["keys"]


def test_two_users_at_once_never_see_each_other(browser: Browse) -> None:
    """Requests in parallel keep their own sessions and their own tokens."""
    users = {name: browser(**COOKIES) for name in ("ann", "bob", "cleo", "dan")}
    for name, client in users.items():
        client.login(name)

    def visit(name: str) -> None:
        for _ in range(5):
            assert users[name].get("/me").json() == {"user": name}
            assert payload(users[name].post("/complete"))["sub"] == name

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(visit, users))


def test_the_clock_is_the_apps(browser: Browse) -> None:
    """What views do is dated by the App's clock, which this suite has moved."""
    ann = browser(**COOKIES)
    ann.login()
    ann.post("/advance/86400")
    ann.refresh()
    done = payload(ann.post("/complete"))
    assert done["2fa-completed"]["t"] >= Clock().now_ms() + 86_000_000
