"""Trouble between client and server: answers that get lost, tabs that do not wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import httpx2
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
from coatcheck.testing import BrowserClient, client, expire_access_token, lose_next_response, race_refresh

from ..kit import Make

Mode = Literal["cookie", "header"]
FORM = {"formFields": [{"id": "email", "value": "ada@example.com"}, {"id": "password", "value": "correct horse 1"}]}
BOTH = pytest.mark.parametrize("mode", ["cookie", "header"])
REFRESH = "/auth/session/refresh"


async def me(request: Request) -> Response:
    return JSONResponse({"user": (await verify_session()(request)).user_id})


@pytest.fixture
def app(make_app: Make) -> App:
    """Return an App with anti-CSRF tokens."""
    return make_app(anti_csrf="VIA_TOKEN")


@pytest.fixture
def browser(app: App) -> Iterator[Callable[..., BrowserClient]]:
    """Open a browser and sign in."""
    opened: list[BrowserClient] = []

    def sign_in(mode: Mode = "cookie") -> BrowserClient:
        one = client(create_app(app, [Route("/me", me)]), mode=mode)
        opened.append(one)
        assert one.post("/auth/signup", json=FORM).json()["status"] == "OK"
        return one

    yield sign_in
    for one in opened:
        one.close()


SignIn = Callable[..., BrowserClient]


@BOTH
def test_the_answer_to_a_refresh_gets_lost(app: App, browser: SignIn, mode: Mode, clock: ManualClock) -> None:
    """The client refreshes again with the token it has, at once or an hour later, and nobody speaks of theft."""
    one = browser(mode)
    for pause in (0, 5, 3600):
        expire_access_token(app)
        before = one.refresh_token
        lose_next_response(one, REFRESH)
        with pytest.raises(httpx2.ReadError, match="lost"):
            one.get("/me")
        assert one.session_exists
        assert one.refresh_token == before
        clock.advance(pause)
        assert one.get("/me").status_code == 200
        assert one.refresh_token != before


def test_the_answer_to_a_sign_up_gets_lost(app: App) -> None:
    """The account exists, and the client knows nothing of it."""
    with client(app) as one:
        lose_next_response(one)
        with pytest.raises(httpx2.ReadError):
            one.post("/auth/signup", json=FORM)
        assert (one.session_exists, list(one.cookies), one.exchanges) == (False, [], ())
        assert one.post("/auth/signup", json=FORM).json()["status"] == "FIELD_ERROR"
        assert one.post("/auth/signin", json=FORM).json()["status"] == "OK"


def test_the_answer_to_a_sign_out_gets_lost(app: App, browser: SignIn) -> None:
    """The session is over on the server; the page finds out with its next refresh."""
    one = browser()
    lose_next_response(one, "/auth/signout")
    with pytest.raises(httpx2.ReadError):
        one.sign_out()
    assert one.session_exists
    expire_access_token(app)
    assert one.get("/me").json() == {"message": "unauthorised"}


def test_each_call_loses_one_answer(browser: SignIn) -> None:
    """And only to a request for the path that was named; other tabs lose nothing."""
    one = browser()
    lose_next_response(one, "/healthz")
    lose_next_response(one)
    assert one.tab().get("/me").status_code == 200
    with pytest.raises(httpx2.ReadError):
        one.get("/me")
    assert one.get("/me").status_code == 200
    with pytest.raises(httpx2.ReadError):
        one.get("/healthz")
    assert one.get("/healthz").status_code == 200


@BOTH
@pytest.mark.parametrize("tabs", [2, 3])
def test_tabs_that_refresh_at_once_get_the_same_tokens(app: App, browser: SignIn, mode: Mode, tabs: int) -> None:
    """Within ten seconds siblings are equal, so whichever answer arrives last, the session goes on."""
    one = browser(mode)
    expire_access_token(app)
    racing = [one, *(one.tab() for _ in range(tabs - 1))]
    answers = race_refresh(racing)
    assert [answer.status_code for answer in answers] == [200] * tabs
    tokens = {answer.headers.get("st-refresh-token") or answer.cookies["sRefreshToken"] for answer in answers}
    assert len(tokens) == 1
    for tab in racing:
        assert tab.get("/me").status_code == 200
    expire_access_token(app)
    assert one.get("/me").status_code == 200


@BOTH
def test_tabs_that_refresh_later_get_others(app: App, browser: SignIn, mode: Mode) -> None:
    """More than ten seconds apart siblings differ; tabs share what arrived last, and the session goes on as well."""
    one = browser(mode)
    expire_access_token(app)
    first, second = race_refresh([one, one.tab()], apart_seconds=11)
    assert first.headers["front-token"] != second.headers["front-token"]
    assert one.get("/me").status_code == 200
    expire_access_token(app)
    assert one.get("/me").status_code == 200


def test_but_two_browsers_that_go_on_with_different_siblings_are_noticed(app: App, browser: SignIn) -> None:
    """Each keeps its own answer: the second one to use it is behind a fork, and its next refresh is theft."""
    owner = browser()
    thief = owner.copy()
    expire_access_token(app)
    race_refresh([owner, thief], apart_seconds=11)
    assert owner.get("/me").status_code == 200
    assert thief.refresh().json() == {"message": "token theft detected"}


def test_a_race_apart_in_time_needs_a_clock_that_moves() -> None:
    """An App on the system's clock says what is missing."""
    app = App(
        app_info=InputAppInfo(app_name="T", api_domain="http://localhost:3567", website_domain="http://localhost:3000"),
        recipe_list=[session.init()],
        database="sqlite://",
        unsafe_for_tests=True,
    )
    with client(app) as one, pytest.raises(ConfigurationError, match="clock=ManualClock"):
        race_refresh([one, one.tab()], apart_seconds=1)
    app.close()


def test_a_race_is_between_clients(app: App) -> None:
    """Anything else is refused, with an example."""
    others: list[Any] = [app]
    with pytest.raises(ConfigurationError, match=r"race_refresh\(\[ann, ann.tab\(\)\]\)"):
        race_refresh(others)
