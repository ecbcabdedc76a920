"""A Django project for tests: its settings, a model, and clients that speak HTTP to its WSGI and ASGI handlers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import django
import httpx2
from django.conf import settings
from django.core.cache import cache
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, connections, models
from django.http import HttpRequest, HttpResponse
from django.test.utils import override_settings
from django.urls import URLPattern, URLResolver, path
from starlette.testclient import TestClient

from coatcheck import App, RecipeUserId
from coatcheck.recipes import session
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.server.django import verify_session

from .kit import API

OURS = "coatcheck.server.django.Middleware"
COOKIES, HEADERS = {"st-auth-mode": "cookie"}, {"st-auth-mode": "header"}
SETTINGS: dict[str, Any] = {
    "SECRET_KEY": "only for tests",
    "ALLOWED_HOSTS": ["*"],
    "DEBUG": False,
    "USE_TZ": True,
    "TIME_ZONE": "Asia/Kathmandu",
    "LOGGING_CONFIG": None,
    "INSTALLED_APPS": ["coatcheck.server.django", "django.contrib.auth", "django.contrib.contenttypes"],
    "MIDDLEWARE": [OURS],
    "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
}

if not settings.configured:
    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3"}}, **SETTINGS)
    django.setup()


class Order(models.Model):
    """What the application keeps in Django's database."""

    user: models.CharField[str, str] = models.CharField(max_length=100)

    class Meta:
        """Belongs to no application that is installed."""

        app_label = "shop"


class BrokenError(Exception):
    """What views of the application raise."""


@contextmanager
def database(directory: Path) -> Iterator[None]:
    """Give the project a database in a file, where every thread sees the same."""
    # Changed in place: worker threads live longer than a test, and have read where the settings are.
    connections.settings["default"]["NAME"] = str(directory / "project.db")
    with connection.schema_editor() as editor:
        editor.create_model(Order)
    yield
    connection.close()
    connections.settings["default"]["ATOMIC_REQUESTS"] = False


class Project:
    """Serves an App and views of Django's, until it is closed; `stack` is "wsgi" or "asgi"."""

    def __init__(self, stack: str, app: App) -> None:
        self.stack = stack
        self.app = app
        self._open = ExitStack()
        self._open.callback(set_default_services, None)
        set_default_services(app)
        self.settings(**SETTINGS)
        cache.clear()

    def settings(self, **changed: Any) -> None:
        """Change settings until the end of the test."""
        self._open.enter_context(override_settings(**changed))

    def handler(self, *views: URLPattern | URLResolver) -> Any:
        """Return the WSGI or ASGI application that serves these views."""
        if views:
            self.settings(ROOT_URLCONF=views)
        return WSGIHandler() if self.stack == "wsgi" else ASGIHandler()

    def serve(self, *views: URLPattern | URLResolver) -> Callable[..., httpx2.Client]:
        """Serve these views, and return what opens clients; they keep cookies as browsers do."""
        handler = self.handler(*views)

        def client(**headers: str) -> httpx2.Client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            opened: httpx2.Client
            if self.stack == "asgi":
                opened = TestClient(handler, base_url=API, headers=named, raise_server_exceptions=False)
            else:
                transport = httpx2.WSGITransport(handler, raise_app_exceptions=False)
                opened = httpx2.Client(transport=transport, base_url=API, headers=named)
            self._open.callback(opened.close)
            return opened

        return client

    def close(self) -> None:
        """Undo everything."""
        self._open.close()


def login(request: HttpRequest, user: str) -> HttpResponse:
    """Sign a user in."""
    session.sync.create_new_session(request, "public", RecipeUserId(user))
    return HttpResponse(user)


@verify_session()
def me(request: Any) -> HttpResponse:
    """Tell who it is."""
    return HttpResponse(request.supertokens.get_user_id())


@verify_session()
async def me_async(request: Any) -> HttpResponse:
    """Tell who it is."""
    return HttpResponse(request.supertokens.get_user_id())


LOGIN = path("login/<user>", login)
VIEWS = (LOGIN, path("sync", me), path("async", me_async))


def payload(response: httpx2.Response) -> dict[str, Any]:
    """Return the access-token payload that a response's front token mirrors."""
    found: dict[str, Any] = json.loads(base64.b64decode(response.headers["front-token"]))["up"]
    return found


def cookie_lines(response: httpx2.Response) -> list[str]:
    """Return the Set-Cookie headers of a response; Django 5 begins them with a blank, which servers drop."""
    return [line.strip() for line in response.headers.get_list("set-cookie")]


def cookies(response: httpx2.Response) -> list[str]:
    """Return the names of the cookies that a response sets."""
    return [line.partition("=")[0] for line in cookie_lines(response)]
