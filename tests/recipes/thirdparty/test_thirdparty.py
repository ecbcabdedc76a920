"""Signing in with a provider: over HTTP with a browser's steps, and by function."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from coatcheck.claims import ManualClock
from coatcheck.recipes import thirdparty
from coatcheck.recipes.exceptions import BadInputError
from coatcheck.recipes.thirdparty import (
    ProviderClientConfig,
    ProviderConfig,
    RawUserInfoFromProvider,
)
from coatcheck.server.stub import Persona, stub

from ...kit import WEBSITE, Journey, Make, Serve
from .recipes import CALLBACK, recipes

# Signing in


def test_a_first_sign_in(trip: Any, clock: ManualClock) -> None:
    """Somebody unknown becomes a user with a login method of the provider's, and gets a session (rule 27.12)."""
    answer = trip.sign_in()
    user = answer.json()["user"]
    assert answer.json() == {"status": "OK", "user": user, "createdNewRecipeUser": True}
    identity = {"id": "google", "userId": "1001"}
    assert user["thirdParty"] == [identity]
    assert user["emails"] == ["ada@example.com"]
    assert user["loginMethods"] == [
        {
            "recipeId": "thirdparty",
            "recipeUserId": user["id"],
            "tenantIds": ["public"],
            "timeJoined": clock.now_ms(),
            "verified": True,
            "email": "ada@example.com",
            "thirdParty": identity,
        }
    ]
    assert answer.headers["st-access-token"]


def test_a_second_sign_in(trip: Any) -> None:
    """Somebody known is the same user again, and nobody new."""
    first, second = trip.sign_in().json(), trip.sign_in().json()
    assert second["user"] == first["user"]
    assert second["createdNewRecipeUser"] is False


def test_a_changed_address_is_taken_over(trip: Any) -> None:
    """The provider's user id says who somebody is; the address follows the provider, and so does its verification."""
    first = trip.sign_in().json()["user"]
    moved = trip.sign_in(Persona("1001", "new@example.com", email_verified=False)).json()["user"]
    assert moved["id"] == first["id"]
    assert moved["emails"] == ["new@example.com"]
    assert moved["loginMethods"][0]["verified"] is False


def test_an_address_once_verified_stays_so(trip: Any) -> None:
    """An address that was verified stays verified if the provider no longer says so (rule 19.6)."""
    trip.sign_in()
    again = trip.sign_in(Persona("1001", "ada@example.com", email_verified=False)).json()["user"]
    assert again["loginMethods"][0]["verified"] is True


def test_one_address_at_two_providers_is_two_users(make_app: Make, serve: Serve) -> None:
    """An address that a provider reports names nobody: without account linking there are two users."""
    google, github = stub("google"), stub("github")
    client = serve(make_app(recipes=recipes(google, github)))
    first = Journey(client, google).sign_in().json()["user"]
    second = Journey(client, github).sign_in().json()["user"]
    assert first["id"] != second["id"]
    assert first["emails"] == second["emails"]


def test_an_unverified_address(trip: Any) -> None:
    """An address that the provider has not verified is not verified here."""
    trip.stub.script.next_error("unverified_email")
    assert trip.sign_in().json()["user"]["loginMethods"][0]["verified"] is False


def test_no_address(trip: Any) -> None:
    """Without an address nobody is signed in where one is required."""
    trip.stub.script.next_error("no_email")
    answer = trip.sign_in()
    assert answer.json() == {"status": "NO_EMAIL_GIVEN_BY_PROVIDER"}
    assert "st-access-token" not in answer.headers


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "1001.google@stfakeemail.supertokens.com"),
        ({"generate_fake_email": lambda tenant_id, user_id, _: f"{user_id}@{tenant_id}.test"}, "1001@public.test"),
    ],
)
def test_an_address_that_is_not_required(make_app: Make, serve: Serve, options: Any, expected: str) -> None:
    """Where none is required, a placeholder takes its place, the application's own if it makes some."""
    provider = stub("google", config=ProviderConfig("google", require_email=False, **options))
    trip = Journey(serve(make_app(recipes=recipes(provider))), provider)
    trip.stub.script.next_error("no_email")
    user = trip.sign_in().json()["user"]
    assert user["emails"] == [expected]
    assert user["loginMethods"][0]["verified"] is True


def test_whoever_denies_is_told_so(trip: Any) -> None:
    """A sign-in that was cancelled at the provider is a general error, and asks the provider nothing."""
    answer = trip.hand_in({"error": "access_denied", "state": "s"}, None)
    assert answer.json() == {"status": "GENERAL_ERROR", "message": "Signing in with Google was cancelled."}
    assert not trip.stub.script.requests


def test_a_provider_in_trouble_is_a_general_error(trip: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What goes wrong at the provider is told to the user in one sentence, and to the log in detail."""
    trip.stub.script.next_error("server_error", at="discovery")
    message = "Signing in with Google did not work. Please try again."
    assert trip.leave() == {"status": "GENERAL_ERROR", "message": message}
    trip.stub.script.next_error("server_error", at="userinfo")
    assert trip.sign_in().json() == {"status": "GENERAL_ERROR", "message": message}
    assert "/userinfo was answered with status 500 (server_error)" in caplog.text


def test_older_clients_get_the_older_body(trip: Any) -> None:
    """Before FDI 3.0 the user is told flat, with `createdNewUser` (rule 18.4)."""
    body = trip.sign_in(headers={"fdi-version": "2.0"}).json()
    assert body == {"status": "OK", "createdNewUser": True, "user": body["user"]}
    assert body["user"].keys() == {"id", "email", "timeJoined", "thirdParty"}
    assert body["user"]["thirdParty"] == {"id": "google", "userId": "1001"}


def test_a_session_of_the_same_user_is_kept(trip: Any) -> None:
    """A client too old to ask for linking keeps its session if it is the signing-in user's (rule 20.8)."""
    first = trip.sign_in()
    bearer = {"authorization": f"Bearer {first.headers['st-access-token']}", "fdi-version": "3.0"}
    assert "st-access-token" not in trip.sign_in(headers=bearer).headers


def test_linking_is_refused(trip: Any) -> None:
    """Linking was asked for and cannot be had, which is an error of the application's configuration."""
    first = trip.sign_in()
    bearer = {"authorization": f"Bearer {first.headers['st-access-token']}"}
    answer = trip.sign_in(headers=bearer, body={"shouldTryLinkingWithSessionUser": True})
    assert answer.status_code == 500
    assert "linking" in answer.json()["message"]


def test_linking_needs_a_session(trip: Any) -> None:
    """Linking was asked for without a session: 401 (rule 20.8)."""
    assert trip.sign_in(body={"shouldTryLinkingWithSessionUser": True}).status_code == 401


# Requests


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "Please provide the thirdPartyId as a GET param"),
        ({"thirdPartyId": "google"}, "Please provide the redirectURIOnProviderDashboard as a GET param"),
        (
            {"thirdPartyId": "nobody", "redirectURIOnProviderDashboard": CALLBACK},
            "the provider nobody could not be found in the configuration",
        ),
        (
            {"thirdPartyId": "google", "redirectURIOnProviderDashboard": CALLBACK, "clientType": "ios"},
            "client type not found: google has no client for this request",
        ),
    ],
)
def test_bad_requests_for_an_address(trip: Any, query: dict[str, str], message: str) -> None:
    """What is missing from a request is answered with 400 and named (rule 27.5)."""
    answer = trip.client.get("/auth/authorisationurl", params=query)
    assert (answer.status_code, answer.json()) == (400, {"message": message})


INFO = {"redirectURIOnProviderDashboard": CALLBACK, "redirectURIQueryParams": {"code": "c"}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "Please provide a JSON input"),
        ({}, "Please provide the thirdPartyId in request body"),
        ({"thirdPartyId": 1}, "thirdPartyId must be a string"),
        (
            {"thirdPartyId": "google"},
            "Please provide one of redirectURIInfo or oAuthTokens in the request body",
        ),
        (
            {"thirdPartyId": "google", "redirectURIInfo": {"redirectURIQueryParams": {}}},
            "Please provide the redirectURIOnProviderDashboard in request body",
        ),
        ({"thirdPartyId": "google", "redirectURIInfo": "x"}, "redirectURIInfo must be an object"),
        (
            {"thirdPartyId": "google", "redirectURIInfo": {**INFO, "redirectURIQueryParams": "code=c"}},
            "redirectURIQueryParams must be an object",
        ),
        (
            {"thirdPartyId": "google", "redirectURIInfo": {**INFO, "pkceCodeVerifier": 1}},
            "pkceCodeVerifier must be a string",
        ),
        ({"thirdPartyId": "google", "oAuthTokens": "x"}, "oAuthTokens must be an object"),
        (
            {"thirdPartyId": "nobody", "oAuthTokens": {}},
            "the provider nobody could not be found in the configuration",
        ),
    ],
)
def test_bad_requests_to_sign_in(trip: Any, body: Any, message: str) -> None:
    """What is missing from a body is answered with 400 and named (rule 27.6)."""
    answer = trip.client.post("/auth/signinup", json=body)
    assert (answer.status_code, answer.json()) == (400, {"message": message})


@pytest.mark.parametrize("params", [{}, {"code": 5}, {"code": ""}])
def test_a_callback_without_a_code(trip: Any, params: Any) -> None:
    """A callback without a code signs nobody in."""
    assert trip.hand_in(params, None).json()["status"] == "GENERAL_ERROR"


def test_the_tenant_may_be_in_the_path(trip: Any) -> None:
    """Both path forms lead to the default tenant (rule 18.1)."""
    query = {"thirdPartyId": "google", "redirectURIOnProviderDashboard": CALLBACK}
    assert trip.client.get("/auth/public/authorisationurl", params=query).json()["status"] == "OK"


# The address


def test_the_address_has_everything_but_the_state(trip: Any) -> None:
    """The front end adds `state` and nothing else (rule 27.4)."""
    left = trip.leave()
    query = {name: values[0] for name, values in parse_qs(urlsplit(left["urlWithQueryParams"]).query).items()}
    assert len(left["pkceCodeVerifier"]) == 64
    assert query.pop("code_challenge")
    assert query.pop("nonce").startswith("pkce.")
    assert query == {
        "client_id": "stub-google-client",
        "redirect_uri": trip.landing,
        "response_type": "code",
        "scope": "openid email",
        "code_challenge_method": "S256",
        "access_type": "offline",
        "include_granted_scopes": "true",
    }


def test_a_client_with_a_secret_needs_no_pkce(make_app: Make, serve: Serve) -> None:
    """PKCE is used without a secret, where it is forced, and where the provider says that it knows it (rule 27.4)."""
    github = stub("github")
    left = Journey(serve(make_app(recipes=recipes(github))), github).leave()
    assert left.keys() == {"status", "urlWithQueryParams"}
    assert "code_challenge" not in left["urlWithQueryParams"]


@pytest.mark.parametrize(
    "client", [ProviderClientConfig("public"), ProviderClientConfig("both", "secret", force_pkce=True)]
)
def test_pkce_where_it_is_needed(make_app: Make, serve: Serve, client: ProviderClientConfig) -> None:
    """A client without a secret, and one that is told to, proves with PKCE that it asked."""
    github = stub("github", clients=[client])
    trip = Journey(serve(make_app(recipes=recipes(github))), github)
    assert trip.leave()["pkceCodeVerifier"]
    assert trip.sign_in().json()["status"] == "OK"


def test_every_address_has_its_own_verifier(trip: Any) -> None:
    """Verifiers are drawn, never used twice."""
    assert trip.leave()["pkceCodeVerifier"] != trip.leave()["pkceCodeVerifier"]


# Clients and tenants


CLIENTS = [ProviderClientConfig("w", "secret", "web"), ProviderClientConfig("i", None, "ios")]


def test_the_client_is_chosen_by_its_type(make_app: Make, serve: Serve) -> None:
    """Of several clients the request names one; without a name none is chosen (rule 27.3)."""
    google = stub("google", clients=CLIENTS)
    trip = Journey(serve(make_app(recipes=recipes(google))), google)
    for client_type, client_id in [("web", "w"), ("ios", "i")]:
        left = trip.leave(clientType=client_type)
        assert f"client_id={client_id}&" in left["urlWithQueryParams"]
        params = trip.come_back(left["urlWithQueryParams"])
        answer = trip.hand_in(params, left["pkceCodeVerifier"], body={"clientType": client_type})
        assert answer.json()["status"] == "OK"
    assert trip.leave()["message"].startswith("client type not found")


def test_the_sign_in_page_lists_what_a_client_can_use(make_app: Make, serve: Serve) -> None:
    """GET /loginmethods lists the providers that have a client of the type asked for (rule 27.16)."""
    client = serve(make_app(recipes=recipes(stub("google", clients=CLIENTS), stub("github"))))
    listed = client.get("/auth/loginmethods").json()
    assert listed["thirdParty"] == {"enabled": True, "providers": [{"id": "github", "name": "Github"}]}
    assert listed["firstFactors"] == ["thirdparty"]
    ios = client.get("/auth/loginmethods?clientType=ios").json()
    assert ios["thirdParty"]["providers"] == [{"id": "google", "name": "Google"}]


def test_listing_asks_no_provider(trip: Any) -> None:
    """The list is made without a request to anybody."""
    trip.client.get("/auth/loginmethods")
    assert not trip.stub.script.requests


def test_tenants_other_than_public_get_what_is_marked(make_app: Make) -> None:
    """A provider is offered to other tenants only where it says so."""
    marked = stub("github", include_in_non_public_tenants_by_default=True)
    with make_app(recipes=recipes(stub("google"), marked)).active():
        assert thirdparty.sync.get_provider("other", "google") is None
        assert thirdparty.sync.get_provider("other", "github") is not None
        assert thirdparty.sync.get_provider("public", "google") is not None


# Tokens that a client brings


def brought(trip: Any, **tokens: Any) -> Any:
    """Hand in tokens, as an application on a phone does."""
    return trip.client.post("/auth/signinup", json={"thirdPartyId": trip.id, "oAuthTokens": tokens})


def test_an_id_token_signs_in(trip: Any) -> None:
    """An id token issued to this application is enough (rule 27.11)."""
    token = trip.stub.id_token(
        Persona("7", "x@example.com"), "stub-google-client", issuer="https://accounts.google.com"
    )
    assert brought(trip, id_token=token).json()["user"]["thirdParty"] == [{"id": "google", "userId": "7"}]


@pytest.mark.parametrize("third_party_id", ["google", "github", "facebook"])
def test_an_access_token_that_can_be_checked_signs_in(make_app: Make, serve: Serve, third_party_id: str) -> None:
    """Some providers tell whom an access token was issued to; then it is enough (rule 27.11)."""
    provider = stub(third_party_id)
    trip = Journey(serve(make_app(recipes=recipes(provider))), provider)
    token = trip.stub.access_token(Persona("7", "x@example.com"), f"stub-{third_party_id}-client")
    user = brought(trip, access_token=token).json()["user"]
    assert user["thirdParty"] == [{"id": third_party_id, "userId": "7"}]
    assert "check" in [asked.endpoint for asked in trip.stub.script.requests]


def test_an_access_token_nobody_can_check_is_refused(make_app: Make, serve: Serve) -> None:
    """Without an id token and without a check, 400, unless the application checks by itself (rule 27.11)."""
    discord = stub("discord")
    trip = Journey(serve(make_app(recipes=recipes(discord))), discord)
    token = trip.stub.access_token(Persona("7", "x@example.com"), "stub-discord-client")
    answer = brought(trip, access_token=token)
    assert answer.status_code == 400
    assert "validate_access_token" in answer.json()["message"]
    # A made-up id token does not help where no key could verify it.
    assert brought(trip, access_token=token, id_token="a.b.c").status_code == 400


def test_the_application_may_check_access_tokens(make_app: Make, serve: Serve) -> None:
    """`validate_access_token` sees the token and refuses by raising."""
    seen: list[str] = []

    async def validate(token: str, config: Any, user_context: dict[str, Any]) -> None:
        seen.append(token)
        if token == "bad":
            raise BadInputError("not yours")

    discord = stub("discord", config=ProviderConfig("discord", validate_access_token=validate))
    trip = Journey(serve(make_app(recipes=recipes(discord))), discord)
    token = trip.stub.access_token(Persona("7", "x@example.com"), "whatever")
    assert brought(trip, access_token=token).json()["status"] == "OK"
    assert seen == [token]
    refused = brought(trip, access_token="bad")
    assert (refused.status_code, refused.json()) == (400, {"message": "not yours"})


# Apple's callback


def apple_state(target: str) -> str:
    """Return a state as front ends make it."""
    return base64.b64encode(json.dumps({"state": "s", "frontendRedirectURI": target}).encode()).decode()


def test_the_apple_callback_goes_on_to_the_website(trip: Any) -> None:
    """What Apple posts becomes parameters of the website's callback, replacing those of the same name (27.14)."""
    target = f"{WEBSITE}/auth/callback/apple?code=old&kept=1"
    form = {"state": apple_state(target), "code": "c+d", "user": '{"name":"Ada"}'}
    answer = trip.client.post("/auth/callback/apple", data=form)
    assert answer.status_code == 303
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.content == b""
    address = urlsplit(answer.headers["location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{WEBSITE}/auth/callback/apple"
    assert parse_qs(address.query) == {"kept": ["1"], **{name: [value] for name, value in form.items()}}


def test_the_apple_callback_knows_pages_in_every_script(trip: Any) -> None:
    """A header is ASCII; the path and the query of a page are percent-encoded (RFC 3987, section 3.1; rule 27.14)."""
    form = {"state": apple_state(f"{WEBSITE}/вход?a=%2F&b=é"), "code": "c"}
    answer = trip.client.post("/auth/callback/apple", data=form)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{WEBSITE}/%D0%B2%D1%85%D0%BE%D0%B4?a=%2F&b=%C3%A9&state=")


def test_apple_tells_the_name_beside_the_tokens(make_app: Make, serve: Serve) -> None:
    """The `user` field of Apple's form is raw user info, but not part of what Apple has signed (rule 27.13)."""
    raw: list[RawUserInfoFromProvider] = []

    def override(original: Any) -> Any:
        below = original.sign_in_up

        async def sign_in_up(**arguments: Any) -> Any:
            raw.append(arguments["raw_user_info_from_provider"])
            return await below(**arguments)

        original.sign_in_up = sign_in_up
        return original

    apple = stub("apple")
    app = make_app(recipes=recipes(apple, override=thirdparty.InputOverrideConfig(functions=override)))
    trip = Journey(serve(app), apple)
    trip.landing = "http://localhost:3567/auth/callback/apple"
    left = trip.leave()
    trip.stub.script.next_persona(Persona("1", "a@example.com"))
    page = trip.client.get(f"{left['urlWithQueryParams']}&state=s").text
    code = page.split('name="code" value="')[1].split('"')[0]
    answer = trip.hand_in({"code": code, "user": '{"name": {"firstName": "Ada"}}'}, left.get("pkceCodeVerifier"))
    assert answer.json()["status"] == "OK"
    assert raw[0].from_user_info_api == {"user": {"name": {"firstName": "Ada"}}}
    assert "user" not in raw[0].from_id_token_payload


# Overrides


# Functions
