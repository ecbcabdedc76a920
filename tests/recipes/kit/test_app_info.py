"""The addresses of an application, as written and as normalised."""

from __future__ import annotations

from contextlib import closing
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given, strategies as st
from starlette.requests import Request
from starlette.testclient import TestClient

from coatcheck import get_request_from_user_context
from coatcheck.claims.payload import UserContext
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.recipes.kit.app_info import AppInfo, InputAppInfo, normal_host, normal_origin, normal_path, normalise
from coatcheck.server import create_app
from coatcheck.testing import make_app

from ...kit import API, WEBSITE, form


def app_info(**changes: Any) -> AppInfo:
    """Normalise an ordinary InputAppInfo with some fields changed."""
    fields: dict[str, Any] = {"app_name": "Cloakroom", "api_domain": "api.example.com", "website_domain": "example.com"}
    return normalise(InputAppInfo(**{**fields, **changes}))


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("http://api.example.com", "http://api.example.com"),
        ("HTTPS://API.Example.COM/", "https://api.example.com"),
        ("  https://api.example.com  ", "https://api.example.com"),
        ("https://api.example.com:8443/v1?a=b#c", "https://api.example.com:8443"),
        ("https://api.example.com?next=http://other.com", "https://api.example.com"),
        ("api.example.com", "https://api.example.com"),
        ("api.example.com/v1", "https://api.example.com"),
        ("api.example.com:4000", "https://api.example.com:4000"),
        (".example.com", "https://example.com"),
        ("example.com.", "https://example.com"),
        ("localhost", "http://localhost"),
        ("localhost:3000", "http://localhost:3000"),
        ("localhost.org:8080", "http://localhost.org:8080"),
        ("https://localhost:3000", "https://localhost:3000"),
        ("127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("192.168.1.4", "http://192.168.1.4"),
        ("[::1]:3000", "http://[::1]:3000"),
        ("http://[::1]", "http://[::1]"),
        ("http://testserver", "http://testserver"),
        ("api:8000", "https://api:8000"),
        ("http://my_service:8000", "http://my_service:8000"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
        ("https://api.example.com:443", "https://api.example.com"),
        ("http://api.example.com:80/x", "http://api.example.com"),
        ("http://api.example.com:443", "http://api.example.com:443"),
    ],
)
def test_a_domain_becomes_an_origin(written: str, normal: str) -> None:
    """A domain keeps scheme, host and port only; a missing scheme is https, for local hosts http."""
    assert app_info(api_domain=written).api_domain == normal
    assert app_info(website_domain=written).origin == normal


@pytest.mark.parametrize("field", ["api_domain", "website_domain", "origin"])
@pytest.mark.parametrize(
    "written",
    [
        "",
        "  ",
        "/one/two",
        "http://",
        "https:///auth",
        "ftp://example.com",
        "javascript://example.com",
        "Cloakroom",
        "two words.com",
        "http://user:secret@example.com",
        "http://example.com:port",
        "http://example.com:99999",
        "http://[::1",
        "http://-.com",
        "http://a..b",
        "http://exa\nmple.com",
        "null",
    ],
)
def test_what_is_no_domain_is_refused(field: str, written: str) -> None:
    """A text that is no http(s) address is an error at init, and it names the field."""
    with pytest.raises(ConfigurationError, match=f"^{field} must "):
        app_info(**{field: written})


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("", ""),
        ("/", ""),
        ("//", ""),
        ("/auth", "/auth"),
        ("/auth/", "/auth"),
        ("auth", "/auth"),
        ("auth/v1/", "/auth/v1"),
        ("  /auth ", "/auth"),
        ("/Auth", "/Auth"),
        ("/auth?next=/x#y", "/auth"),
        ("auth?next=https://example.com/x", "/auth"),
        ("https://api.example.com", ""),
        ("https://api.example.com/auth/", "/auth"),
        ("HTTPS://API.example.com/Auth", "/Auth"),
        ("http://api/auth", "/auth"),
        ("api.example.com/one/two", "/one/two"),
        ("api.example.com", ""),
        ("localhost:3000/auth", "/auth"),
        ("localhost", ""),
        ("127.0.0.1/auth", "/auth"),
        ("[::1]:3000/auth", "/auth"),
        ("/.netlify/functions/api", "/.netlify/functions/api"),
        ("/one/two.py", "/one/two.py"),
        ("/localhost/auth", "/localhost/auth"),
    ],
)
def test_a_path_is_normalised(written: str, normal: str) -> None:
    """A path loses domain, query and trailing slash; what begins with a slash is never taken for a domain."""
    assert app_info(website_base_path=written).website_base_path == normal
    assert app_info(api_base_path=written).api_base_path == normal


@pytest.mark.parametrize("field", ["api_base_path", "website_base_path", "api_gateway_path"])
@pytest.mark.parametrize(
    "written", ["/auth; Domain=evil.com", "/au th", "/auth\r\nX: y", "/ä", "ftp://example.com/auth"]
)
def test_a_path_that_would_break_a_cookie_is_refused(field: str, written: str) -> None:
    """A path ends up in a cookie attribute, so it may hold neither semicolons, spaces nor control characters."""
    with pytest.raises(ConfigurationError, match=f"^{field} must "):
        app_info(**{field: written})


@pytest.mark.parametrize(
    ("gateway", "base", "api_base_path", "refresh_path"),
    [
        ("", "/auth", "/auth", "/auth/session/refresh"),
        ("/gateway", "/auth", "/gateway/auth", "/gateway/auth/session/refresh"),
        ("gateway/", "auth", "/gateway/auth", "/gateway/auth/session/refresh"),
        ("", "/", "", "/session/refresh"),
        ("/gateway", "/", "/gateway", "/gateway/session/refresh"),
    ],
)
def test_the_gateway_is_part_of_the_base_path(gateway: str, base: str, api_base_path: str, refresh_path: str) -> None:
    """The base path is the one a browser sees, and so is the path of the refresh cookie."""
    info = app_info(api_gateway_path=gateway, api_base_path=base)
    assert (info.api_base_path, info.refresh_path) == (api_base_path, refresh_path)
    assert info.issuer == "https://api.example.com" + api_base_path


def test_the_defaults() -> None:
    """Only the name and two domains are needed."""
    assert normalise(InputAppInfo("Cloakroom", "localhost:8000", website_domain="localhost:3000")) == AppInfo(
        app_name="Cloakroom",
        api_domain="http://localhost:8000",
        website_domain="http://localhost:3000",
        api_base_path="/auth",
        website_base_path="/auth",
        api_gateway_path="",
        origin="http://localhost:3000",
    )


def test_the_normalised_form_cannot_change() -> None:
    """An App's addresses are the same for its whole life."""
    with pytest.raises(FrozenInstanceError):
        app_info().api_domain = "https://other.com"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("field", "placeholder"),
    [
        ("app_name", "<YOUR_APP_NAME>"),
        ("api_domain", "<YOUR_API_DOMAIN>"),
        ("website_domain", "<YOUR_WEBSITE_DOMAIN>"),
        ("origin", " <YOUR_WEBSITE_DOMAIN> "),
        ("api_base_path", "<YOUR_PATH>"),
        ("website_base_path", "<YOUR_PATH>"),
        ("api_gateway_path", "<YOUR_PATH>"),
    ],
)
def test_a_placeholder_says_what_belongs_there(field: str, placeholder: str) -> None:
    """Copied documentation with its placeholders left in says which one to replace, and by what."""
    with pytest.raises(ConfigurationError, match=f"^{field} is still the placeholder '{placeholder}': (put|leave)"):
        app_info(**{field: placeholder})


def test_a_website_is_needed() -> None:
    """Without website_domain and origin there is no way to decide SameSite."""
    with pytest.raises(ConfigurationError, match="Please provide at least one of website_domain or origin"):
        app_info(website_domain=None)


@pytest.mark.parametrize("field", ["app_name", "api_domain", "website_domain", "api_base_path", "origin"])
def test_a_field_of_another_type_is_named(field: str) -> None:
    """A number where a text belongs is a configuration error, not a traceback from string handling."""
    with pytest.raises(ConfigurationError, match=f"^{field} must be a string"):
        app_info(**{field: 8000})


def test_something_else_than_app_info_is_refused() -> None:
    """A dict is not an InputAppInfo; the error is a ValueError, as callers of the reference expect."""
    with pytest.raises(ValueError, match="app_info must be an instance of InputAppInfo"):
        normalise({"app_name": "x"})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_an_origin_wins_over_the_website_domain() -> None:
    """`origin` decides where both are given; the website's domain stays known."""
    info = app_info(origin="https://Other.com/")
    assert info.website_origin(None, {}) == "https://other.com"
    assert info.website_domain == "https://example.com"
    assert app_info(website_domain=None, origin="https://other.com").website_domain is None


def test_an_origin_function_is_asked_for_every_request() -> None:
    """An origin function gets the request and the user context each time, and its answer is normalised."""
    asked: list[tuple[Request | None, UserContext]] = []

    def origin(request: Request | None, user_context: UserContext) -> str:
        asked.append((request, user_context))
        return "https://default.com" if request is None else request.headers["origin"]

    info = app_info(website_domain=None, origin=origin)
    assert asked == []
    for host in ("A.com", "b.com"):
        request = Request({"type": "http", "headers": [(b"origin", f"https://{host}".encode())]})
        assert info.website_origin(request, {"host": host}) == f"https://{host.lower()}"
        assert asked[-1] == (request, {"host": host})
    assert info.website_origin(None, {}) == "https://default.com"


@pytest.mark.parametrize("answer", ["", None, 3, "null"])
def test_a_bad_answer_of_an_origin_function_is_an_error(answer: Any) -> None:
    """An origin function that answers nonsense is an error naming it."""
    info = app_info(origin=lambda request, user_context: answer)
    with pytest.raises(ConfigurationError, match=r"^origin must "):
        info.website_origin(None, {})


@given(st.text() | st.from_regex(r"\s?(https?://)?[a-z0-9.:/?#\[\]@%-]{0,20}"))
def test_any_text_is_normalised_or_refused(text: str) -> None:
    """Whatever the text: a normal form, which normalises to itself, or one of our errors."""
    for normal in (normal_origin, normal_path, normal_host):
        try:
            once = normal(text, "field")
        except ConfigurationError:
            continue
        assert normal(once, "field") == once


def test_an_origin_function_is_asked_once_per_request() -> None:
    """Signing up, refreshing and signing out with cookies each ask for the origin once, with their user context."""
    asked: list[str] = []

    def origin(request: Request | None, user_context: dict[str, Any]) -> str:
        asked.append("" if request is None else request.url.path)
        assert get_request_from_user_context(user_context) is not None
        return WEBSITE

    given = InputAppInfo("Test", API, origin=origin)
    with make_app(app_info=given) as app, closing(TestClient(create_app(app), base_url=API)) as client:
        headers = {"st-auth-mode": "cookie", "rid": "session", "origin": WEBSITE}
        credentials = form(email="ann@example.com", password="password 1")
        signed_up = client.post("/auth/signup", json=credentials, headers=headers)
        assert signed_up.json()["status"] == "OK"
        assert client.post("/auth/session/refresh", headers=headers).status_code == 200
        assert client.post("/auth/signout", headers=headers).json() == {"status": "OK"}
    assert asked == ["/auth/signup", "/auth/session/refresh", "/auth/signout"]
