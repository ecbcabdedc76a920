"""Trouble on the server's side, and with clocks: what happens in production, for a test to make happen.

Each function lets one real event happen to an App; what the API then answers is the App's own doing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from ..claims.clock import Duration, ManualClock, milliseconds
from ..recipes import session
from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..recipes.session.recipe import SessionRecipe
from .clients import BrowserClient
from .misuse import must_be
from .outage import unreachable


class HasSession(Protocol):
    """A SignedIn, or a client with a session."""

    @property
    def session_handle(self) -> str:
        """The handle of the session."""
        ...


def manual_clock(app: App) -> ManualClock:
    """Return the clock that a test moves; ConfigurationError where the App runs on the system's."""
    must_be(App, app, "manual_clock(app)")
    if not isinstance(app.clock, ManualClock):
        raise ConfigurationError("time can only be moved in an App made with clock=ManualClock()")
    return app.clock


def expire_access_token(app: App) -> None:
    """Let as much time pass as access tokens live: every one that was handed out has expired, sessions go on.

    The API answers 401 "try refresh token", and a client refreshes. It is the App that is passed, since its time passes
    for every client; ConfigurationError for anything else.
    """
    if not isinstance(app, App):
        raise ConfigurationError(
            f"access tokens expire with the time of the App, for every client: expire_access_token(app), not {app!r}"
        )
    manual_clock(app).advance(SessionRecipe.of(app).config.access_token_validity_seconds)


def revoke_session(app: App, whose: HasSession | str) -> bool:
    """End a session on the server, as an administrator does, or its user from another device; tell whether it lived.

    `whose` is a session handle, a client, or whatever has signed in. The client knows nothing of it: its access token
    is good until it expires, except where a route asks the database; then a refresh is answered 401 "unauthorised".
    """
    handle = whose if isinstance(whose, str) else whose.session_handle
    with app.active():
        return session.sync.revoke_session(handle)


def rotate_signing_keys(app: App, *, revoke: bool = False) -> str:
    """Make a new signing key, as `coatcheck keys rotate` does, and return its key id.

    The new key is published at once and signs ten minutes later; what the old one signed stays good. With `revoke`,
    as after a leak, no earlier key is trusted any longer: access tokens are answered 401 "try refresh token", and
    sessions go on with a refresh.
    """
    must_be(App, app, "rotate_signing_keys(app)")
    return app.keys.rotate(revoke=revoke).kid


@contextmanager
def clock_skew(client: BrowserClient, seconds: Duration) -> Iterator[None]:
    """Let the client's machine be `seconds` (or a timedelta) ahead of the server, or behind, while the block runs.

    Behind it is what is negative. Its cookies expire by its own clock. The SDK corrects its idea of when the access
    token expires with the time in the next front token it gets.
    """
    must_be(BrowserClient, client, "clock_skew(client, seconds)")
    clock, before_ms = client.browser.clock, client.browser.clock.offset_ms
    clock.offset_ms = before_ms + milliseconds(seconds)
    try:
        yield
    finally:
        clock.offset_ms = before_ms


@contextmanager
def database_down(app: App) -> Iterator[None]:
    """Let the App's database be out of reach while the block runs; afterwards all that it held is there again.

    Whatever needs it is answered 503, and clients keep their sessions. What needs no database goes on: access tokens
    verify with the signing keys read last.
    """
    must_be(App, app, "database_down(app)")
    with unreachable(app.database):
        yield
