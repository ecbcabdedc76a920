"""`coatcheck serve --stub-providers`: who may have them, and that a sign-in works without a line of code."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.server import create_app
from coatcheck.server.cli.build import build_app
from coatcheck.server.cli.greeting import startup_lines, startup_warnings
from coatcheck.server.cli.settings import Settings
from coatcheck.server.exceptions import OptionsError

SETTINGS = Settings(database="sqlite://", stub_providers="google, github")
CALLBACK = "http://localhost:3000/auth/callback/google"


def test_the_stubs_stand_beside_the_default_recipes() -> None:
    """E-mail/password still works, and both providers send browsers to their pages."""
    with closing(build_app(SETTINGS)) as app, TestClient(create_app(app)) as client:
        assert app.has_recipe("emailpassword")
        for name in ("google", "github"):
            query = {"thirdPartyId": name, "redirectURIOnProviderDashboard": CALLBACK}
            url = client.get("/auth/authorisationurl", params=query).json()["urlWithQueryParams"]
            assert url.startswith(f"http://localhost:3567/auth/stub/{name}/authorize?")
            assert client.get(url).status_code == 200


def test_the_log_says_what_is_played_and_what_that_means() -> None:
    """The stubs are named, and so is what they make possible."""
    with closing(build_app(SETTINGS)) as app:
        assert any("google, github" in line for line in startup_lines(app, SETTINGS))
        assert any("unsafe_for_tests" in line for line in startup_warnings(app, SETTINGS))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
def test_other_machines_are_refused(host: str) -> None:
    """Beyond this machine, stubs are served only to those who insist."""
    settings = replace(SETTINGS, host=host)
    with pytest.raises(OptionsError, match="--allow-unsafe-host"):
        build_app(settings)
    with closing(build_app(replace(settings, allow_unsafe_host=True))) as app:
        assert app.unsafe_for_tests


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (replace(SETTINGS, workers=2), "--workers"),
        (replace(SETTINGS, recipes="config:recipes"), "default recipes"),
    ],
)
def test_what_cannot_work_is_refused(settings: Settings, words: str) -> None:
    """Several workers would not know each other's codes; a list of recipes names its stubs itself."""
    with pytest.raises(OptionsError, match=words):
        build_app(settings)


def test_a_name_given_twice_is_refused() -> None:
    """Two providers of one id are a mistake."""
    with pytest.raises(ConfigurationError, match="multiple entries"):
        build_app(replace(SETTINGS, stub_providers="google,google"))


def test_without_the_option_nothing_unsafe_is_built() -> None:
    """Nothing that is for tests comes in unasked."""
    with closing(build_app(replace(SETTINGS, stub_providers=None))) as app:
        assert not app.unsafe_for_tests
        assert not app.has_recipe("thirdparty")


def test_the_settings_travel_to_other_processes() -> None:
    """The options survive the way through the environment."""
    environment: dict[str, str] = {}
    settings = replace(SETTINGS, allow_unsafe_host=True)
    settings.to_environment(environment)
    assert Settings.from_environment(environment) == settings
