"""Known attacks on signing in with a provider, one test each; every one ends without a session."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from coatcheck import App, InputAppInfo
from coatcheck.claims import ManualClock
from coatcheck.recipes import accountlinking, thirdparty
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.recipes.thirdparty import ProviderClientConfig, ProviderConfig, ProviderInput, SignInAndUpFeature
from coatcheck.recipes.thirdparty.http import MAX_ANSWER_BYTES
from coatcheck.server.stub import Persona, StubError, provider_of, stub

from ..kit import WEBSITE, Journey, Make, Serve

GOOGLE = "https://accounts.google.com"
MALLORY = Persona("666", "mallory@example.com")
VICTIM = Persona("7", "victim@example.com")


class Scene:
    """One App with providers, and whoever signs in there."""

    def __init__(self, app: App, client: TestClient, providers: list[ProviderInput]) -> None:
        self.app = app
        self.client = client
        self.trips = {given.config.third_party_id: Journey(client, given) for given in providers}

    def refuses(self, answer: Any) -> None:
        """Assert that an answer is a refusal that anybody may read, and that nobody has been signed in."""
        body = answer.json()
        assert answer.status_code == 400 or body["status"] == "GENERAL_ERROR", body
        assert "st-access-token" not in answer.headers
        assert "set-cookie" not in answer.headers
        with self.app.active():
            assert accountlinking.sync.get_user_count() == 0

    def brings(self, third_party_id: str, **tokens: Any) -> Any:
        """Hand in tokens that a client has brought."""
        return self.client.post("/auth/signinup", json={"thirdPartyId": third_party_id, "oAuthTokens": tokens})


@pytest.fixture
def scene(make_app: Make, serve: Serve) -> Callable[..., Scene]:
    """Set the scene for these providers."""

    def set_up(*given: str | ProviderInput) -> Scene:
        providers = [stub(one) if isinstance(one, str) else one for one in given]
        app = make_app(recipes=[thirdparty.init(SignInAndUpFeature(providers))])
        return Scene(app, serve(app), providers)

    return set_up


# Codes


def test_replayed_code(scene: Any) -> None:
    """A code that was used before buys nothing."""
    trip = scene("google").trips["google"]
    left = trip.leave()
    params = trip.come_back(left["urlWithQueryParams"])
    assert trip.hand_in(params, left["pkceCodeVerifier"]).json()["status"] == "OK"
    replayed = trip.hand_in(params, left["pkceCodeVerifier"])
    assert replayed.json()["status"] == "GENERAL_ERROR"
    assert "st-access-token" not in replayed.headers


def test_code_that_is_no_text(scene: Any) -> None:
    """Half a surrogate pair cannot be sent to the provider, which is a refusal like any other (rule 27.7)."""
    stage = scene("github")
    trip = stage.trips["github"]
    body = {
        "thirdPartyId": "github",
        "redirectURIInfo": {
            "redirectURIOnProviderDashboard": trip.landing,
            "redirectURIQueryParams": {"code": "\ud800"},
        },
    }
    answer = stage.client.post("/auth/signinup", content=json.dumps(body))
    assert answer.status_code == 200
    stage.refuses(answer)


def test_code_of_another_client(scene: Any) -> None:
    """A code that was issued to one client of the provider's is no good for another."""
    clients = [ProviderClientConfig("w", "secret", "web"), ProviderClientConfig("i", "secret", "ios")]
    stage = scene(stub("google", clients=clients))
    trip = stage.trips["google"]
    left = trip.leave(clientType="ios")
    params = trip.come_back(left["urlWithQueryParams"])
    stage.refuses(trip.hand_in(params, left["pkceCodeVerifier"], body={"clientType": "web"}))


def test_wrong_pkce_verifier(scene: Any) -> None:
    """A stolen code is no good without the verifier of the browser that asked."""
    stage = scene("google")
    trip = stage.trips["google"]
    params = trip.come_back(trip.leave()["urlWithQueryParams"])
    stage.refuses(trip.hand_in(params, trip.leave()["pkceCodeVerifier"]))


def test_missing_pkce_verifier(scene: Any) -> None:
    """Leaving the verifier out does not do away with PKCE."""
    stage = scene("google")
    trip = stage.trips["google"]
    stage.refuses(trip.hand_in(trip.come_back(trip.leave()["urlWithQueryParams"]), None))


def test_verifier_without_a_challenge(scene: Any) -> None:
    """A code that was asked for without PKCE is not redeemed with it (RFC 9700, section 2.1.1)."""
    stage = scene("github")
    trip = stage.trips["github"]
    stage.refuses(trip.hand_in(trip.come_back(trip.leave()["urlWithQueryParams"]), "v" * 64))


def test_swapped_redirect_uri(scene: Any) -> None:
    """A code goes with the redirect URI that it was asked for with."""
    stage = scene("google")
    trip = stage.trips["google"]
    left = trip.leave()
    params = trip.come_back(left["urlWithQueryParams"])
    trip.landing = f"{WEBSITE}/elsewhere"
    stage.refuses(trip.hand_in(params, left["pkceCodeVerifier"]))


# Two providers


def test_mix_up_between_two_providers(scene: Any) -> None:
    """The code of one provider is no good at another."""
    stage = scene("google", "gitlab")
    google, gitlab = stage.trips["google"], stage.trips["gitlab"]
    left = google.leave()
    params = google.come_back(left["urlWithQueryParams"])
    stage.refuses(gitlab.hand_in(params, left["pkceCodeVerifier"]))


def test_mix_up_with_an_issuer_in_the_callback(scene: Any) -> None:
    """Where the callback names its provider, its code is not even sent to another one (RFC 9207)."""
    stage = scene("google", "gitlab")
    google, gitlab = stage.trips["google"], stage.trips["gitlab"]
    left = google.leave()
    params = {**google.come_back(left["urlWithQueryParams"]), "iss": GOOGLE}
    stage.refuses(gitlab.hand_in(params, left["pkceCodeVerifier"]))
    assert "token" not in [asked.endpoint for asked in gitlab.stub.script.requests]
    assert google.hand_in(params, left["pkceCodeVerifier"]).json()["status"] == "OK"


# Tokens of others


@pytest.mark.parametrize("third_party_id", ["google", "github", "facebook"])
def test_access_token_issued_to_another_app(scene: Any, third_party_id: str) -> None:
    """A token that the victim gave to an app of the attacker's does not sign in here as the victim."""
    stage = scene(third_party_id)
    token = stage.trips[third_party_id].stub.access_token(VICTIM, "the-app-of-mallory")
    stage.refuses(stage.brings(third_party_id, access_token=token))


def test_access_token_of_another_user_beside_an_id_token(scene: Any) -> None:
    """One's own id token with somebody else's access token gives neither user (OpenID Connect Core, 5.3.2)."""
    stage = scene("gitlab")
    player = stage.trips["gitlab"].stub
    client = "stub-gitlab-client"
    mine = player.id_token(Persona("666", None), client, issuer="https://gitlab.com")
    stage.refuses(stage.brings("gitlab", id_token=mine, access_token=player.access_token(VICTIM, client)))


def test_access_token_beside_an_id_token_where_subjects_cannot_be_compared(make_app: Make, serve: Serve) -> None:
    """User info without a subject is not joined to an id token when a client brought both."""
    played = stub("gitlab")
    player = provider_of(played)

    class WithoutSubject(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            if request.url.path.endswith("/userinfo"):
                return httpx2.Response(200, json={"email": "victim@example.com", "email_verified": True})
            assert played.transport is not None
            return played.transport.handle_request(request)

    provider = ProviderInput(played.config, transport=WithoutSubject(), unsafe_for_tests=True)
    client = serve(make_app(recipes=[thirdparty.init(SignInAndUpFeature([provider]))]))
    mine = player.id_token(Persona("666", None), "stub-gitlab-client", issuer="https://gitlab.com")
    tokens = {"id_token": mine, "access_token": "somebody's"}
    answer = client.post("/auth/signinup", json={"thirdPartyId": "gitlab", "oAuthTokens": tokens})
    assert answer.json()["status"] == "GENERAL_ERROR"


@pytest.mark.parametrize(
    "error", ["malformed_id_token", "wrong_audience", "wrong_issuer", "expired_id_token", "alg_none"]
)
@pytest.mark.parametrize("third_party_id", ["google", "apple", "active-directory"])
def test_bad_id_token_from_the_token_endpoint(
    scene: Any, error: StubError, third_party_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An id token of another audience or issuer, expired, unsigned or no token at all signs nobody in."""
    stage = scene(third_party_id)
    trip = stage.trips[third_party_id]
    if third_party_id == "apple":
        trip.landing = "http://localhost:3567/auth/callback/apple"
    left = trip.leave()
    trip.stub.script.next_persona(MALLORY)
    answer = trip.client.get(f"{left['urlWithQueryParams']}&state=s")
    if third_party_id == "apple":
        code = answer.text.split('name="code" value="')[1].split('"')[0]
    else:
        code = answer.headers["location"].split("code=")[1].split("&")[0]
    trip.stub.script.next_error(error)
    stage.refuses(trip.hand_in({"code": code}, left.get("pkceCodeVerifier")))
    assert "the id token was refused" in caplog.text


@pytest.mark.parametrize("error", ["wrong_audience", "wrong_issuer", "expired_id_token", "alg_none"])
def test_bad_id_token_from_a_client(scene: Any, error: StubError) -> None:
    """The same tokens, brought by a client, sign nobody in either."""
    stage = scene("google")
    player = stage.trips["google"].stub
    token = player.id_token(VICTIM, "stub-google-client", issuer=GOOGLE, error=error)
    stage.refuses(stage.brings("google", id_token=token))


def test_id_token_of_another_entra_tenant(scene: Any) -> None:
    """Where any tenant may sign in, `iss` has to be that of the token's own tenant; a fixed tenant is the only one."""
    fixed = "3f1c3a2e-5d8b-4d0e-9a55-0d1f5c2b7e61"
    other = "aaaaaaaa-5d8b-4d0e-9a55-0d1f5c2b7e61"
    host = "https://login.microsoftonline.com"
    for directory, issuer, tenant, good in [
        ("common", f"{host}/{other}/v2.0", other, True),
        ("common", f"{host}/{other}/v2.0", fixed, False),
        ("common", "https://evil.example/v2.0", other, False),
        ("organizations", f"{host}/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", None, False),
        (fixed, f"{host}/{fixed}/v2.0", fixed, True),
        (fixed, f"{host}/{other}/v2.0", other, False),
    ]:
        clients = [ProviderClientConfig("c", "s", additional_config={"directoryId": directory})]
        stage = scene(stub("active-directory", clients=clients))
        token = entra_token(stage.trips["active-directory"].stub, issuer, tenant)
        answer = stage.brings("active-directory", id_token=token)
        assert (answer.json()["status"] == "OK") is good, (directory, issuer, tenant)


def entra_token(player: Any, issuer: str, tenant: str | None) -> str:
    """Return an id token of Entra's for a tenant, by default the one of personal accounts."""
    directory = tenant or "9188040d-6c67-4c5b-b112-36a304b66dad"
    player.clients["c"] = type(player.clients["c"])("c", "s", {"directoryId": directory})
    token: str = player.id_token(VICTIM, "c", issuer=issuer)
    return token


def test_id_token_taken_from_another_browser(scene: Any) -> None:
    """An id token that was asked for here, in one browser, is not accepted as if a client had brought it (27.10)."""
    stage = scene("google")
    left = stage.trips["google"].leave()
    nonce = left["urlWithQueryParams"].split("nonce=")[1].split("&")[0]
    token = stage.trips["google"].stub.id_token(VICTIM, "stub-google-client", issuer=GOOGLE, nonce=nonce)
    stage.refuses(stage.brings("google", id_token=token))


def test_id_token_injected_into_another_sign_in(scene: Any) -> None:
    """An id token with the nonce of another sign-in is refused, even if the token endpoint gave it."""
    stage = scene("google")
    trip = stage.trips["google"]
    left = trip.leave()
    nonce = trip.leave()["urlWithQueryParams"].split("nonce=")[1].split("&")[0]
    url = left["urlWithQueryParams"]
    own = url.split("nonce=")[1].split("&")[0]
    stage.refuses(trip.hand_in(trip.come_back(url.replace(own, nonce)), left["pkceCodeVerifier"]))


def test_workspace_of_another_company(scene: Any) -> None:
    """The workspace asked for is checked in the id token: the request can be changed by the user."""
    clients = [ProviderClientConfig("c", "s", additional_config={"hd": "example.com"})]
    stage = scene(stub("google-workspaces", clients=clients))
    player = stage.trips["google-workspaces"].stub
    player.clients["c"] = type(player.clients["c"])("c", "s", {"hd": "evil.example"})
    stage.refuses(stage.brings("google-workspaces", id_token=player.id_token(MALLORY, "c", issuer=GOOGLE)))


def test_workspace_user_without_an_id_token(scene: Any) -> None:
    """Where something is checked in the id token, an access token alone is not enough."""
    stage = scene(stub("google-workspaces", config=ProviderConfig("x", validate_access_token=lambda *_: None)))
    player = stage.trips["google-workspaces"].stub
    token = player.access_token(MALLORY, "stub-google-workspaces-client")
    stage.refuses(stage.brings("google-workspaces", access_token=token))


# The callback of Apple


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/callback",
        "//evil.example",
        "http://localhost:3000.evil.example/",
        "http://localhost:3000@evil.example/",
        "http://localhost:30001/",
        "http://localhost:3000\\@evil.example/",
        "https://localhost:3000/",
        "javascript:alert(1)//http://localhost:3000/",
        "http://localhost:3000/\r\nset-cookie: a=b",
        "",
    ],
)
def test_open_redirect_through_the_apple_callback(scene: Any, target: str) -> None:
    """A forged state leads nowhere but to the website."""
    state = base64.b64encode(json.dumps({"frontendRedirectURI": target}).encode()).decode()
    answer = scene("apple").client.post("/auth/callback/apple", data={"state": state, "code": "c"})
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize("state", ["", "%", "e30=", "bnVsbA==", "W10=", "eyJmcm9udGVuZFJlZGlyZWN0VVJJIjogMX0="])
def test_apple_callback_without_a_state(scene: Any, state: str) -> None:
    """A state that cannot be read is bad input, and no error of the server's."""
    answer = scene("apple").client.post("/auth/callback/apple", data={"state": state})
    assert (answer.status_code, answer.json()) == (400, {"message": "the state has no frontendRedirectURI"})


def test_apple_callback_with_a_flood_of_fields(scene: Any) -> None:
    """A form with very many fields is not taken apart."""
    body = "&".join(f"f{number}=1" for number in range(5000))
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = scene("apple").client.post("/auth/callback/apple", content=body, headers=kind)
    assert answer.json() == {"message": "the body is not a form"}


# Providers that misbehave


@pytest.mark.parametrize("at", ["discovery", "token", "jwks", "userinfo"])
def test_provider_answers_ten_megabytes(scene: Any, at: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An enormous answer is not read to its end."""
    stage = scene("google")
    trip = stage.trips["google"]
    if at == "discovery":
        trip.stub.script.next_error("huge_answer", at=at)
        assert trip.leave()["status"] == "GENERAL_ERROR"
    else:
        left = trip.leave()
        params = trip.come_back(left["urlWithQueryParams"])
        trip.stub.script.next_error("huge_answer", at=at)
        stage.refuses(trip.hand_in(params, left["pkceCodeVerifier"]))
    assert f"more than {MAX_ANSWER_BYTES} bytes" in caplog.text


@pytest.mark.parametrize("at", ["discovery", "token", "jwks", "userinfo"])
def test_provider_never_answers(scene: Any, at: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A provider that does not answer costs its users the sign-in, and the server nothing more."""
    stage = scene("google")
    trip = stage.trips["google"]
    if at == "discovery":
        trip.stub.script.next_error("slow", at=at)
        assert trip.leave()["status"] == "GENERAL_ERROR"
    else:
        left = trip.leave()
        params = trip.come_back(left["urlWithQueryParams"])
        trip.stub.script.next_error("slow", at=at)
        stage.refuses(trip.hand_in(params, left["pkceCodeVerifier"]))
    assert "took too long" in caplog.text


class Leaky(httpx2.BaseTransport):
    """A provider that copies what it was sent into its errors, and redirects what it is asked."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked: list[str] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer with everything the request held."""
        self.asked.append(str(request.url))
        sent = f"{request.url} {request.headers} {request.read().decode()}"
        body = {"error": sent, "error_description": sent}
        return httpx2.Response(self.status, json=body, headers={"location": "https://evil.example/"})


@pytest.mark.parametrize("status", [200, 302, 307, 400, 500])
@pytest.mark.parametrize("third_party_id", ["github", "facebook", "twitter"])
def test_secrets_do_not_leak_through_errors(
    make_app: Make, serve: Serve, caplog: pytest.LogCaptureFixture, status: int, third_party_id: str
) -> None:
    """Neither answers nor logs hold secrets, codes or tokens, whatever a provider answers; no redirect is followed."""
    caplog.set_level("DEBUG")
    config = ProviderConfig(third_party_id, clients=[ProviderClientConfig("client", "hush-secret")])
    transport = Leaky(status)
    client = serve(
        make_app(recipes=[thirdparty.init(SignInAndUpFeature([ProviderInput(config, transport=transport)]))])
    )
    info = {"redirectURIOnProviderDashboard": "x", "redirectURIQueryParams": {"code": "hush-code"}}
    bodies: list[dict[str, Any]] = [{"redirectURIInfo": {**info, "pkceCodeVerifier": "hush-verifier"}}]
    if third_party_id != "twitter":
        bodies.append({"oAuthTokens": {"access_token": "hush-token"}})
    for body in bodies:
        answer = client.post("/auth/signinup", json={"thirdPartyId": third_party_id, **body})
        assert answer.json()["status"] == "GENERAL_ERROR"
        assert "hush" not in answer.text
    ours = [
        record.getMessage() for record in caplog.records if record.name.startswith(("coatcheck", "httpx", "httpcore"))
    ]
    assert ours
    assert "hush" not in "".join(ours)
    assert len(transport.asked) == len(bodies)


def test_a_token_that_cannot_be_sent_does_not_leak(scene: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A token that no header can carry is refused without being quoted."""
    stage = scene(stub("discord", config=ProviderConfig("x", validate_access_token=lambda *_: None)))
    stage.refuses(stage.brings("discord", access_token="hush-\u2603\r\nx: y"))
    assert "hush" not in caplog.text


# A stub where it must not be


def test_a_stub_in_production() -> None:
    """A stub provider, at which anybody is anybody, is refused by an App that is not for tests."""
    info = InputAppInfo(app_name="Test", api_domain="http://localhost:3567", website_domain=WEBSITE)
    recipe = thirdparty.init(SignInAndUpFeature([stub("google")]))
    with pytest.raises(ConfigurationError, match="'google' is a stub"):
        App(app_info=info, recipe_list=[recipe], database="sqlite://")


def test_documents_that_have_become_too_old(scene: Any, clock: ManualClock) -> None:
    """Signing in still works once everything remembered about the provider has become too old."""
    trip = scene("google").trips["google"]
    assert trip.sign_in().json()["status"] == "OK"
    clock.advance(2 * 24 * 3600)
    assert trip.sign_in().json()["status"] == "OK"
    assert [asked.endpoint for asked in trip.stub.script.requests].count("discovery") == 2
