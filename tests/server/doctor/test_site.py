"""What the doctor says about API and website: cookies that browsers keep and send, and those they do not."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck import App, InputAppInfo
from coatcheck.recipes import session
from coatcheck.server.doctor import diagnose, examine

Found = list[tuple[str, str]]


def made(api: str, website: Any, **options: Any) -> App:
    """Return an App that is not for tests; its database is never opened."""
    info = InputAppInfo(app_name="Mine", api_domain=api, origin=website)
    return App(
        app_info=info, recipe_list=[session.init(**options)], database="sqlite:///never.db", encryption_key="k" * 32
    )


def found(api: str, website: Any, **options: Any) -> Found:
    """Return level and title of what is found."""
    return [(finding.level, finding.title) for finding in examine(made(api, website, **options))]


def headers_only(*_: Any) -> str:
    return "header"


@pytest.mark.parametrize(
    ("api", "website", "options"),
    [
        ("https://api.example.com", "https://example.com", {}),
        ("https://api.example.com", "https://app.example.com", {"cookie_domain": ".example.com"}),
        ("https://example.com", "https://example.com", {"cookie_same_site": "strict"}),
        ("https://example.com", "https://www.example.com", {"cookie_domain": "example.com", "older_cookie_domain": ""}),
        ("https://api.example.com", "https://example.com", {"cookie_same_site": "none"}),
        ("https://api.example.com", "https://example.com", {"anti_csrf": "NONE"}),
        ("https://api.example.com", "https://example.com", {"anti_csrf": "VIA_TOKEN"}),
        ("https://api.example.com", "https://example.org", {"get_token_transfer_method": headers_only}),
        ("http://127.0.0.1:8000", "http://localhost:3000", {"get_token_transfer_method": headers_only}),
        ("http://localhost:3567", "http://localhost:3000", {}),
        ("http://127.0.0.1:3567", "http://127.0.0.1:3000", {}),
        ("http://[::1]:3567", "http://[::1]:3000", {}),
        ("https://localhost:3567", "https://localhost:3000", {}),
        ("http://192.168.1.5:3567", "http://192.168.1.5:3000", {}),
        ("http://api:3567", "http://api:3000", {}),
        ("https://api.example.com", "http://example.com", {}),
        ("https://localhost:3567", "http://localhost:3000", {}),
        ("https://127.0.0.1:3567", "http://localhost:3000", {}),
        ("https://localhost.example.com", "https://example.com", {}),
        ("http://api.app.localhost", "http://www.app.localhost", {}),
    ],
)
def test_what_works_is_not_talked_about(api: str, website: str, options: dict[str, Any]) -> None:
    """Of configurations that work and are safe, nothing is found."""
    assert found(api, website, **options) == []


@pytest.mark.parametrize(
    ("api", "website"),
    [
        ("http://127.0.0.1:8000", "http://localhost:3000"),
        ("http://localhost:8000", "http://127.0.0.1:3000"),
        ("https://127.0.0.1:8000", "https://localhost:3000"),
        ("http://0.0.0.0:8000", "http://localhost:3000"),
        ("http://[::1]:8000", "http://localhost:3000"),
        ("http://192.168.1.5:8000", "http://192.168.1.6:3000"),
    ],
)
@pytest.mark.parametrize("same_site", [None, "lax", "strict"])
def test_local_names_are_different_sites(api: str, website: str, same_site: str | None) -> None:
    """127.0.0.1 in one place and localhost in the other is an error, whatever the SameSite that keeps cookies away."""
    ((level, title),) = found(api, website, cookie_same_site=same_site)
    assert level == "error"
    assert "for different sites" in title


def test_the_fix_for_local_names_is_an_address_under_the_name_of_the_website() -> None:
    """What to write is spelt out, port included."""
    (finding,) = examine(made("http://127.0.0.1:8000", "http://localhost:3000"))
    assert "api_domain='http://localhost:8000'" in finding.fix
    (finding,) = examine(made("http://127.0.0.1:8000", "http://[::1]:3000"))
    assert "api_domain='http://[::1]:8000'" in finding.fix


@pytest.mark.parametrize(
    ("api", "website", "options", "level", "said"),
    [
        # An API on plain http
        ("http://api.example.com", "https://example.com", {}, "error", "the website is on https, but the API is not"),
        ("http://api.example.com", "http://example.org", {}, "error", "SameSite=None, but not Secure"),
        ("http://localhost:8000", "https://localhost:3000", {}, "error", "SameSite=None, but not Secure"),
        ("http://localhost:8000", "http://localhost:3000", {"cookie_same_site": "none"}, "error", "but not Secure"),
        ("http://example.com", "http://example.com", {}, "warning", "the API is deployed on plain http"),
        ("http://example.com", "http://example.com", {"cookie_secure": True}, "error", "the API is on plain http"),
        ("http://localhost", "http://localhost", {"cookie_secure": True}, "warning", "the API is on plain http"),
        # An API on https
        ("https://example.com", "https://example.com", {"cookie_secure": False}, "warning", "cookie_secure=False"),
        ("https://a.com", "https://b.com", {"cookie_secure": False}, "error", "SameSite=None, but not Secure"),
        (
            "https://api.example.com",
            "http://example.com",
            {"cookie_same_site": "lax"},
            "error",
            "cookie_same_site='lax'",
        ),
        ("https://a.com", "https://b.com", {"cookie_same_site": "lax"}, "error", "cookie_same_site='lax'"),
        ("https://a.com", "https://b.com", {"cookie_same_site": "strict"}, "error", "cookie_same_site='strict'"),
        ("https://a.com", "https://b.com", {}, "advice", "a third party"),
        ("https://a.vercel.app", "https://b.vercel.app", {}, "advice", "a third party"),
        (
            "https://api.example.com",
            "https://example.com",
            {"cookie_same_site": "none", "anti_csrf": "NONE"},
            "error",
            "any website can act as a signed-in user",
        ),
        # Hosts that belong to nobody
        ("https://github.io", "https://example.com", {}, "error", "the API is a public suffix: github.io"),
        ("https://example.com", "https://co.uk", {}, "error", "the website is a public suffix: co.uk"),
        # Domain
        ("https://api.example.com", "https://example.com", {"cookie_domain": ".example.org"}, "error", "not belong to"),
        ("https://example.com", "https://example.com", {"cookie_domain": "api.example.com"}, "error", "not belong to"),
        ("http://127.0.0.1", "http://127.0.0.1", {"cookie_domain": "0.0.1"}, "error", "not belong to"),
        ("https://example.com", "https://example.com", {"cookie_domain": ".com"}, "error", "is a public suffix"),
        ("https://a.vercel.app", "https://a.vercel.app", {"cookie_domain": "vercel.app"}, "error", "a public suffix"),
        ("http://a.localhost", "http://a.localhost", {"cookie_domain": "localhost"}, "error", "a public suffix"),
        ("http://localhost", "http://localhost", {"cookie_domain": "localhost"}, "advice", "of no use on localhost"),
        ("http://127.0.0.1", "http://127.0.0.1", {"cookie_domain": "127.0.0.1"}, "advice", "of no use on 127.0.0.1"),
        ("http://[::1]", "http://[::1]", {"cookie_domain": "[::1]"}, "advice", "of no use on ::1"),
        (
            "https://api.example.com",
            "https://example.com",
            {"cookie_domain": ".example.com", "older_cookie_domain": "example.com"},
            "warning",
            "the domain that cookies have now",
        ),
        ("https://a.com", "https://a.com", {"older_cookie_domain": ""}, "warning", "the domain that cookies have now"),
        ("https://a.com", "https://a.com", {"older_cookie_domain": ".b.com"}, "warning", "has no effect"),
    ],
)
def test_what_browsers_drop_or_block_is_found(
    api: str, website: str, options: dict[str, Any], level: str, said: str
) -> None:
    """Each mistake is one finding, at its level."""
    ((at, title),) = found(api, website, **options)
    assert at == level
    assert said in title


def test_several_mistakes_are_told_the_gravest_first() -> None:
    """Errors come before warnings, and those before advice."""
    levels = [
        level
        for level, _ in found(
            "https://api.example.com",
            "https://example.org",
            cookie_domain=".example.net",
            older_cookie_domain=".example.net",
        )
    ]
    assert levels == ["error", "warning", "warning", "advice"]


def test_every_finding_says_why_and_how_to_put_it_right() -> None:
    """Neither is empty, and both are sentences."""
    app = made("https://a.com", "https://b.com", cookie_secure=False, anti_csrf="NONE", cookie_domain="c.com")
    findings = examine(app)
    assert len(findings) == 3
    for finding in findings:
        assert finding.why.endswith(".")
        assert finding.fix.endswith(".")


def test_an_origin_that_is_a_function_is_asked_without_a_request() -> None:
    """Its answer is checked, and it is said that there may be others."""
    seen: list[object] = []

    def origin(request: object, user_context: object) -> str:
        seen.append(request)
        return "http://localhost:3000"

    diagnosis = diagnose(made("http://127.0.0.1:8000", origin))
    assert [finding.level for finding in diagnosis.findings] == ["error"]
    assert any("other websites than http://localhost:3000" in what for what in diagnosis.unchecked)
    assert seen == [None]


def test_an_origin_that_needs_a_request_leaves_the_website_unchecked() -> None:
    """What cannot be told without a website is not guessed, and said to be unchecked."""

    def origin(request: Any, user_context: object) -> str:
        return str(request.headers["origin"])

    diagnosis = diagnose(made("http://127.0.0.1:8000", origin))
    assert diagnosis.findings == ()
    assert any("origin without a request failed (AttributeError" in what for what in diagnosis.unchecked)


def test_a_selector_is_asked_as_a_page_of_the_website_would() -> None:
    """It sees a sign-in that wishes for cookies; where it refuses them, cookies are no matter."""
    seen: dict[str, Any] = {}

    def selector(request: Any, creating: bool, user_context: object) -> str:
        seen.update(creating=creating, path=request.url.path, **request.headers)
        return "any" if request.headers["origin"] == "http://localhost:3000" else "header"

    assert found("http://127.0.0.1:8000", "http://localhost:3000", get_token_transfer_method=selector) != []
    assert seen["creating"] is True
    assert (seen["path"], seen["st-auth-mode"]) == ("/auth/signin", "cookie")
    assert found("http://127.0.0.1:8000", "http://localhost:3001", get_token_transfer_method=selector) == []


def test_a_selector_that_fails_leaves_it_open_which_clients_get_cookies() -> None:
    """Cookies are taken to be possible, and what is not known is said."""

    def selector(*_: object) -> str:
        raise KeyError("x-client")

    diagnosis = diagnose(made("http://127.0.0.1:8000", "http://localhost:3000", get_token_transfer_method=selector))
    assert [finding.level for finding in diagnosis.findings] == ["error"]
    assert any("get_token_transfer_method failed (KeyError: 'x-client')" in what for what in diagnosis.unchecked)
