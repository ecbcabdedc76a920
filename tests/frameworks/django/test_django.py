"""Django: what the middleware adds to a project, and what it leaves alone."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from coatcheck import App, RecipeUserId, current_app
from coatcheck.claims import current_clock
from coatcheck.recipes import session
from coatcheck.recipes.kit.driver import LoopThread
from coatcheck.recipes.kit.routing import MAX_BODY_BYTES
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.server.django import Middleware, user_context, verify_session
from coatcheck.sessions.exceptions import HashingBusyError

from ...django_project import COOKIES, HEADERS, LOGIN, OURS, VIEWS, BrokenError, Project, cookies, me, payload

Open = Callable[..., Project]
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
BUSY = "the service is unavailable, try again later"


class NamingMiddleware(Middleware):
    """Serves an App of its own."""


class NotingMiddleware:
    """A middleware of the application's, for sync stacks only."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user_context(request)["noted"] = request.path
        return self._get_response(request)


def test_djangos_own_session_is_untouched(project: Open) -> None:
    """`request.session` and `request.supertokens` live side by side, and signing out of one keeps the other."""

    def fill(request: Any) -> HttpResponse:
        before = request.supertokens
        session.sync.create_new_session(request, "public", RecipeUserId("ann"))
        request.session["cart"] = ["tea"]
        return HttpResponse(f"{before} {request.supertokens.get_user_id()}")

    def cart(request: Any) -> HttpResponse:
        return HttpResponse(",".join(request.session.get("cart", [])))

    opened = project()
    opened.settings(MIDDLEWARE=[SESSIONS, OURS])
    ann = opened.serve(path("fill", fill), path("cart", cart), path("me", me))(**COOKIES)
    filled = ann.post("/fill")
    assert filled.text == "None ann"
    assert sorted(cookies(filled)) == ["sAccessToken", "sRefreshToken", "sessionid"]
    assert ann.post("/auth/signout").json() == {"status": "OK"}
    assert ann.get("/me").status_code == 401
    assert ann.get("/cart").text == "tea"


def test_any_error_of_ours_in_a_view_has_its_answer(project: Open) -> None:
    """Errors that are not about sessions are answered as the auth API would; others are left to Django."""

    def busy(_request: HttpRequest) -> HttpResponse:
        raise HashingBusyError("63 are waiting")

    async def busy_async(_request: HttpRequest) -> HttpResponse:
        raise HashingBusyError("63 are waiting")

    def broken(_request: HttpRequest) -> HttpResponse:
        raise BrokenError

    client = project().serve(path("busy", busy), path("async", busy_async), path("broken", broken))()
    for kind in ("busy", "async"):
        answered = client.get(f"/{kind}")
        assert (answered.status_code, answered.json()) == (503, {"message": BUSY})
    assert "Server Error (500)" in client.get("/broken").text


def test_a_streamed_body_is_produced_while_the_app_is_current(project: Open) -> None:
    """Tokens travel in the headers, and what runs while the body is sent belongs to the same App and clock."""

    def told() -> bytes:
        return f"{current_app() is opened.app} {current_clock.get() is opened.app.clock};".encode()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield told()

    @verify_session()
    def stream(request: Any) -> StreamingHttpResponse:
        request.supertokens.sync_merge_into_access_token_payload({"streamed": True})
        return StreamingHttpResponse(body() if opened.stack == "asgi" else (told() for _ in range(2)))

    opened = project()
    opened.settings(MIDDLEWARE=[f"{__name__}.NamingMiddleware"])
    NamingMiddleware.coatcheck = opened.app
    set_default_services(None)
    ann = opened.serve(LOGIN, path("stream", stream))(**COOKIES)
    ann.post("/login/ann")
    streamed = ann.get("/stream")
    assert payload(streamed)["streamed"] is True
    assert streamed.text == "True True;True True;"


def test_parallel_requests_of_two_users_do_not_see_each_other(project: Open) -> None:
    """Each thread or task has the session of its own request."""
    client = project().serve(*VIEWS)
    opened = {user: client(**COOKIES) for user in ("ann", "bob")}
    for user, one in opened.items():
        one.post(f"/login/{user}")
    asked = [(user, kind) for user in opened for kind in ("sync", "async")] * 8
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda each: opened[each[0]].get(f"/{each[1]}").text, asked))
    assert answers == [user for user, _ in asked]


def test_the_user_context_is_one_for_the_whole_request(project: Open) -> None:
    """What a middleware puts into it, the view finds, also behind one that cannot be async."""

    @verify_session(session_required=False, user_context={"given": 1})
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"{user_context(request)['noted']} {user_context(request)['given']}")

    opened = project()
    opened.settings(MIDDLEWARE=[OURS, f"{__name__}.NotingMiddleware"])
    assert opened.serve(path("", view))().get("/").text == "/ 1"


def test_the_auth_api_needs_no_csrf_token_of_djangos(project: Open) -> None:
    """It has an anti-CSRF check of its own; views of the application keep Django's."""
    opened = project(anti_csrf="VIA_TOKEN")
    opened.settings(MIDDLEWARE=[CSRF, OURS])
    ann = opened.serve(LOGIN, path("sync", me))(**COOKIES)
    form = {"formFields": [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]}
    assert ann.post("/auth/signup", json=form).json()["status"] == "OK"
    assert ann.post("/auth/signout").json() == {"message": "try refresh token"}
    assert ann.get("/sync").status_code == 200
    assert "CSRF" in ann.post("/sync").text


def test_what_waits_for_a_response_runs_when_it_is_closed(project: Open) -> None:
    """The mail with the link to reset a password is sent after the answer."""
    opened = project()
    ann = opened.serve(LOGIN)(**COOKIES)
    fields = [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]
    ann.post("/auth/signup", json={"formFields": fields})
    ann.post("/auth/user/password/reset/token", json={"formFields": fields[:1]})
    assert "token=" in opened.app.outbox.last("ann@example.com").link


def test_a_session_revoked_in_a_view_is_gone_from_the_client(project: Open) -> None:
    """Revoking, from sync and async views, clears the tokens in whatever the view returns."""

    @verify_session()
    def revoke(request: Any) -> HttpResponse:
        request.supertokens.sync_revoke_session()
        return HttpResponse("gone", status=202)

    @verify_session()
    async def revoke_async(request: Any) -> HttpResponse:
        await request.supertokens.revoke_session()
        return HttpResponse("gone", status=202)

    ann = project().serve(*VIEWS, path("revoke", revoke), path("revoke_async", revoke_async))(**COOKIES)
    for kind in ("revoke", "revoke_async"):
        ann.post("/login/ann")
        gone = ann.post(f"/{kind}")
        assert (gone.status_code, gone.text, gone.headers["front-token"]) == (202, "gone", "remove")
        assert ann.get("/sync").status_code == 401


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_session_made_without_the_request_is_attached_to_it(project: Open, kind: str) -> None:
    """`attach_to_request_response` takes Django's request: its tokens travel, and it is the session of the request."""

    def sync(request: Any) -> HttpResponse:
        made = session.sync.create_new_session_without_request_response("public", RecipeUserId("ann"))
        made.sync_attach_to_request_response(request, "cookie")
        return HttpResponse(str(request.supertokens is made))

    async def attach(request: Any) -> HttpResponse:
        made = await session.create_new_session_without_request_response("public", RecipeUserId("ann"))
        await made.attach_to_request_response(request, "cookie")
        return HttpResponse(str(request.supertokens is made))

    ann = project().serve(path("attach", sync if kind == "sync" else attach), path("me", me))(**COOKIES)
    attached = ann.post("/attach")
    assert (attached.text, cookies(attached)) == ("True", ["sAccessToken", "sRefreshToken"])
    assert ann.get("/me").text == "ann"


@pytest.mark.parametrize("stack", ["wsgi"])
def test_a_client_that_goes_away_is_no_error_of_the_servers(project: Open) -> None:
    """A body that cannot be read to its end is answered with 400, though nobody is left to read that."""

    class Gone(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError("connection reset")

    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/auth/signin",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": "10",
        "wsgi.input": Gone(),
    }
    setup_testing_defaults(environ)
    told: list[str] = []
    body = project().handler(LOGIN)(environ, lambda status, _headers: told.append(status))
    assert told == ["400 Bad Request"]
    assert b"the client went away" in b"".join(body)
    body.close()


@pytest.mark.parametrize("announced", [True, False])
def test_attack_a_body_that_would_fill_the_memory(
    project: Open, monkeypatch: pytest.MonkeyPatch, announced: bool
) -> None:
    """Where a project sets Django no limit, the auth API has one, and looks at no more of a body than its length."""
    opened = project()
    opened.settings(DATA_UPLOAD_MAX_MEMORY_SIZE=None)
    chunks = [b" " * 65536] * (MAX_BODY_BYTES // 65536 + 1)
    length = {"content-length": str(sum(map(len, chunks)))} if announced else {}

    def never(_request: HttpRequest, *_size: int) -> bytes:
        raise AssertionError("the body is read")

    monkeypatch.setattr(HttpRequest, "read", never)
    if opened.stack == "wsgi" and not announced:
        return  # without a length, a WSGI server has no body for Django
    refused = opened.serve(LOGIN)().post("/auth/signin", content=iter(chunks), headers=length)
    assert (refused.status_code, "larger than" in refused.json()["message"]) == (400, True)


@pytest.mark.parametrize("stack", ["asgi"])
def test_overrides_on_a_loop_of_their_own(project: Open, make_app: Callable[..., App]) -> None:
    """An App made with `sync_overrides="loop"` runs sync views' overrides there, foreign awaits and all."""

    def sleeping(original: Any) -> Any:
        inner = original.get_session

        async def get_session(**arguments: Any) -> Any:
            await asyncio.sleep(0)
            return await inner(**arguments)

        original.get_session = get_session
        return original

    opened = project(override=session.InputOverrideConfig(functions=sleeping))
    opened.app.driver = LoopThread()
    ann = opened.serve(*VIEWS)(**HEADERS)
    ann.headers["authorization"] = f"Bearer {ann.post('/login/ann').headers['st-access-token']}"
    assert [ann.get(f"/{kind}").text for kind in ("sync", "async")] == ["ann", "ann"]
    opened.app.driver.close()
