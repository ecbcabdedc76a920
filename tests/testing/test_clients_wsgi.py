"""The client drives any WSGI application: a bare one, Flask, Django."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import flask
import httpx2
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client as DjangoClient, override_settings
from django.urls import path

from coatcheck import App
from coatcheck.claims import ManualClock
from coatcheck.claims.clock import current_clock
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.server.django import verify_session as django_session
from coatcheck.server.flask import CoatCheck, verify_session as flask_session
from coatcheck.server.wsgi import AuthMiddleware
from coatcheck.testing import BrowserClient, client, sign_in

from ..django_project import SETTINGS
from ..kit import Make

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HTTPS = {"api_domain": "https://api.example.com", "website_domain": "https://www.example.com"}
FORM = {"formFields": [{"id": "email", "value": "ada@example.com"}, {"id": "password", "value": "correct horse 1"}]}

EMAIL = {"id": "email", "value": "ann@example.com"}


@pytest.fixture
def app(make_app: Make) -> App:
    """Return an App behind https, with anti-CSRF tokens."""
    return make_app(**HTTPS, anti_csrf="VIA_TOKEN")


def lives_on(one: BrowserClient, clock: ManualClock) -> None:
    """Sign up, let the access token expire, and use the session."""
    assert one.post("/auth/signup", json=FORM).json()["status"] == "OK"
    clock.advance(3600)
    answer = one.post("/me", headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["user"] == (one.session_payload() or {})["sub"]
    assert len(one.refreshes) == 1
    assert one.sign_out().json() == {"status": "OK"}


# Bare WSGI


def test_the_request_as_the_application_sees_it(app: App, clock: ManualClock) -> None:
    """Its environ is what PEP 3333 says; time is the App's, and no event loop is in sight."""
    seen: dict[str, Any] = {}

    def bare(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        seen.update(environ, body=environ["wsgi.input"].read(), now=current_clock.get().now_ms())
        seen["loop"] = asyncio._get_running_loop()
        write = start_response("201 Created", [("X-Own", "ä"), ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2")])
        write(b"first ")
        return [b"second"]

    with client(bare, coatcheck=app) as one:
        answer = one.post("/a%20b/%E4", params={"q": "1"}, content=b"body", headers={"x-one": "1"})
        assert dict(one.cookies) == {"a": "1", "b": "2"}
        one.post("/", headers=[("x-two", "1"), ("x-two", "2")], content=iter([b"in ", b"pieces"]))
    assert (answer.status_code, answer.content, answer.headers["x-own"]) == (201, b"first second", "ä")
    assert seen["body"] == b"in pieces"
    assert seen["HTTP_X_TWO"] == "1,2"
    assert (seen["wsgi.url_scheme"], seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("https", "api.example.com", "443")
    assert (seen["now"], seen["loop"]) == (clock.now_ms(), None)


def test_paths_are_bytes_in_latin_1(app: App) -> None:
    """Whatever they are encoded in."""
    paths: list[str] = []

    def bare(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        paths.append(environ["PATH_INFO"])
        start_response("204 No Content", [])
        return []

    with client(bare, coatcheck=app) as one:
        one.get("/%C3%A4%E4")
    assert paths == ["/\xc3\xa4\xe4"]


class Body:
    """A response that wants to be closed."""

    def __init__(self, pieces: list[bytes], closed: list[str]) -> None:
        self._pieces = pieces
        self._closed = closed

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces

    def close(self) -> None:
        self._closed.append("closed")


def test_what_the_application_returns_is_closed(app: App) -> None:
    """As servers do it; an answer to HEAD has no body."""
    closed: list[str] = []

    def bare(_environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        start_response("200 OK", [])
        return Body([b"x"], closed)

    with client(bare, coatcheck=app) as one:
        assert one.head("/").content == b""
    assert closed == ["closed"]


def test_errors_of_a_bare_application(app: App) -> None:
    """They are raised, or answered as a server would."""

    def bare(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        raise LookupError("bare")

    with client(bare, coatcheck=app) as one, pytest.raises(LookupError, match="bare"):
        one.get("/")
    with client(bare, coatcheck=app, raise_app_exceptions=False) as one:
        assert (one.get("/").status_code, one.get("/").text) == (500, "Internal Server Error")


@pytest.mark.parametrize("starts", [0, 2])
def test_an_application_that_breaks_the_rules(app: App, starts: int) -> None:
    """`start_response` is called exactly once, unless an error is reported."""

    def bare(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        for _ in range(starts):
            start_response("200 OK", [])
        return []

    expected = RuntimeError if starts else httpx2.RemoteProtocolError
    with client(bare, coatcheck=app) as one, pytest.raises(expected):
        one.get("/")


def test_the_middleware_around_a_bare_application(app: App, clock: ManualClock) -> None:
    """The auth API of any WSGI application, behind a gateway's path or not."""

    def bare(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    with client(AuthMiddleware(bare, app), coatcheck=app) as one:
        assert one.post("/auth/signup", json=FORM).json()["status"] == "OK"
        assert one.refresh().status_code == 200
        assert one.get("/else").text == "/else"


def test_a_gateway_in_front_of_wsgi(make_app: Make) -> None:
    """It takes its part of the path away."""
    app = make_app(api_gateway_path="/gateway")

    def bare(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    with client(bare, coatcheck=app) as one:
        assert [one.get("/gateway/me").text, one.get("/me").text] == ["/me", "/me"]


# Flask


@pytest.fixture
def flask_app(app: App) -> flask.Flask:
    """Return a Flask application."""
    made = flask.Flask("scene")
    CoatCheck(made, app)

    @made.post("/me")
    @flask_session()
    def me() -> dict[str, str]:
        return {"user": flask.g.supertokens.user_id}

    @made.get("/broken")
    def broken() -> str:
        raise LookupError("in the view")

    @made.get("/nested")
    def nested() -> str:
        with client(made, raise_app_exceptions=False) as other:
            return str(other.get("/broken").status_code)

    return made


def test_flask(flask_app: flask.Flask, clock: ManualClock) -> None:
    """The App is found in the extension."""
    with client(flask_app) as one:
        lives_on(one, clock)


def test_flasks_own_client_stands_for_its_application(flask_app: flask.Flask) -> None:
    """Whoever has one already can hand it over."""
    with client(flask_app.test_client()) as one:
        assert one.get("/auth/emailpassword/email/exists?email=a@example.com").json()["exists"] is False


def test_a_minted_session_in_flasks_own_client(app: App, flask_app: flask.Flask) -> None:
    """Headers alone let it in, and so do cookies with the headers that go with them."""
    ann, own = sign_in(app, "ann@example.com"), flask_app.test_client()
    assert own.post("/me", headers=ann.headers).json == {"user": ann.user_id}
    for name, token in ann.cookies.items():
        own.set_cookie(name, token)
    assert own.post("/me", headers=ann.cookie_headers).json == {"user": ann.user_id}


def test_mails_in_flasks_own_client(app: App, flask_app: flask.Flask) -> None:
    """They are in the outbox when the answer is there, although that client does not close what it has read."""
    sign_in(app, "ann@example.com")
    flask_app.test_client().post("/auth/user/password/reset/token", json={"formFields": [EMAIL]})
    assert [mail.to for mail in app.outbox.mails] == ["ann@example.com"]


def test_errors_of_flask_views(flask_app: flask.Flask) -> None:
    """They are raised although Flask answers for them, unless the answer is asked for."""
    with client(flask_app) as one, pytest.raises(LookupError, match="in the view"):
        one.get("/broken")
    with client(flask_app, raise_app_exceptions=False) as one:
        assert one.get("/broken").status_code == 500


def test_errors_of_other_requests_are_theirs(flask_app: flask.Flask) -> None:
    """Who asks meanwhile gets the error of its own request only."""
    with client(flask_app) as one:
        assert one.get("/nested").text == "500"


def test_flask_inside_a_running_event_loop(flask_app: flask.Flask, clock: ManualClock) -> None:
    """An asynchronous test uses the client like any other."""

    async def asynchronous_test() -> None:
        with client(flask_app) as one:
            lives_on(one, clock)

    before = threading.active_count()
    asyncio.run(asynchronous_test())
    assert threading.active_count() == before


# Django


@django_session()
def me(request: Any) -> HttpResponse:
    return JsonResponse({"user": request.supertokens.user_id})


def broken(_request: HttpRequest) -> HttpResponse:
    raise LookupError("in the view")


def nested(_request: HttpRequest) -> HttpResponse:
    with client(WSGIHandler(), raise_app_exceptions=False) as other:
        return HttpResponse(str(other.get("/broken").status_code))


urlpatterns = [path("me", me), path("broken", broken), path("nested", nested)]


@pytest.fixture
def django_app(app: App, no_default_app: None) -> Iterator[App]:
    """Make the App the process's default, in a Django project with the views below."""
    set_default_services(app)
    with override_settings(**{**SETTINGS, "ROOT_URLCONF": __name__}):
        yield app


def test_django(django_app: App, clock: ManualClock) -> None:
    """Django's WSGI handler, with the process's default App."""
    with client(WSGIHandler()) as one:
        lives_on(one, clock)


def test_django_behind_asgi(django_app: App, clock: ManualClock) -> None:
    """Django's ASGI handler, whose sync views run in a thread of its choice."""
    with client(ASGIHandler()) as one:
        lives_on(one, clock)


def test_djangos_own_client_stands_for_its_application(django_app: App) -> None:
    """Whoever has one already can hand it over."""
    with client(DjangoClient()) as one:
        assert one.get("/auth/emailpassword/email/exists?email=a@example.com").json()["exists"] is False


def test_a_minted_session_in_djangos_own_client(django_app: App) -> None:
    """Headers alone let it in, and so do cookies with the headers that go with them."""
    ann, own = sign_in(django_app, "ann@example.com"), DjangoClient()
    assert own.post("/me", headers=ann.headers).json() == {"user": ann.user_id}
    own.cookies.load(ann.cookies)
    assert own.post("/me", headers=ann.cookie_headers).json() == {"user": ann.user_id}


@pytest.mark.parametrize("application", [WSGIHandler, ASGIHandler])
def test_errors_of_django_views(django_app: App, application: Callable[[], Any]) -> None:
    """They are raised although Django answers for them, unless the answer is asked for."""
    with client(application()) as one, pytest.raises(LookupError, match="in the view"):
        one.get("/broken")
    with client(application(), raise_app_exceptions=False) as one:
        assert one.get("/broken").status_code == 500


@pytest.mark.parametrize("application", [WSGIHandler, ASGIHandler])
def test_errors_of_other_requests_to_django_are_theirs(django_app: App, application: Callable[[], Any]) -> None:
    """Who asks meanwhile gets the error of its own request only."""
    with client(application()) as one:
        assert one.get("/nested").text == "500"
