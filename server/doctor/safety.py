"""Whether an App that is deployed has settings that are safe only in tests, or work only in one process."""

from __future__ import annotations

from collections.abc import Iterator

from ...claims.clock import ManualClock
from ...recipes.app import ENCRYPTION_KEY_VARIABLE, App
from ...recipes.session.config import SessionConfig
from ..stub import stub_providers
from .finding import Finding
from .setup import is_deployed, is_https

_DAY_S = 86_400
_WITHOUT = "Make the deployed App without unsafe_for_tests=True; the tests need an App of their own."


def check(app: App, website: str | None) -> Iterator[Finding]:
    """Find the settings of an App that are wrong once it is deployed."""
    for one in _CHECKS:
        yield from one(app, website)


def _made_for_tests(app: App, website: str | None) -> Iterator[Finding]:
    """Find an App made for tests and deployed on https."""
    if app.unsafe_for_tests and _is_deployed_on_https(app, website):
        yield Finding(
            "error",
            "unsafe_for_tests=True, though API or website is deployed on https",
            "Passwords are hashed so cheaply that a leaked database gives them away, and all other features for tests "
            "are accepted.",
            _WITHOUT,
        )


def _stubbed(app: App, website: str | None) -> Iterator[Finding]:
    """Find stub providers of an App deployed on https."""
    played = ", ".join(provider.third_party_id for provider in stub_providers(app))
    if played and _is_deployed_on_https(app, website):
        yield Finding(
            "error",
            f"stub providers, though API or website is deployed on https: {played}",
            "They let anybody sign in as anybody, without a password.",
            "Name the real providers with the clients registered there.",
        )


def _stopped_clock(app: App, website: str | None) -> Iterator[Finding]:
    """Find a manual clock of an App deployed on https."""
    if isinstance(app.clock, ManualClock) and _is_deployed_on_https(app, website):
        yield Finding(
            "error",
            "a ManualClock, though API or website is deployed on https",
            "It stands still unless a test moves it: no session and no code ever expires.",
            "Leave clock out.",
        )


def _in_memory(app: App, website: str | None) -> Iterator[Finding]:
    """Find a database that is lost when its process ends."""
    if app.database.inline and not app.unsafe_for_tests and is_deployed(app.info.api_domain):
        yield Finding(
            "error",
            "the database is in memory, though the API is deployed",
            "Users, sessions and signing keys are forgotten whenever the process ends, and a second process does not "
            "know them.",
            "Name a database: sqlite:///coatcheck.db, or postgresql+psycopg://... for more than one machine.",
        )


def _plain_keys(app: App, website: str | None) -> Iterator[Finding]:
    """Find private keys that are stored unencrypted on a database server."""
    on_server = not app.database.url.startswith("sqlite")
    if on_server and not app.keys.encrypted and not app.unsafe_for_tests and is_deployed(app.info.api_domain):
        yield Finding(
            "advice",
            "private signing keys are stored unencrypted",
            "Anybody who can read the database, or a backup of it, can sign access tokens for any user.",
            f"Set {ENCRYPTION_KEY_VARIABLE} to 32 random bytes in base64 before the first start. On a database in use "
            "`coatcheck keys rotate --revoke` then replaces the keys that it holds.",
        )


def _mails_in_log(app: App, website: str | None) -> Iterator[Finding]:
    """Find password reset links that are written to the log and sent to nobody."""
    if app.unsafe_for_tests or not is_deployed(app.info.api_domain):
        return
    silent = [recipe for recipe in app.recipes if "email" in recipe.undelivered_channels()]
    # An application that replaces the API may send its mails itself.
    if not all(recipe.chains["apis"].is_overridden("generate_password_reset_token_post") for recipe in silent):
        yield Finding(
            "warning",
            "mails for new passwords are sent to nobody",
            "They are written to the log: users who have forgotten a password wait in vain, and anybody who can read "
            "the log can use the links in it.",
            "Configure email_delivery in emailpassword.init, or disable generate_password_reset_token_post.",
        )


def _long_access_tokens(app: App, website: str | None) -> Iterator[Finding]:
    """Find access tokens that stay valid for more than a day after their session has ended."""
    seconds = _session_config(app).access_token_validity_seconds
    if seconds > _DAY_S:
        yield Finding(
            "advice",
            f"access tokens are valid for {seconds / 3600:g} hours",
            "They are verified without a look at the database, so that a session that was signed out, revoked or "
            "stolen goes on until its access token expires.",
            "Let them expire within the hour (access_token_validity_seconds=3600): clients refresh by themselves.",
        )


_CHECKS = (_made_for_tests, _stubbed, _stopped_clock, _in_memory, _plain_keys, _mails_in_log, _long_access_tokens)


def _is_deployed_on_https(app: App, website: str | None) -> bool:
    return any(
        is_https(origin) and is_deployed(origin) for origin in (app.info.api_domain, website) if origin is not None
    )


def _session_config(app: App) -> SessionConfig:
    return app.recipe("session").config if app.has_recipe("session") else SessionConfig()
