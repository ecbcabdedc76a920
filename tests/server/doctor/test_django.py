"""What the doctor says about CORS in Django, and that it says what happens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from corsheaders.signals import check_request_enabled
from django.conf import settings

from coatcheck import App, get_all_cors_headers
from coatcheck.server.django import Middleware
from coatcheck.server.doctor import diagnose
from coatcheck.server.doctor.application import app_of, is_application
from coatcheck.server.doctor.django import settings_in_use

from ...django_project import COOKIES, OURS, Project
from ...kit import WEBSITE

CORS = "corsheaders.middleware.CorsMiddleware"
RIGHT: dict[str, Any] = {
    "ROOT_URLCONF": (),
    "MIDDLEWARE": [CORS, OURS],
    "CORS_ALLOWED_ORIGINS": [WEBSITE],
    "CORS_ALLOW_CREDENTIALS": True,
    "CORS_ALLOW_HEADERS": ["x-csrftoken", "content-type", *get_all_cors_headers()],
}


class OfTheProject(Middleware):
    """A middleware of the project's own, which names the App."""


class TeamCORS:
    """CORS of the project's own, which nobody can look into."""


@pytest.fixture
def project(make_app: Callable[..., App]) -> Iterator[Project]:
    """Open the Django project around a new App, CORS configured as it should be."""
    opened = Project("wsgi", make_app())
    opened.settings(**RIGHT)
    yield opened
    opened.close()


def found(project: Project, **changed: Any) -> list[tuple[str, str]]:
    project.settings(**changed)
    return [(finding.level, finding.title) for finding in diagnose(project.app, settings).findings]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"MIDDLEWARE": ["django.middleware.security.SecurityMiddleware", CORS, OURS]},
        {"CORS_ALLOWED_ORIGINS": [], "CORS_ALLOWED_ORIGIN_REGEXES": [r"^http://localhost:\d+$"]},
        {"CORS_ALLOWED_ORIGINS": [f"{WEBSITE}/"]},
        {"CORS_URLS_REGEX": re.compile("^/(auth|api)/")},
        {"CORS_EXPOSE_HEADERS": ["Front-Token", "X-Total"]},
        {"MIDDLEWARE": [CORS, f"{__name__}.OfTheProject"]},
    ],
)
def test_cors_that_works_is_not_talked_about(project: Project, changed: dict[str, Any]) -> None:
    """Of django-cors-headers before our middleware, with the right contents, nothing is found."""
    project.settings(**changed)
    diagnosis = diagnose(project.app, settings)
    assert (diagnosis.findings, diagnosis.unchecked) == ((), ())


@pytest.mark.parametrize(
    ("changed", "level", "said"),
    [
        ({"MIDDLEWARE": [OURS, CORS]}, "error", "CorsMiddleware is inside the auth middleware"),
        ({"MIDDLEWARE": [OURS]}, "warning", "nothing lets the pages of the website read"),
        ({"CORS_ALLOWED_ORIGINS": []}, "error", f"CORS_ALLOWED_ORIGINS does not name the website, {WEBSITE}"),
        ({"CORS_ALLOW_ALL_ORIGINS": True}, "warning", "lets every website call the API with credentials"),
        ({"CORS_ALLOW_CREDENTIALS": False}, "error", "CORS_ALLOW_CREDENTIALS is not set"),
        ({"CORS_ALLOW_HEADERS": ["*"]}, "error", "CORS_ALLOW_HEADERS lacks content-type, rid"),
        ({"CORS_ALLOW_HEADERS": get_all_cors_headers()}, "error", "CORS_ALLOW_HEADERS lacks content-type"),
        ({"CORS_URLS_REGEX": r"^/api/.*$"}, "error", "leaves the auth API out"),
        ({"CORS_EXPOSE_HEADERS": ["X-Total"]}, "error", "CORS_EXPOSE_HEADERS hides front-token"),
    ],
)
def test_cors_that_hides_answers_is_found(project: Project, changed: dict[str, Any], level: str, said: str) -> None:
    """Each mistake is one finding, at its level."""
    ((at, title),) = found(project, **changed)
    assert at == level
    assert said in title


def test_the_headers_that_django_allows_by_default_are_too_few(project: Project) -> None:
    """CORS_ALLOW_HEADERS has to be set, and the earlier names of other settings count."""
    project.settings()
    del settings.CORS_ALLOW_HEADERS
    del settings.CORS_ALLOWED_ORIGINS
    ((_, title),) = found(project, CORS_ORIGIN_WHITELIST=[WEBSITE])
    assert title == "CORS_ALLOW_HEADERS lacks rid, fdi-version, st-auth-mode"


def test_origins_that_a_function_allows_are_not_guessed(project: Project) -> None:
    """Where the project's own functions are asked, nobody knows what they answer."""

    def allow(**_: object) -> bool:
        return True

    check_request_enabled.connect(allow)
    try:
        assert found(project, CORS_ALLOWED_ORIGINS=[], CORS_URLS_REGEX=r"^/api/.*$") == []
        assert [level for level, _ in found(project, CORS_ALLOW_ALL_ORIGINS=True)] == ["warning"]
    finally:
        check_request_enabled.disconnect(allow)


@pytest.mark.parametrize(
    ("middleware", "said"), [([CORS], "is not in MIDDLEWARE"), ([f"{__name__}.TeamCORS", OURS], "what")]
)
def test_what_cannot_be_seen_is_said(project: Project, middleware: list[str], said: str) -> None:
    """Without our middleware, or with CORS of the project's own, there is nothing to judge."""
    project.settings(MIDDLEWARE=middleware)
    diagnosis = diagnose(project.app, settings)
    assert diagnosis.findings == ()
    assert [said in what for what in diagnosis.unchecked] == [True]


def test_a_handler_is_known_and_so_is_its_app(
    project: Project, make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The App is the one that `init` made, unless a middleware of the project names another."""
    handler = project.handler()
    assert is_application(handler)
    assert app_of(handler) is project.app
    monkeypatch.setattr(OfTheProject, "coatcheck", other := make_app())
    project.settings(MIDDLEWARE=[f"{__name__}.OfTheProject"])
    assert app_of(handler) is other


def test_a_project_is_in_use_where_the_environment_names_its_settings(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings that a test has configured are not those of a project."""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    assert settings_in_use() is None
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "mine.settings")
    assert settings_in_use() is settings


# What is said does happen


@pytest.mark.parametrize(
    ("changed", "allowed"),
    [({}, WEBSITE), ({"MIDDLEWARE": [OURS, CORS]}, None), ({"CORS_URLS_REGEX": "^/api/"}, None)],
)
def test_answers_of_the_auth_api_have_cors_headers(
    project: Project, changed: dict[str, Any], allowed: str | None
) -> None:
    """A 401 of the auth API can be read by the page exactly where nothing is found."""
    project.settings(**changed)
    answer = project.serve()().post("/auth/session/refresh", headers={"origin": WEBSITE})
    assert answer.status_code == 401
    assert answer.headers.get("access-control-allow-origin") == allowed


@pytest.mark.parametrize(("exposed", "readable"), [([], True), (["X-Total"], False)])
def test_exposed_headers_of_django_replace_those_of_the_tokens(
    project: Project, exposed: list[str], readable: bool
) -> None:
    """Whatever CORS_EXPOSE_HEADERS names is all that a page can read."""
    project.settings(CORS_EXPOSE_HEADERS=exposed)
    body = {"formFields": [{"id": "email", "value": "a@example.com"}, {"id": "password", "value": "correct horse 1"}]}
    answer = project.serve()(**COOKIES).post("/auth/signup", json=body, headers={"origin": WEBSITE})
    assert "front-token" in answer.headers
    assert ("front-token" in answer.headers["access-control-expose-headers"]) is readable
