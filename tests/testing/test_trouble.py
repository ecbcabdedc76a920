"""Trouble at the server and with clocks: each event of the kit, and what the API really answers to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import jwt
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coatcheck import App, InputAppInfo
from coatcheck.claims import ManualClock
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.server import create_app
from coatcheck.server.fastapi import verify_session
from coatcheck.testing import (
    BrowserClient,
    client,
    clock_skew,
    database_down,
    expire_access_token,
    lose_next_response,
    manual_clock,
    revoke_session,
    rotate_signing_keys,
    sign_in,
)

from ..kit import LIMIT_S, Make

Mode = Literal["cookie", "header"]
FORM = {"formFields": [{"id": "email", "value": "ada@example.com"}, {"id": "password", "value": "correct horse 1"}]}
BOTH = pytest.mark.parametrize("mode", ["cookie", "header"])
TRY_REFRESH = {"message": "try refresh token"}
UNAUTHORISED = {"message": "unauthorised"}
THEFT = {"message": "token theft detected"}
UNAVAILABLE = {"message": "the service is unavailable, try again later"}


async def me(request: Request) -> Response:
    return JSONResponse({"user": (await verify_session()(request)).user_id})


async def checked(request: Request) -> Response:
    return JSONResponse({"user": (await verify_session(check_database=True)(request)).user_id})


ROUTES = [Route("/me", me), Route("/checked", checked)]


@pytest.fixture
def app(make_app: Make) -> App:
    """Return an App with anti-CSRF tokens."""
    return make_app(anti_csrf="VIA_TOKEN")


@pytest.fixture
def browser(app: App) -> Iterator[Callable[..., BrowserClient]]:
    """Open a browser and sign in."""
    opened: list[BrowserClient] = []

    def sign_in(mode: Mode = "cookie") -> BrowserClient:
        one = client(create_app(app, ROUTES), mode=mode)
        opened.append(one)
        assert one.post("/auth/signup", json=FORM).json()["status"] == "OK"
        return one

    yield sign_in
    for one in opened:
        one.close()


SignIn = Callable[..., BrowserClient]


def answers(one: BrowserClient, path: str) -> list[tuple[int, Any]]:
    """Return what the API answered to requests for a path."""
    return [(e.response.status_code, e.response.json()) for e in one.exchanges if e.request.url.path == path]


# Expired access tokens


@BOTH
def test_an_expired_access_token(app: App, browser: SignIn, mode: Mode) -> None:
    """The API says that the client should refresh; nothing is cleared, and the refresh succeeds."""
    one = browser(mode)
    expire_access_token(app)
    one.automatic_refresh = False
    answer = one.get("/me")
    assert (answer.status_code, answer.json()) == (401, TRY_REFRESH)
    assert "front-token" not in answer.headers
    assert one.refresh().status_code == 200
    assert one.get("/me").status_code == 200


def test_every_access_token_has_expired_then(make_app: Make) -> None:
    """As much time passes as the App lets them live, which may be less than a second more than whole ones."""
    app = make_app(access_token_validity_seconds=1.5)
    before_ms = app.clock.now_ms()
    expire_access_token(app)
    assert app.clock.now_ms() - before_ms == 1500


def test_time_is_only_moved_where_it_can_be(make_app: Make) -> None:
    """An App on the system's clock says what is missing."""
    app = App(
        app_info=InputAppInfo(app_name="T", api_domain="http://localhost:3567", website_domain="http://localhost:3000"),
        recipe_list=[session.init()],
        database="sqlite://",
        unsafe_for_tests=True,
    )
    with pytest.raises(ConfigurationError, match="clock=ManualClock"):
        expire_access_token(app)
    app.close()


def test_time_passes_for_an_app(browser: SignIn) -> None:
    """Access tokens do not expire for one client alone: a client in the App's place is refused."""
    one: Any = browser()
    with pytest.raises(ConfigurationError, match=r"for every client: expire_access_token\(app\)"):
        expire_access_token(one)


# Revoked sessions


@BOTH
def test_a_revoked_session(app: App, browser: SignIn, mode: Mode) -> None:
    """The access token stays good where nobody asks the database; then the refresh ends it."""
    one = browser(mode)
    assert revoke_session(app, one) is True
    assert revoke_session(app, one.session_handle) is False
    assert one.get("/me").status_code == 200
    expire_access_token(app)
    answer = one.get("/me")
    assert (answer.status_code, answer.json()) == (401, UNAUTHORISED)
    assert answer.headers["front-token"] == "remove"
    assert (one.session_exists, one.access_token, one.refresh_token) == (False, None, None)


def test_a_revoked_session_on_a_route_that_asks_the_database(app: App, browser: SignIn) -> None:
    """There the answer is 401 at once, and the session is gone from the client as well."""
    one = browser()
    revoke_session(app, one)
    answer = one.get("/checked")
    assert (answer.status_code, answer.json()) == (401, UNAUTHORISED)
    assert not one.session_exists
    assert one.refreshes == ()


# Stolen tokens


@BOTH
def test_a_stolen_refresh_token_is_noticed_when_its_owner_refreshes(app: App, browser: SignIn, mode: Mode) -> None:
    """The thief refreshes and uses what he got; the owner's next refresh tells, and both are out."""
    owner = browser(mode)
    thief = owner.copy()
    expire_access_token(app)
    assert thief.get("/me").status_code == 200
    answer = owner.get("/me")
    assert (answer.status_code, answer.json()) == (401, THEFT)
    assert not owner.session_exists
    expire_access_token(app)
    assert thief.get("/me").json() == UNAUTHORISED


@BOTH
def test_or_when_the_thief_does(app: App, browser: SignIn, mode: Mode) -> None:
    """The thief comes second: his refresh is the theft that is noticed, and the owner has to sign in again."""
    owner = browser(mode)
    thief = owner.copy()
    expire_access_token(app)
    assert owner.get("/me").status_code == 200
    assert thief.get("/me").json() == THEFT
    expire_access_token(app)
    assert owner.get("/me").json() == UNAUTHORISED


def test_a_stolen_access_token_is_not_noticed_until_it_expires(app: App, browser: SignIn) -> None:
    """It is good for whoever has it, which is why it does not live long; anti-CSRF tokens do not help."""
    owner = browser()
    thief = owner.copy()
    assert thief.get("/me").status_code == 200
    assert owner.get("/me").status_code == 200


def test_a_cookie_without_its_anti_csrf_token_cannot_be_refreshed(app: App, browser: SignIn) -> None:
    """Who has the cookies alone is refused, and the owner's session goes on."""
    owner = browser()
    thief = owner.copy()
    thief.browser.tokens.anti_csrf = None
    expire_access_token(app)
    assert thief.get("/me").json() == UNAUTHORISED
    assert owner.get("/me").status_code == 200


# Keys


def kid(one: BrowserClient) -> str:
    return str(jwt.get_unverified_header(one.access_token or "")["kid"])


def test_rotated_signing_keys(app: App, browser: SignIn, clock: ManualClock) -> None:
    """The new key is published at once and signs ten minutes later; tokens of the old one stay good."""
    one = browser()
    old, new = kid(one), rotate_signing_keys(app)
    published = [key["kid"] for key in one.get("/auth/jwt/jwks.json").json()["keys"]]
    assert published == [new, old]
    assert one.get("/me").status_code == 200
    one.refresh()
    assert kid(one) == old
    clock.advance(601)
    one.refresh()
    assert kid(one) == new
    assert one.get("/me").status_code == 200


@BOTH
def test_revoked_signing_keys(app: App, browser: SignIn, mode: Mode) -> None:
    """No token of an earlier key is accepted: the client refreshes, and its session goes on with the new key."""
    one = browser(mode)
    new = rotate_signing_keys(app, revoke=True)
    assert one.get("/me").status_code == 200
    assert [status for status, _ in answers(one, "/me")] == [401, 200]
    assert answers(one, "/me")[0][1] == TRY_REFRESH
    assert kid(one) == new


# Clocks


@BOTH
@pytest.mark.parametrize("hours", [-30, -2, 2, 30])
def test_a_wrong_clock_at_the_client(app: App, browser: SignIn, mode: Mode, hours: int) -> None:
    """The server judges tokens by its own clock, and the SDK corrects its own: nothing is refreshed too often."""
    one = browser(mode)
    with clock_skew(one, hours * 3600):
        assert one.get("/me").status_code == 200
        one.post("/auth/signin", json=FORM)
        assert one.session_payload() is not None
        assert one.refreshes == ()
        expire_access_token(app)
        assert one.session_payload() is not None
        assert one.get("/me").status_code == 200
        assert len(one.refreshes) <= 1


def test_a_skew_may_be_a_timedelta(browser: SignIn) -> None:
    """As for a clock, a skew is a number of seconds or a timedelta."""
    one = browser()
    for skew in (-300, timedelta(minutes=-5)):
        with clock_skew(one, skew):
            assert one.browser.clock.offset_ms == -300_000
    assert one.browser.clock.offset_ms == 0


def test_before_the_first_token_the_page_only_knows_its_own_clock(app: App, browser: SignIn) -> None:
    """A clock that is set while a session lives makes the page refresh once, which the server allows."""
    one = browser()
    with clock_skew(one, 7200):
        assert one.session_payload() is not None
        assert len(one.refreshes) == 1
        assert one.session_payload() is not None
        assert len(one.refreshes) == 1


def test_a_clock_that_is_months_ahead_loses_the_refresh_cookie(app: App, browser: SignIn) -> None:
    """Its expiry is in the browser's past, so the browser does not even keep it; the session ends with the hour."""
    one = browser()
    with clock_skew(one, 101 * 86_400):
        assert one.post("/auth/signin", json=FORM).json()["status"] == "OK"
        assert (one.access_token is not None, one.refresh_token) == (True, None)
        assert one.get("/me").status_code == 200
        expire_access_token(app)
        assert one.get("/me").json() == UNAUTHORISED


# The database


def test_a_database_that_is_down(app: App, browser: SignIn) -> None:
    """What needs it is answered 503 and clients keep their sessions; afterwards all is as before."""
    one = browser()
    with database_down(app):
        for answer in (
            one.post("/auth/signin", json=FORM),
            one.post("/auth/signup", json=FORM),
            one.refresh(),
            one.get("/checked"),
        ):
            assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
        assert one.get("/healthz").status_code == 503
        assert one.get("/me").status_code == 200
        expire_access_token(app)
        assert one.get("/me").status_code == 503
        assert [status for status, _ in answers(one, "/me")] == [200, 401]
        assert one.session_exists
    assert one.get("/healthz").json() == {"status": "OK"}
    assert one.get("/me").status_code == 200
    assert one.get("/checked").status_code == 200


def test_a_database_in_a_file_that_is_down(make_app: Make, tmp_path: Path) -> None:
    """The same for a database with many connections, some of which are open."""
    app = make_app(database=f"sqlite:///{tmp_path / 'trouble.db'}")
    with client(create_app(app, ROUTES)) as one:
        one.post("/auth/signup", json=FORM)
        with database_down(app):
            assert one.get("/checked").status_code == 503
        assert one.get("/checked").status_code == 200


def test_a_database_server_that_is_down(make_app: Make, postgres_url: str) -> None:
    """The same for PostgreSQL, with the errors of its driver."""
    app = make_app(database=postgres_url)
    with client(create_app(app, ROUTES)) as one:
        one.post("/auth/signup", json=FORM)
        with database_down(app):
            assert (one.get("/checked").status_code, one.get("/healthz").status_code) == (503, 503)
        assert one.get("/checked").status_code == 200


def test_a_transaction_under_way_comes_to_its_end(make_app: Make, tmp_path: Path) -> None:
    """Only new connections are refused."""
    app = make_app(database=f"sqlite:///{tmp_path / 'trouble.db'}")
    app.database.ping()
    begun, down = threading.Event(), threading.Event()

    def slowly(_connection: object) -> str:
        begun.set()
        assert down.wait(LIMIT_S)
        return "done"

    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(app.database.write(slowly)))
    thread.start()
    assert begun.wait(LIMIT_S)
    with database_down(app):
        down.set()
        thread.join(10)
    assert results == ["done"]


def test_after_an_error_inside_the_block_the_database_is_back(app: App) -> None:
    """However the block ends."""
    with pytest.raises(LookupError), database_down(app):
        raise LookupError
    app.database.ping()


def test_one_app_is_down_and_another_is_not(app: App, make_app: Make) -> None:
    """Trouble is an App's own."""
    other = make_app()
    with database_down(app), client(other) as one:
        assert one.get("/healthz").status_code == 200


def test_what_is_given_to_the_wrong_function_is_said(app: App) -> None:
    """Apps and clients are easily taken for each other: the error shows the call as it is meant."""
    somebody: Any = sign_in(app, "ann@example.com")
    calls: list[Callable[[], Any]] = [
        lambda: manual_clock(somebody),
        lambda: rotate_signing_keys(somebody),
        lambda: database_down(somebody).__enter__(),
        lambda: clock_skew(somebody, 5).__enter__(),
        lambda: lose_next_response(somebody),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match=r"\((app|client).*\) takes an? (App|BrowserClient), not SignedIn"):
            call()
    with client(app) as browser, pytest.raises(ConfigurationError, match="begins with a slash"):
        lose_next_response(browser, "auth/signin")
