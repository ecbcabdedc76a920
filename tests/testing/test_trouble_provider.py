"""Trouble at a provider: the API gives up in time, says so, and nobody is signed in."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from coatcheck import App
from coatcheck.claims import ManualClock
from coatcheck.recipes import thirdparty
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.server.stub import Persona, provider_of, stub
from coatcheck.testing import BrowserClient, client, slow_provider

from ..kit import WEBSITE, Make

LANDING = f"{WEBSITE}/auth/callback/google"


@pytest.fixture
def app(make_app: Make) -> App:
    """Return an App where Ada can sign in with Google."""
    given = stub("google", [Persona("1001", "ada@example.com")])
    return make_app(recipes=[thirdparty.init(sign_in_and_up_feature=thirdparty.SignInAndUpFeature(providers=[given]))])


@pytest.fixture
def browser(app: App) -> Iterator[BrowserClient]:
    """Open a browser."""
    with client(app) as one:
        yield one


def sign_in(one: BrowserClient) -> Any:
    """Sign in as the front end does, and return the API's answer."""
    asked = one.get(
        "/auth/authorisationurl", params={"thirdPartyId": "google", "redirectURIOnProviderDashboard": LANDING}
    )
    body = asked.json()
    if body["status"] != "OK":
        return asked
    state = base64.b64encode(json.dumps({"state": "s", "frontendRedirectURI": LANDING}).encode()).decode()
    page = f"{body['urlWithQueryParams']}&{urlencode({'state': state})}"
    one.follow_redirects = False
    back = one.post(page, data={"persona": "1001"}).headers["location"]
    info = {
        "redirectURIOnProviderDashboard": LANDING,
        "redirectURIQueryParams": dict(parse_qsl(urlsplit(back).query)),
        "pkceCodeVerifier": body.get("pkceCodeVerifier"),
    }
    return one.post("/auth/signinup", json={"thirdPartyId": "google", "redirectURIInfo": info})


@pytest.mark.parametrize("at", ["token", "jwks", "userinfo"])
def test_a_provider_that_never_answers(app: App, browser: BrowserClient, at: Any) -> None:
    """The sign-in is answered with a general error, without a session; afterwards it works."""
    with slow_provider(app, "google", at=at):
        answer = sign_in(browser)
        assert (answer.status_code, answer.json()["status"]) == (200, "GENERAL_ERROR")
        assert not browser.session_exists
    assert sign_in(browser).json()["status"] == "OK"
    assert browser.session_exists


def test_a_provider_that_answers_late(app: App, browser: BrowserClient, clock: ManualClock) -> None:
    """Less than five seconds are waited for; they pass on the App's clock, and the sign-in succeeds."""
    before_ms = clock.now_ms()
    with slow_provider(app, "google", seconds=4.5):
        assert sign_in(browser).json()["status"] == "OK"
    assert clock.now_ms() - before_ms == 4_500


def test_a_provider_that_answers_too_late(app: App, browser: BrowserClient, clock: ManualClock) -> None:
    """After five seconds the API gives up, however long the provider would have taken."""
    before_ms = clock.now_ms()
    with slow_provider(app, "google", seconds=60):
        assert sign_in(browser).json()["status"] == "GENERAL_ERROR"
    assert clock.now_ms() - before_ms == 5_000


def test_other_endpoints_are_as_fast_as_ever(app: App, browser: BrowserClient) -> None:
    """Only the one that was named is slow; the stub's script goes on working meanwhile."""
    with slow_provider(app, "google", at="check"):
        given = app.recipe("thirdparty").config.providers[0]
        provider_of(given).script.next_error("server_error")
        assert sign_in(browser).json()["status"] == "GENERAL_ERROR"
        assert sign_in(browser).json()["status"] == "OK"


def test_a_provider_that_nobody_plays(app: App, make_app: Make) -> None:
    """The error says what to add."""
    with pytest.raises(ConfigurationError, match=r"stub\('github'\)"), slow_provider(app, "github"):
        pytest.fail("it was entered")
