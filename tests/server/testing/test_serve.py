"""`coatcheck serve --manual-clock` over real HTTP: whatever time governs follows the clock that a test moves."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import jwt
import pytest

from ...kit import LIMIT_S, awaited, form, plain_environment

pytestmark = pytest.mark.slow

HOUR, DAY = 3_600, 86_400
NAME = "x-coatcheck-testing"
CLOCK, OUTBOX = "/auth/testing/clock", "/auth/testing/outbox"
CALLBACK = "http://localhost:3000/auth/callback/google"

CONFIG = """
from pathlib import Path

from coatcheck.claims import BooleanClaim
from coatcheck.recipes import emailpassword, session, thirdparty
from coatcheck.server.stub import stub

Member = BooleanClaim("member", lambda user_id, *_: not Path(f"banned-{user_id}").exists())

class Protected(emailpassword.APIsLayer):
    async def email_exists_get(self, email, tenant_id, api_options, user_context):
        # A route that needs a session whose owner has been a member at some time within the last five minutes.
        await session.get_session(
            api_options.request, override_global_claim_validators=lambda *_: [Member.validators.is_true(max_age=300)]
        )
        return await super().email_exists_get(email, tenant_id, api_options, user_context)

def recipes():
    return [
        session.init(claims=[Member]),
        emailpassword.init(override=emailpassword.InputOverrideConfig(apis=Protected)),
        thirdparty.init(thirdparty.SignInAndUpFeature(providers=[stub("google")])),
    ]
"""


@dataclass
class Serving:
    """A running server, and the token that it printed."""

    directory: Path
    url: str
    token: str

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    @property
    def printed(self) -> str:
        return (self.directory / "out").read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Run a server with a manual clock, a stub provider and a protected route, on a free port."""
    directory = tmp_path_factory.mktemp("manual")
    (directory / "config.py").write_text(CONFIG)
    with (directory / "out").open("wb") as out, (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "coatcheck", "serve", "--manual-clock", "--recipes", "config:recipes"],
            cwd=directory,
            env=plain_environment(COATCHECK_PORT="0"),
            stdout=out,
            stderr=log,
        )
    try:
        yield started(process, directory)
    finally:
        process.terminate()
        code = process.wait(LIMIT_S)
    assert code == 0


def started(process: subprocess.Popen[bytes], directory: Path) -> Serving:
    """Wait for the port in the log and the token on standard output."""

    def answer() -> Serving | None:
        port = re.search(r"port (\d+)", (directory / "log").read_text())
        token = re.fullmatch(rf"{NAME}: (\S+)\n", (directory / "out").read_text())
        return Serving(directory, f"http://127.0.0.1:{port[1]}", token[1]) if port and token else None

    return awaited(answer, directory / "log", process)


@pytest.fixture
def client(server: Serving) -> Iterator[httpx2.Client]:
    """Open a client that prefers headers and knows the token."""
    headers = {"st-auth-mode": "header", NAME: server.token}
    with httpx2.Client(base_url=server.url, timeout=LIMIT_S, headers=headers) as client:
        yield client


def now_ms(client: httpx2.Client) -> int:
    told: int = client.get(CLOCK).json()["now_ms"]
    return told


def advance(client: httpx2.Client, seconds: float) -> None:
    before = now_ms(client)
    answer = client.post(CLOCK, json={"advance_seconds": seconds})
    assert answer.json()["now_ms"] == before + round(seconds * 1000)


def sign_up(client: httpx2.Client, email: str, mode: str = "header") -> httpx2.Response:
    body = form(email=email, password="correct horse 1")
    answer = client.post("/auth/signup", json=body, headers={"st-auth-mode": mode})
    assert answer.json()["status"] == "OK"
    return answer


def protected(client: httpx2.Client, access_token: str) -> tuple[int, dict[str, Any]]:
    headers = {"authorization": f"Bearer {access_token}"}
    answer = client.get("/auth/signup/email/exists", params={"email": "a@example.com"}, headers=headers)
    return answer.status_code, answer.json()


def refresh(client: httpx2.Client, refresh_token: str) -> httpx2.Response:
    return client.post("/auth/session/refresh", headers={"authorization": f"Bearer {refresh_token}"})


def test_an_access_token_expires(client: httpx2.Client) -> None:
    """After an hour by the moved clock the token is to be refreshed, and the refreshed one is good."""
    session = sign_up(client, "access@example.com").headers
    advance(client, HOUR - 1)
    assert protected(client, session["st-access-token"])[0] == 200
    advance(client, 1)
    assert protected(client, session["st-access-token"]) == (401, {"message": "try refresh token"})
    refreshed = refresh(client, session["st-refresh-token"]).headers
    assert protected(client, refreshed["st-access-token"])[0] == 200
    claims = jwt.decode(refreshed["st-access-token"], options={"verify_signature": False})
    assert claims["iat"] == now_ms(client) // 1000
    assert claims["exp"] == claims["iat"] + HOUR


def test_a_refresh_token_expires(client: httpx2.Client) -> None:
    """After a hundred days the session is over."""
    session = sign_up(client, "refresh@example.com").headers
    advance(client, 100 * DAY - 1)
    session = refresh(client, session["st-refresh-token"]).headers
    advance(client, 100 * DAY)
    over = refresh(client, session["st-refresh-token"])
    assert (over.status_code, over.json()) == (401, {"message": "unauthorised"})


def test_a_claim_grows_too_old(client: httpx2.Client, server: Serving) -> None:
    """A claim is believed until it is older than its max_age; then it is fetched anew, and may be wrong."""
    created = sign_up(client, "claim@example.com")
    token = created.headers["st-access-token"]
    (server.directory / f"banned-{created.json()['user']['id']}").touch()
    advance(client, 300)
    assert protected(client, token)[0] == 200
    advance(client, 0.001)
    status, body = protected(client, token)
    assert (status, body["message"]) == (403, "invalid claim")
    assert body["claimValidationErrors"][0]["id"] == "member"


def test_a_reset_link_grows_too_old_and_is_found_at_once(client: httpx2.Client) -> None:
    """The mail is in the outbox as soon as it was asked for; its link works for an hour."""
    address = "reset@example.com"
    sign_up(client, address)

    def ask() -> str:
        assert client.post("/auth/user/password/reset/token", json=form(email=address)).status_code == 200
        mails = client.get(OUTBOX, params={"to": address}).json()["mails"]
        token: str = mails[-1]["links"][0]["parameters"]["token"]
        return token

    def use(token: str) -> str:
        body = {**form(password="another horse 2"), "method": "token", "token": token}
        status: str = client.post("/auth/user/password/reset", json=body).json()["status"]
        return status

    old = ask()
    advance(client, HOUR)
    assert use(old) == "RESET_PASSWORD_INVALID_TOKEN_ERROR"
    new = ask()
    assert new != old
    advance(client, HOUR - 1)
    assert use(new) == "OK"


def test_signing_keys_are_replaced(client: httpx2.Client) -> None:
    """After a week another key signs, which the key set names, and old refresh tokens go on working."""

    def key_id(access_token: str) -> str:
        kid: str = jwt.get_unverified_header(access_token)["kid"]
        return kid

    session = sign_up(client, "keys@example.com").headers
    advance(client, 8 * DAY)
    refreshed = refresh(client, session["st-refresh-token"]).headers
    assert key_id(refreshed["st-access-token"]) != key_id(session["st-access-token"])
    published = [key["kid"] for key in client.get("/auth/jwt/jwks.json").json()["keys"]]
    assert key_id(refreshed["st-access-token"]) in published
    assert key_id(session["st-access-token"]) not in published
    assert protected(client, refreshed["st-access-token"])[0] == 200


def test_cookies_expire_by_the_moved_clock(client: httpx2.Client) -> None:
    """The Expires of both cookies counts from what the clock shows: a year, and a hundred days."""
    advance(client, 30 * DAY)
    answer = sign_up(client, "cookie@example.com", "cookie")
    cookies = SimpleCookie()
    for header in answer.headers.get_list("set-cookie"):
        cookies.load(header)
    for name, days in (("sAccessToken", 365), ("sRefreshToken", 100)):
        expires = parsedate_to_datetime(cookies[name]["expires"]).timestamp()
        assert expires == now_ms(client) // 1000 + days * DAY


@pytest.mark.parametrize(("seconds", "status"), [(59, "OK"), (60, "GENERAL_ERROR")])
def test_the_code_of_a_stub_provider_expires(client: httpx2.Client, seconds: int, status: str) -> None:
    """A persona planned over HTTP signs in; the code that brings it back is good for a minute."""
    client.post("/auth/testing/providers/google/script", json={"persona": "1001"})
    query = {"thirdPartyId": "google", "redirectURIOnProviderDashboard": CALLBACK}
    left = client.get("/auth/authorisationurl", params=query).json()
    page = urlsplit(left["urlWithQueryParams"])
    returned = dict(parse_qsl(urlsplit(client.get(f"{page.path}?{page.query}").headers["location"]).query))
    advance(client, seconds)
    info = {"redirectURIOnProviderDashboard": CALLBACK, "redirectURIQueryParams": returned}
    info["pkceCodeVerifier"] = left["pkceCodeVerifier"]
    answer = client.post("/auth/signinup", json={"thirdPartyId": "google", "redirectURIInfo": info})
    assert answer.json()["status"] == status


def test_a_session_ended_over_http_is_over(client: httpx2.Client) -> None:
    """Ending a user's sessions from a test is seen by the client at its next refresh."""
    created = sign_up(client, "revoked@example.com")
    ended = client.delete(f"/auth/testing/users/{created.json()['user']['id']}/sessions").json()
    assert len(ended["revoked"]) == 1
    assert refresh(client, created.headers["st-refresh-token"]).status_code == 401


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({NAME: "guess"}, 401),
        ({"host": "evil.example"}, 403),
        ({"origin": "https://evil.example"}, 403),
    ],
)
def test_strangers_are_refused(client: httpx2.Client, change: dict[str, str], status: int) -> None:
    """A wrong token, a foreign Host and a website's Origin move nothing, and get no CORS header."""
    before = now_ms(client)
    answer = client.post(CLOCK, json={"advance_seconds": 60}, headers=change)
    assert answer.status_code == status
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert now_ms(client) == before


def test_the_token_is_printed_once_and_logged_never(client: httpx2.Client, server: Serving) -> None:
    """Standard output holds one line; the log says where the routes are, and that this is for tests."""
    now_ms(client)
    assert server.printed == f"{NAME}: {server.token}\n"
    assert server.token not in server.log
    assert "the clock stands still until it is moved: POST http://localhost:" in server.log
    assert "unsafe_for_tests" in server.log
    assert "Traceback" not in server.log


def test_nothing_is_kept(server: Serving) -> None:
    """Where no database was named, none is left behind for a server that starts at the present again."""
    assert not [*server.directory.glob("*.db*")]
