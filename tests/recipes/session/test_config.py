"""The options of session.init: what they accept, and that a wrong one is told by name at once."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck import App, InputAppInfo, RecipeUserId
from coatcheck.claims import BooleanClaim
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import ConfigurationError, DatabaseError
from coatcheck.recipes.session.config import SessionConfig

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
