"""`coatcheck serve` as its users meet it: a real process, real HTTP, real signals."""

from __future__ import annotations

import base64
import json
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ...kit import LIMIT_S, awaited, free_port, plain_environment

pytestmark = pytest.mark.slow

SEED = Path(__file__).parents[2] / "seed" / "second_factor_claim.py"
PASSWORD = "correct horse 1"

CONFIG = """
from coatcheck.recipes import emailpassword, session
from second_factor_claim import override_session_functions

def recipes():
    override = session.InputOverrideConfig(functions=override_session_functions)
    return [session.init(override=override), emailpassword.init()]
"""


@dataclass
class Serving:
    """A running `coatcheck serve`."""

    process: subprocess.Popen[bytes]
    port: int
    log_file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def client(self) -> httpx2.Client:
        # Reading the authorities' certificates, which plain HTTP does not need, takes longer than any request here.
        return httpx2.Client(base_url=self.url, timeout=LIMIT_S, verify=False)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)


@contextmanager
def serving(directory: Path, *options: str) -> Iterator[Serving]:
    """Run a server in `directory` until the block ends, ready to answer."""
    port = free_port()
    log_file = directory / f"log-{port}"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "coatcheck", "serve", *options],
            cwd=directory,
            env=plain_environment(COATCHECK_PORT=str(port)),
            stderr=log,
        )
    server = Serving(process, port, log_file)
    try:
        wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(LIMIT_S)


def wait_until_ready(server: Serving) -> None:
    def healthy() -> bool | None:
        try:
            with server.client() as client:
                return client.get("/healthz").status_code == 200 or None
        except httpx2.TransportError:
            return None

    awaited(healthy, server.log_file, server.process)


def wait_until_workers(server: Serving, count: int) -> None:
    def complete() -> bool | None:
        return len(set(re.findall(r"Started server process \[(\d+)\]", server.log))) == count or None

    awaited(complete, server.log_file)


def wait_until_refused(server: Serving) -> None:
    def refused() -> bool | None:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", server.port)) != 0 or None

    awaited(refused, server.log_file)


def credentials(email: str) -> dict[str, Any]:
    return {"formFields": [{"id": "email", "value": email}, {"id": "password", "value": PASSWORD}]}


def sign_up(client: httpx2.Client, email: str, method: str = "header") -> httpx2.Response:
    response = client.post("/auth/signup", json=credentials(email), headers={"st-auth-mode": method})
    assert (response.status_code, response.json()["status"]) == (200, "OK")
    return response


def refresh(client: httpx2.Client, refresh_token: str) -> httpx2.Response:
    return client.post(
        "/auth/session/refresh", headers={"authorization": f"Bearer {refresh_token}", "st-auth-mode": "header"}
    )


def front_payload(response: httpx2.Response) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(base64.b64decode(response.headers["front-token"]))["up"]
    return payload


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with no configuration at all, but for the port, in an empty directory."""
    with serving(tmp_path_factory.mktemp("plain")) as server:
        yield server


def test_without_configuration_one_can_sign_up_sign_in_refresh_and_sign_out_with_cookies(plain: Serving) -> None:
    """A browser's whole way through works on a server nobody configured."""
    with plain.client() as browser:
        browser.headers["st-auth-mode"] = "cookie"
        sign_up(browser, "cookie@example.com", "cookie")
        assert {"sAccessToken", "sRefreshToken"} <= set(browser.cookies)
        browser.cookies.clear()
        signed_in = browser.post("/auth/signin", json=credentials("cookie@example.com"))
        assert signed_in.json()["user"]["emails"] == ["cookie@example.com"]
        assert "front-token" in signed_in.headers
        first = browser.cookies["sRefreshToken"]
        assert browser.post("/auth/session/refresh").status_code == 200
        assert browser.cookies["sRefreshToken"] != first
        assert browser.post("/auth/signout").json() == {"status": "OK"}
        assert not {"sAccessToken", "sRefreshToken"} & set(browser.cookies)


def test_without_configuration_sessions_travel_in_headers_where_asked_for(plain: Serving) -> None:
    """A client that asks for headers gets its tokens there, and no cookies."""
    with plain.client() as client:
        created = sign_up(client, "header@example.com")
        assert "set-cookie" not in created.headers
        again = refresh(client, created.headers["st-refresh-token"])
        assert again.status_code == 200
        access_token = again.headers["st-access-token"]
        signed_out = client.post("/auth/signout", headers={"authorization": f"Bearer {access_token}"})
        assert signed_out.json() == {"status": "OK"}


def test_cookies_of_the_default_server_fit_the_default_website(plain: Serving) -> None:
    """The API counts as localhost, the site of the default website, so its cookies are Lax and reach it."""
    assert f"serving http://localhost:{plain.port}/auth " in plain.log
    with plain.client() as browser:
        cookies = sign_up(browser, "lax@example.com", "cookie").headers.get_list("set-cookie")
        assert cookies
        assert all("SameSite=Lax" in cookie and "Domain" not in cookie for cookie in cookies)
        preflight = browser.options(
            "/auth/signin", headers={"origin": "http://localhost:3000", "access-control-request-method": "POST"}
        )
        assert preflight.headers["access-control-allow-origin"] == "http://localhost:3000"


def test_the_log_says_where_data_is_kept_and_what_is_insecure(plain: Serving) -> None:
    """The start-up log names the database, the sign-up address and each insecure default."""
    database = plain.log_file.parent / "coatcheck.db"
    assert f"kept in {database} (SQLite)" in plain.log
    assert f"POST http://localhost:{plain.port}/auth/signup" in plain.log
    assert "cookies are not marked Secure" in plain.log
    assert "COATCHECK_ENCRYPTION_KEY" in plain.log
    assert "mails are sent to nobody" in plain.log


def test_the_database_of_the_default_server_is_private(plain: Serving) -> None:
    """Nobody but the owner can read the file in which unencrypted signing keys lie."""
    database = plain.log_file.parent / "coatcheck.db"
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_requests_are_not_logged_because_queries_hold_addresses(plain: Serving) -> None:
    """An e-mail address in a query does not end up in the log."""
    with plain.client() as client:
        answer = client.get("/auth/signup/email/exists", params={"email": "secret@example.com"})
        assert answer.json() == {"status": "OK", "exists": False}
    assert "secret@example.com" not in plain.log


def test_an_override_loaded_with_recipes_changes_the_payload(tmp_path: Path) -> None:
    """The seed's override of create_new_session puts 2fa-completed into what the browser can read."""
    shutil.copy(SEED, tmp_path)
    (tmp_path / "config.py").write_text(CONFIG)
    with serving(tmp_path, "--recipes", "config:recipes") as server, server.client() as client:
        before_ms = time.time_ns() // 1_000_000
        claim = front_payload(sign_up(client, "a@example.com"))["2fa-completed"]
        assert claim["v"] is False
        assert before_ms <= claim["t"] <= time.time_ns() // 1_000_000


def test_two_workers_share_one_sqlite_file(tmp_path: Path) -> None:
    """Whichever worker a request meets, it knows the users and sessions that the other made."""

    def life(number: int) -> list[int]:
        # Every request on a connection of its own, so that the workers take turns.
        with server.client() as client:
            token = sign_up(client, f"user{number}@example.com").headers["st-refresh-token"]
        statuses = []
        for _ in range(2):
            with server.client() as client:
                answer = refresh(client, token)
            statuses.append(answer.status_code)
            token = answer.headers["st-refresh-token"]
        return statuses

    with serving(tmp_path, "--workers", "2") as server:
        wait_until_workers(server, 2)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(life, range(8))) == [[200, 200]] * 8
        assert server.stop() == 0
    assert "Traceback" not in server.log


def test_sigterm_lets_the_request_under_way_finish(tmp_path: Path) -> None:
    """After SIGTERM no connection is accepted, the sign-up already begun is answered, and the exit code is 0."""
    body = json.dumps(credentials("late@example.com")).encode()
    head = (
        "POST /auth/signup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\nst-auth-mode: header\r\n\r\n"
    )
    with serving(tmp_path) as server, closing(socket.create_connection(("127.0.0.1", server.port), 20)) as connection:
        connection.sendall(head.encode())
        assert b"100 Continue" in connection.recv(4096)
        server.process.send_signal(signal.SIGTERM)
        wait_until_refused(server)
        connection.sendall(body)
        answer = connection.makefile("rb").read()
        assert b"200 OK" in answer
        assert b'"status":"OK"' in answer
        assert server.process.wait(LIMIT_S) == 0
    assert "Traceback" not in server.log


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 on this system")
def test_kill_minus_9_during_refreshes_loses_no_session(tmp_path: Path) -> None:
    """Whatever a client held when the server died under it still is a session after the restart."""
    clients, enough, going, count = 4, 60, threading.Event(), 0
    lock = threading.Lock()

    def refresh_until_it_dies(number: int) -> str:
        nonlocal count
        with server.client() as client:
            token: str = sign_up(client, f"user{number}@example.com").headers["st-refresh-token"]
            try:
                while True:
                    answer = refresh(client, token)
                    assert answer.status_code == 200
                    token = answer.headers["st-refresh-token"]
                    with lock:
                        count += 1
                        if count >= enough:
                            going.set()
            except httpx2.TransportError:
                return token

    with ThreadPoolExecutor(clients) as pool:
        with serving(tmp_path) as server:
            running = [pool.submit(refresh_until_it_dies, number) for number in range(clients)]
            assert going.wait(LIMIT_S)
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
            held = [future.result(LIMIT_S) for future in running]
        with serving(tmp_path) as server, server.client() as client:
            answers = [refresh(client, token) for token in held]
            assert [answer.status_code for answer in answers] == [200] * clients
            for answer in answers:
                authorization = {"authorization": f"Bearer {answer.headers['st-access-token']}"}
                assert client.post("/auth/signout", headers=authorization).json() == {"status": "OK"}
