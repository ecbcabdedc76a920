"""One site or two, and what follows for cookies."""

from __future__ import annotations

import pytest

from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.recipes.session.config import (
    SameSite,
    cookies_cannot_work,
    default_anti_csrf,
    default_same_site,
    default_secure,
    normalise_cookie_domain,
    top_level,
)

LONDON = "https://ec2-1-2-3-4.eu-west-2.compute.amazonaws.com"
DUBLIN = "https://ec2-5-6-7-8.eu-west-1.compute.amazonaws.com"


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("https://example.com", "example.com"),
        ("https://api.example.com:8080", "example.com"),
        ("https://a.b.c.example.com", "example.com"),
        ("https://api.example.co.uk", "example.co.uk"),
        ("https://mine.github.io", "mine.github.io"),
        ("https://www.mine.github.io", "mine.github.io"),
        ("https://my-app.herokuapp.com", "my-app.herokuapp.com"),
        ("http://localhost:3000", "localhost"),
        ("http://localhost.org", "localhost"),
        ("http://127.0.0.1:3000", "localhost"),
        ("http://10.1.2.3", "localhost"),
        ("http://[::1]:3000", "localhost"),
        ("http://printer.local:9000", "printer.local"),
        ("http://a.printer.local", "a.printer.local"),
        ("http://testserver", "testserver"),
        ("http://api:8000", "api"),
        (LONDON, LONDON.removeprefix("https://")),
        ("https://ec2-1-2-3-4.compute-1.amazonaws.com", "ec2-1-2-3-4.compute-1.amazonaws.com"),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("https://cloak.room.internal", "room.internal"),
    ],
)
def test_the_site_of_an_origin(origin: str, site: str) -> None:
    """A site is the registrable domain, private suffixes included; local hosts are all one site."""
    assert top_level(origin) == site


@pytest.mark.parametrize("origin", ["https://co.uk", "https://github.io", "https://anything.kawasaki.jp"])
def test_a_public_suffix_is_no_site(origin: str) -> None:
    """Nobody's API lives at a public suffix: the configured domain is wrong."""
    with pytest.raises(
        ConfigurationError, match="Please make sure that the apiDomain and websiteDomain have correct values"
    ):
        top_level(origin)


@pytest.mark.parametrize(
    ("api_domain", "website", "same_site", "anti_csrf"),
    [
        ("https://api.example.com", "https://example.com", "lax", "NONE"),
        ("https://example.com", "https://example.com", "lax", "NONE"),
        ("https://api.example.com:4000", "https://www.example.com:3000", "lax", "NONE"),
        ("http://localhost:8000", "http://localhost:3000", "lax", "NONE"),
        ("http://127.0.0.1:8000", "http://localhost:3000", "lax", "NONE"),
        ("http://api.example.com", "http://example.com", "lax", "NONE"),
        ("https://api.example.co.uk", "https://example.co.uk", "lax", "NONE"),
        (LONDON, LONDON, "lax", "NONE"),
        ("https://api.example.com", "https://other.com", "none", "VIA_CUSTOM_HEADER"),
        ("https://one.co.uk", "https://two.co.uk", "none", "VIA_CUSTOM_HEADER"),
        ("https://one.github.io", "https://two.github.io", "none", "VIA_CUSTOM_HEADER"),
        ("https://localhost", "http://localhost:3000", "none", "VIA_CUSTOM_HEADER"),
        ("https://api.example.com", "http://example.com", "none", "VIA_CUSTOM_HEADER"),
        ("http://127.0.0.1:8000", "http://example.com", "none", "VIA_CUSTOM_HEADER"),
        (LONDON, DUBLIN, "none", "VIA_CUSTOM_HEADER"),
    ],
)
def test_the_defaults_follow_from_the_sites(api_domain: str, website: str, same_site: str, anti_csrf: str) -> None:
    """One site and one scheme need nothing; everything else needs SameSite=None and the custom header."""
    derived = default_same_site(api_domain, website)
    assert (derived, default_anti_csrf(derived)) == (same_site, anti_csrf)


def test_the_first_answer_is_not_remembered() -> None:
    """An API with several websites gets each one's own answer, in any order."""
    websites = ["https://example.com", "https://other.com", "https://example.com"]
    assert [default_same_site("https://api.example.com", website) for website in websites] == ["lax", "none", "lax"]


def test_a_strict_cookie_needs_no_header() -> None:
    """Only SameSite=None leaves a cookie session open to other sites."""
    assert default_anti_csrf("strict") == "NONE"


@pytest.mark.parametrize(("api_domain", "secure"), [("https://localhost", True), ("http://api.example.com", False)])
def test_cookies_are_secure_where_the_api_is(api_domain: str, secure: bool) -> None:
    """Secure follows the scheme of the API."""
    assert default_secure(api_domain) is secure


@pytest.mark.parametrize(
    ("api_domain", "website", "same_site", "secure", "broken"),
    [
        ("http://api.example.com", "http://other.com", "none", False, True),
        ("http://localhost:8000", "http://example.com", "none", False, True),
        ("http://localhost:8000", "https://localhost:3000", "none", False, False),
        ("http://127.0.0.1:8000", "https://10.0.0.1", "none", False, False),
        ("https://api.example.com", "https://other.com", "none", True, False),
        ("http://api.example.com", "http://other.com", "lax", False, False),
        ("http://api.example.com", "http://other.com", "strict", False, False),
    ],
)
def test_cookies_that_browsers_drop_are_noticed(
    api_domain: str, website: str, same_site: SameSite, secure: bool, broken: bool
) -> None:
    """SameSite=None without Secure works on local hosts only."""
    assert cookies_cannot_work(api_domain, website, same_site=same_site, secure=secure) is broken


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("example.com", "example.com"),
        (".example.com", ".example.com"),
        (" .Example.COM ", ".example.com"),
        ("https://sub.example.com/path?a=b", "sub.example.com"),
        ("http://.example.com:80", ".example.com"),
        ("localhost", "localhost"),
        (".localhost:8080", "localhost"),
        ("localhost:8080", "localhost"),
        (".127.0.0.1", "127.0.0.1"),
        ("127.0.0.1:3000", "127.0.0.1"),
        ("testserver", "testserver"),
    ],
)
def test_a_cookie_domain_is_a_host(written: str, normal: str) -> None:
    """Scheme, port and path go; a leading dot stays, unless the host is local."""
    assert normalise_cookie_domain(written) == normal


@pytest.mark.parametrize("written", ["", " ", "http://", ".", "a b.com", "example.com;Path=/", "ftp://example.com"])
def test_a_cookie_domain_without_host_is_refused(written: str) -> None:
    """A cookie domain that is none is an error at init."""
    with pytest.raises(ConfigurationError, match="Please provide a valid session_scope"):
        normalise_cookie_domain(written)
