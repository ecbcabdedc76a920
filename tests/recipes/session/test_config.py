"""The options of session.init, and what one site or two mean for cookies."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck import App, InputAppInfo, RecipeUserId
from coatcheck.claims import BooleanClaim
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import ConfigurationError, DatabaseError
from coatcheck.recipes.session.config import (
    SameSite,
    SessionConfig,
    cookies_cannot_work,
    default_anti_csrf,
    default_same_site,
    default_secure,
    normalise_cookie_domain,
    top_level,
)

from ...kit import Make

INFO = InputAppInfo("Test", "http://localhost:3567", website_domain="http://localhost:3000")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("cookie_domain", ""),
        ("cookie_domain", "http://"),
        ("cookie_domain", 1),
        ("older_cookie_domain", "http://"),
        ("cookie_secure", "yes"),
        ("cookie_same_site", "random"),
        ("cookie_same_site", " "),
        ("cookie_same_site", ""),
        ("session_expired_status_code", 99),
        ("session_expired_status_code", "401"),
        ("invalid_claim_status_code", 600),
        ("anti_csrf", "RANDOM"),
        ("anti_csrf", ""),
        ("get_token_transfer_method", "cookie"),
        ("error_handlers", {"on_unauthorised": print}),
        ("override", lambda original: original),
        ("use_dynamic_access_token_signing_key", "no"),
        ("expose_access_token_to_frontend_in_cookie_based_auth", 1),
        ("jwks_refresh_interval_sec", 0),
        ("claims", ["2fa-completed"]),
        ("access_token_validity_seconds", 0.5),
        ("access_token_validity_seconds", 86_400_001),
        ("access_token_validity_seconds", float("nan")),
        ("refresh_token_validity_seconds", 3_600),
        ("refresh_token_validity_seconds", -1),
        ("absolute_lifetime_seconds", 0),
        ("signing_key_rotation_seconds", 3_599),
    ],
)
def test_a_wrong_option_is_told_by_name(option: str, value: Any) -> None:
    """Whatever cannot work is a ConfigurationError of `session.init` itself that says which option it is."""
    told = {"cookie_domain": "session_scope", "older_cookie_domain": "session_scope", "cookie_same_site": "same site"}
    with pytest.raises(ConfigurationError, match=rf"session\.init: .*({option}|{told.get(option, option)})"):
        session.init(**{option: value})


def test_several_wrong_options_are_told_together() -> None:
    """One call tells everything that is wrong with it."""
    with pytest.raises(ConfigurationError, match=r"anti_csrf .*jwks_refresh_interval_sec"):
        session.init(anti_csrf="x", jwks_refresh_interval_sec=-1)  # type: ignore[arg-type]


def test_the_two_status_codes_differ() -> None:
    """Clients tell an ended session from a failed claim by the status alone, so the two must differ."""
    with pytest.raises(ConfigurationError, match=r"invalid_claim_status_code cannot be the same \(403\)"):
        session.init(session_expired_status_code=403)


def test_an_unknown_option_is_a_type_error() -> None:
    """A misspelt option is noticed by Python."""
    with pytest.raises(TypeError, match="cookie_domian"):
        session.init(cookie_domian=".example.com")  # type: ignore[call-arg]


def test_two_claims_with_one_key_are_refused(make_app: Make) -> None:
    """A key belongs to one claim, whether both come from `init` or one from another recipe."""
    claim = BooleanClaim("st-true", lambda *_: True)
    with pytest.raises(ConfigurationError, match="claims names a key more than once: st-true"):
        session.init(claims=[claim, BooleanClaim("st-true", lambda *_: False)])
    recipe: Any = make_app(claims=[claim]).recipe("session")
    with pytest.raises(ConfigurationError, match="Claim added by multiple recipes: st-true"):
        recipe.add_claim_from_other_recipe(BooleanClaim("st-true", lambda *_: False))


@pytest.mark.parametrize("given", [" LAX ", "None", "strict"])
def test_same_site_is_trimmed_and_read_in_any_case(given: Any) -> None:
    """SameSite may be written as browsers write it (docs/protocol.md, rule 8.7)."""
    config: SessionConfig = session.init(cookie_same_site=given).config
    assert config.cookie_same_site == given.strip().lower()


def test_an_empty_older_cookie_domain_is_one() -> None:
    """The older domain may be empty: cookies had no Domain (docs/protocol.md, rule 8.6)."""
    config: SessionConfig = session.init(older_cookie_domain="").config
    assert config.older_cookie_domain == ""


def test_the_configuration_cannot_change() -> None:
    """What `init` returns is frozen, so that two Apps may share it."""
    specification = session.init()
    with pytest.raises(ValueError, match="frozen"):
        specification.config.anti_csrf = "NONE"


def test_init_opens_no_connection() -> None:
    """A database that cannot be reached is an error of the first use, not of init."""
    app = App(app_info=INFO, recipe_list=[session.init()], database="sqlite:////nowhere/at/all/coatcheck.db")
    with app.active(), pytest.raises(DatabaseError):
        session.sync.create_new_session_without_request_response("public", RecipeUserId("u1"))
    app.close()


def test_a_recipe_is_listed_once() -> None:
    """Two session recipes in one App are a mistake."""
    with pytest.raises(ConfigurationError, match="more than once"):
        App(app_info=INFO, recipe_list=[session.init(), session.init()], database="sqlite://")


def test_a_website_or_an_origin_is_needed() -> None:
    """Without either, nothing could be said about sites and CORS."""
    with pytest.raises(ConfigurationError, match="website_domain or origin"):
        App(app_info=InputAppInfo("Test", "http://localhost:3567"), recipe_list=[session.init()], database="sqlite://")


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
