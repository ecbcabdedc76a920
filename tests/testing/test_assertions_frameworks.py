"""Assertions about the responses of every framework's own test client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client as DjangoClient, override_settings
from django.urls import path
from starlette.applications import Starlette
from starlette.testclient import TestClient

from coatcheck import App
from coatcheck.claims import BooleanClaim
from coatcheck.recipes import emailpassword, session
from coatcheck.server.django import verify_session as django_session
from coatcheck.server.flask import CoatCheck, verify_session as flask_session
from coatcheck.testing import assert_session, client, make_app

from ..django_project import SETTINGS
from ..kit import API
from .conftest import SecondFactorClaim

FORM = {"formFields": [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]}


def needed(*_: Any) -> list[Any]:
    return [SecondFactorClaim.validators.is_true()]


@django_session(override_global_claim_validators=needed)
def vault(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("gold")


urlpatterns = [path("vault", vault)]


Ask = Callable[..., Any]
"""Sends `(method, path, body, **headers)` with the cookies that earlier answers have set."""


@pytest.fixture
def app() -> Iterator[App]:
    """Yield an App whose sessions claim a second factor."""
    with make_app([session.init(claims=[SecondFactorClaim]), emailpassword.init()]) as app:
        yield app


@pytest.fixture(params=["kit", "starlette", "flask", "django"])
def ask(request: pytest.FixtureRequest, app: App, site: Callable[[App], Starlette]) -> Iterator[Ask]:
    """Yield what asks one of the frameworks."""
    if request.param == "flask":
        yield _flask(app)
    elif request.param == "django":
        with override_settings(**{**SETTINGS, "ROOT_URLCONF": __name__}):
            yield _django()
    else:
        web = client(site(app)) if request.param == "kit" else TestClient(site(app), base_url=API)
        with web:
            yield lambda method, path, body=None, **headers: web.request(method, path, json=body, headers=headers)


def _flask(app: App) -> Ask:
    site = flask.Flask(__name__)
    CoatCheck(site, coatcheck=app)

    @site.get("/vault")
    @flask_session(override_global_claim_validators=needed)
    def vault() -> str:
        return "gold"

    web = site.test_client()
    return lambda method, path, body=None, **headers: web.open(
        path, method=method, json=body, headers=headers, base_url=API
    )


def _django() -> Ask:
    web = DjangoClient()
    return lambda method, path, body=None, **headers: web.generic(
        method, path, json.dumps(body), "application/json", SERVER_NAME="localhost", headers=headers
    )


def test_the_life_of_a_session(ask: Ask, second_factor: BooleanClaim) -> None:
    """Whatever made the response, it is seen what it does to the session, by cookie and by header."""
    cookie, header = ({"st-auth-mode": mode, "rid": "anti-csrf"} for mode in ("cookie", "header"))
    signed_up = ask("POST", "/auth/signup", FORM, **cookie)
    assert_session(signed_up).accepted().created().by("cookie").has_claim(second_factor, False)
    assert_session(ask("GET", "/vault")).refused(403, "invalid claim").failed_claim(second_factor).unchanged()
    assert_session(ask("POST", "/auth/session/refresh", **cookie)).refreshed().by("cookie")
    assert_session(ask("POST", "/auth/signout", **cookie)).cleared()
    assert_session(ask("GET", "/vault")).refused(401, "unauthorised").unchanged()
    assert_session(ask("POST", "/auth/signin", FORM, **header)).created().by("header").lacks_claim("role")


def test_a_failure_tells_of_cookies_and_body(ask: Ask) -> None:
    """The explanation has the cookies, each once, and the body, whatever made the response."""
    answer = ask("POST", "/auth/signup", FORM, **{"st-auth-mode": "cookie"})
    with pytest.raises(AssertionError) as caught:
        assert_session(answer).cleared()
    said = str(caught.value)
    assert said.count("sAccessToken set") == said.count("sRefreshToken set") == 1
    assert '"status":"OK"' in said
