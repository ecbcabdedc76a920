"""What `manage.py check` explains about the place of the middleware."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from coatcheck.server.django import Middleware

from ...django_project import LOGIN, OURS, Project

Open = Callable[..., Project]
CORS = "corsheaders.middleware.CorsMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
CACHE = "django.middleware.cache.UpdateCacheMiddleware"
SUBCLASS = f"{__name__}.SubclassMiddleware"

pytestmark = pytest.mark.parametrize("stack", ["wsgi"])


class SubclassMiddleware(Middleware):
    """A middleware of the project's own."""


@pytest.mark.parametrize(
    ("listed", "ids"),
    [
        ([OURS], []),
        ([CACHE, SECURITY, CORS, OURS], []),
        ([CORS, SUBCLASS], []),
        ([], ["coatcheck.E001"]),
        ([SECURITY, "nonsense.Middleware", f"{__name__}.pytestmark"], ["coatcheck.E001"]),
        ([OURS, OURS], ["coatcheck.E002"]),
        ([OURS, CORS, SUBCLASS], ["coatcheck.E002", "coatcheck.W001"]),
        ([OURS, CORS], ["coatcheck.W001"]),
        ([SUBCLASS, CORS], ["coatcheck.W001"]),
        ([OURS, SECURITY], ["coatcheck.W002"]),
        ([OURS, CACHE, CORS], ["coatcheck.W003", "coatcheck.W001"]),
    ],
)
def test_wrong_places_have_ids(project: Open, listed: list[str], ids: list[str]) -> None:
    """Every wrong order is one finding, with a hint; a right one has none."""
    opened = project()
    opened.settings(MIDDLEWARE=listed, ROOT_URLCONF=(LOGIN,))
    found = run_checks(tags=["coatcheck"])
    assert [one.id for one in found] == ids
    assert all(one.hint for one in found)


def test_manage_py_check_says_what_to_do(project: Open) -> None:
    """The command fails for what cannot work, and names what to move or add."""
    opened = project()
    opened.settings(MIDDLEWARE=[OURS, CORS], ROOT_URLCONF=(LOGIN,))
    told = io.StringIO()
    call_command("check", stderr=told)
    assert f"'{CORS}' above '{OURS}'" in told.getvalue()
    opened.settings(MIDDLEWARE=[])
    with pytest.raises(SystemCheckError, match=f"Add '{OURS}' to MIDDLEWARE"):
        call_command("check")


@pytest.mark.parametrize("installed", [True, False])
def test_a_project_that_did_not_list_the_application_is_told_at_the_start(
    project: Open, caplog: pytest.LogCaptureFixture, installed: bool
) -> None:
    """Without the entry in INSTALLED_APPS the same findings are logged when the server starts."""
    opened = project()
    opened.settings(MIDDLEWARE=[OURS, CORS])
    if not installed:
        opened.settings(INSTALLED_APPS=[])
    opened.handler(LOGIN)
    assert ("coatcheck.W001" in caplog.text) is not installed
