"""Every built-in provider, played by its stub, is signed in with over HTTP by the steps of a browser."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from starlette.testclient import TestClient

from coatcheck import App, InputAppInfo
from coatcheck.recipes import thirdparty, usermetadata
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.recipes.thirdparty.builtin import ROWS
from coatcheck.recipes.thirdparty.config import ProviderConfig, ProviderInput
from coatcheck.server import create_app
from coatcheck.server.stub import Persona, StubError, provider_of, stub

from ...kit import API, WEBSITE, Make, Serve

IDS = [*(row.id for row in ROWS), "my-own", "google-mobile"]
ADA = Persona("1001", "ada@example.com", name="Ada Lovelace")


def recipes(*given: ProviderInput) -> list[Any]:
    feature = thirdparty.SignInAndUpFeature(providers=list(given))
    return [thirdparty.init(sign_in_and_up_feature=feature), usermetadata.init()]


class Browser:
    """A browser with the website's front end in it."""

    def __init__(self, client: TestClient, third_party_id: str, *, base_path: str = "/auth") -> None:
        self.client = client
        self.id = third_party_id
        self.base = base_path
        self.landing = f"{WEBSITE}{base_path}/callback/{third_party_id}"
        apple = third_party_id.startswith("apple")
        self.dashboard = f"{API}{base_path}/callback/apple" if apple else self.landing
        state = {"state": "random", "frontendRedirectURI": self.landing}
        self.state = base64.b64encode(json.dumps(state).encode()).decode()
        client.follow_redirects = False

    def sign_in(self, **choice: str) -> dict[str, Any]:
        """Go to the provider, choose, come back, and hand in what came back."""
        address, verifier = self.asked()
        return self.handed_in(self.back(self.chosen(address, choice or {"persona": "1001"})), verifier)

    def asked(self) -> tuple[str, str | None]:
        """Return where the front end sends the browser, and the verifier that it keeps."""
        query = {"thirdPartyId": self.id, "redirectURIOnProviderDashboard": self.dashboard}
        response = self.client.get(f"{self.base}/authorisationurl", params=query)
        assert response.status_code == 200, response.text
        body = response.json()
        assert body["status"] == "OK"
        return f"{body['urlWithQueryParams']}&{urlencode({'state': self.state})}", body.get("pkceCodeVerifier")

    def chosen(self, address: str, choice: dict[str, str]) -> Any:
        """Open the provider's page and press a button on it."""
        assert address.startswith(f"{API}{self.base}/stub/{self.id}/authorize?")
        page = self.client.get(address)
        assert page.status_code == 200, page.text
        return self.client.post(address, data=choice)

    def back(self, response: Any) -> dict[str, str]:
        """Follow the provider's answer until the website is reached; return the parameters."""
        if response.status_code == 200:  # Apple's way: a page that posts the answer to the API
            action = html.unescape(re.findall(r'action="([^"]*)"', response.text)[0])
            inputs = re.findall(r'name="([^"]*)" value="([^"]*)"', response.text)
            fields = {html.unescape(name): html.unescape(value) for name, value in inputs}
            response = self.client.post(action, data=fields)
        assert response.status_code == 303, response.text
        assert response.headers["location"].startswith(f"{self.landing}?")
        parameters = dict(parse_qsl(urlsplit(response.headers["location"]).query))
        assert parameters["state"] == self.state
        return parameters

    def post(self, parameters: dict[str, str], verifier: str | None) -> Any:
        """Hand in what came back to the website."""
        info: dict[str, Any] = {
            "redirectURIOnProviderDashboard": self.dashboard,
            "redirectURIQueryParams": parameters,
        }
        if verifier is not None:
            info["pkceCodeVerifier"] = verifier
        body = {"thirdPartyId": self.id, "redirectURIInfo": info}
        return self.client.post(f"{self.base}/signinup", json=body, headers={"st-auth-mode": "header"})

    def handed_in(self, parameters: dict[str, str], verifier: str | None) -> dict[str, Any]:
        """Hand it in and return the answer, which has a session with it."""
        response = self.post(parameters, verifier)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        assert body["status"] == "OK", body
        assert response.headers["st-access-token"]
        assert response.headers["st-refresh-token"]
        return body


@pytest.fixture
def browser_on(make_app: Make, serve: Serve) -> Callable[[ProviderInput], Browser]:
    """Serve an App with one provider and open a browser on it."""

    def open_browser(given: ProviderInput) -> Browser:
        return Browser(serve(make_app(recipes=recipes(given))), given.config.third_party_id)

    return open_browser


OpenBrowser = Callable[[ProviderInput], Browser]


@pytest.mark.parametrize("third_party_id", IDS)
def test_signing_in_twice_is_one_user(browser_on: OpenBrowser, third_party_id: str) -> None:
    """A sign-in gives a session and a user of this provider; the second gives the same user, not created anew."""
    browser = browser_on(stub(third_party_id))
    first, second = browser.sign_in(), browser.sign_in()
    assert (first["createdNewRecipeUser"], second["createdNewRecipeUser"]) == (True, False)
    assert first["user"]["thirdParty"] == [{"id": third_party_id, "userId": "1001"}]
    assert second["user"]["id"] == first["user"]["id"]
    emails = second["user"]["emails"]
    assert emails == ["ada@example.com"] or third_party_id == "twitter"


@pytest.mark.parametrize("third_party_id", ["google", "github", "apple"])
def test_another_persona_is_another_user(browser_on: OpenBrowser, third_party_id: str) -> None:
    """Whoever types an address, or clicks another persona, is somebody else."""
    browser = browser_on(stub(third_party_id))
    users = {browser.sign_in(**choice)["user"]["id"] for choice in CHOICES}
    assert len(users) == len(CHOICES)


CHOICES: list[dict[str, str]] = [{"persona": "1001"}, {"persona": "1002"}, {"email": "zoe@example.com"}]


@pytest.mark.parametrize("directory", ["common", "organizations", "3f1c3a2e-5d8b-4d0e-9a55-0d1f5c2b7e61"])
def test_entra_names_the_users_directory_as_issuer(browser_on: OpenBrowser, directory: str) -> None:
    """Discovery for several directories has a placeholder, in which the user's directory stands in the id token."""
    client = thirdparty.ProviderClientConfig("c", "s", additional_config={"directoryId": directory})
    browser = browser_on(stub("active-directory", clients=[client]))
    assert browser.sign_in()["createdNewRecipeUser"] is True


def test_a_scripted_persona_needs_no_page(browser_on: OpenBrowser) -> None:
    """A test that plans the next persona is sent back from the first request."""
    given = stub("google")
    browser = browser_on(given)
    provider_of(given).script.next_persona(ADA)
    address, verifier = browser.asked()
    parameters = browser.back(browser.client.get(address))
    assert browser.handed_in(parameters, verifier)["user"]["emails"] == ["ada@example.com"]


ERRORS: list[StubError] = [
    "server_error",
    "slow",
    "huge_answer",
    "malformed_id_token",
    "wrong_audience",
    "wrong_issuer",
    "expired_id_token",
    "alg_none",
]


@pytest.mark.parametrize("error", ERRORS)
def test_a_provider_that_errs_signs_nobody_in(browser_on: OpenBrowser, error: StubError) -> None:
    """Whatever goes wrong at the provider, there is no session, and the next attempt succeeds."""
    given = stub("google")
    browser = browser_on(given)
    provider_of(given).script.next_error(error)
    address, verifier = browser.asked()
    response = browser.post(browser.back(browser.chosen(address, {"persona": "1001"})), verifier)
    assert (response.status_code, response.json().get("status")) != (200, "OK")
    assert "st-access-token" not in response.headers
    assert "stub-google-secret" not in response.text
    assert browser.sign_in()["createdNewRecipeUser"] is True


def test_no_email_is_said_to_be_missing(browser_on: OpenBrowser) -> None:
    """Without an address there is no user, unless the provider's row does without."""
    given = stub("google")
    browser = browser_on(given)
    provider_of(given).script.next_error("no_email")
    address, verifier = browser.asked()
    response = browser.post(browser.back(browser.chosen(address, {"persona": "1001"})), verifier)
    assert response.json() == {"status": "NO_EMAIL_GIVEN_BY_PROVIDER"}


def test_a_custom_provider_keeps_its_configuration(browser_on: OpenBrowser) -> None:
    """Whatever a configuration says beside the endpoints stays as it is."""
    given = stub("my-own", config=ProviderConfig("my-own", name="My own"))
    assert browser_on(given).sign_in()["user"]["thirdParty"][0]["id"] == "my-own"
    assert given.config.name == "My own"


def test_stubs_need_consent() -> None:
    """An App without unsafe_for_tests refuses a stub when it is made."""
    info = InputAppInfo(app_name="Test", api_domain=API, website_domain=WEBSITE)
    with pytest.raises(ConfigurationError, match="unsafe_for_tests"):
        App(app_info=info, recipe_list=recipes(stub("google")))


def test_the_page_lies_below_the_apps_base_path(make_app: Make, serve: Serve) -> None:
    """A stub made for another base path is refused when the App is served, and told how to be made."""
    with pytest.raises(ConfigurationError, match="api_base_path='/api/login'"):
        create_app(make_app(recipes=recipes(stub("google")), api_base_path="/api/login"))
    app = make_app(recipes=recipes(stub("google", api_base_path="/api/login")), api_base_path="/api/login")
    assert Browser(serve(app), "google", base_path="/api/login").sign_in()["createdNewRecipeUser"] is True


def test_without_stubs_there_is_no_page(make_app: Make, serve: Serve) -> None:
    """An App of real providers, or of none, serves no page."""
    assert serve(make_app()).get("/auth/stub/google/authorize").status_code == 404
