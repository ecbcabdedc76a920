"""Configuring providers: what is refused at init, and what row, configuration and client amount to."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from coatcheck.claims import ManualClock
from coatcheck.claims.clock import current_clock
from coatcheck.recipes import emailpassword, thirdparty, thirdpartyemailpassword
from coatcheck.recipes.exceptions import ConfigurationError, OverrideError, ProviderError
from coatcheck.recipes.kit.driver import drive
from coatcheck.recipes.thirdparty import (
    ClientTypeNotFoundError,
    ProviderClientConfig,
    ProviderConfig,
    ProviderInput,
    RawUserInfoFromProvider,
    SignInAndUpFeature,
    UserFields,
    UserInfoMap,
)
from coatcheck.recipes.thirdparty.builtin import ROWS, row_of
from coatcheck.recipes.thirdparty.oauth import authorisation_redirect
from coatcheck.recipes.thirdparty.provider import config_for_client
from coatcheck.recipes.thirdparty.user_info import mapped

from ...kit import Make

CLIENT = ProviderClientConfig("client", "secret")


def provider(third_party_id: str, *, client: ProviderClientConfig = CLIENT, **options: Any) -> ProviderInput:
    """Return a provider with one client."""
    return ProviderInput(ProviderConfig(third_party_id, clients=[client], **options))


def chosen(third_party_id: str, *, client: ProviderClientConfig = CLIENT, **options: Any) -> Any:
    """Return the configuration of that client."""
    return config_for_client(provider(third_party_id, client=client, **options).config, None)


# Refused at init


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ([provider("google")], "SignInAndUpFeature"),
        (SignInAndUpFeature(["google"]), "ProviderInput"),  # type: ignore[list-item]
        (SignInAndUpFeature([ProviderInput("google")]), "ProviderInput"),  # type: ignore[arg-type]
        (SignInAndUpFeature([provider("")]), "third_party_id"),
        (
            SignInAndUpFeature([provider("google"), provider("google")]),
            "The providers array has multiple entries for the same third party provider.",
        ),
        (SignInAndUpFeature([ProviderInput(ProviderConfig("google", clients=["x"]))]), "ProviderClientConfig"),  # type: ignore[list-item]
        (SignInAndUpFeature([ProviderInput(ProviderConfig("google", clients=[CLIENT, CLIENT]))]), "client_type each"),
        (SignInAndUpFeature([ProviderInput(ProviderConfig("x"), transport="http")]), "transport"),  # type: ignore[arg-type]
    ],
)
def test_what_init_refuses(feature: Any, message: str) -> None:
    """A wrong option is an error that names it, before there is an App."""
    with pytest.raises(ConfigurationError, match=message):
        thirdparty.init(feature)


@pytest.mark.parametrize(
    ("third_party_id", "missing"),
    [("apple", "privateKey"), ("okta", "oktaDomain"), ("active-directory", "directoryId"), ("boxy-saml", "boxyURL")],
)
def test_what_a_provider_cannot_do_without(make_app: Make, third_party_id: str, missing: str) -> None:
    """A client that lacks what its provider needs is an error when the App is made."""
    given = provider(third_party_id, client=ProviderClientConfig("client"))
    with pytest.raises(ConfigurationError, match=missing):
        make_app(recipes=[thirdparty.init(SignInAndUpFeature([given]))])


def test_a_private_key_that_is_none(make_app: Make) -> None:
    """A private key that cannot sign is an error when the App is made, and is not quoted."""
    additional = {"privateKey": "hush", "keyId": "k", "teamId": "t"}
    given = provider("apple", client=ProviderClientConfig("client", additional_config=additional))
    with pytest.raises(ConfigurationError, match="privateKey") as error:
        make_app(recipes=[thirdparty.init(SignInAndUpFeature([given]))])
    assert "hush" not in str(error.value)


def test_an_override_that_returns_nothing(make_app: Make) -> None:
    """A provider's override that forgets to return is an error at init, naming file and line."""
    given = ProviderInput(ProviderConfig("x", clients=[CLIENT]), override=lambda _: None)
    with pytest.raises(OverrideError, match=r"has to return a provider .*test_config.py:\d+"):
        make_app(recipes=[thirdparty.init(SignInAndUpFeature([given]))])


def test_an_override_may_supply_what_is_missing(make_app: Make) -> None:
    """With an override, a client's configuration may be complete only later."""
    given = ProviderInput(
        ProviderConfig("okta", clients=[ProviderClientConfig("client")]), override=lambda provider: provider
    )
    make_app(recipes=[thirdparty.init(SignInAndUpFeature([given]))])


def test_the_combined_recipe_brings_its_halves(make_app: Make) -> None:
    """A half cannot be in the list a second time."""
    for half in (thirdparty.init(), emailpassword.init()):
        with pytest.raises(ConfigurationError, match="more than once"):
            make_app(recipes=[thirdpartyemailpassword.init(), half])


def test_secrets_do_not_show() -> None:
    """Printing a configuration shows no secret."""
    client = ProviderClientConfig("client", "hush", additional_config={"privateKey": "hush"})
    given = provider("google", client=client)
    assert "hush" not in repr(given)
    assert "hush" not in repr(config_for_client(given.config, None))
    assert "hush" not in repr(thirdparty.init(SignInAndUpFeature([given])))


# Rows


@pytest.mark.parametrize(
    ("third_party_id", "row"),
    [
        ("google", "google"),
        ("google-mobile", "google"),
        ("google-workspaces", "google-workspaces"),
        ("google-workspaces-2", "google-workspaces"),
        ("github", "github"),
        ("mine", "mine"),
    ],
)
def test_an_id_belongs_to_the_row_it_begins_with(third_party_id: str, row: str) -> None:
    """The longest built-in id that an id begins with decides (rule 27.2)."""
    assert row_of(third_party_id).id == row


def test_no_row_stands_behind_a_shorter_one() -> None:
    """In the table, a longer id stands before its beginning, or it would never be found."""
    for place, row in enumerate(ROWS):
        assert not [later.id for later in ROWS[place + 1 :] if later.id.startswith(row.id)]


@pytest.mark.parametrize(
    ("third_party_id", "additional", "discovery"),
    [
        ("google", None, "https://accounts.google.com"),
        ("apple", None, "https://appleid.apple.com"),
        ("gitlab", None, "https://gitlab.com"),
        ("gitlab", {"gitlabBaseUrl": "https://git.example"}, "https://git.example"),
        ("okta", {"oktaDomain": "dev.okta.com"}, "https://dev.okta.com"),
        ("okta", {"oktaDomain": "https://dev.okta.com"}, "https://dev.okta.com"),
        ("active-directory", {"directoryId": "a/b"}, "https://login.microsoftonline.com/a%2Fb/v2.0"),
    ],
)
def test_where_providers_are_discovered(third_party_id: str, additional: Any, discovery: str) -> None:
    """What depends on the client follows from its additional configuration."""
    client = ProviderClientConfig("client", "secret", additional_config=additional)
    assert chosen(third_party_id, client=client).oidc_discovery_endpoint == discovery


def test_boxy_lives_where_it_is_said_to() -> None:
    """The endpoints of a SAML bridge follow from its address, unless they are given."""
    client = ProviderClientConfig("client", "secret", additional_config={"boxyURL": "https://boxy.example/"})
    config = chosen("boxy-saml", client=client, token_endpoint="https://other.example/token")
    assert config.authorization_endpoint == "https://boxy.example/api/oauth/authorize"
    assert config.token_endpoint == "https://other.example/token"
    assert config.user_info_endpoint == "https://boxy.example/api/oauth/userinfo"


def test_what_is_configured_wins_over_the_row() -> None:
    """The application's word counts, key by key."""
    config = chosen(
        "discord",
        client=ProviderClientConfig("client", scope=["identify"]),
        name="Dis",
        token_endpoint="https://proxy.example/token",
        require_email=False,
        user_info_map=UserInfoMap(from_user_info_api=UserFields(email="mail")),
    )
    assert (config.name, config.scope, config.require_email) == ("Dis", ["identify"], False)
    assert config.token_endpoint == "https://proxy.example/token"
    assert config.authorization_endpoint == "https://discord.com/oauth2/authorize"
    assert config.user_info_map.from_user_info_api == UserFields("id", "mail", "verified")
    assert config.user_info_map.from_id_token_payload == UserFields("sub", "email", "email_verified")


def test_a_client_is_chosen_or_none() -> None:
    """Exactly one client has to be meant (rule 27.3)."""
    two = ProviderConfig(
        "google", clients=[ProviderClientConfig("a", "s", "web"), ProviderClientConfig("b", "s", "ios")]
    )
    assert config_for_client(two, "ios").client_id == "b"
    for config, client_type in [(two, None), (two, "tv"), (ProviderConfig("google"), None)]:
        with pytest.raises(ClientTypeNotFoundError):
            config_for_client(config, client_type)


def test_the_client_secret_of_apple() -> None:
    """Apple's client secret is signed with the application's key and lives for 180 days by the App's clock."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    additional = {"privateKey": pem.replace("\n", "\\n"), "keyId": "K", "teamId": "T"}
    token = current_clock.set(ManualClock(1_700_000_000_000))
    try:
        config = chosen("apple", client=ProviderClientConfig("service", additional_config=additional))
    finally:
        current_clock.reset(token)
    secret = config.client_secret
    assert jwt.get_unverified_header(secret) == {"alg": "ES256", "kid": "K", "typ": "JWT"}
    assert jwt.decode(secret, options={"verify_signature": False}) == {
        "iss": "T",
        "iat": 1_700_000_000,
        "exp": 1_700_000_000 + 180 * 24 * 3600,
        "aud": "https://appleid.apple.com",
        "sub": "service",
    }
    jwt.PyJWS().decode(secret, key.public_key(), algorithms=["ES256"])


def test_apple_with_a_secret_made_elsewhere() -> None:
    """A ready-made client secret is used as it is."""
    assert chosen("apple").client_secret == "secret"


# The address of the page


def query_of(config: Any, **options: Any) -> dict[str, str]:
    """Return the parameters of the address."""
    redirect = authorisation_redirect(config, "https://w/callback", **options)
    parts = urlsplit(redirect.url_with_query_params)
    return {name: values[0] for name, values in parse_qs(parts.query).items()}


def test_parameters_can_be_added_and_taken_away() -> None:
    """The endpoint's own query is kept; a value of None takes a parameter away (rule 27.4)."""
    config = chosen(
        "mine",
        client=ProviderClientConfig("client", "secret", scope=["a", "b"]),
        authorization_endpoint="https://op.example/authorize?kept=1&client_id=no",
        authorization_endpoint_query_params={"response_type": "code id_token", "scope": None, "prompt": "login"},
    )
    assert query_of(config) == {
        "kept": "1",
        "client_id": "client",
        "redirect_uri": "https://w/callback",
        "response_type": "code id_token",
        "prompt": "login",
    }


def test_browsers_may_be_sent_elsewhere() -> None:
    """`browser_endpoint` takes the place of the endpoint, and the parameters stay."""
    config = chosen("github")
    redirect = authorisation_redirect(config, "https://w", browser_endpoint="http://localhost/stub?p=1")
    assert redirect.url_with_query_params.startswith("http://localhost/stub?p=1&client_id=client&")
    assert query_of(config) | {"p": "1"} == query_of(config, browser_endpoint="http://localhost/stub?p=1")


@pytest.mark.parametrize("endpoint", [None, "javascript:alert(1)", "http://op.example/authorize", "//op.example"])
def test_a_page_that_browsers_must_not_be_sent_to(make_app: Make, endpoint: str | None) -> None:
    """A provider without a page, or with one that is not at an https address, cannot be signed in with."""
    given = provider("mine", authorization_endpoint=endpoint)
    app = make_app(recipes=[thirdparty.init(SignInAndUpFeature([given]))])
    app.unsafe_for_tests = False
    recipe = thirdparty.init(SignInAndUpFeature([given])).build(app)
    with app.active(), pytest.raises(ProviderError, match="not an https address"):
        drive(page_of(recipe))


async def page_of(recipe: Any) -> Any:
    """Return the address of the page of the provider `mine`."""
    return await (await recipe.provider("mine", None, "public", {})).get_authorisation_redirect_url("https://w", {})


# The mapping


def info(signed: dict[str, Any], api: dict[str, Any], third_party_id: str = "mine", **options: Any) -> Any:
    """Return the user that documents describe: id, address, verified."""
    user = mapped(chosen(third_party_id, **options), RawUserInfoFromProvider(signed, api))
    return user.third_party_user_id, user.email and (user.email.id, user.email.is_verified)


@pytest.mark.parametrize(
    ("signed", "api", "expected"),
    [
        ({"sub": "1"}, {}, ("1", None)),
        ({}, {"sub": 1}, ("1", None)),
        ({"sub": "1", "email": "a", "email_verified": True}, {}, ("1", ("a", True))),
        ({"sub": "1", "email": "a", "email_verified": "TRUE"}, {}, ("1", ("a", True))),
        ({"sub": "1", "email": "a", "email_verified": "yes"}, {}, ("1", ("a", False))),
        ({"sub": "1", "email": "a", "email_verified": 1}, {}, ("1", ("a", False))),
        ({"sub": "1", "email": "a"}, {}, ("1", ("a", False))),
        ({"sub": "1", "email": " "}, {"sub": "1", "email": "b", "email_verified": True}, ("1", ("b", True))),
        ({"sub": "1", "email": ["a"]}, {"sub": "1"}, ("1", None)),
        # The id token's word counts, and verification belongs to the address it is about.
        (
            {"sub": "1", "email": "a", "email_verified": False},
            {"email": "a", "email_verified": True},
            ("1", ("a", False)),
        ),
        ({"sub": "1", "email": "a"}, {"sub": "1", "email": "b", "email_verified": True}, ("1", ("a", False))),
        ({"sub": "1", "email": "a"}, {"sub": "1", "email": "a", "email_verified": True}, ("1", ("a", True))),
        ({"sub": "1", "email_verified": True}, {"sub": "1", "email": "b"}, ("1", ("b", False))),
    ],
)
def test_who_somebody_is(signed: dict[str, Any], api: dict[str, Any], expected: Any) -> None:
    """User id, address and verification come from both documents, the signed one first (rule 27.12)."""
    assert info(signed, api) == expected


def test_paths_lead_into_documents() -> None:
    """The parts of a path are separated by dots."""
    assert info({}, {"data": {"id": "5"}}, "twitter") == ("5", None)
    with pytest.raises(ProviderError, match="no user id"):
        info({}, {"data": "5"}, "twitter")


@pytest.mark.parametrize(
    ("signed", "api"),
    [
        ({}, {}),
        ({"sub": ""}, {}),
        ({"sub": True}, {}),
        ({"sub": {"a": 1}}, {}),
        ({"sub": "x" * 257}, {}),
        ({"sub": "a\0"}, {}),
        ({"sub": "1", "email": "\ud800"}, {}),
        ({"sub": "1", "email": "x" * 2000}, {}),
        ({"sub": "1"}, {"sub": "2"}),
        ({"sub": "1"}, {"sub": None}),
    ],
)
def test_who_nobody_can_be(signed: dict[str, Any], api: dict[str, Any]) -> None:
    """No user id, one that cannot be stored, or two different ones: nobody is signed in."""
    with pytest.raises(ProviderError):
        info(signed, api)


def test_a_scope_is_a_list() -> None:
    """One text would be taken for a list of letters."""
    client = ProviderClientConfig("client", "secret", scope="email openid")
    with pytest.raises(ConfigurationError, match="google: scope must be a list"):
        thirdparty.init(SignInAndUpFeature([ProviderInput(ProviderConfig("google", clients=[client]))]))
