"""What the doctor says about CORS in Flask, and that it says what happens."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix

from coatcheck import App, get_all_cors_headers
from coatcheck.server.doctor import diagnose
from coatcheck.server.doctor.application import app_of
from coatcheck.server.flask import CoatCheck

from ...kit import WEBSITE

RIGHT: dict[str, Any] = {"origins": [WEBSITE], "supports_credentials": True}
HEADERS = ["content-type", *get_all_cors_headers()]


def found(app: App, application: object) -> list[tuple[str, str]]:
    return [(finding.level, finding.title) for finding in diagnose(app, application).findings]


@pytest.fixture
def with_cors(make_app: Callable[..., App]) -> Callable[..., tuple[App, flask.Flask]]:
    """Make an App and a Flask application with the extension and flask-cors; keywords change CORS."""

    def make(**cors: Any) -> tuple[App, flask.Flask]:
        app = make_app()
        web = flask.Flask("mine")
        CORS(web, **{**RIGHT, **cors})
        CoatCheck(web, coatcheck=app)
        return app, web

    return make


@pytest.mark.parametrize(
    "cors",
    [
        {},
        {"origins": WEBSITE},
        {"origins": [re.compile(r"http://localhost:\d+")]},
        {"origins": [r"http://localhost:\d+$"]},
        {"allow_headers": HEADERS},
        {"allow_headers": [name.title() for name in HEADERS]},
        {"methods": ["GET", "POST"]},
        {"resources": {r"/auth/*": {}, r"/api/*": {"origins": "*"}}},
        {"resources": r"/.*", "expose_headers": ["X-Total"]},
    ],
)
def test_cors_that_works_is_not_talked_about(with_cors: Callable[..., Any], cors: dict[str, Any]) -> None:
    """Of flask-cors with the right contents, nothing is found."""
    diagnosis = diagnose(*with_cors(**cors))
    assert (diagnosis.findings, diagnosis.unchecked) == ((), ())


@pytest.mark.parametrize(
    ("cors", "level", "said"),
    [
        ({"origins": ["http://localhost:3001"]}, "error", f"origins does not name the website, {WEBSITE}"),
        ({"origins": "*"}, "warning", "flask-cors lets every website call the API with credentials"),
        ({"origins": r"https?://.*"}, "warning", "flask-cors lets every website call the API with credentials"),
        ({"supports_credentials": False}, "error", "supports_credentials is not set"),
        ({"allow_headers": ["content-type"]}, "error", "lacks rid, fdi-version, authorization, st-auth-mode"),
        ({"allow_headers": get_all_cors_headers()}, "error", "lacks content-type"),
        ({"methods": ["GET"]}, "error", "methods lacks POST"),
        ({"resources": r"/api/.*"}, "error", "flask-cors leaves the auth API out"),
    ],
)
def test_cors_that_hides_answers_is_found(
    with_cors: Callable[..., Any], cors: dict[str, Any], level: str, said: str
) -> None:
    """Each mistake is one finding, at its level."""
    ((at, title),) = found(*with_cors(**cors))
    assert at == level
    assert said in title


def test_no_cors_is_a_warning(make_app: Callable[..., App]) -> None:
    """Without flask-cors, something in front has to add the headers."""
    web = flask.Flask("mine")
    CoatCheck(web, coatcheck=(app := make_app()))
    ((level, title),) = found(app, web)
    assert (level, "nothing lets the pages" in title) == ("warning", True)


def test_cors_of_a_blueprint_does_not_reach_the_auth_api(make_app: Callable[..., App]) -> None:
    """The auth API belongs to no blueprint."""
    web, pages = flask.Flask("mine"), flask.Blueprint("pages", "pages")
    CORS(pages, **RIGHT)
    web.register_blueprint(pages)
    CoatCheck(web, coatcheck=(app := make_app()))
    assert ["nothing lets the pages" in title for _, title in found(app, web)] == [True]


def test_without_the_extension_nothing_is_served(make_app: Callable[..., App]) -> None:
    """That is a warning, because another process may serve the auth API."""
    diagnosis = diagnose(make_app(), flask.Flask("mine"))
    assert [(finding.level, finding.title) for finding in diagnosis.findings] == [
        ("warning", "the CoatCheck extension was not added to the Flask application")
    ]


def test_the_app_is_found_behind_a_proxy_fix(with_cors: Callable[..., Any]) -> None:
    """What is wrapped around the WSGI application does not hide which App is served."""
    app, web = with_cors()
    web.wsgi_app = ProxyFix(web.wsgi_app)
    assert app_of(web) is app


def test_options_of_earlier_versions_are_read(with_cors: Callable[..., Any]) -> None:
    """flask-cors kept its options in a dictionary until 6.0.3."""
    app, web = with_cors()
    options = {"origins": [WEBSITE], "allow_headers": HEADERS, "methods": "GET, POST"}
    resources = [("/auth/session/refresh", options)]

    def hook(response: flask.Response) -> flask.Response:
        assert resources
        return response

    hook.__module__ = "flask_cors.extension"
    web.after_request_funcs[None] = [hook]
    assert found(app, web) == [("error", "supports_credentials is not set")]


# What is said does happen


@pytest.mark.parametrize(
    ("cors", "allowed"),
    [
        ({}, WEBSITE),
        ({"origins": ["http://localhost:3001"]}, None),
        ({"resources": r"/api/.*"}, None),
        ({"resources": r"/auth/.*"}, WEBSITE),
    ],
)
def test_answers_of_the_auth_api_pass_flask_cors(
    with_cors: Callable[..., Any], cors: dict[str, Any], allowed: str | None
) -> None:
    """A 401 of the auth API can be read by the page exactly where nothing is found."""
    answer = with_cors(**cors)[1].test_client().post("/auth/session/refresh", headers={"origin": WEBSITE})
    assert answer.status_code == 401
    assert answer.headers.get("access-control-allow-origin") == allowed


def test_exposed_headers_of_flask_cors_stand_beside_those_of_the_tokens(with_cors: Callable[..., Any]) -> None:
    """Other than elsewhere, a list of one's own does no harm."""
    body = {"formFields": [{"id": "email", "value": "a@example.com"}, {"id": "password", "value": "correct horse 1"}]}
    client = with_cors(expose_headers=["X-Total"])[1].test_client()
    answer = client.post("/auth/signup", json=body, headers={"origin": WEBSITE, "st-auth-mode": "cookie"})
    assert answer.status_code == 200
    exposed = ", ".join(answer.headers.getlist("access-control-expose-headers"))
    assert "X-Total" in exposed
    assert "front-token" in exposed


@pytest.mark.parametrize("cors", [{"methods": ["GET"]}, {"allow_headers": ["content-type"]}])
def test_preflight_requests_get_no_leave(with_cors: Callable[..., Any], cors: dict[str, Any]) -> None:
    """Where a method or a header is found missing, the browser is not told that `rid` may be sent."""
    asked = {
        "origin": WEBSITE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "rid",
    }
    leave = [
        with_cors(**change)[1]
        .test_client()
        .options("/auth/signin", headers=asked)
        .headers.get("access-control-allow-headers")
        for change in ({}, cors)
    ]
    assert leave == ["rid", None]
