"""Django's async stack: what has to await something of asyncio's can, since all of it runs on the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from asgiref.sync import markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from starlette.responses import PlainTextResponse, Response

from coatcheck.claims import Clock
from coatcheck.recipes import emailpassword
from coatcheck.recipes.delivery import EmailDeliveryConfig, EmailDeliveryInterface
from coatcheck.recipes.session import InputErrorHandlers, InputOverrideConfig, RecipeInterface
from coatcheck.server.django import Middleware
from coatcheck.sessions.exceptions import UnauthorisedError
from coatcheck.testing import live_server

from ...django_project import COOKIES, LOGIN, OURS, Project, me_async

Open = Callable[..., Project]
FIELDS = [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]


@pytest.fixture
def stack() -> str:
    """Return the only kind of handler that has a loop."""
    return "asgi"


def sleeping(original: RecipeInterface) -> RecipeInterface:
    """Override verification and refresh: both let the loop go round."""
    get, refresh = original.get_session, original.refresh_session

    async def get_session(**arguments: Any) -> Any:
        await asyncio.sleep(0)
        return await get(**arguments)

    async def refresh_session(**arguments: Any) -> Any:
        await asyncio.sleep(0)
        return await refresh(**arguments)

    original.get_session = get_session  # type: ignore[method-assign, assignment]
    original.refresh_session = refresh_session  # type: ignore[method-assign, assignment]
    return original


def test_overrides_may_await_what_needs_a_loop(project: Open) -> None:
    """The auth API and async views are served on the loop: no thread of its own is needed for overrides that sleep."""
    assert (Middleware.async_capable, Middleware.sync_capable) == (True, True)
    ann = project(override=InputOverrideConfig(functions=sleeping)).serve(LOGIN, path("me", me_async))(**COOKIES)
    ann.post("/login/ann")
    assert ann.get("/me").text == "ann"
    assert ann.post("/auth/session/refresh", headers={"rid": "session"}).status_code == 200
    assert ann.get("/me").text == "ann"
    assert ann.post("/auth/signout").json() == {"status": "OK"}
    assert ann.get("/me").status_code == 401


@pytest.mark.parametrize("kind", ["decorated", "raising", "raising_sync"])
def test_an_error_handler_may_await_what_needs_a_loop(project: Open, kind: str) -> None:
    """Whether the decorator refuses or the view raises, sync or async, the application's handler answers."""

    async def lost(_request: Any, _message: str, _response: Response) -> Response:
        await asyncio.sleep(0)
        return PlainTextResponse("come in", 418)

    async def raising(_request: HttpRequest) -> HttpResponse:
        raise UnauthorisedError("no")

    def raising_sync(_request: HttpRequest) -> HttpResponse:
        raise UnauthorisedError("no")

    views: dict[str, Callable[..., Any]] = {"decorated": me_async, "raising": raising, "raising_sync": raising_sync}
    client = project(error_handlers=InputErrorHandlers(on_unauthorised=lost)).serve(path("view", views[kind]))()
    answered = client.get("/view")
    assert (answered.status_code, answered.text) == (418, "come in")


class Post(EmailDeliveryInterface):
    """A mail service that talks to its server by asyncio's means."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send_email(self, template_vars: Any, user_context: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        self.sent.append(template_vars.user.email)


@pytest.mark.parametrize("unsafe_for_tests", [True, False])
def test_a_mail_service_may_await_what_needs_a_loop(project: Open, tmp_path: Path, unsafe_for_tests: bool) -> None:
    """Behind a real server, too, the mail that waited for the answer is sent, and sent before the server ends."""
    post = Post()
    opened = project(
        recipes=[emailpassword.init(email_delivery=EmailDeliveryConfig(service=post))],
        database=f"sqlite:///{tmp_path / 'app.db'}",
        clock=Clock(),
        unsafe_for_tests=unsafe_for_tests,
    )
    with live_server(opened.handler(LOGIN), coatcheck=opened.app) as server, httpx2.Client(base_url=server.url) as ann:
        assert ann.post("/auth/signup", json={"formFields": FIELDS}).json()["status"] == "OK"
        assert ann.post("/auth/user/password/reset/token", json={"formFields": FIELDS[:1]}).is_success
    assert post.sent == ["ann@example.com"]


class Discarding:
    """A middleware of the application's that answers something else, and lets go of the answer it got."""

    async_capable, sync_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        self._get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        (await self._get_response(request)).close()
        return HttpResponse("something else")


def test_an_answer_that_is_closed_on_the_loop_is_finished(project: Open) -> None:
    """Whoever discards the auth API's answer keeps no mail from being sent."""
    opened = project()
    opened.settings(MIDDLEWARE=[f"{__name__}.Discarding", OURS])
    client = opened.serve(LOGIN)()
    client.post("/auth/signup", json={"formFields": FIELDS})
    assert client.post("/auth/user/password/reset/token", json={"formFields": FIELDS[:1]}).text == "something else"
    assert "token=" in opened.app.outbox.last("ann@example.com").link
