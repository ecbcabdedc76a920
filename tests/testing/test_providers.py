"""Stub providers in a test's hands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from coatcheck import App
from coatcheck.recipes import session, thirdparty
from coatcheck.recipes.thirdparty import SignInAndUpFeature
from coatcheck.server.stub import Persona, stub
from coatcheck.testing import BrowserClient, Providers, assert_session, client, make_app

LANDING = "http://localhost:3000/auth/callback/google"


@pytest.fixture
def app() -> Iterator[App]:
    """Yield an App in which one can sign in with two stubs."""
    with make_app([session.init(), thirdparty.init(SignInAndUpFeature([stub("google"), stub("github")]))]) as app:
        yield app


@pytest.fixture
def web(app: App) -> Iterator[BrowserClient]:
    """Yield a browser."""
    with client(app) as web:
        web.follow_redirects = False
        yield web


def sign_in_with_google(web: BrowserClient) -> Any:
    """Go to Google and come back."""
    asked = {"thirdPartyId": "google", "redirectURIOnProviderDashboard": LANDING}
    left = web.get("/auth/authorisationurl", params=asked).json()
    back = web.get(f"{left['urlWithQueryParams']}&state=s")
    assert back.status_code == 303, back.text
    info = {
        "redirectURIOnProviderDashboard": LANDING,
        "redirectURIQueryParams": dict(parse_qsl(urlsplit(back.headers["location"]).query)),
        "pkceCodeVerifier": left.get("pkceCodeVerifier"),
    }
    return web.post("/auth/signinup", json={"thirdPartyId": "google", "redirectURIInfo": info})


def test_a_persona_signs_in(app: App, web: BrowserClient) -> None:
    """Whoever was planned signs in: one of the stub's own, by address or id, or anybody else."""
    google = Providers(app)["google"]
    for who in ("ada@example.com", "1002", Persona("7", "eve@example.com")):
        google.next_persona(who)
        answer = sign_in_with_google(web)
        assert_session(answer).created()
        expected = google.persona(who) if isinstance(who, str) else who
        assert answer.json()["user"]["emails"] == [expected.email]


def test_an_error_happens_once(app: App, web: BrowserClient) -> None:
    """A planned error spoils one sign-in, and the provider can tell what it was asked."""
    google = Providers(app)["google"]
    google.next_error("expired_id_token")
    for status in ("GENERAL_ERROR", "OK"):
        google.next_persona("ada@example.com")
        assert sign_in_with_google(web).json()["status"] == status
    assert [request.endpoint for request in google.requests].count("token") == 2
    google.clear()
    assert google.requests == []


def test_providers_are_listed(app: App) -> None:
    """The stubs of an App can be gone through, and an unknown one is an error that names them."""
    providers = Providers(app)
    assert list(providers) == ["google", "github"]
    assert len(providers) == 2
    assert repr(providers) == "<Providers google, github>"
    with pytest.raises(LookupError, match=r"'gitlab' in this App; there are stubs of: google, github. Add stub"):
        _ = providers["gitlab"]
    with pytest.raises(LookupError, match=r"google knows no persona 'nobody@example.com'; it knows 1001 \(ada"):
        providers["google"].next_persona("nobody@example.com")


def test_an_app_without_thirdparty_has_no_providers() -> None:
    """Asking for a provider where there is none says what to add."""
    with make_app() as app, pytest.raises(LookupError, match="there are stubs of: none"):
        _ = Providers(app)["google"]
