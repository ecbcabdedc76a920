"""Trouble on the server's side, and with clocks: what happens in production, for a test to make happen.

Each function lets one real event happen to an App; what the API then answers is the App's own doing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, Protocol

import httpx2
from sqlalchemy import Engine, NullPool, create_engine
from starlette.types import Receive, Scope, Send

from ..claims.clock import Duration, ManualClock, milliseconds
from ..recipes import session
from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..recipes.session.recipe import SessionRecipe
from ..recipes.thirdparty.http import CONNECT_TIMEOUT_S
from ..server.stub.provider import SlowAnswerError, StubProvider
from ..server.stub.script import Endpoint
from ..server.stub.transport import StubTransport
from ..sessions.database import Database
from .app import must_be
from .clients import BrowserClient


@contextmanager
def unreachable(database: Database) -> Iterator[None]:
    """Refuse every connection of a database while the block runs; transactions under way come to their end."""
    engine = database._engine
    database._engine = _refusing(engine)
    try:
        yield
    finally:
        database._engine = engine


def _refusing(engine: Engine) -> Engine:
    # The driver's own error, so that all that happens is what happens when a real server is gone.
    driver = engine.dialect.loaded_dbapi
    assert driver is not None

    def refuse() -> NoReturn:
        raise driver.OperationalError("connection refused (database_down)")

    return create_engine(engine.url, creator=refuse, poolclass=NullPool, hide_parameters=True)


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


def lose_next_response(client: BrowserClient, path: str | None = None) -> None:
    """Let the next response to this client (to a request for `path`, where one is given) get lost on its way.

    The server has done what it was asked for; the client gets httpx2.ReadError, and neither cookies nor tokens. Each
    call loses one response.
    """
    must_be(BrowserClient, client, "lose_next_response(client)")
    if path is not None and not path.startswith("/"):
        raise ConfigurationError(f"the path of a lost response begins with a slash, as in /auth/signin; not {path!r}")
    client.interception.losses.append(path)


def race_refresh(tabs: Sequence[BrowserClient], *, apart_seconds: float = 0.0) -> list[httpx2.Response]:
    """Let several tabs refresh at the same time, all with the token they have now, and return the API's answers.

    It happens where tabs do not wait for each other: the requests are under way before any answer has come back. They
    reach the server one after another, `apart_seconds` apart, and the answers arrive in the same order. Tabs of one
    browser keep what arrives last. Within ten seconds all get the same tokens.
    """
    for tab in tabs:
        if not isinstance(tab, BrowserClient):
            raise ConfigurationError(f"a race is between clients, such as race_refresh([ann, ann.tab()]), not {tab!r}")
    exchanges = []
    for number, tab in enumerate(tabs):
        if number and apart_seconds:
            _clock_of(tab).advance(apart_seconds)
        exchanges.append(tab.interception.deliver(tab.browser.refresh_request()))
    for tab, exchange in zip(tabs, exchanges, strict=True):
        exchange.response.read()
        tab.interception.receive(exchange)
    return [exchange.response for exchange in exchanges]


def _clock_of(tab: BrowserClient) -> ManualClock:
    clock = tab.browser.clock.server
    if not isinstance(clock, ManualClock):
        raise ConfigurationError("time can only be moved in an App made with clock=ManualClock()")
    return clock


@contextmanager
def slow_provider(
    app: App, third_party_id: str, *, at: Endpoint = "token", seconds: float | None = None
) -> Iterator[None]:
    """Let a stub provider take `seconds` over every answer of one endpoint while the block runs; None for ever.

    The seconds pass on the App's clock. The API waits five of them for an answer, and then gives up: the sign-in is
    answered `GENERAL_ERROR`, and nobody is signed in. `at` is token, userinfo, jwks, discovery or check; the
    authorization page is the browser's to wait for.
    """
    transport = _transport(app, third_party_id)
    pass_time = None if seconds is None else manual_clock(app).advance
    provider = transport.app
    transport.app = _Slow(provider, at, seconds, pass_time)
    try:
        yield
    finally:
        transport.app = provider


class _Slow(StubProvider):
    """A stub provider that is otherwise the very one it stands for."""

    def __init__(
        self, provider: StubProvider, at: Endpoint, seconds: float | None, pass_time: Callable[[float], None] | None
    ) -> None:
        vars(self).update(vars(provider))
        self._at = at
        self._seconds = seconds
        self._pass_time = pass_time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.shape.endpoint_of(scope["path"]) == self._at:
            if self._pass_time is not None and self._seconds is not None:
                self._pass_time(min(self._seconds, CONNECT_TIMEOUT_S))
            if self._seconds is None or self._seconds >= CONNECT_TIMEOUT_S:
                raise SlowAnswerError
        await super().__call__(scope, receive, send)


def _transport(app: App, third_party_id: str) -> StubTransport:
    for given in app.recipe("thirdparty").config.providers:
        if given.config.third_party_id == third_party_id and isinstance(given.transport, StubTransport):
            return given.transport
    raise ConfigurationError(f"no stub plays the provider {third_party_id!r} in this App: add stub({third_party_id!r})")
