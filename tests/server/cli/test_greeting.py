"""What `coatcheck serve` says when it starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coatcheck.recipes import emailpassword
from coatcheck.recipes.delivery import DefaultEmailService, EmailDeliveryConfig, Outbox
from coatcheck.server.cli.greeting import startup_lines, startup_warnings
from coatcheck.server.cli.settings import Settings

from ...kit import Make

SETTINGS = Settings()


@pytest.fixture(autouse=True)
def _no_encryption_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COATCHECK_ENCRYPTION_KEY", raising=False)


def said(lines: list[str], words: str) -> bool:
    return any(words in line for line in lines)


def test_the_password_of_the_database_is_masked(make_app: Make) -> None:
    """The log says which database is used, without its password."""
    pytest.importorskip("psycopg")
    lines = startup_lines(make_app(database="postgresql+psycopg://joe:pa55word@db.internal/app"), SETTINGS)
    assert said(lines, "postgresql+psycopg://joe:***@db.internal/app")
    assert not said(lines, "pa55word")


def test_the_sign_up_address_is_told_only_where_there_is_one(make_app: Make) -> None:
    """Without the e-mail/password recipe there is no sign-up, and no word of mails."""
    assert said(startup_lines(make_app(), SETTINGS), "http://localhost:3567/auth/signup")
    sessions_only = make_app(recipes=[])
    assert not said(startup_lines(sessions_only, SETTINGS), "sign up")
    assert not said(startup_warnings(sessions_only, SETTINGS), "mails")


def test_a_database_in_memory_is_told_twice(make_app: Make) -> None:
    """Where data is kept, and that it is lost."""
    app = make_app()
    assert said(startup_lines(app, SETTINGS), "kept in memory")
    assert said(startup_warnings(app, SETTINGS), "forgotten when the server stops")


def test_plain_http_beyond_this_machine_is_told_as_such(make_app: Make) -> None:
    """On an address that others reach, plain http is worse, and the log says so; behind https nothing is said."""
    app = make_app()
    assert said(startup_warnings(app, SETTINGS), "plain http")
    assert not said(startup_warnings(app, SETTINGS), "other machines")
    assert said(startup_warnings(app, replace(SETTINGS, host="0.0.0.0")), "other machines can reach this port")
    assert not said(startup_warnings(make_app(api_domain="https://api.example.com"), SETTINGS), "plain http")


def test_an_encryption_key_ends_the_caution_about_keys(make_app: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """With COATCHECK_ENCRYPTION_KEY set there is nothing to say about private keys."""
    app = make_app()
    assert said(startup_warnings(app, SETTINGS), "stored unencrypted")
    monkeypatch.setenv("COATCHECK_ENCRYPTION_KEY", "0123456789abcdef0123456789abcdef")
    assert not said(startup_warnings(app, SETTINGS), "unencrypted")


def test_mails_that_go_somewhere_are_not_mentioned(make_app: Make) -> None:
    """A delivery service of the application's own ends the caution about mails."""
    assert said(startup_warnings(make_app(), SETTINGS), "mails are sent to nobody")
    delivery = EmailDeliveryConfig(service=DefaultEmailService(Outbox()))
    app = make_app(recipes=[emailpassword.init(email_delivery=delivery)])
    assert not said(startup_warnings(app, SETTINGS), "mails")


def test_consent_to_test_features_is_told(make_app: Make) -> None:
    """An App made with unsafe_for_tests=True says so whenever it is served (the one of these tests is)."""
    assert said(startup_warnings(make_app(), SETTINGS), "unsafe_for_tests")


@pytest.mark.parametrize(
    ("api", "website", "apart"),
    [
        ("http://127.0.0.1:3567", "http://localhost:3000", True),
        ("http://localhost:3567", "http://127.0.0.1:3000", True),
        ("http://localhost:3567", "http://localhost:3000", False),
        ("https://api.example.com", "https://example.com", False),
    ],
)
def test_local_names_that_browsers_keep_apart_are_told(make_app: Make, api: str, website: str, apart: bool) -> None:
    """127.0.0.1 and localhost are one machine but two sites, between which cookies do not travel."""
    assert (
        said(startup_warnings(make_app(api_domain=api, website_domain=website), SETTINGS), "different sites") is apart
    )
