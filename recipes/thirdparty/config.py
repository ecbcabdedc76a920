"""The configuration of providers: clients, endpoints, mappings; checked by `thirdparty.init`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from ...claims.payload import JSONObject
from ..chain.chain import InputOverrideConfig, checked_override
from ..exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class UserFields:
    """The paths of the user's data in a document, with dots between the parts; None means the built-in path."""

    user_id: str | None = None
    email: str | None = None
    email_verified: str | None = None


@dataclass(frozen=True, slots=True)
class UserInfoMap:
    """The paths in the payload of an id token, and in the answer of the user-info API."""

    from_id_token_payload: UserFields = UserFields()
    from_user_info_api: UserFields = UserFields()


@dataclass(frozen=True)
class ProviderClientConfig:
    """One client that the application has registered with a provider; `client_type` tells several apart."""

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    client_type: str | None = None
    scope: Sequence[str] | None = None
    force_pkce: bool = False
    additional_config: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ProviderConfig:
    """A provider: its clients, and what differs from the built-in provider with this id.

    `third_party_id` begins with the id of a built-in provider, or names one of the application's own. In the `_params`
    a value of None removes a parameter. The three callbacks may be plain or async:
    `validate_id_token_payload(payload, config, user_context)` and `validate_access_token(token, config, user_context)`
    raise to refuse, `generate_fake_email(tenant_id, user_id, user_context)` returns an address for a user without one.
    `issuer` is needed only where `jwks_uri` is given without discovery; without it, the `iss` of id tokens is not
    checked.
    """

    third_party_id: str
    name: str | None = None
    clients: Sequence[ProviderClientConfig] = ()
    authorization_endpoint: str | None = None
    authorization_endpoint_query_params: Mapping[str, str | None] | None = None
    token_endpoint: str | None = None
    token_endpoint_body_params: Mapping[str, str | None] | None = None
    user_info_endpoint: str | None = None
    user_info_endpoint_query_params: Mapping[str, str | None] | None = None
    user_info_endpoint_headers: Mapping[str, str | None] | None = None
    jwks_uri: str | None = None
    oidc_discovery_endpoint: str | None = None
    user_info_map: UserInfoMap | None = None
    require_email: bool | None = None
    validate_id_token_payload: Callable[..., Any] | None = None
    generate_fake_email: Callable[..., Any] | None = None
    validate_access_token: Callable[..., Any] | None = None
    issuer: str | None = None


@dataclass(frozen=True)
class ProviderInput:
    """A provider, and how it is reached.

    `override` receives a `Provider`, may replace its coroutines, and returns it; it is called for every request.
    `transport` carries every request to the provider (a proxy, or a stub that answers in process). Browsers go to
    `browser_endpoint`, absolute or a path on the API's domain, instead of the authorization endpoint. A provider with
    `unsafe_for_tests` needs an App with `unsafe_for_tests`.
    """

    config: ProviderConfig
    include_in_non_public_tenants_by_default: bool = False
    override: Callable[[Any], Any] | None = None
    transport: httpx2.BaseTransport | None = field(default=None, repr=False)
    browser_endpoint: str | None = None
    unsafe_for_tests: bool = False


@dataclass(frozen=True)
class SignInAndUpFeature:
    """The providers that people can sign in with."""

    providers: Sequence[ProviderInput] = ()


@dataclass(frozen=True)
class ThirdPartyConfig:
    """What `thirdparty.init` accepts."""

    providers: tuple[ProviderInput, ...]
    override: InputOverrideConfig


@dataclass
class ProviderConfigForClient:
    """A provider for one client: built-in defaults, configuration and client in one; overrides may change it."""

    third_party_id: str
    name: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    client_type: str | None = None
    scope: list[str] = field(default_factory=list)
    force_pkce: bool = False
    additional_config: JSONObject = field(default_factory=dict, repr=False)
    authorization_endpoint: str | None = None
    authorization_endpoint_query_params: dict[str, str | None] = field(default_factory=dict)
    token_endpoint: str | None = None
    token_endpoint_body_params: dict[str, str | None] = field(default_factory=dict, repr=False)
    user_info_endpoint: str | None = None
    user_info_endpoint_query_params: dict[str, str | None] = field(default_factory=dict, repr=False)
    user_info_endpoint_headers: dict[str, str | None] = field(default_factory=dict, repr=False)
    jwks_uri: str | None = None
    oidc_discovery_endpoint: str | None = None
    issuer: str | None = None
    user_info_map: UserInfoMap = UserInfoMap()
    require_email: bool = True
    validate_id_token_payload: Callable[..., Any] | None = None
    generate_fake_email: Callable[..., Any] | None = None
    validate_access_token: Callable[..., Any] | None = None
    advertises_s256: bool = False
    """Whether the discovery document lists S256 among the methods of PKCE."""


def validated(feature: SignInAndUpFeature | None, override: InputOverrideConfig | None) -> ThirdPartyConfig:
    """Return the configuration; a wrong option is a ConfigurationError that names it."""
    if feature is not None and not isinstance(feature, SignInAndUpFeature):
        raise ConfigurationError("thirdparty.init: sign_in_and_up_feature must be an instance of SignInAndUpFeature")
    providers = tuple(feature.providers) if feature is not None else ()
    for provider in providers:
        _check(provider)
    ids = [provider.config.third_party_id for provider in providers]
    if len(ids) != len(set(ids)):
        raise ConfigurationError("The providers array has multiple entries for the same third party provider.")
    return ThirdPartyConfig(providers, checked_override("thirdparty", override))


def _check(provider: ProviderInput) -> None:
    if not isinstance(provider, ProviderInput) or not isinstance(provider.config, ProviderConfig):
        raise ConfigurationError(f"thirdparty.init: every provider must be a ProviderInput, not {provider!r}")
    config = provider.config
    if not config.third_party_id or not isinstance(config.third_party_id, str):
        raise ConfigurationError("thirdparty.init: a provider needs a third_party_id")
    if not all(isinstance(client, ProviderClientConfig) for client in config.clients):
        raise ConfigurationError(f"{config.third_party_id}: every client must be a ProviderClientConfig")
    if any(isinstance(client.scope, str) for client in config.clients):
        raise ConfigurationError(f"{config.third_party_id}: scope must be a list, such as ['email', 'openid']")
    types = [client.client_type for client in config.clients]
    if len(types) > 1 and (None in types or len(types) != len(set(types))):
        raise ConfigurationError(f"{config.third_party_id}: several clients need a client_type each, all different")
    if provider.transport is not None and not isinstance(provider.transport, httpx2.BaseTransport):
        raise ConfigurationError(f"{config.third_party_id}: transport must be an httpx2.BaseTransport")
