"""What the doctor says about CORS in Starlette and FastAPI, and that it says what happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from litestar import Litestar
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from starlette.testclient import TestClient

from coatcheck import App, exceptions, get_all_cors_headers
from coatcheck.server import create_app
from coatcheck.server.asgi import AuthMiddleware, session_exception_handler
from coatcheck.server.doctor import diagnose
from coatcheck.server.doctor.application import is_application
from coatcheck.server.doctor.asgi import app_of
from coatcheck.server.fastapi import get_middleware

from ...kit import API, WEBSITE

Found = list[tuple[str, str]]
RIGHT: dict[str, Any] = {
    "allow_origins": [WEBSITE],
    "allow_credentials": True,
    "allow_methods": ["GET", "POST", "DELETE"],
    "allow_headers": ["content-type", *get_all_cors_headers()],
}
ANYTHING = {"allow_headers": ["*"], "allow_methods": ["*"]}
COOKIES = {"st-auth-mode": "cookie"}
MISSING = ("warning", "there is no AuthMiddleware in the application")


def found(app: App, application: object) -> Found:
    return [(finding.level, finding.title) for finding in diagnose(app, application).findings]


class TeamTracing:
    """Middleware that has nothing to do with all this."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class TeamCORS(TeamTracing):
    """Middleware of an application's own, which nobody can look into."""


@pytest.fixture
def with_cors(make_app: Callable[..., App]) -> Callable[..., tuple[App, FastAPI]]:
    """Make an App and a FastAPI application with the middlewares in the right order; keywords change CORS."""

    def make(session_options: dict[str, Any] | None = None, **cors: Any) -> tuple[App, FastAPI]:
        app = make_app(**(session_options or {}))
        web = FastAPI()
        web.add_middleware(AuthMiddleware, coatcheck=app)
        web.add_middleware(CORSMiddleware, **{**RIGHT, **cors})
        return app, web

    return make


@pytest.mark.parametrize(
    "cors",
    [
        {},
        ANYTHING,
        {"allow_origins": [], "allow_origin_regex": r"http://localhost:\d+"},
        {"allow_headers": [name.title() for name in get_all_cors_headers()]},
        {"allow_headers": [name for name in get_all_cors_headers() if name != "anti-csrf"]},
        {"expose_headers": ["front-token", "X-Total"]},
    ],
)
def test_cors_that_works_is_not_talked_about(with_cors: Callable[..., Any], cors: dict[str, Any]) -> None:
    """Of CORS around the auth API with the right contents, nothing is found."""
    diagnosis = diagnose(*with_cors(**cors))
    assert diagnosis.findings == ()
    assert diagnosis.unchecked == ()


@pytest.mark.parametrize(
    ("cors", "level", "said"),
    [
        ({"allow_origins": ["http://localhost:3001"]}, "error", f"does not name the website, {WEBSITE}"),
        ({"allow_origins": [f"{WEBSITE}/"]}, "error", "does not name the website"),
        ({"allow_origins": ["*"]}, "warning", "lets every website call the API with credentials"),
        ({"allow_origin_regex": ".*"}, "warning", "lets every website call the API with credentials"),
        ({"allow_credentials": False}, "error", "allow_credentials is not set"),
        ({"allow_credentials": False, "allow_origins": ["*"]}, "error", "allow_credentials is not set"),
        ({"allow_headers": ["content-type"]}, "error", "lacks rid, fdi-version, authorization, st-auth-mode"),
        ({"allow_headers": ["rid", "fdi-version", "st-auth-mode"]}, "warning", "lacks authorization"),
        ({"allow_methods": ["GET"]}, "error", "allow_methods lacks POST"),
        ({"expose_headers": ["X-Total"]}, "error", "expose_headers hides front-token"),
    ],
)
def test_cors_that_hides_answers_is_found(
    with_cors: Callable[..., Any], cors: dict[str, Any], level: str, said: str
) -> None:
    """Each mistake is one finding, at its level."""
    ((at, title),) = found(*with_cors(**cors))
    assert at == level
    assert said in title


def test_any_origin_is_an_error_where_cookies_travel_between_sites(with_cors: Callable[..., Any]) -> None:
    """With SameSite=None, any website could read what a signed-in user gets."""
    app, web = with_cors({"cookie_same_site": "none", "cookie_secure": True}, allow_origins=["*"])
    assert ("error", "CORSMiddleware lets every website call the API with credentials") in found(app, web)


def test_anti_csrf_tokens_need_their_headers(with_cors: Callable[..., Any]) -> None:
    """Where tokens are checked, the header must be allowed, and exposed where others are."""
    headers = [name for name in get_all_cors_headers() if name != "anti-csrf"]
    app, web = with_cors({"anti_csrf": "VIA_TOKEN"}, allow_headers=headers, expose_headers=["front-token"])
    assert found(app, web) == [
        ("error", "allow_headers lacks anti-csrf"),
        ("error", "expose_headers hides anti-csrf"),
    ]


def test_tokens_in_headers_have_to_be_exposed(with_cors: Callable[..., Any]) -> None:
    """Without cookies, the tokens themselves are headers that the page must see."""
    options = {"get_token_transfer_method": lambda *_: "header"}
    ((_, title),) = found(*with_cors(options, expose_headers=["front-token"]))
    assert title == "expose_headers hides st-access-token, st-refresh-token"


def test_cors_inside_the_auth_middleware_is_an_error(make_app: Callable[..., App]) -> None:
    """The one added last is outermost, and that must be CORS."""
    app, web = make_app(), FastAPI()
    web.add_middleware(CORSMiddleware, **RIGHT)
    web.add_middleware(get_middleware(), coatcheck=app)
    assert found(app, web) == [("error", "CORSMiddleware is inside the auth middleware")]


def test_the_order_of_a_list_counts_from_the_outside(make_app: Callable[..., App]) -> None:
    """In `middleware=[...]` the first is the outermost; others in between do not matter."""
    app = make_app()
    right = [Middleware(CORSMiddleware, **RIGHT), Middleware(GZipMiddleware), Middleware(AuthMiddleware, app)]
    assert found(app, Starlette(middleware=right)) == []
    assert found(app, Starlette(middleware=right[::-1])) != []


def test_middlewares_wrapped_around_an_application_are_seen(make_app: Callable[..., App]) -> None:
    """CORSMiddleware(app) is as good as app.add_middleware(CORSMiddleware)."""
    app = make_app()
    web = Starlette(middleware=[Middleware(AuthMiddleware, coatcheck=app)])
    assert found(app, CORSMiddleware(GZipMiddleware(web), **RIGHT)) == []
    assert found(app, CORSMiddleware(web, **{**RIGHT, "allow_origins": ()})) != []


def test_cors_around_other_frameworks_is_seen(make_app: Callable[..., App]) -> None:
    """What the auth middleware is wrapped around does not matter where Starlette's CORSMiddleware is around both."""
    app, web = make_app(), Litestar([])
    diagnosis = diagnose(app, CORSMiddleware(AuthMiddleware(web, coatcheck=app), **RIGHT))
    assert (diagnosis.findings, diagnosis.unchecked) == ((), ())
    assert found(app, CORSMiddleware(AuthMiddleware(web, coatcheck=app), **{**RIGHT, "allow_origins": ()})) != []


def test_an_application_that_is_mounted_in_itself_is_looked_at_all_the_same(make_app: Callable[..., App]) -> None:
    """Nothing is followed for ever."""
    app, web = make_app(), Starlette()
    web.routes.append(Mount("/again", web))
    assert found(app, web) == [MISSING]


def test_what_a_server_runs_is_known_in_whatever_it_is_wrapped(make_app: Callable[..., App]) -> None:
    """Middlewares that know nothing of us hold the application as their `app`."""
    app = make_app()
    web = Starlette(middleware=[Middleware(CORSMiddleware, **RIGHT), Middleware(AuthMiddleware, app)])
    assert is_application(TeamTracing(web))
    assert found(app, TeamTracing(web)) == []
    assert not is_application(TeamTracing(None))


def test_the_app_is_found_wherever_the_auth_middleware_stands(make_app: Callable[..., App]) -> None:
    """Added to an application, around one, or in one that is mounted; None where there is no auth middleware."""
    app = make_app()
    web = Starlette(middleware=[Middleware(AuthMiddleware, coatcheck=app)])
    for application in (web, AuthMiddleware(GZipMiddleware(Starlette()), app), Starlette(routes=[Mount("/x", web)])):
        assert app_of(application) is app
    assert app_of(Starlette()) is None


def test_middlewares_of_a_mounted_application_are_seen(make_app: Callable[..., App]) -> None:
    """The auth API may be served by an application inside another one, with CORS around both."""
    app = make_app()
    inner = Starlette(middleware=[Middleware(AuthMiddleware, coatcheck=app)])
    assert found(app, Starlette(routes=[Mount("/", inner)], middleware=[Middleware(CORSMiddleware, **RIGHT)])) == []
    ((_, title),) = found(app, Starlette(routes=[Mount("/", inner)]))
    assert "nothing lets the pages" in title


def test_no_cors_is_a_warning_where_the_website_is_another_origin(make_app: Callable[..., App]) -> None:
    """Something in front may add the headers; where website and API are one origin, none are needed."""
    app, web = make_app(), Starlette()
    web.add_middleware(AuthMiddleware, coatcheck=app)
    ((level, title),) = found(app, web)
    assert (level, "nothing lets the pages" in title) == ("warning", True)
    assert found(make_app(website_domain=API), web) == []


def test_of_cors_on_one_origin_only_too_much_is_found(with_cors: Callable[..., Any], make_app: Any) -> None:
    """Where nothing needs CORS, it can only allow too much."""
    app = make_app(website_domain=API)
    assert found(app, with_cors(allow_origins=[])[1]) == []
    assert [level for level, _ in found(app, with_cors(allow_origins=["*"])[1])] == ["warning"]


def test_the_application_that_serve_makes_is_right(make_app: Callable[..., App]) -> None:
    """create_app has CORS for the website around everything."""
    diagnosis = diagnose(app := make_app(), create_app(app))
    assert (diagnosis.findings, diagnosis.unchecked) == ((), ())


def test_cors_of_the_applications_own_is_judged_by_its_place(make_app: Callable[..., App]) -> None:
    """A middleware that is called CORS is taken as one; only where it stands can be seen."""
    app = make_app()
    around = [Middleware(TeamCORS), Middleware(AuthMiddleware, coatcheck=app)]
    assert found(app, Starlette(middleware=around)) == []
    assert found(app, Starlette(middleware=around[::-1])) == [("error", "TeamCORS is inside the auth middleware")]


def test_the_auth_middleware_around_a_whole_application_is_a_warning(make_app: Callable[..., App]) -> None:
    """Starlette has answered errors with 500 before it sees them, unless a handler takes them."""
    app = make_app()
    web = Starlette(middleware=[Middleware(CORSMiddleware, **RIGHT)])
    wrapped = CORSMiddleware(AuthMiddleware(web, coatcheck=app), **RIGHT)
    assert found(app, wrapped) == [("warning", "AuthMiddleware is wrapped around the whole application")]
    web.add_exception_handler(exceptions.SessionError, session_exception_handler)
    assert found(app, wrapped) == []


def test_what_cannot_be_seen_is_said(make_app: Callable[..., App]) -> None:
    """Other frameworks have CORS of their own; without the auth middleware there is nothing to put it around."""
    app = make_app()
    assert found(app, Starlette()) == [MISSING]
    for application, said in (
        (AuthMiddleware(Litestar([]), coatcheck=app), "Litestar"),
        (Litestar([]), "Litestar"),
        (None, "name the web application"),
    ):
        diagnosis = diagnose(app, application)
        assert diagnosis.findings == ()
        assert [said in what for what in diagnosis.unchecked] == [True]


# What is said does happen


def answers(web: Any) -> TestClient:
    return TestClient(web, base_url=API, headers={"origin": WEBSITE})


def test_answers_inside_out_have_no_cors_headers(make_app: Callable[..., App]) -> None:
    """A 401 of the auth API is hidden from the page where CORS is inside, and readable where it is outside."""
    app = make_app()
    layers = [Middleware(CORSMiddleware, **RIGHT), Middleware(AuthMiddleware, coatcheck=app)]
    for order, allowed in ((layers, WEBSITE), (layers[::-1], None)):
        answer = answers(Starlette(middleware=order)).post("/auth/session/refresh")
        assert answer.status_code == 401
        assert answer.headers.get("access-control-allow-origin") == allowed


@pytest.mark.parametrize(("exposed", "readable"), [([], True), (["X-Total"], False), (["front-token"], True)])
def test_exposed_headers_of_starlette_replace_those_of_the_tokens(
    with_cors: Callable[..., Any], exposed: list[str], readable: bool
) -> None:
    """Whatever expose_headers names is all that a page can read."""
    _, web = with_cors(expose_headers=exposed)
    body = {"formFields": [{"id": "email", "value": "a@example.com"}, {"id": "password", "value": "correct horse 1"}]}
    sent = answers(web).post("/auth/signup", json=body, headers=COOKIES)
    assert "front-token" in sent.headers
    assert ("front-token" in sent.headers["access-control-expose-headers"]) is readable


@pytest.mark.parametrize(
    "cors", [{"allow_methods": ["GET"]}, {"allow_headers": ["content-type"]}, {"allow_origins": [f"{WEBSITE}/"]}]
)
def test_preflight_requests_are_refused(with_cors: Callable[..., Any], cors: dict[str, Any]) -> None:
    """What is found missing makes Starlette refuse what a browser asks first, and nothing else does."""
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "rid, st-auth-mode"}
    statuses = [
        answers(with_cors(**change)[1]).options("/auth/signin", headers=asked).status_code for change in ({}, cors)
    ]
    assert statuses == [200, 400]
