"""What an App served without configuration is like, and how settings reach worker processes."""

from __future__ import annotations

import os

import pytest

from coatcheck.recipes.kit.app_info import InputAppInfo, normalise
from coatcheck.server.address import is_loopback
from coatcheck.server.cli.build import default_api_domain
from coatcheck.server.cli.settings import Settings


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("127.0.0.1", "http://localhost:3567"),
        ("localhost", "http://localhost:3567"),
        ("::1", "http://localhost:3567"),
        ("0.0.0.0", "http://localhost:3567"),
        ("::", "http://localhost:3567"),
        ("192.168.1.5", "http://192.168.1.5:3567"),
        ("fd00::5", "http://[fd00::5]:3567"),
        ("api.example.com", "http://api.example.com:3567"),
    ],
)
def test_the_default_api_domain_is_what_a_browser_can_call(host: str, domain: str) -> None:
    """Loopback and wildcard addresses are called localhost, the site of the default website; others by their name."""
    assert default_api_domain(Settings(host=host)) == domain
    assert normalise(InputAppInfo("x", domain, website_domain="http://localhost:3000")).api_domain == domain


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("x.y", False)],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    """Names other than localhost are taken as reachable by others."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(stub_providers="google", allow_unsafe_host=True, manual_clock=True),
        Settings("::", 0, 3, "postgresql://u:p@h/x", "https://a.b", "https://c.d", "", "config:recipes", "debug"),
    ],
)
def test_settings_survive_the_way_through_the_environment(settings: Settings) -> None:
    """Workers read exactly what was asked for; a variable of an option that was not given is removed."""
    environment = {"COATCHECK_RECIPES": "left:over", "COATCHECK_DATABASE": "sqlite://", "PATH": os.defpath}
    settings.to_environment(environment)
    assert Settings.from_environment(environment) == settings
    assert environment["PATH"] == os.defpath
    assert (settings.database is None) == ("COATCHECK_DATABASE" not in environment)


def test_settings_do_not_show_the_password_of_a_database() -> None:
    """A printed Settings has no database URL in it."""
    assert "pa55word" not in repr(Settings(database="postgresql://u:pa55word@h/x"))
