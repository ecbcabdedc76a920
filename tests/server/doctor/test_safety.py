"""What the doctor says about Apps for tests, databases, keys and mails where the address says that it is serious."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck import App, InputAppInfo
from coatcheck.claims import ManualClock
from coatcheck.recipes import emailpassword, session, thirdparty
from coatcheck.recipes.delivery import EmailDeliveryConfig
from coatcheck.server.doctor import examine
from coatcheck.server.stub import stub

API, WEBSITE = "https://api.example.com", "https://example.com"
ON_SERVER = "postgresql+psycopg://joe@127.0.0.1:1/none"
KEY = "0123456789abcdef0123456789abcdef"
LOCAL = {"api_domain": "http://localhost:3567", "website_domain": "http://localhost:3000"}


def found(*recipes: Any, api_domain: str = API, website_domain: str = WEBSITE, **options: Any) -> list[tuple[str, str]]:
    """Return level and title of what is found; nothing listens where the databases would be."""
    app = App(
        app_info=InputAppInfo(app_name="Mine", api_domain=api_domain, website_domain=website_domain),
        recipe_list=list(recipes) or [session.init()],
        **{"database": ON_SERVER, "encryption_key": KEY, **options},
    )
    return [(finding.level, finding.title) for finding in examine(app)]


def with_stub() -> Any:
    return thirdparty.init(sign_in_and_up_feature=thirdparty.SignInAndUpFeature(providers=[stub("google")]))


def test_an_app_for_tests_on_https_is_an_error() -> None:
    """Fast hashes must not protect passwords of real people."""
    ((level, title),) = found(unsafe_for_tests=True)
    assert level == "error"
    assert "unsafe_for_tests=True" in title


def test_the_website_alone_may_say_that_it_is_serious() -> None:
    """It is enough that one of both is deployed on https."""
    titles = [title for _, title in found(unsafe_for_tests=True, api_domain="http://localhost:3567")]
    assert any("unsafe_for_tests=True" in title for title in titles)


def test_stub_providers_on_https_are_an_error() -> None:
    """They are named, besides the flag they needed."""
    stubs = [title for level, title in found(session.init(), with_stub(), unsafe_for_tests=True) if level == "error"]
    assert stubs[1:] == ["stub providers, though API or website is deployed on https: google"]


def test_a_manual_clock_on_https_is_an_error() -> None:
    """Nothing would ever expire."""
    titles = [title for level, title in found(clock=ManualClock(), unsafe_for_tests=True) if level == "error"]
    assert titles[1:] == ["a ManualClock, though API or website is deployed on https"]


@pytest.mark.parametrize(
    "addresses",
    [
        LOCAL,
        {"api_domain": "https://localhost:3567", "website_domain": "https://localhost:3000"},
        {"api_domain": "https://api.mine.test", "website_domain": "https://mine.test"},
        {"api_domain": "http://testserver", "website_domain": "http://testserver"},
    ],
)
def test_tests_may_use_what_is_for_tests(addresses: dict[str, str]) -> None:
    """On this machine, and under names reserved for tests, nothing of it is found."""
    recipes = (session.init(), emailpassword.init(), with_stub())
    assert found(*recipes, **addresses, clock=ManualClock(), database="sqlite://", unsafe_for_tests=True) == []


def test_a_database_in_memory_is_an_error_where_it_is_deployed() -> None:
    """With the process everything would end, which on this machine is taken as meant."""
    assert found(database="sqlite://") == [("error", "the database is in memory, though the API is deployed")]
    assert found(database="sqlite://", **LOCAL) == []


def test_a_database_file_is_right() -> None:
    """SQLite on one machine is what most need; its keys are where the process itself is."""
    assert found(database="sqlite:///mine.db", encryption_key=None) == []


def test_keys_in_the_clear_on_a_database_server_are_worth_an_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may read a server's backups should not be able to sign tokens; a key from the environment counts."""
    monkeypatch.delenv("COATCHECK_ENCRYPTION_KEY", raising=False)
    assert found(encryption_key=None) == [("advice", "private signing keys are stored unencrypted")]
    assert found(encryption_key=None, **LOCAL) == []
    monkeypatch.setenv("COATCHECK_ENCRYPTION_KEY", KEY)
    assert found(encryption_key=None) == []


def without_reset(original: Any) -> Any:
    original.generate_password_reset_token_post = None
    return original


def test_mails_that_reach_nobody_are_a_warning() -> None:
    """Unless somebody delivers them, or no mail is ever sent, or it is this machine."""
    assert found(session.init(), emailpassword.init()) == [("warning", "mails for new passwords are sent to nobody")]
    assert found(session.init(), emailpassword.init(), **LOCAL) == []
    disabled = emailpassword.InputOverrideConfig(apis=without_reset)
    assert found(session.init(), emailpassword.init(override=disabled)) == []
    delivery = EmailDeliveryConfig(override=lambda original: original)
    assert found(session.init(), emailpassword.init(email_delivery=delivery)) == []


def test_long_access_tokens_are_worth_an_advice() -> None:
    """Nobody looks at the database while they last."""
    days = session.init(access_token_validity_seconds=7 * 86_400)
    assert found(days) == [("advice", "access tokens are valid for 168 hours")]
    assert found(session.init(access_token_validity_seconds=86_400)) == []
