"""The test kit: new Apps in milliseconds, sessions without HTTP, clients, mails, and trouble on demand.

pytest loads the fixtures, which are in `coatcheck.testing.plugin`, by itself. Every fixture has a plain function here,
for unittest and all other uses. A name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import APP_INFO, default_recipes, make_app
    from .assertions import SessionAssertion, assert_session
    from .clients import BrowserClient, client
    from .live import live_server
    from .mail import Mailbox, Message
    from .providers import Providers, ScriptedProvider
    from .server_under_test import LiveServer
    from .session import SignedIn, SignIn, async_sign_in, sign_in
    from .trouble import (
        clock_skew,
        database_down,
        expire_access_token,
        lose_next_response,
        manual_clock,
        race_refresh,
        revoke_session,
        rotate_signing_keys,
        slow_provider,
    )

_NAMES = {
    "app": ("APP_INFO", "default_recipes", "make_app"),
    "assertions": ("SessionAssertion", "assert_session"),
    "clients": ("BrowserClient", "client"),
    "live": ("live_server",),
    "mail": ("Mailbox", "Message"),
    "providers": ("Providers", "ScriptedProvider"),
    "server_under_test": ("LiveServer",),
    "session": ("SignIn", "SignedIn", "async_sign_in", "sign_in"),
    "trouble": (
        "clock_skew",
        "database_down",
        "expire_access_token",
        "lose_next_response",
        "manual_clock",
        "race_refresh",
        "revoke_session",
        "rotate_signing_keys",
        "slow_provider",
    ),
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


if not TYPE_CHECKING:  # with __getattr__, type checkers would accept every name

    def __getattr__(name: str) -> Any:
        # There is no __dir__, because pytest asks a plugin for every name that dir() lists.
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{home}", __name__), name)
        globals()[name] = value
        return value
