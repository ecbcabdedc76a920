"""Attacks on the testing routes: each is refused, named after what it tries, and moves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Scope

from coatcheck import App
from coatcheck.claims import ManualClock
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.server import create_app, testing as testing_routes
from coatcheck.server.address import is_loopback
from coatcheck.server.cli.build import build_app
from coatcheck.server.cli.greeting import startup_lines, startup_warnings
from coatcheck.server.cli.settings import Settings
from coatcheck.server.exceptions import OptionsError
from coatcheck.server.testing.guard import Guard, checked_token, drawn_token, host_named, token_of

from ...kit import API, Make

TOKEN = "a-token-for-tests"
NAME = "x-coatcheck-testing"
CLOCK = "/auth/testing/clock"
SETTINGS = Settings(manual_clock=True)


@pytest.fixture
def app(make_app: Make) -> App:
    """Make an App whose clock an attacker wants to move."""
    return make_app(api_domain="http://api.test:3567")


@pytest.fixture
def client(app: App) -> TestClient:
    """Open a client without the token."""
    return TestClient(create_app(app, testing_token=TOKEN), base_url=API)


def attack(client: TestClient, app: App, headers: list[tuple[str, str]]) -> tuple[int, str]:
    """Try to move the clock; status and message of the refusal, which nothing in a browser may read."""
    before = app.clock.now_ms()
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    answer = client.post(CLOCK, json={"advance_seconds": 60}, headers=sent)
    assert app.clock.now_ms() == before
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert TOKEN not in answer.text
    return answer.status_code, answer.json()["message"]


# The token


def test_no_token_is_refused(client: TestClient, app: App) -> None:
    """Without the header nothing is told, and the answer says where the token is to be had."""
    status, message = attack(client, app, [])
    assert status == 401
    assert f"{NAME} is missing" in message
    assert "COATCHECK_TESTING_TOKEN" in message


@pytest.mark.parametrize("token", ["", "guess", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), f'"{TOKEN}"', "a\xff"])
def test_a_wrong_token_is_refused(client: TestClient, app: App, token: str) -> None:
    """A token that is nearly right is wrong."""
    status, message = attack(client, app, [(NAME, token)])
    assert status == 401
    assert "is not the token of this server" in message


def test_two_tokens_are_refused(client: TestClient, app: App) -> None:
    """A guess beside the right token does not help whoever tries many in one request."""
    assert attack(client, app, [(NAME, "guess"), (NAME, TOKEN)])[0] == 401


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", f"Bearer {TOKEN}")],
        [("cookie", f"{NAME}={TOKEN}")],
        [("x_coatcheck_testing", TOKEN)],
    ],
)
def test_a_token_in_another_place_is_refused(client: TestClient, app: App, headers: list[tuple[str, str]]) -> None:
    """Only the header counts: cookies would travel by themselves, and queries end up in logs."""
    assert attack(client, app, headers)[0] == 401


@pytest.mark.parametrize("token", ["short", "has a space in it", "umläut-umläut", "a" * 257, "line\nbreak-line"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(app: App, token: str) -> None:
    """Too short, too long or not fit for a header: the error names the variable, not the token."""
    with pytest.raises(ConfigurationError, match="COATCHECK_TESTING_TOKEN") as raised:
        create_app(app, testing_token=token)
    assert token not in str(raised.value)


def test_drawn_tokens_are_long_and_never_the_same() -> None:
    """A drawn token has 192 random bits and is fit to be a token."""
    drawn = {checked_token(drawn_token()) for _ in range(100)}
    assert len(drawn) == 100
    assert all(len(token) == 32 for token in drawn)


def test_the_token_of_the_environment_is_read_and_checked() -> None:
    """An empty variable counts as none; a bad token in it is an error."""
    assert token_of({"COATCHECK_TESTING_TOKEN": TOKEN}) == TOKEN
    assert token_of({"COATCHECK_TESTING_TOKEN": ""}) is None
    assert token_of({}) is None
    with pytest.raises(ConfigurationError):
        token_of({"COATCHECK_TESTING_TOKEN": "short"})


def test_a_guard_does_not_show_its_token() -> None:
    """A printed guard has no token in it."""
    assert TOKEN not in repr(Guard(TOKEN, "localhost"))


# Host: DNS rebinding


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:3567",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example#localhost",
        "localhost@evil.example",
        "localhost/",
        "xn--lcalhost-54a",
        "192.168.1.5:3567",
        "0.0.0.0:3567",
        "[::]:3567",
        "[fe80::1]",
        "2130706433",
        "127.1",
        "0x7f.0.0.1",
        "localhost:port",
        "[::1",
        "",
        " ",
    ],
)
def test_a_foreign_host_is_refused(client: TestClient, app: App, host: str) -> None:
    """A website that has given its name this machine's address cannot get in, even if it knew the token."""
    status, message = attack(client, app, [(NAME, TOKEN), ("host", host)])
    assert status == 403
    assert "api.test" in message


@pytest.mark.parametrize(
    ("api_host", "named"),
    [
        ("api.test", "under localhost, a loopback address or api.test,"),
        ("localhost", "under localhost or a loopback address,"),
        ("127.0.0.1", "under localhost or a loopback address,"),
    ],
)
def test_a_refusal_names_each_host_once(make_app: Make, api_host: str, named: str) -> None:
    """It says under which names the routes answer, the API's own only where it is another."""
    app = make_app(api_domain=f"http://{api_host}:3567")
    client = TestClient(create_app(app, testing_token=TOKEN), base_url=API)
    assert named in attack(client, app, [(NAME, TOKEN), ("host", "evil.example")])[1]


def test_two_hosts_are_refused(client: TestClient, app: App) -> None:
    """Which of two Host headers counts is a matter of taste, and so neither does."""
    assert attack(client, app, [(NAME, TOKEN), ("host", "localhost"), ("host", "localhost")])[0] == 403


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:3567", "127.9.9.9", "[::1]:3567", "api.test", "API.test:80"]
)
def test_loopback_names_and_the_domain_of_the_api_are_let_in(client: TestClient, host: str) -> None:
    """Every name under which only this machine, or the API itself, is reached will do."""
    assert client.get(CLOCK, headers={NAME: TOKEN, "host": host}).status_code == 200


@given(
    st.text() | st.text(alphabet="localhost127.0[]:1@/?# ", max_size=24) | st.from_regex(r"\[[0-9a-f:]{0,10}\]:?[0-9]*")
)
def test_any_host_header_is_read_or_refused(header: str) -> None:
    """Whatever is sent, the host read from it is a plain name or address that stands in the header."""
    host = host_named(header)
    if host is not None:
        assert host in header.lower()
        assert not set(host) & set("@/?#[] \\\n\t,")
        assert ":" not in host or header.startswith("[")


@given(st.ip_addresses(v=4), st.none() | st.integers(0, 65535))
def test_an_address_is_read_whole(address: Any, port: int | None) -> None:
    """An address with or without a port is read as it stands, and is loopback only below 127."""
    host = host_named(f"{address}" if port is None else f"{address}:{port}")
    assert host == str(address)
    assert is_loopback(str(address)) is str(address).startswith("127.")


# Origin: websites


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:3000", "http://localhost:3567", "null", "", "file://"]
)
def test_a_cross_site_origin_is_refused(client: TestClient, app: App, origin: str) -> None:
    """Whatever a browser's page sends is refused, the website's own and the API's included, and told why."""
    status, message = attack(client, app, [(NAME, TOKEN), ("origin", origin)])
    assert status == 403
    assert "any website may send requests to this machine" in message


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://evil.example"])
def test_a_preflight_gets_no_permission(client: TestClient, origin: str) -> None:
    """The question a browser asks first is answered without a word that would let it go on."""
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": NAME}
    for path in (CLOCK, "/auth/testing", "/auth/testing/", "/auth/testing/nothing", "/auth/testing/signin"):
        answer = client.options(path, headers=asked)
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_no_answer_has_cors_headers_and_others_keep_theirs(client: TestClient) -> None:
    """The wrapper that lets the website read the API does not reach the testing routes."""
    for path in (CLOCK, "/auth/testing/nothing"):
        answer = client.get(path, headers={NAME: TOKEN})
        assert not [name for name in answer.headers if name.startswith("access-control-") or name == "vary"]
    website = client.get("/auth/jwt/jwks.json", headers={"origin": "http://localhost:3000"})
    assert "access-control-allow-origin" in website.headers


@pytest.mark.parametrize(
    "path", ["/auth/testing/clock/", "/auth/%74esting/clock", "/auth/testing/%63lock", "/auth/testing//clock"]
)
def test_another_spelling_of_a_path_is_guarded_as_well(client: TestClient, path: str) -> None:
    """No way of writing the path leads around the guard."""
    assert client.get(f"{API}{path}").status_code == 401


# Consent


def test_without_consent_there_are_no_testing_routes() -> None:
    """An App that was not made with unsafe_for_tests=True cannot be served with them: an error at once."""
    app = build_app(Settings(database="sqlite://"))
    with pytest.raises(ConfigurationError, match="unsafe_for_tests"):
        create_app(app, testing_token=TOKEN)
    app.close()


def test_unasked_there_are_no_testing_routes(app: App) -> None:
    """Consent alone serves none: whoever makes the application has to name a token."""
    client = TestClient(create_app(app), base_url=API)
    before = app.clock.now_ms()
    for token in ("", "None", TOKEN):
        assert client.post(CLOCK, json={"advance_seconds": 60}, headers={NAME: token}).status_code == 404
    assert app.clock.now_ms() == before


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
def test_serving_other_machines_is_refused(host: str) -> None:
    """Beyond this machine, a manual clock is served only to those who insist."""
    settings = replace(SETTINGS, host=host)
    with pytest.raises(OptionsError, match="--allow-unsafe-host"):
        build_app(settings)
    app = build_app(replace(settings, allow_unsafe_host=True))
    assert isinstance(app.clock, ManualClock)
    app.close()


def test_two_workers_are_refused() -> None:
    """Each would have a time of its own."""
    with pytest.raises(OptionsError, match="--workers"):
        build_app(replace(SETTINGS, workers=2))


def test_a_manual_clock_begins_now_and_forgets_everything() -> None:
    """Its App starts at the present, in memory unless told otherwise, and the log says what is served where."""
    app = build_app(SETTINGS)
    assert abs(app.clock.now_ms() - ManualClock().now_ms()) < 60_000
    assert app.unsafe_for_tests
    assert app.database.inline
    said = "\n".join(startup_lines(app, SETTINGS))
    assert "POST http://localhost:3567/auth/testing/clock" in said
    assert NAME in said
    assert any("unsafe_for_tests" in line for line in startup_warnings(app, SETTINGS))
    app.close()


@pytest.mark.parametrize(
    ("changed", "warned"),
    [
        ({}, False),
        ({"host": "0.0.0.0", "allow_unsafe_host": True}, True),
        ({"manual_clock": False}, True),
        ({"database": "sqlite:///kept.db"}, True),
    ],
)
def test_in_memory_on_this_machine_there_is_nothing_to_steal(
    changed: dict[str, Any], warned: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a test moves the clock, nothing is said of encryption as long as no other machine and no file is in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COATCHECK_ENCRYPTION_KEY", raising=False)
    settings = replace(SETTINGS, **changed)
    app = build_app(settings)
    said = " ".join(startup_warnings(app, settings))
    app.close()
    assert ("plain http" in said) is ("stored unencrypted" in said) is warned


def test_a_database_that_is_named_is_used(tmp_path: Any) -> None:
    """Who names a file keeps it."""
    app = build_app(replace(SETTINGS, database=f"sqlite:///{tmp_path / 'kept.db'}"))
    assert not app.database.inline
    app.close()


# What the answers wait for


def test_a_testing_route_sees_what_earlier_requests_still_do(app: App) -> None:
    """A mail that is sent after the response has left is in the outbox whenever a test asks for it."""
    release, answered, sent = asyncio.Event(), asyncio.Event(), []

    async def work() -> None:
        await release.wait()
        sent.append("mail")

    async def slow(_request: Request) -> Response:
        return PlainTextResponse("accepted", background=BackgroundTask(work))

    served = create_app(app, [Route("/slow", slow)], testing_token=TOKEN)

    async def get(path: str, done: asyncio.Event | None = None) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            if done is not None and message["type"] == "http.response.body":
                done.set()

        await served(scope_of(path), receive, send)

    async def scenario() -> None:
        request = asyncio.create_task(get("/slow", answered))
        await answered.wait()
        asked = asyncio.create_task(get(CLOCK))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not asked.done()
        release.set()
        await asked
        assert sent == ["mail"]
        await request

    asyncio.run(scenario())


def test_work_that_does_not_end_holds_nobody_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a limit the answer comes all the same."""
    monkeypatch.setattr(testing_routes, "_LONGEST_S", 0.0)

    async def endless(_scope: Scope, _receive: object, send: Callable[[Message], Any]) -> None:
        await send({"type": "http.response.body"})
        await asyncio.Event().wait()

    async def nothing(*_: object) -> Any:
        return None

    async def scenario() -> None:
        pending_work = testing_routes.PendingWork()
        request = asyncio.create_task(pending_work.follow(endless, {}, nothing, nothing))
        await asyncio.sleep(0)
        await pending_work.wait()
        assert not request.done()
        request.cancel()

    asyncio.run(scenario())


def scope_of(path: str) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (NAME.encode(), TOKEN.encode())],
        "server": ("127.0.0.1", 3567),
        "client": ("127.0.0.1", 1),
        "state": {},
    }
