"""Django's responses: tokens travel with all of them, and nothing else about them changes."""

from __future__ import annotations

import asyncio
import io
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.cookie import SimpleCookie
from django.urls import path
from django.views.decorators.cache import cache_page
from starlette.types import Message

from coatcheck import RecipeUserId, get_all_cors_headers
from coatcheck.recipes import session
from coatcheck.recipes.session import InputErrorHandlers
from coatcheck.server.django import verify_session
from coatcheck.sessions.exceptions import UnauthorisedError

from ...django_project import COOKIES, HEADERS, LOGIN, OURS, VIEWS, Project, cookie_lines, cookies, me, payload
from ...kit import WEBSITE, Wire

Open = Callable[..., Project]
CORS = "corsheaders.middleware.CorsMiddleware"
CACHE = ("django.middleware.cache.UpdateCacheMiddleware", OURS, "django.middleware.cache.FetchFromCacheMiddleware")


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous:Warning")
def test_a_file_is_still_sent_by_the_server(project: Open, tmp_path: Path) -> None:
    """Tokens travel in its headers, and what `wsgi.file_wrapper` needs is left alone."""
    (tmp_path / "tea.txt").write_text("darjeeling")

    def download(request: Any) -> FileResponse:
        session.sync.create_new_session(request, "public", RecipeUserId("ann"))
        return FileResponse((tmp_path / "tea.txt").open("rb"), as_attachment=True)

    opened = project()
    sent = opened.serve(path("file", download))(**COOKIES).get("/file")
    assert sent.content == b"darjeeling"
    assert sent.headers["content-disposition"] == 'attachment; filename="tea.txt"'
    assert cookies(sent) == ["sAccessToken", "sRefreshToken"]
    if opened.stack == "wsgi":
        environ: dict[str, Any] = {"PATH_INFO": "/file", "wsgi.file_wrapper": FileWrapper}
        setup_testing_defaults(environ)
        body = opened.handler()(environ, lambda _status, _headers: None)
        assert isinstance(body, FileWrapper)
        assert b"".join(body) == b"darjeeling"
        body.close()


def test_cookies_of_one_name_with_different_paths_survive(project: Open) -> None:
    """At most one cookie per name, domain and path: the application's own of the same name, elsewhere, stays."""

    def view(request: Any) -> HttpResponse:
        session.sync.create_new_session(request, "public", RecipeUserId("ann"))
        response = HttpResponse()
        response.set_cookie("sAccessToken", "theirs", path="/else", samesite="Strict")
        response.set_cookie("tea", "darjeeling", max_age=60)
        return response

    sent = project().serve(path("", view))(**COOKIES).get("/")
    lines = {(line.partition("=")[0], "Path=/else" in line): line for line in cookie_lines(sent)}
    assert sorted(lines) == [
        ("sAccessToken", False),
        ("sAccessToken", True),
        ("sRefreshToken", False),
        ("tea", False),
    ]
    assert lines["sAccessToken", True] == "sAccessToken=theirs; Path=/else; SameSite=Strict"
    assert "Max-Age=60" in lines["tea", False]


def test_one_cookie_per_name_domain_and_path(project: Open) -> None:
    """Ours replaces the application's of the same key, in `response.cookies` as well as in a header of its own."""

    def view(request: Any) -> HttpResponse:
        session.sync.create_new_session(request, "public", RecipeUserId("ann"))
        response = HttpResponse(headers={"Set-Cookie": "sRefreshToken=theirs; Path=/auth/session/refresh"})
        response.set_cookie("sAccessToken", "theirs")
        return response

    def other(request: Any) -> HttpResponse:
        session.sync.create_new_session(request, "public", RecipeUserId("ann"))
        return HttpResponse(headers={"Set-Cookie": "tea=darjeeling"})

    client = project().serve(path("", view), path("other", other))(**COOKIES)
    sent = client.get("/")
    assert cookies(sent) == ["sAccessToken", "sRefreshToken"]
    assert "theirs" not in str(sent.headers)
    assert sorted(cookies(client.get("/other"))) == ["sAccessToken", "sRefreshToken", "tea"]


def test_duplicated_cookies_are_cleared_on_the_domain_they_had_before(project: Open) -> None:
    """The older ones are cleared by the auth API, and the present ones stay (docs/protocol.md, rule 11.3)."""
    opened = project(cookie_domain=".localhost", older_cookie_domain="")
    ann = opened.serve(LOGIN)()
    twice = "sAccessToken=a; sAccessToken=b; sRefreshToken=c; sRefreshToken=d"
    sent = ann.post("/auth/session/refresh", headers={"cookie": twice})
    lines = cookie_lines(sent)
    assert cookies(sent) == ["sAccessToken", "sRefreshToken"]
    assert all("Domain" not in line and "1970" in line for line in lines)


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns", "UTC"])
def test_expiry_is_told_in_gmt(project: Open, zone: str) -> None:
    """Whatever TIME_ZONE is, a cookie expires a year from now by the App's clock, in GMT."""
    opened = project()
    opened.settings(TIME_ZONE=zone)
    ann = opened.serve(LOGIN)(**COOKIES)
    line = cookie_lines(ann.post("/login/ann"))[0]
    told = line.partition("Expires=")[2].partition(";")[0]
    assert told.endswith(" GMT")
    assert parsedate_to_datetime(told).timestamp() == opened.app.clock.now_ms() // 1000 + 31_536_000


def test_other_headers_keep_their_spelling(project: Open) -> None:
    """A response of the application's that carries tokens is otherwise as it was made."""

    @verify_session()
    def view(request: Any) -> HttpResponse:
        request.supertokens.sync_merge_into_access_token_payload({"tea": 1})
        return HttpResponse("tea", headers={"X-Tea": "darjeeling", "Access-Control-Expose-Headers": "X-Tea"})

    ann = project().serve(LOGIN, path("view", view))(**HEADERS)
    ann.headers["authorization"] = f"Bearer {ann.post('/login/ann').headers['st-access-token']}"
    sent = ann.get("/view")
    assert (b"X-Tea", b"darjeeling") in sent.headers.raw
    assert sent.headers["access-control-expose-headers"] == "X-Tea, front-token, st-access-token"
    assert sent.headers["cache-control"] == "no-store"
    assert payload(sent)["tea"] == 1


def test_cors_headers_are_on_every_answer(project: Open) -> None:
    """With django-cors-headers in front, pages may read answers of the auth API, and preflights are answered."""
    opened = project()
    opened.settings(
        MIDDLEWARE=[CORS, OURS],
        CORS_ALLOWED_ORIGINS=[WEBSITE],
        CORS_ALLOW_CREDENTIALS=True,
        CORS_ALLOW_HEADERS=["content-type", *get_all_cors_headers()],
    )
    client = opened.serve(*VIEWS)(origin=WEBSITE)
    for url in ("/auth/loginmethods", "/sync"):
        answer = client.get(url)
        assert answer.headers["access-control-allow-origin"] == WEBSITE
        assert answer.headers["access-control-allow-credentials"] == "true"
    assert "front-token" in client.post("/login/ann").headers["access-control-expose-headers"]
    preflight = client.options("/auth/signin", headers={"access-control-request-method": "POST"})
    assert preflight.status_code == 200
    assert "st-auth-mode" in preflight.headers["access-control-allow-headers"]


@pytest.mark.parametrize("by", ["middleware", "cache_page"])
def test_a_cache_never_hands_one_users_page_to_another(project: Open, by: str) -> None:
    """Whatever depends on the session says so, so that Django's cache keeps it apart; tokens are never cached."""
    runs: list[str] = []

    @verify_session()
    def page(request: Any) -> HttpResponse:
        runs.append(request.supertokens.get_user_id())
        return HttpResponse(f"the page of {runs[-1]}")

    opened = project()
    if by == "middleware":
        opened.settings(MIDDLEWARE=CACHE)
    client = opened.serve(LOGIN, path("page", page if by == "middleware" else cache_page(60)(page)))
    ann, bob, nobody = client(**COOKIES), client(**COOKIES), client()
    ann.post("/login/ann")
    bob.post("/login/bob")
    for _ in range(2):
        assert ann.get("/page").text == "the page of ann"
        assert bob.get("/page").text == "the page of bob"
        assert nobody.get("/page").status_code == 401
    assert runs == ["ann", "bob"]
    assert "cookie" in ann.get("/page").headers["vary"].lower()


@pytest.mark.parametrize("required", [True, False])
def test_attack_a_page_of_another_that_asked_for_the_session_itself(project: Open, required: bool) -> None:
    """`cache_page` cannot know what the view it goes around asks for, so it keeps no such answer, of nobody either."""

    def page(request: HttpRequest) -> HttpResponse:
        try:
            found = session.sync.get_session(request, session_required=required)
        except UnauthorisedError:
            found = None
        return HttpResponse("the page of anybody" if found is None else f"the page of {found.get_user_id()}")

    client = project().serve(LOGIN, path("page", cache_page(60)(page)))
    ann, bob, nobody = client(**COOKIES), client(**COOKIES), client()
    ann.post("/login/ann")
    bob.post("/login/bob")
    for _ in range(2):
        assert nobody.get("/page").text == "the page of anybody"
        assert ann.get("/page").text == "the page of ann"
        assert bob.get("/page").text == "the page of bob"


def test_any_answer_that_asked_for_the_session_says_so(project: Open) -> None:
    """Caches further out are told by Vary, whoever asked: be there a session or none, and not where nobody asked."""

    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(session.sync.get_session(request, session_required=False) is not None))

    client = project().serve(LOGIN, path("page", page), path("open", lambda _request: HttpResponse("tea")))
    ann, nobody = client(**COOKIES), client()
    ann.post("/login/ann")
    for one, found in ((ann, "True"), (nobody, "False")):
        answer = one.get("/page")
        assert (answer.text, answer.headers["vary"]) == (found, "Cookie, Authorization")
        assert "vary" not in one.get("/open").headers


@pytest.mark.parametrize("by", ["middleware", "cache_page"])
def test_attack_tokens_of_another_out_of_the_cache(project: Open, by: str) -> None:
    """A page that signs its visitors in is not cached with the first one's tokens, whatever it says of caches."""
    guests: list[str] = []

    def welcome(request: HttpRequest) -> HttpResponse:
        guests.append(f"guest {len(guests)}")
        session.sync.create_new_session(request, "public", RecipeUserId(guests[-1]))
        return HttpResponse(guests[-1], headers={"cache-control": "max-age=60"})

    opened = project()
    if by == "middleware":
        opened.settings(MIDDLEWARE=CACHE)
    client = opened.serve(path("welcome", welcome if by == "middleware" else cache_page(60)(welcome)))
    answers = [client().get("/welcome") for _ in range(2)]
    assert [answer.text for answer in answers] == guests == ["guest 0", "guest 1"]
    assert answers[0].headers["st-access-token"] != answers[1].headers["st-access-token"]


def test_streams_are_not_collected(project: Open) -> None:
    """Each chunk of a stream is on its way before the next one is made."""
    made: list[int] = []
    arrived: list[tuple[bytes, int]] = []

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            made.append(number)
            yield b"%d;" % number

    async def chunks_async() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    async def heard(message: Message) -> None:
        if body := message.get("body"):
            arrived.append((body, len(made)))

    opened = project()
    produce = chunks if opened.stack == "wsgi" else chunks_async
    view = path("stream", lambda _request: StreamingHttpResponse(produce()))
    if opened.stack == "wsgi":
        with opened.serve(view)().stream("GET", "/stream") as streamed:
            arrived.extend((chunk, len(made)) for chunk in streamed.iter_raw())
    else:
        asyncio.run(Wire("/stream", heard=heard).run(opened.handler(view)))
    assert arrived == [(b"0;", 1), (b"1;", 2), (b"2;", 3)]


def test_an_error_handler_of_the_applications_sends_what_it_likes(project: Open) -> None:
    """Its response is sent as it made it, with any number of cookies."""

    def lost(_request: Any, _message: str, response: Any) -> Any:
        response.set_cookie("one", "1", path="/a")
        response.set_cookie("one", "2", path="/b")
        response.headers.append("set-cookie", "odd=1; Path=/; Odder")
        response.headers["x-lost"] = "yes"
        response.status_code = 418
        return response

    client = project(error_handlers=InputErrorHandlers(on_unauthorised=lost)).serve(path("me", me))()
    sent = client.get("/me")
    assert (sent.status_code, sent.headers["x-lost"]) == (418, "yes")
    assert sent.headers["content-type"] == "application/json; charset=utf-8"
    assert sorted(cookies(sent)) == ["odd", "one", "one"]


@pytest.mark.parametrize("stack", ["wsgi"])
def test_a_response_that_a_cache_has_kept_can_be_read_again(project: Open) -> None:
    """What runs after a response does not keep it from being pickled."""
    opened = project()
    handler = opened.handler(path("", lambda _request: HttpResponse("tea")))
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    response = handler.get_response(handler.request_class({**environ, "wsgi.input": io.BytesIO()}))
    closers = pickle.loads(pickle.dumps(response._resource_closers[:1]))
    assert [closer() for closer in closers] == [False]
    response.close()


def test_cookies_read_back_by_djangos_own_means(project: Open) -> None:
    """Attributes of our cookies are there for middleware and tests that look at `response.cookies`."""
    seen: list[SimpleCookie] = []

    def looking(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
        def middleware(request: HttpRequest) -> HttpResponse:
            response = get_response(request)
            seen.append(response.cookies)
            return response

        return middleware

    globals()["looking"] = looking
    opened = project()
    opened.settings(MIDDLEWARE=[f"{__name__}.looking", OURS])
    opened.serve(LOGIN)(**COOKIES).post("/login/ann")
    morsel = seen[0]["sRefreshToken"]
    assert (morsel["path"], morsel["samesite"], morsel["httponly"]) == ("/auth/session/refresh", "Lax", True)
