"""Trouble on the way between client and server: answers that get lost, and tabs that refresh at the same time."""

from __future__ import annotations

from collections.abc import Sequence

import httpx2

from ..claims.clock import ManualClock
from ..recipes.exceptions import ConfigurationError
from .clients import BrowserClient
from .misuse import must_be


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
