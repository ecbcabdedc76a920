"""A stub provider's endpoints: what they hand out, to whom, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import jwt
import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from coatcheck.claims import ManualClock
from coatcheck.claims.clock import current_clock
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.recipes.thirdparty.config import ProviderClientConfig, ProviderInput
from coatcheck.server.stub import Persona, provider_of, stub
from coatcheck.server.stub.grants import CODE_LIFETIME_MS, s256

from ...kit import Make, Serve

Exchange = Callable[..., httpx2.Response]

PATH = "/auth/stub/google/authorize"
CALLBACK = "http://localhost:3000/auth/callback/google"
VERIFIER = "v" * 64
ADA = Persona("1001", "ada@example.com", name="Ada Lovelace")
GOOGLE = "https://accounts.google.com"


@pytest.fixture
def given() -> ProviderInput:
    """Return a stub with two clients, one of them without a secret."""
    return stub(
        "google",
        clients=[
            ProviderClientConfig("web", "web-secret", client_type="web"),
            ProviderClientConfig("other", "other-secret", client_type="other"),
            ProviderClientConfig("app", client_type="app"),
        ],
    )


@pytest.fixture
def browser(given: ProviderInput, make_app: Make, serve: Serve) -> TestClient:
    """Open a browser on a server with the stub's page."""
    page = Route(PATH, provider_of(given).page, methods=["GET", "POST"])
    client = serve(make_app(), [page])
    client.follow_redirects = False
    return client


def authorization(**changes: str | None) -> dict[str, str]:
    """Return the parameters of an authorization request; None takes one away."""
    usual: dict[str, str | None] = {
        "client_id": "web",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid email",
        "state": "st/ate+",
        **changes,
    }
    return {name: value for name, value in usual.items() if value is not None}


def answer(response: Any) -> dict[str, str]:
    """Return the parameters that came back to the website."""
    assert response.status_code == 303, response.text
    assert response.headers["location"].startswith(f"{CALLBACK}?")
    return dict(parse_qsl(urlsplit(response.headers["location"]).query))


def code_from(browser: TestClient, **changes: str | None) -> str:
    """Return a code for Ada."""
    return answer(browser.post(PATH, params=authorization(**changes), data={"persona": "1001"}))["code"]


@pytest.fixture
def ask(given: ProviderInput) -> Exchange:
    """Send requests to the provider as the recipes do."""

    def send(method: str, url: str, **options: Any) -> httpx2.Response:
        assert given.transport is not None
        with httpx2.Client(transport=given.transport) as client:
            return client.request(method, url, **options)

    return send


@pytest.fixture
def exchange(ask: Exchange) -> Exchange:
    """Redeem a code at the token endpoint."""

    def redeem(code: str, **changes: str | None) -> httpx2.Response:
        fields = {
            "grant_type": "authorization_code",
            "client_id": "web",
            "client_secret": "web-secret",
            "redirect_uri": CALLBACK,
            "code": code,
            **changes,
        }
        return ask("POST", f"{GOOGLE}/token", data={name: v for name, v in fields.items() if v is not None})

    return redeem


# The authorization page


def test_the_page_offers_everybody_a_field_and_a_way_out(browser: TestClient) -> None:
    """Personas are buttons, an address has a labelled field, and there is a button that denies."""
    page = browser.get(PATH, params=authorization())
    assert page.status_code == 200
    for part in ('value="1001">Ada Lovelace: ada@example.com', '<label for="email">', 'type="email"', 'name="deny"'):
        assert part in page.text


def test_the_page_loads_nothing_and_runs_nothing(browser: TestClient) -> None:
    """The policy allows no source but the page's own style; forms go to itself and to the website."""
    page = browser.get(PATH, params=authorization())
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.endswith("form-action 'self' http://localhost:3000")
    assert "frame-ancestors 'none'" in policy
    assert "src=" not in page.text
    assert "href=" not in page.text


def test_who_is_chosen_comes_back_with_code_and_state(browser: TestClient) -> None:
    """A persona that was clicked leads back to the website, the state unchanged."""
    back = answer(browser.post(PATH, params=authorization(), data={"persona": "1001"}))
    assert back["state"] == "st/ate+"
    assert set(back) == {"code", "state"}


def test_a_typed_address_is_always_the_same_user(browser: TestClient, exchange: Exchange) -> None:
    """Whoever types an address twice is the same user twice, and another address is another user."""
    subjects = []
    for email in ("zoe@example.com", "Zoe@example.com", "other@example.com"):
        code = answer(browser.post(PATH, params=authorization(), data={"email": email}))["code"]
        token = exchange(code).json()["id_token"]
        subjects.append(jwt.decode(token, options={"verify_signature": False})["sub"])
    assert subjects[0] == subjects[1] != subjects[2]


def test_denial_comes_back_as_an_error(browser: TestClient) -> None:
    """The button that denies answers access_denied."""
    back = answer(browser.post(PATH, params=authorization(), data={"deny": "1"}))
    assert (back["error"], back["state"]) == ("access_denied", "st/ate+")


MARKUP = "\"'><script>alert(1)</script>"


def test_html_in_an_address_is_shown_as_text(browser: TestClient) -> None:
    """What was typed comes back in the page escaped."""
    page = browser.post(PATH, params=authorization(), data={"email": MARKUP})
    assert page.status_code == 400
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text


def test_html_in_a_persona_or_a_client_is_shown_as_text(make_app: Make, serve: Serve) -> None:
    """Names, addresses and ids of personas, and the client's id, are escaped."""
    personas = [Persona(MARKUP, f"{MARKUP}@example.com", name=MARKUP)]
    provider = provider_of(stub("google", personas, clients=[ProviderClientConfig(MARKUP, "s")]))
    browser = serve(make_app(), [Route(PATH, provider.page, methods=["GET", "POST"])])
    page = browser.get(PATH, params=authorization(client_id=MARKUP, state=MARKUP))
    assert page.status_code == 200
    assert "<script" not in page.text


@pytest.mark.parametrize("field", ["client_id", "redirect_uri"])
def test_html_in_a_refused_request_is_shown_nowhere(browser: TestClient, field: str) -> None:
    """A refusal never repeats what it refuses as markup."""
    page = browser.get(PATH, params=authorization(**{field: MARKUP}))
    assert page.status_code == 400
    assert "<script" not in page.text


def test_html_in_a_form_post_is_shown_as_text(browser: TestClient) -> None:
    """The state in the page that posts the answer is escaped, and the only script is the page's own."""
    asked = authorization(response_mode="form_post", state=MARKUP)
    page = browser.post(PATH, params=asked, data={"persona": "1001"})
    assert page.status_code == 200
    assert page.text.count("<script") == 1
    assert "alert(1)</script>" not in page.text


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://evil.example/auth/callback/google",
        "http://localhost:3000.evil.example/",
        "http://localhost:30001/",
        "http://localhost:3000@evil.example/",
        "http://localhost:3000/\\evil.example",
        "http://localhost:3000/#fragment",
        "http://localhost:3000/\r\nset-cookie: a=b",
        "//localhost:3000/",
        "javascript:alert(1)",
        "http://localhost:3567/auth/callback/apple/more",
        "http://localhost:3567/auth/signinup",
    ],
)
def test_other_redirect_uris_are_refused_without_a_redirect(browser: TestClient, uri: str) -> None:
    """An answer goes below the website or to the API's own Apple callback; nobody is sent anywhere else."""
    for response in (
        browser.get(PATH, params=authorization(redirect_uri=uri)),
        browser.post(PATH, params=authorization(redirect_uri=uri), data={"persona": "1001"}),
    ):
        assert response.status_code == 400
        assert "location" not in response.headers


def test_the_apple_callback_is_an_allowed_redirect_uri(browser: TestClient) -> None:
    """The API's callback for Apple is the one address beside the website's."""
    callback = "http://localhost:3567/auth/callback/apple"
    response = browser.post(PATH, params=authorization(redirect_uri=callback), data={"persona": "1001"})
    assert response.headers["location"].startswith(f"{callback}?code=")


def test_an_unknown_client_is_refused_without_a_redirect(browser: TestClient) -> None:
    """A client that the provider does not know gets a page, not an answer."""
    assert browser.get(PATH, params=authorization(client_id="nobody")).status_code == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": "c", "code_challenge_method": "plain"}, "invalid_request"),
        ({"client_id": "app"}, "invalid_request"),
    ],
)
def test_faulty_requests_come_back_as_errors(browser: TestClient, changes: dict[str, str], error: str) -> None:
    """Another response type, a plain challenge, and a public client without a challenge are errors."""
    assert answer(browser.get(PATH, params=authorization(**changes)))["error"] == error


def test_the_page_is_for_browsers_under_a_server(ask: Exchange) -> None:
    """Without an App, whose website would be known, no code is ever given out."""
    assert ask("GET", f"{GOOGLE}/authorize", params=authorization()).status_code == 400


# Codes


def test_a_code_buys_an_access_token_and_an_id_token(browser: TestClient, exchange: Exchange, ask: Exchange) -> None:
    """The id token is signed by the key in the published set, for this client, with the nonce of the request."""
    tokens = exchange(code_from(browser, nonce="n-1")).json()
    discovery = ask("GET", f"{GOOGLE}/.well-known/openid-configuration").json()
    keys = jwt.PyJWKSet.from_dict(ask("GET", discovery["jwks_uri"]).json())
    claims = jwt.decode(tokens["id_token"], keys.keys[0], algorithms=["RS256"], audience="web", issuer=GOOGLE)
    assert (claims["sub"], claims["email"], claims["nonce"]) == ("1001", "ada@example.com", "n-1")
    info = ask("GET", discovery["userinfo_endpoint"], headers={"authorization": f"Bearer {tokens['access_token']}"})
    assert info.json() == {"sub": "1001", "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": True}


def test_a_replayed_code_is_refused_and_takes_back_what_it_bought(
    browser: TestClient, exchange: Exchange, ask: Exchange
) -> None:
    """A code works once; its second use ends the access token of the first."""
    code = code_from(browser)
    bearer = {"authorization": f"Bearer {exchange(code).json()['access_token']}"}
    assert ask("GET", f"{GOOGLE}/userinfo", headers=bearer).status_code == 200
    assert exchange(code).json()["error"] == "invalid_grant"
    assert ask("GET", f"{GOOGLE}/userinfo", headers=bearer).status_code == 401


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "other", "client_secret": "other-secret"}, "invalid_grant"),
        ({"redirect_uri": f"{CALLBACK}/"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"code": "guessed"}, "invalid_grant"),
        ({"code_verifier": VERIFIER}, "invalid_grant"),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_secret": None}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_code_is_bound(browser: TestClient, exchange: Exchange, changes: dict[str, Any], error: str) -> None:
    """Another client, another redirect URI, a verifier without a challenge or a wrong secret buy nothing."""
    response = exchange(**{"code": code_from(browser), **changes})
    assert response.status_code in (400, 401)
    assert response.json()["error"] == error


@pytest.mark.parametrize(("verifier", "status"), [(VERIFIER, 200), ("w" * 64, 400), ("", 400), (None, 400)])
def test_a_challenge_demands_its_verifier(
    browser: TestClient, exchange: Exchange, verifier: str | None, status: int
) -> None:
    """With a challenge, only its verifier redeems the code."""
    code = code_from(browser, code_challenge=s256(VERIFIER), code_challenge_method="S256")
    assert exchange(code, code_verifier=verifier).status_code == status


def test_the_challenge_is_that_of_rfc_7636() -> None:
    """The example of RFC 7636, appendix B."""
    assert s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_public_client_redeems_with_its_verifier(browser: TestClient, exchange: Exchange) -> None:
    """A client without a secret proves itself by the verifier alone."""
    code = code_from(browser, client_id="app", code_challenge=s256(VERIFIER), code_challenge_method="S256")
    assert exchange(code, client_id="app", client_secret=None, code_verifier=VERIFIER).status_code == 200


def test_codes_end_by_the_apps_clock(browser: TestClient, exchange: Exchange, clock: ManualClock) -> None:
    """A code that the App's clock has outlived buys nothing."""
    code = code_from(browser)
    clock.advance(CODE_LIFETIME_MS / 1000)
    token = current_clock.set(clock)
    try:
        assert exchange(code).json()["error_description"] == "the code has expired"
    finally:
        current_clock.reset(token)


def test_a_client_may_authenticate_by_header(browser: TestClient, ask: Exchange) -> None:
    """HTTP Basic works as well as the fields of the body."""
    fields = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code": code_from(browser)}
    assert ask("POST", f"{GOOGLE}/token", data=fields, auth=("web", "web-secret")).status_code == 200


# Ids


@pytest.mark.parametrize("name", ["", "Google", "a/b", "../x", "a b", "<b>", "x" * 29])
def test_strange_ids_are_refused(name: str) -> None:
    """An id becomes part of a path, so it is checked when the stub is made."""
    with pytest.raises(ConfigurationError, match="an id is made of"):
        stub(name)
