"""Trouble that production knows: time, lost sessions and keys, the database, the network, a slow provider.

Each function makes one real event happen to an App; the App itself decides what the API then answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, Protocol

import httpx2
from sqlalchemy import Engine, NullPool, create_engine
from starlette.types import Receive, Scope, Send

from ..claims.clock import Clock, Duration, ManualClock, milliseconds
from ..recipes import session
from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..recipes.session.recipe import SessionRecipe
from ..recipes.thirdparty.http import CONNECT_TIMEOUT_S
from ..server.stub.provider import SlowAnswerError, StubProvider
from ..server.stub.script import Endpoint
from ..server.stub.transport import StubTransport
from .clients import BrowserClient


class HasSession(Protocol):
    """A SignedIn, or a client with a session."""

    @property
    def session_handle(self) -> str:
        """The handle of the session."""
        ...


def manual_clock(app: App) -> ManualClock:
    """Return the clock that a test moves; ConfigurationError if the App uses the clock of the system."""
    _check_kind(App, app, "manual_clock(app)")
    return _as_manual(app.clock)


def expire_access_token(app: App) -> None:
    """Let time pass until every access token has expired; the sessions live on.

    The API answers 401 "try refresh token", and a client refreshes. The argument is the App, because its time passes
    for every client; ConfigurationError for anything else.
    """
    if not isinstance(app, App):
        raise ConfigurationError(
            f"access tokens expire with the time of the App, for every client: expire_access_token(app), not {app!r}"
        )
    manual_clock(app).advance(SessionRecipe.of(app).config.access_token_validity_seconds)


def revoke_session(app: App, whose: HasSession | str) -> bool:
    """End a session on the server, as an administrator or the user on another device does; return whether it lived.

    `whose` is a session handle, a client with a session, or a SignedIn. The client does not notice it. Its access token
    is valid until it expires, except for routes that ask the database. After that a refresh is answered 401
    "unauthorised".
    """
    handle = whose if isinstance(whose, str) else whose.session_handle
    with app.active():
        return session.sync.revoke_session(handle)


def rotate_signing_keys(app: App, *, revoke: bool = False) -> str:
    """Make a new signing key, as `coatcheck keys rotate` does, and return its key id.

    The new key is published at once and signs ten minutes later; tokens of the old key stay valid. With `revoke`, as
    after a leak, no earlier key is trusted any longer: access tokens are answered 401 "try refresh token", and sessions
    go on after a refresh.
    """
    _check_kind(App, app, "rotate_signing_keys(app)")
    return app.keys.rotate(revoke=revoke).kid


@contextmanager
def clock_skew(client: BrowserClient, seconds: Duration) -> Iterator[None]:
    """Set the clock of the client's machine `seconds` (or a timedelta) ahead of the server while the block runs.

    A negative number sets it behind. The cookies of the client expire by its own clock. The SDK learns the difference
    from the next front token, and then computes the expiry of access tokens correctly.
    """
    _check_kind(BrowserClient, client, "clock_skew(client, seconds)")
    clock, before_ms = client.browser.clock, client.browser.clock.offset_ms
    clock.offset_ms = before_ms + milliseconds(seconds)
    try:
        yield
    finally:
        clock.offset_ms = before_ms


@contextmanager
def database_down(app: App) -> Iterator[None]:
    """Refuse every connection to the App's database while the block runs; running transactions end normally.

    Requests that need the database are answered 503, and clients keep their sessions. All others work: access tokens
    verify with the signing keys read last. Afterwards the database has all its data again.
    """
    _check_kind(App, app, "database_down(app)")
    database = app.database
    engine = database._engine
    database._engine = _refusing(engine)
    try:
        yield
    finally:
        database._engine = engine


def lose_next_response(client: BrowserClient, path: str | None = None) -> None:
    """Lose the next response to this client, or the next response to a request for `path`.

    The server has handled the request; the client gets httpx2.ReadError, and no cookies or tokens. Each call loses one
    response.
    """
    _check_kind(BrowserClient, client, "lose_next_response(client)")
    if path is not None and not path.startswith("/"):
        raise ConfigurationError(f"the path of a lost response begins with a slash, as in /auth/signin; not {path!r}")
    client.interception.losses.append(path)


def race_refresh(tabs: Sequence[BrowserClient], *, apart_seconds: float = 0.0) -> list[httpx2.Response]:
    """Let several tabs refresh at the same time, all with the token they have now, and return the API's answers.

    This happens if tabs do not wait for each other: all requests leave before the first answer arrives. They reach the
    server one after another, `apart_seconds` apart, and the answers arrive in the same order. Tabs of one browser keep
    the last answer. Within ten seconds all get the same tokens.
    """
    for tab in tabs:
        if not isinstance(tab, BrowserClient):
            raise ConfigurationError(f"a race is between clients, such as race_refresh([ann, ann.tab()]), not {tab!r}")
    exchanges = []
    for number, tab in enumerate(tabs):
        if number and apart_seconds:
            _as_manual(tab.browser.clock.server).advance(apart_seconds)
        exchanges.append(tab.interception.deliver(tab.browser.refresh_request()))
    for tab, exchange in zip(tabs, exchanges, strict=True):
        exchange.response.read()
        tab.interception.receive(exchange)
    return [exchange.response for exchange in exchanges]


def _as_manual(clock: Clock) -> ManualClock:
    if not isinstance(clock, ManualClock):
        raise ConfigurationError("time can only be moved in an App made with clock=ManualClock()")
    return clock


@contextmanager
def slow_provider(
    app: App, third_party_id: str, *, at: Endpoint = "token", seconds: float | None = None
) -> Iterator[None]:
    """Let a stub provider need `seconds` for every answer of one endpoint while the block runs; None means for ever.

    The seconds pass on the App's clock. The API waits five seconds for an answer, and then gives up: the sign-in is
    answered `GENERAL_ERROR`, and nobody is signed in. `at` is token, userinfo, jwks, discovery or check; for the
    authorization page, the browser waits.
    """
    transport = _transport(app, third_party_id)
    pass_time = None if seconds is None else manual_clock(app).advance
    provider = transport.app
    transport.app = _SlowProvider(provider, at, seconds, pass_time)
    try:
        yield
    finally:
        transport.app = provider


class _SlowProvider(StubProvider):
    """A stub provider that shares the state of another one and answers more slowly."""

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


def _check_kind(kind: type, given: object, call: str) -> None:
    """Raise ConfigurationError, which shows the right call, if an argument is not of its kind."""
    if not isinstance(given, kind):
        article = "an" if kind.__name__.startswith("A") else "a"
        raise ConfigurationError(f"{call} takes {article} {kind.__name__}, not {given!r}")


def _refusing(engine: Engine) -> Engine:
    # The driver's own error has the same effects as a real server that does not answer.
    driver = engine.dialect.loaded_dbapi
    assert driver is not None

    def refuse() -> NoReturn:
        raise driver.OperationalError("connection refused (database_down)")

    return create_engine(engine.url, creator=refuse, poolclass=NullPool, hide_parameters=True)
