"""Trouble at a provider: it takes its time, or never answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import Receive, Scope, Send

from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..recipes.thirdparty.http import CONNECT_TIMEOUT_S
from ..server.stub.provider import SlowAnswerError, StubProvider
from ..server.stub.script import Endpoint
from ..server.stub.transport import StubTransport
from .trouble import manual_clock


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
