"""Row, configuration and client of a provider, laid over one another."""

from __future__ import annotations

from ..exceptions import BadInputError
from .builtin import ProviderRow, row_of
from .config import ProviderClientConfig, ProviderConfig, ProviderConfigForClient, UserFields, UserInfoMap


class ClientTypeNotFoundError(BadInputError):
    """A provider has no client of the type that was asked for, or several and none was asked for."""


def chosen_client(config: ProviderConfig, client_type: str | None) -> ProviderClientConfig:
    """Return the client of a type, for None the only one; ClientTypeNotFoundError if there is no such client."""
    clients = config.clients
    if client_type is not None:
        clients = [client for client in clients if client.client_type == client_type]
    if len(clients) != 1:
        raise ClientTypeNotFoundError(f"client type not found: {config.third_party_id} has no client for this request")
    return clients[0]


def config_for_client(
    config: ProviderConfig, client_type: str | None, *, any_client: bool = False
) -> ProviderConfigForClient:
    """Return a new configuration for one client (or, with `any_client`, for the first, or for one without an id)."""
    if any_client:
        client = config.clients[0] if config.clients else ProviderClientConfig("")
        return _laid_over(row_of(config.third_party_id), config, client)
    client = chosen_client(config, client_type)
    row = row_of(config.third_party_id)
    laid = _laid_over(row, config, client)
    if row.configure is not None:
        row.configure(laid)
    return laid


def _laid_over(row: ProviderRow, config: ProviderConfig, client: ProviderClientConfig) -> ProviderConfigForClient:
    require_email = row.require_email if config.require_email is None else config.require_email
    return ProviderConfigForClient(
        third_party_id=config.third_party_id,
        name=config.name or row.name,
        client_id=client.client_id,
        client_secret=client.client_secret,
        client_type=client.client_type,
        scope=list(row.scope if client.scope is None else client.scope),
        force_pkce=client.force_pkce or row.force_pkce,
        additional_config=dict(client.additional_config or {}),
        authorization_endpoint=config.authorization_endpoint or row.authorization_endpoint,
        authorization_endpoint_query_params={
            **row.authorization_params,
            **(config.authorization_endpoint_query_params or {}),
        },
        token_endpoint=config.token_endpoint or row.token_endpoint,
        token_endpoint_body_params=dict(config.token_endpoint_body_params or {}),
        user_info_endpoint=config.user_info_endpoint or row.user_info_endpoint,
        user_info_endpoint_query_params=dict(config.user_info_endpoint_query_params or {}),
        user_info_endpoint_headers=dict(config.user_info_endpoint_headers or {}),
        jwks_uri=config.jwks_uri,
        oidc_discovery_endpoint=config.oidc_discovery_endpoint or row.discovery,
        issuer=config.issuer,
        user_info_map=_map(config.user_info_map or UserInfoMap(), row.user_info_map),
        require_email=require_email,
        validate_id_token_payload=config.validate_id_token_payload,
        generate_fake_email=config.generate_fake_email,
        validate_access_token=config.validate_access_token,
    )


def _map(given: UserInfoMap, row: UserInfoMap) -> UserInfoMap:
    return UserInfoMap(
        _fields(given.from_id_token_payload, row.from_id_token_payload),
        _fields(given.from_user_info_api, row.from_user_info_api),
    )


def _fields(given: UserFields, row: UserFields) -> UserFields:
    return UserFields(
        given.user_id or row.user_id, given.email or row.email, given.email_verified or row.email_verified
    )
