"""A Django project is set up: which App it serves, where that is made, and what is said when something is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django.test
import pytest
from django.urls import path

from coatcheck import App
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.server.django import Middleware

from ...django_project import COOKIES, LOGIN, VIEWS, Project, me
from ...kit import python

Open = Callable[..., Project]


class NamingMiddleware(Middleware):
    """Serves an App of its own."""


def test_a_project_may_name_its_app(project: Open, make_app: Callable[..., App]) -> None:
    """A subclass of the middleware serves the App it names, whatever the process's default is."""
    opened = project()
    opened.settings(MIDDLEWARE=[f"{__name__}.NamingMiddleware"])
    NamingMiddleware.coatcheck = make_app(api_base_path="/other")
    client = opened.serve(LOGIN)()
    assert client.get("/auth/loginmethods").status_code == 404
    assert client.get("/other/loginmethods").status_code == 200


def test_init_may_stand_beside_the_url_patterns(project: Open) -> None:
    """Django imports views with the first request; an App made there is found by the middleware before them."""
    opened = project()
    set_default_services(None)

    class Patterns:
        @property
        def urlpatterns(self) -> list[Any]:
            set_default_services(opened.app)
            return [LOGIN]

    opened.settings(ROOT_URLCONF=Patterns())
    assert opened.serve()().get("/auth/loginmethods").status_code == 200


@pytest.mark.parametrize("stack", ["wsgi"])
def test_djangos_own_test_client_stays_signed_in(project: Open) -> None:
    """A project's tests sign in and out through the auth API with the client they have always used."""
    opened = project()
    opened.settings(ROOT_URLCONF=VIEWS)
    client = django.test.Client(headers=COOKIES)
    fields = [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]
    signed_up = client.post("/auth/signup", {"formFields": fields}, content_type="application/json")
    assert client.get("/sync").content.decode() == signed_up.json()["user"]["id"]
    assert signed_up.cookies["sAccessToken"]["httponly"] is True
    assert client.post("/auth/signout").json() == {"status": "OK"}
    assert client.get("/async").status_code == 401


def test_without_the_middleware_the_error_says_what_to_add(project: Open, caplog: pytest.LogCaptureFixture) -> None:
    """A protected view fails with a sentence that names the middleware, rather than let anybody in."""
    opened = project()
    opened.settings(MIDDLEWARE=[])
    client = opened.serve(path("sync", me))()
    assert client.get("/sync").status_code == 500
    assert "add coatcheck.server.django.Middleware to the application" in caplog.text


@pytest.mark.slow
def test_without_django_the_error_says_what_to_install() -> None:
    """Importing the module names the extra."""
    code = "import sys; sys.modules['django'] = None; import coatcheck.server.django"
    result = python("-c", code)
    assert "pip install 'coatcheck[django]'" in result.stderr
