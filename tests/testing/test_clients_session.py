"""The client's sessions: dressed, refreshed and ended as the browser SDK does it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from coatcheck import InputAppInfo, testing
from coatcheck.claims import ManualClock
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.server import create_app
from coatcheck.server.fastapi import verify_session
from coatcheck.testing import BrowserClient, client, sign_in

from ..kit import Make

Open = Callable[..., BrowserClient]
Mode = Literal["cookie", "header"]
HTTPS = {"api_domain": "https://api.example.com", "website_domain": "https://www.example.com"}
FORM = {"formFields": [{"id": "email", "value": "ada@example.com"}, {"id": "password", "value": "correct horse 1"}]}
BOTH = pytest.mark.parametrize("mode", ["cookie", "header"])


async def me(request: Request) -> Response:
    found = await verify_session()(request)
    return JSONResponse({"user": found.user_id, "rid": request.headers.get("rid")})


async def stubborn(_request: Request) -> Response:
    return JSONResponse({"message": "never"}, 401)


async def away(_request: Request) -> Response:
    return RedirectResponse("/me", 303)


async def elsewhere(_request: Request) -> Response:
    return RedirectResponse("https://elsewhere.example/seen")


async def seen(request: Request) -> Response:
    return JSONResponse(dict(request.headers))


async def merge(request: Request) -> Response:
    found = await verify_session()(request)
    await found.merge_into_access_token_payload({"colour": "red"})
    return Response()


ROUTES = [
    Route("/me", me, methods=["GET", "POST"]),
    Route("/stubborn", stubborn),
    Route("/away", away, methods=["POST"]),
    Route("/elsewhere", elsewhere),
    Route("/seen", seen, methods=["GET", "POST"]),
    Route("/merge", merge, methods=["POST"]),
]


@pytest.fixture
def browser(make_app: Make) -> Iterator[Open]:
    """Open browsers on an App with anti-CSRF tokens behind https: `browser(mode="header", **options)`."""
    opened: list[BrowserClient] = []

    def open_browser(*, mode: Mode = "cookie", **options: Any) -> BrowserClient:
        app = make_app(**{**HTTPS, "anti_csrf": "VIA_TOKEN", **options})
        opened.append(client(create_app(app, ROUTES), mode=mode))
        return opened[-1]

    yield open_browser
    for one in opened:
        one.close()


def signed_up(one: BrowserClient) -> BrowserClient:
    answer = one.post("/auth/signup", json=FORM)
    assert answer.json()["status"] == "OK"
    return one


def story(one: BrowserClient) -> list[str]:
    """Return what went over the wire."""
    return [f"{e.request.method} {e.request.url.path} {e.response.status_code}" for e in one.exchanges]


@BOTH
def test_a_session_lives_on_through_refreshes(browser: Open, clock: ManualClock, mode: Mode) -> None:
    """Cookies that need https survive, and an expired access token is refreshed in between, unseen by the page."""
    one = signed_up(browser(mode=mode))
    for _ in range(3):
        clock.advance(3600)
        assert one.post("/me").status_code == 200
    round_trip = ["POST /me 401", "POST /auth/session/refresh 200", "POST /me 200"]
    assert story(one) == ["POST /auth/signup 200", *round_trip * 3]
    assert len(one.refreshes) == 3


@BOTH
def test_what_a_request_carries(browser: Open, mode: Mode) -> None:
    """The mode, `rid`, the website's origin, and the tokens of the session as the mode has it."""
    one = signed_up(browser(mode=mode))
    headers = one.post("/seen").json()
    assert headers["st-auth-mode"] == mode
    assert headers["rid"] == "anti-csrf"
    assert headers["origin"] == "https://www.example.com"
    assert headers["host"] == "api.example.com"
    if mode == "cookie":
        assert headers["cookie"] == f"sAccessToken={one.access_token}"
        assert "anti-csrf" in headers
        assert "authorization" not in headers
    else:
        assert headers["authorization"] == f"Bearer {one.access_token}"
        assert not {"cookie", "anti-csrf"} & set(headers)


def test_what_the_caller_sets_itself_stays(browser: Open) -> None:
    """Headers of the call win over those of the SDK."""
    one = signed_up(browser())
    own = {"rid": "mine", "cookie": "a=1", "origin": "https://other.example", "anti-csrf": "wrong"}
    assert one.post("/seen", headers=own).json().items() >= own.items()


def test_cookies_of_one_request_go_beside_those_of_the_browser(browser: Open) -> None:
    """They win where both have one of that name, are gone with the next request, and never reach another host."""
    one = signed_up(browser())
    kept = f"sAccessToken={one.access_token}"

    def get(path: str, **cookies: str) -> httpx2.Response:
        return one.send(one.build_request("GET", path, cookies=cookies))

    assert get("/seen", lang="de").json()["cookie"] == f"lang=de; {kept}"
    assert get("/me", lang="de").status_code == 200
    assert get("/seen", sAccessToken="mine").json()["cookie"] == "sAccessToken=mine"
    assert get("/seen").json()["cookie"] == kept
    assert "cookie" not in get("/elsewhere", lang="de").json()


def test_other_hosts_get_no_tokens(browser: Open) -> None:
    """Neither tokens nor the SDK's headers leave the API's host."""
    one = signed_up(browser(mode="header"))
    headers = one.get("https://elsewhere.example/seen").json()
    assert not {"authorization", "rid", "st-auth-mode", "cookie"} & set(headers)


def test_without_a_session_a_401_is_just_a_401(browser: Open) -> None:
    """Nothing is refreshed where there is nothing to refresh."""
    one = browser()
    assert one.get("/me").status_code == 401
    assert story(one) == ["GET /me 401"]


@BOTH
def test_when_the_refresh_fails_the_session_is_gone(browser: Open, clock: ManualClock, mode: Mode) -> None:
    """The page sees the refusal of the refresh, and the next request does not try again."""
    one = signed_up(browser(mode=mode))
    clock.advance(8_640_000)
    answer = one.post("/me")
    assert answer.status_code == 401
    assert answer.json() == {"message": "unauthorised"}
    assert not one.session_exists
    assert one.access_token is one.refresh_token is None
    assert one.post("/me").status_code == 401
    assert story(one)[-1] == "POST /me 401"


def test_a_route_that_always_says_401_ends_in_an_error(browser: Open) -> None:
    """After ten refreshes the SDK gives up."""
    one = signed_up(browser())
    with pytest.raises(RuntimeError, match="after 10 refreshes"):
        one.get("/stubborn")
    assert len(one.refreshes) == 10


def test_automatic_refreshes_can_be_switched_off(browser: Open, clock: ManualClock) -> None:
    """Then a test sees the 401 itself, and refreshes when it likes."""
    one = signed_up(browser())
    one.automatic_refresh = False
    clock.advance(3600)
    assert one.post("/me").json() == {"message": "try refresh token"}
    assert one.refresh().status_code == 200
    assert one.post("/me").status_code == 200
    assert not one.automatic_refresh


def test_another_status_for_expired_sessions(browser: Open, clock: ManualClock) -> None:
    """The client knows the App's `session_expired_status_code`."""
    one = signed_up(browser(session_expired_status_code=440))
    clock.advance(3600)
    assert one.post("/me").status_code == 200
    assert "POST /me 440" in story(one)


def test_redirects_are_followed_with_fresh_headers(browser: Open, clock: ManualClock) -> None:
    """Each hop is dressed anew, and refreshed where it has to be."""
    one = signed_up(browser())
    clock.advance(3600)
    answer = one.post("/away")
    assert answer.status_code == 200
    assert answer.url == "https://api.example.com/me"
    assert story(one)[1:] == ["POST /away 303", "GET /me 401", "POST /auth/session/refresh 200", "GET /me 200"]
    one.follow_redirects = False
    assert one.post("/away").status_code == 303


def test_a_body_is_sent_again_after_a_refresh(browser: Open, clock: ManualClock) -> None:
    """Even one that can be read only once."""
    one = signed_up(browser())
    clock.advance(3600)
    assert one.post("/me", content=iter([b"only ", b"once"])).status_code == 200
    assert [e.request.read() for e in one.exchanges if e.request.url.path == "/me"] == [b"only once"] * 2


@BOTH
def test_signing_out(browser: Open, mode: Mode) -> None:
    """The server forgets the session, and so do jar and page."""
    one = signed_up(browser(mode=mode))
    assert one.sign_out().json() == {"status": "OK"}
    assert (one.session_exists, one.access_token, one.refresh_token) == (False, None, None)
    assert not one.cookies
    with pytest.raises(LookupError):
        _ = one.session_handle
    assert one.session_payload() is None


def test_the_page_reads_the_payload(browser: Open, clock: ManualClock) -> None:
    """It is that of the newest front token, and refreshed first where it has expired."""
    one = signed_up(browser())
    one.post("/merge")
    assert (one.session_payload() or {})["colour"] == "red"
    assert one.session_handle == (one.session_payload() or {})["sessionHandle"]
    clock.advance(3601)
    assert (one.session_payload() or {})["iat"] == clock.now_ms() // 1000
    assert len(one.refreshes) == 1


@BOTH
def test_a_client_starts_with_a_session_made_elsewhere(make_app: Make, clock: ManualClock, mode: Mode) -> None:
    """It has what the response that signed in would have given it, expiry included."""
    app = make_app(**HTTPS, anti_csrf="VIA_TOKEN")
    with client(create_app(app, ROUTES), signed_in=sign_in(app, "u1"), mode=mode) as one:
        assert one.post("/me").json()["user"] == (one.session_payload() or {})["sub"]
        clock.advance(3600)
        assert one.post("/me").status_code == 200
        refresh = one.browser.jar.find("sRefreshToken")
        assert [cookie.path for cookie in refresh] == (["/auth/session/refresh"] if mode == "cookie" else [])
        clock.advance(8_640_000)
        assert one.refresh_token is None or mode == "header"
        assert one.post("/me").status_code == 401


def test_an_app_whose_website_depends_on_the_request() -> None:
    """Whoever decides about the website is shown the origin of the page, also for a session made elsewhere."""

    def origin(request: Request | None, _context: Any) -> str:
        return "" if request is None else request.headers["origin"]

    info = InputAppInfo("Test", "http://localhost:3567", origin=origin)
    with testing.make_app(app_info=info) as app:
        with client(app, signed_in=sign_in(app, "u1"), website="http://localhost:4000") as one:
            assert one.refresh().status_code == 200
        with client(app) as one, pytest.raises(KeyError):
            one.post("/auth/signup", json=FORM)


def test_tabs_share_the_session(browser: Open, clock: ManualClock) -> None:
    """What one tab does, the other one knows: sign-in, refresh, sign-out."""
    one = browser()
    two = one.tab()
    signed_up(one)
    assert two.post("/me").status_code == 200
    clock.advance(3600)
    assert one.post("/me").status_code == 200
    assert two.post("/me").status_code == 200
    assert two.refreshes == ()
    two.sign_out()
    assert not one.session_exists


def test_a_tab_that_finds_the_session_refreshed_only_tries_again(make_app: Make, clock: ManualClock) -> None:
    """While its request was under way another tab has refreshed, so it need not."""
    tabs: list[BrowserClient] = []

    async def slow(request: Request) -> Response:
        if len(tabs) == 1:
            tabs.append(tabs[0].tab())
            tabs[1].refresh()
        return await me(request)

    with client(create_app(make_app(), [Route("/slow", slow)])) as one:
        signed_up(one)
        clock.advance(3600)
        tabs.append(one)
        assert one.get("/slow").status_code == 200
        assert story(one)[1:] == ["GET /slow 401", "GET /slow 200"]
        assert len(tabs[1].refreshes) == 1
        tabs[1].close()


def test_copies_do_not(browser: Open) -> None:
    """A copy is another browser that happens to know the same tokens now."""
    one = signed_up(browser(mode="header"))
    two = one.copy()
    assert two.post("/me").status_code == 200
    one.sign_out()
    assert not one.session_exists
    assert two.session_exists


def test_cookies_can_be_set(browser: Open) -> None:
    """As in any httpx2 client, and replaced as a whole."""
    one = browser()
    one.cookies["theme"] = "dark"
    assert one.get("/seen").json()["cookie"] == "theme=dark"
    one.cookies = {"theme": "light"}
    assert one.get("/seen").json()["cookie"] == "theme=light"


def test_the_api_behind_a_gateway(make_app: Make, clock: ManualClock) -> None:
    """The browser's paths have the gateway's in front, the application's have not."""
    app = make_app(api_gateway_path="/gateway")
    with client(create_app(app, ROUTES)) as one:
        assert one.post("/gateway/auth/signup", json=FORM).json()["status"] == "OK"
        clock.advance(3600)
        assert one.post("/gateway/me").status_code == 200
        assert one.get("/me").status_code == 200


def test_an_app_alone_can_be_asked(make_app: Make) -> None:
    """Its own API is served, without any application around."""
    with client(make_app()) as one:
        assert signed_up(one).session_exists


def test_the_page_can_be_another(make_app: Make) -> None:
    """Its origin is sent along; a page of the API's own origin sends it only with requests that change something."""
    app = make_app()
    with client(create_app(app, ROUTES), website="localhost:4000") as one:
        assert one.get("/seen").json()["origin"] == "http://localhost:4000"
    with client(create_app(app, ROUTES), website=app.info.api_domain) as one:
        assert "origin" not in one.get("/seen").json()
        assert one.post("/seen").json()["origin"] == app.info.api_domain


async def bare(scope: Any, receive: Any, send: Any) -> None:
    await Response("bare")(scope, receive, send)


def test_an_application_without_an_app(make_app: Make, no_default_app: None) -> None:
    """Where no App can be found, the error says how to name it; the process's default will do."""
    with pytest.raises(ConfigurationError, match="coatcheck=app"):
        client(bare)
    with client(bare, coatcheck=make_app()) as one:
        assert one.get("/").text == "bare"
    set_default_services(make_app(**HTTPS))
    with client(bare) as one:
        assert one.get("/").url == "https://api.example.com/"


def test_what_is_no_application(make_app: Make) -> None:
    """Something that cannot be called is refused at once."""
    with pytest.raises(ConfigurationError, match="neither an App nor"):
        client("an application", coatcheck=make_app())


def test_sessions_travel_in_one_of_two_ways(make_app: Make) -> None:
    """Another mode than these is an error that names them, whoever opens the client."""
    wrong: Any = "bearer"
    app = make_app()
    for open_client in (client, sign_in(app, "u1").client):
        with pytest.raises(ConfigurationError, match='mode is "cookie" or "header", not \'bearer\''):
            open_client(app, mode=wrong)


def test_a_refresh_that_tells_nothing_is_an_error(make_app: Make) -> None:
    """The SDK refuses a refresh that succeeded without a front token."""

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await Response("{}")(scope, receive, send)

    with client(silent, coatcheck=make_app()) as one, pytest.raises(httpx2.RemoteProtocolError, match="front-token"):
        one.refresh()


def test_front_tokens_are_read_as_scripts_read_them(browser: Open) -> None:
    """What the client knows is what the header says."""
    one = browser()
    answer = one.post("/auth/signup", json=FORM)
    assert json.loads(base64.b64decode(answer.headers["front-token"]))["up"] == one.session_payload()
