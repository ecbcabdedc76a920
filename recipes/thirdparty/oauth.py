"""The two requests of the authorization code flow (RFC 6749, section 4.1; PKCE: RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...claims.payload import JSONObject
from ..exceptions import ProviderError
from .config import ProviderConfigForClient
from .http import ProviderHTTP, with_query
from .id_token import nonce_of
from .quirks import basic_authentication


@dataclass(frozen=True, slots=True)
class AuthorisationRedirect:
    """Where to send the browser, and the PKCE verifier that has to come back with the code."""

    url_with_query_params: str
    pkce_code_verifier: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RedirectUriInfo:
    """What came back from the provider: the parameters of the callback, and what was asked with."""

    redirect_uri_on_provider_dashboard: str
    redirect_uri_query_params: Mapping[str, Any] = field(repr=False)
    pkce_code_verifier: str | None = field(default=None, repr=False)


def authorisation_redirect(
    config: ProviderConfigForClient, redirect_uri: str, *, browser_endpoint: str | None = None
) -> AuthorisationRedirect:
    """Return the address of the provider's page, everything but `state` in it: that is the front end's."""
    params: dict[str, str | None] = {
        "client_id": config.client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
    }
    if config.scope:
        params["scope"] = " ".join(config.scope)
    verifier = secrets.token_urlsafe(48) if _wants_pkce(config) else None
    if verifier is not None:
        params |= {"code_challenge": _s256(verifier), "code_challenge_method": "S256"}
        if "openid" in config.scope:
            params["nonce"] = nonce_of(verifier)
    url = with_query(config.authorization_endpoint or "", {**params, **config.authorization_endpoint_query_params})
    return AuthorisationRedirect(url if browser_endpoint is None else _moved(url, browser_endpoint), verifier)


def exchange_code(
    http: ProviderHTTP, config: ProviderConfigForClient, info: RedirectUriInfo, *, basic: bool
) -> JSONObject:
    """Return the tokens that the provider gives for a code; plain blocking code, ProviderError if it gives none."""
    if config.token_endpoint is None:
        raise http.failure("no token endpoint is known")
    form: dict[str, str | None] = {
        "client_id": config.client_id,
        "redirect_uri": info.redirect_uri_on_provider_dashboard,
        "code": code_of(config, info),
        "grant_type": "authorization_code",
        "client_secret": None if basic else config.client_secret,
        "code_verifier": info.pkce_code_verifier,
        **config.token_endpoint_body_params,
    }
    sent = {name: value for name, value in form.items() if value is not None}
    headers = basic_authentication(config) if basic and config.client_secret is not None else {}
    tokens = http.post_form(config.token_endpoint, sent, headers)
    if not isinstance(tokens, dict) or not any(token_in(tokens, name) for name in ("access_token", "id_token")):
        raise http.failure("the token endpoint gave no token")
    return tokens


def code_of(config: ProviderConfigForClient, info: RedirectUriInfo) -> str:
    """Return the code of a callback; ProviderError for one that is about another provider, or has none.

    The issuer, where the callback names it, has to be this provider's, so that the code of one provider is never sent
    to another (RFC 9207).
    """
    params = info.redirect_uri_query_params
    issuer = params.get("iss")
    if issuer is not None and config.issuer is not None and "{" not in config.issuer and issuer != config.issuer:
        raise ProviderError(config.third_party_id, "the callback is from another provider")
    code = params.get("code")
    if not isinstance(code, str) or not code:
        raise ProviderError(config.third_party_id, "the callback has no code")
    return code


def token_in(tokens: Mapping[str, Any], name: str) -> str | None:
    """Return the token of this name, None where there is none."""
    token = tokens.get(name)
    return token if isinstance(token, str) and token else None


def _wants_pkce(config: ProviderConfigForClient) -> bool:
    return config.client_secret is None or config.force_pkce or config.advertises_s256


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _moved(url: str, endpoint: str) -> str:
    """Return `url` at another endpoint, which keeps a query of its own."""
    query = url.partition("?")[2]
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"
