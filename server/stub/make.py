"""What makes a stub provider: the configuration for `thirdparty.init`, with a transport that plays the provider."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ...recipes.exceptions import ConfigurationError
from ...recipes.kit.app_info import normal_path
from ...recipes.thirdparty.config import ProviderClientConfig, ProviderConfig, ProviderInput
from .grants import StubClient
from .page import PERSONAS, Persona
from .provider import StubProvider, browser_path
from .shapes import shape_of
from .transport import StubTransport

_DEFAULT_BASE_PATH = "/auth"

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,27}")


def stub(
    third_party_id: str,
    personas: Iterable[Persona] | None = None,
    *,
    clients: Sequence[ProviderClientConfig] | None = None,
    config: ProviderConfig | None = None,
    api_base_path: str = _DEFAULT_BASE_PATH,
    include_in_non_public_tenants_by_default: bool = False,
) -> ProviderInput:
    """Return a provider that is played in this process; only an App with `unsafe_for_tests=True` accepts it.

    An id that begins with the id of a built-in provider is played like that provider, any other id as an OpenID Connect
    provider with discovery. `clients` replaces the made-up client; a client without a secret must use PKCE. `config`
    adds to the provider's configuration. `api_base_path` is the App's; browsers find the authorization page below it.
    """
    if not _ID.fullmatch(third_party_id):
        raise ConfigurationError(
            f"stub({third_party_id!r}): an id is made of at most 28 small letters, digits, - and _"
        )
    given = config or ProviderConfig(third_party_id)
    known = tuple(clients or given.clients or [_client(third_party_id)])
    provider = StubProvider(
        third_party_id,
        [StubClient(client.client_id, client.client_secret, client.additional_config or {}) for client in known],
        name=given.name,
        personas=PERSONAS if personas is None else personas,
    )
    return ProviderInput(
        config=replace(given, third_party_id=third_party_id, clients=known, **_endpoints(third_party_id, given)),
        include_in_non_public_tenants_by_default=include_in_non_public_tenants_by_default,
        transport=StubTransport(provider),
        browser_endpoint=browser_path(third_party_id, normal_path(api_base_path, "api_base_path")),
        unsafe_for_tests=True,
    )


def provider_of(provider: ProviderInput) -> StubProvider:
    """Return the StubProvider behind a provider that `stub` made, with its script, personas and tokens."""
    if not isinstance(provider.transport, StubTransport):
        raise TypeError(f"{provider.config.third_party_id} is no stub")
    return provider.transport.app


def _client(third_party_id: str) -> ProviderClientConfig:
    """Return a client that needs no registration anywhere."""
    kind = shape_of(third_party_id).kind
    made = ProviderClientConfig(f"stub-{third_party_id}-client", f"stub-{third_party_id}-secret")
    if kind == "apple":
        return replace(made, client_secret=None, additional_config=_apple())
    return replace(made, additional_config=_ADDITIONAL.get(kind))


_ADDITIONAL: dict[str, dict[str, Any]] = {
    "active-directory": {"directoryId": "3f1c3a2e-5d8b-4d0e-9a55-0d1f5c2b7e61"},
    "okta": {"oktaDomain": "https://stub.okta.invalid"},
    "boxy-saml": {"boxyURL": "https://boxy.invalid"},
}
"""What these providers need in their configuration besides a client, in their own spelling."""


def _apple() -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {"keyId": "STUBKEY001", "teamId": "STUBTEAM01", "privateKey": pem}


def _endpoints(third_party_id: str, given: ProviderConfig) -> dict[str, Any]:
    """Return the discovery address of a provider that is not built in, unless its configuration has endpoints."""
    if shape_of(third_party_id).kind != "custom" or given.token_endpoint or given.oidc_discovery_endpoint:
        return {}
    return {"oidc_discovery_endpoint": f"https://{third_party_id.replace('_', '-')}.stub.invalid"}
