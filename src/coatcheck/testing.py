"""The test kit: fresh Apps in milliseconds, sessions without HTTP, clients, mails, and trouble on demand.

A pytest plugin (see `testing_fixtures`) that does nothing until a fixture is asked for; every fixture has a plain
function behind it, for unittest and for everything else. Names are loaded when they are used.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .testing_app import APP_INFO, default_recipes, make_app
    from .testing_assertions import SessionAssertion, assert_session
    from .testing_clients import BrowserClient, client
    from .testing_live import live_server
    from .testing_mail import Mailbox, Message
    from .testing_providers import Providers, ScriptedProvider
    from .testing_served import LiveServer
    from .testing_session import SignedIn, SignIn, async_sign_in, sign_in
    from .testing_trouble import (
        clock_skew,
        database_down,
        expire_access_token,
        manual_clock,
        revoke_session,
        rotate_signing_keys,
    )
    from .testing_trouble_network import lose_next_response, race_refresh
    from .testing_trouble_provider import slow_provider

with suppress(ModuleNotFoundError):  # unittest does without pytest
    # Found here by pytest; to name their module in `pytest_plugins` would make it read all of site-packages once more.
    from .testing_fixtures import clock as clock
    from .testing_fixtures import coatcheck_app as coatcheck_app
    from .testing_fixtures import coatcheck_config as coatcheck_config
    from .testing_fixtures import coatcheck_recipes as coatcheck_recipes
    from .testing_fixtures import outbox as outbox
    from .testing_fixtures import providers as providers
    from .testing_fixtures import sign_in_fixture as sign_in_fixture

_NAMES = {
    "testing_app": ("APP_INFO", "default_recipes", "make_app"),
    "testing_assertions": ("SessionAssertion", "assert_session"),
    "testing_clients": ("BrowserClient", "client"),
    "testing_live": ("live_server",),
    "testing_mail": ("Mailbox", "Message"),
    "testing_providers": ("Providers", "ScriptedProvider"),
    "testing_served": ("LiveServer",),
    "testing_session": ("SignIn", "SignedIn", "async_sign_in", "sign_in"),
    "testing_trouble": (
        "clock_skew",
        "database_down",
        "expire_access_token",
        "manual_clock",
        "revoke_session",
        "rotate_signing_keys",
    ),
    "testing_trouble_network": ("lose_next_response", "race_refresh"),
    "testing_trouble_provider": ("slow_provider",),
}
_HOME = {name: home for home, names in _NAMES.items() for name in names}

__all__ = [
    "APP_INFO",
    "BrowserClient",
    "LiveServer",
    "Mailbox",
    "Message",
    "Providers",
    "ScriptedProvider",
    "SessionAssertion",
    "SignIn",
    "SignedIn",
    "assert_session",
    "async_sign_in",
    "client",
    "clock_skew",
    "database_down",
    "default_recipes",
    "expire_access_token",
    "live_server",
    "lose_next_response",
    "make_app",
    "manual_clock",
    "race_refresh",
    "revoke_session",
    "rotate_signing_keys",
    "sign_in",
    "slow_provider",
]


if not TYPE_CHECKING:  # or type checkers would take every name for one that exists

    def __getattr__(name: str) -> Any:
        # There is no __dir__ to go with it: pytest asks a plugin for everything that dir() lists.
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{home}", __package__), name)
        globals()[name] = value
        return value
