"""A provider for one request, whose coroutines an override may replace, and its configuration for one client."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ...claims.claim import awaited
from ...claims.payload import JSONObject, UserContext
from ...sessions.blocking import blocking
from ..exceptions import BadInputError
from ..kit.services import synced
from . import oauth
from .builtin import ProviderRow, row_of
from .config import (
    ProviderClientConfig,
    ProviderConfig,
    ProviderConfigForClient,
    ProviderInput,
    UserFields,
    UserInfoMap,
)
from .http import ProviderDocuments
from .user_info import RawUserInfoFromProvider, UserInfo, mapped, same_subject

P = ParamSpec("P")
R = TypeVar("R")
_AUDIENCE_UNKNOWN = (
    "these oAuthTokens cannot be accepted: without an id token nothing shows that they were issued to this "
    "application; send redirectURIInfo, or give the provider a validate_access_token"
)


class Provider:
    """One provider with one of its clients chosen.

    `config` is the configuration for that client. An override reads a coroutine, assigns another in its place, and
    returns the provider; the other coroutines call the replacement. Code that cannot await has them under `sync`.
    """

    def __init__(self, given: ProviderInput, documents: ProviderDocuments, browser_endpoint: str | None) -> None:
        self.id = given.config.third_party_id
        self.config = config_for_client(given.config, None, any_client=True)
        self._given = given
        self._row = row_of(self.id)
        self._documents = documents
        self._http = documents.http
        self._browser_endpoint = browser_endpoint
        self._binds_nonce = False
        self._verifier: str | None = None

    @property
    def sync(self) -> PlainProvider:
        """The same provider for code that cannot await."""
        return PlainProvider(self)

    async def get_config_for_client_type(
        self, client_type: str | None, user_context: UserContext
    ) -> ProviderConfigForClient:
        """Return the configuration for a type of client; ClientTypeNotFoundError if there is no such client."""
        return config_for_client(self._given.config, client_type)

    async def get_authorisation_redirect_url(
        self, redirect_uri_on_provider_dashboard: str, user_context: UserContext
    ) -> oauth.AuthorisationRedirect:
        """Return the address of the provider's page for signing in."""
        await self._discover()
        # The address may come from the discovery document, and front ends send the browser there.
        self._http.check_address(self.config.authorization_endpoint or "")
        return oauth.authorisation_redirect(
            self.config, redirect_uri_on_provider_dashboard, browser_endpoint=self._browser_endpoint
        )

    async def exchange_auth_code_for_oauth_tokens(
        self, redirect_uri_info: oauth.RedirectUriInfo, user_context: UserContext
    ) -> JSONObject:
        """Return the tokens that the provider gives for the code of a callback; ProviderError if it gives none."""
        await self._discover()
        self._binds_nonce, self._verifier = True, redirect_uri_info.pkce_code_verifier
        tokens = await blocking(
            oauth.exchange_code, self._http, self.config, redirect_uri_info, basic=self._row.basic_authentication
        )
        params = redirect_uri_info.redirect_uri_query_params
        return tokens | {name: params[name] for name in self._row.callback_fields if name in params}

    async def get_user_info(self, oauth_tokens: Mapping[str, Any], user_context: UserContext) -> UserInfo:
        """Return the user of the tokens; ProviderError if they are not valid, or name no user."""
        await self._discover()
        payload = await self._id_token_payload(oauth_tokens, user_context)
        api = await self._user_info_api(oauth_tokens, user_context)
        for name in self._row.callback_fields:
            # Not signed by the provider, so it does not belong into the payload of the id token.
            api |= {name: _parse(oauth_tokens[name])} if name in oauth_tokens else {}
        return mapped(self.config, RawUserInfoFromProvider(payload, api))

    async def get_user_info_from_client(self, oauth_tokens: Mapping[str, Any], user_context: UserContext) -> UserInfo:
        """Return the user of tokens that a client, and not the provider, has sent (docs/protocol.md, rule 27.11).

        BadInputError if nothing shows who they were issued to, ProviderError if it was another application.
        """
        await self._discover()
        self._binds_nonce, self._verifier = True, None
        token, check = oauth.token_in(oauth_tokens, "access_token"), self._row.check_access_token
        signed = self.config.jwks_uri is not None and oauth.token_in(oauth_tokens, "id_token") is not None
        checked = token is not None and (check is not None or self.config.validate_access_token is not None)
        if not signed and not checked:
            raise BadInputError(_AUDIENCE_UNKNOWN)
        if token is not None and check is not None:
            await blocking(check, self._http, self.config, token)
        info = await self.get_user_info(oauth_tokens, user_context)
        raw = info.raw_user_info_from_provider
        if token is not None and not checked and raw.from_user_info_api and not same_subject(raw):
            raise self._http.failure("the access token is not known to belong to the user of the id token")
        return info

    async def _id_token_payload(self, oauth_tokens: Mapping[str, Any], user_context: UserContext) -> JSONObject:
        token = oauth.token_in(oauth_tokens, "id_token")
        if token is None or self.config.jwks_uri is None:
            if self._row.check_id_token is not None or self._row.user_info_is_in_id_token:
                raise self._http.failure("there is no id token")
            return {}
        payload = await blocking(
            oauth.verified_payload,
            self._documents,
            self.config,
            token,
            other_issuers=self._row.other_issuers,
        )
        if self._binds_nonce:  # without an exchange, an override has brought the tokens and is responsible for them
            oauth.check_nonce(self.config, payload, self._verifier)
        if self._row.check_id_token is not None:
            self._row.check_id_token(payload, self.config)
        if self.config.validate_id_token_payload is not None:
            await awaited(self.config.validate_id_token_payload(payload, self.config, user_context))
        return payload

    async def _user_info_api(self, oauth_tokens: Mapping[str, Any], user_context: UserContext) -> JSONObject:
        token = oauth.token_in(oauth_tokens, "access_token")
        if token is None:
            return {}
        if self.config.validate_access_token is not None:
            await awaited(self.config.validate_access_token(token, self.config, user_context))
        if self._row.user_info_is_in_id_token or self.config.user_info_endpoint is None:
            return {}
        if self._row.user_info is not None:
            return await blocking(self._row.user_info, self._http, self.config, token)
        return await blocking(self._plain_user_info, self.config.user_info_endpoint, token)

    def _plain_user_info(self, endpoint: str, token: str) -> JSONObject:
        given = {"Authorization": f"Bearer {token}", **self.config.user_info_endpoint_headers}
        headers = {name: value for name, value in given.items() if value is not None}
        found = self._http.get(endpoint, params=self.config.user_info_endpoint_query_params, headers=headers)
        if not isinstance(found, dict):
            raise self._http.failure("the user info is not a JSON object")
        return found

    async def _discover(self) -> None:
        """Fill gaps in the configuration from the discovery document, if there is one."""
        config = self.config
        if config.oidc_discovery_endpoint is None:
            return
        found = await blocking(self._documents.discovery, config.oidc_discovery_endpoint)
        config.authorization_endpoint = config.authorization_endpoint or self._text(found, "authorization_endpoint")
        config.token_endpoint = config.token_endpoint or self._text(found, "token_endpoint")
        config.user_info_endpoint = config.user_info_endpoint or self._text(found, "userinfo_endpoint")
        config.jwks_uri = config.jwks_uri or self._text(found, "jwks_uri")
        config.issuer = config.issuer or self._text(found, "issuer")
        methods = found.get("code_challenge_methods_supported")
        config.advertises_s256 = isinstance(methods, list) and "S256" in methods

    def _text(self, document: JSONObject, name: str) -> str | None:
        value = document.get(name)
        if value is not None and not isinstance(value, str):
            raise self._http.failure(f"{name} in the discovery document is not text")
        return value


def _parse(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def _plain(
    method: Callable[Concatenate[Provider, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[PlainProvider, P], R]:
    @wraps(method)
    def plain(view: PlainProvider, /, *args: P.args, **kwargs: P.kwargs) -> R:
        # Read from the provider, because an override may have replaced it.
        call: Callable[P, R] = synced(getattr(view._provider, method.__name__))
        return call(*args, **kwargs)

    return plain


class PlainProvider:
    """The coroutines of a provider, for code that cannot await."""

    __slots__ = ("_provider",)

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    get_config_for_client_type = _plain(Provider.get_config_for_client_type)
    get_authorisation_redirect_url = _plain(Provider.get_authorisation_redirect_url)
    exchange_auth_code_for_oauth_tokens = _plain(Provider.exchange_auth_code_for_oauth_tokens)
    get_user_info = _plain(Provider.get_user_info)
    get_user_info_from_client = _plain(Provider.get_user_info_from_client)


# The configuration for one client


class ClientTypeNotFoundError(BadInputError):
    """A provider has no client of the requested type, or has several and no type was requested."""


def config_for_client(
    config: ProviderConfig, client_type: str | None, *, any_client: bool = False
) -> ProviderConfigForClient:
    """Return a new configuration for one client; with `any_client` for the first, or for one without an id."""
    if any_client:
        client = config.clients[0] if config.clients else ProviderClientConfig("")
        return _combined(row_of(config.third_party_id), config, client)
    client = _client_of_type(config, client_type)
    row = row_of(config.third_party_id)
    combined = _combined(row, config, client)
    if row.configure is not None:
        row.configure(combined)
    return combined


def _client_of_type(config: ProviderConfig, client_type: str | None) -> ProviderClientConfig:
    """Return the client of a type, for None the only client; ClientTypeNotFoundError if there is none."""
    clients = config.clients
    if client_type is not None:
        clients = [client for client in clients if client.client_type == client_type]
    if len(clients) != 1:
        raise ClientTypeNotFoundError(f"client type not found: {config.third_party_id} has no client for this request")
    return clients[0]


def _combined(row: ProviderRow, config: ProviderConfig, client: ProviderClientConfig) -> ProviderConfigForClient:
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
        user_info_map=_with_defaults(config.user_info_map or UserInfoMap(), row.user_info_map),
        require_email=require_email,
        validate_id_token_payload=config.validate_id_token_payload,
        generate_fake_email=config.generate_fake_email,
        validate_access_token=config.validate_access_token,
    )


def _with_defaults(given: UserInfoMap, row: UserInfoMap) -> UserInfoMap:
    return UserInfoMap(
        _fields(given.from_id_token_payload, row.from_id_token_payload),
        _fields(given.from_user_info_api, row.from_user_info_api),
    )


def _fields(given: UserFields, row: UserFields) -> UserFields:
    return UserFields(
        given.user_id or row.user_id, given.email or row.email, given.email_verified or row.email_verified
    )
