"""The authorization code flow (RFC 6749, section 4.1; PKCE: RFC 7636), and how its id tokens are verified.

Id tokens: OpenID Connect Core 1.0, section 3.1.3.7; docs/protocol.md, rule 27.9.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ...claims.clock import current_clock
from ...claims.payload import JSONObject
from ..exceptions import ProviderError
from .builtin import basic_authentication
from .config import ProviderConfigForClient
from .http import ProviderDocuments, ProviderHTTP, with_query

# The two requests of the flow


@dataclass(frozen=True, slots=True)
class AuthorisationRedirect:
    """The address for the browser, and the PKCE verifier that has to come back with the code."""

    url_with_query_params: str
    pkce_code_verifier: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RedirectUriInfo:
    """The parameters of the provider's callback, with the redirect URI and the PKCE verifier of the request."""

    redirect_uri_on_provider_dashboard: str
    redirect_uri_query_params: Mapping[str, Any] = field(repr=False)
    pkce_code_verifier: str | None = field(default=None, repr=False)


def authorisation_redirect(
    config: ProviderConfigForClient, redirect_uri: str, *, browser_endpoint: str | None = None
) -> AuthorisationRedirect:
    """Return the address of the provider's page, without `state`, which the front end adds."""
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
    return AuthorisationRedirect(url if browser_endpoint is None else _at_endpoint(url, browser_endpoint), verifier)


def exchange_code(
    http: ProviderHTTP, config: ProviderConfigForClient, info: RedirectUriInfo, *, basic: bool
) -> JSONObject:
    """Return the tokens that the provider gives for a code; blocking; ProviderError if it gives none."""
    if config.token_endpoint is None:
        raise http.failure("no token endpoint is known")
    form: dict[str, str | None] = {
        "client_id": config.client_id,
        "redirect_uri": info.redirect_uri_on_provider_dashboard,
        "code": _code_of(config, info),
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


def _code_of(config: ProviderConfigForClient, info: RedirectUriInfo) -> str:
    """Return the code of a callback; ProviderError if it is from another provider, or has no code.

    If the callback names an issuer, it has to be this provider's, so that no code goes to another provider (RFC 9207).
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


def _at_endpoint(url: str, endpoint: str) -> str:
    """Return `endpoint` with the query of `url` added to its own."""
    query = url.partition("?")[2]
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"


# Id tokens

_ALGORITHMS = ("RS256", "ES256")
LEEWAY_S = 300
"""How far ahead a provider's clock may be; there is no leeway for expired tokens."""

_MAX_TOKEN_BYTES = 65_536
_NONCE_PREFIX = "pkce."
"""The beginning of the nonces that are made here (docs/protocol.md, rule 27.10)."""

_TENANT = "{tenantid}"
_PERSONAL_ACCOUNTS = "9188040d-6c67-4c5b-b112-36a304b66dad"
_DIRECTORY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def verified_payload(
    documents: ProviderDocuments,
    config: ProviderConfigForClient,
    token: str,
    *,
    other_issuers: Sequence[str] = (),
) -> JSONObject:
    """Return the payload of a valid id token, ProviderError otherwise; it may fetch the provider's keys.

    Checked are the signature (by one of the provider's keys), the issuer (where it is known), audience and time.
    """
    payload = _signed_payload(documents, config, token)
    check = _Checks(config, payload)
    check.issuer(other_issuers)
    check.audience()
    check.times(current_clock.get().now_ms() // 1000)
    return payload


def check_nonce(config: ProviderConfigForClient, payload: Mapping[str, Any], verifier: str | None) -> None:
    """Refuse an id token of another sign-in; a nonce without our prefix is the application's and not checked."""
    nonce = payload.get("nonce")
    if not isinstance(nonce, str) or not nonce.startswith(_NONCE_PREFIX):
        return
    if verifier is None or not hmac.compare_digest(nonce.encode(), nonce_of(verifier).encode()):
        raise _refusal(config, "it belongs to another sign-in")


def nonce_of(verifier: str) -> str:
    """Return the nonce that belongs to a PKCE verifier; only a client with the verifier can match the nonce."""
    digest = hashlib.sha256(b"nonce." + verifier.encode()).digest()
    return _NONCE_PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _signed_payload(documents: ProviderDocuments, config: ProviderConfigForClient, token: str) -> JSONObject:
    header = _header(config, token)
    algorithm, key_id = header["alg"], header.get("kid")
    for jwk in documents.keys(config.jwks_uri or "", key_id):
        if jwk.get("alg", algorithm) != algorithm:
            continue
        try:
            key = jwt.PyJWK(jwk, algorithm).key
            if isinstance(key, RSAPublicKey) and key.key_size < 2048:
                continue
            payload = json.loads(jwt.PyJWS().decode(token, key, algorithms=[algorithm]))
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if isinstance(payload, dict):
            return payload
    raise _refusal(config, "no key of the provider has made its signature")


def _header(config: ProviderConfigForClient, token: str) -> JSONObject:
    try:
        if len(token) > _MAX_TOKEN_BYTES:
            raise ValueError
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError):
        raise _refusal(config, "it is not a JWT") from None
    # Only these two algorithms, so that neither `none` nor HMAC with a public key is possible.
    if header.get("alg") not in _ALGORITHMS or "crit" in header:
        raise _refusal(config, "its algorithm is not accepted")
    return header


class _Checks:
    """The checks of the claims of one id token."""

    def __init__(self, config: ProviderConfigForClient, payload: Mapping[str, Any]) -> None:
        self.config = config
        self.payload = payload

    def issuer(self, others: Sequence[str]) -> None:
        """Compare `iss` with the provider's issuer; that of Entra has a placeholder for the tenant."""
        expected = self.config.issuer
        if expected is None:
            return
        if _TENANT in expected:
            expected = expected.replace(_TENANT, self._directory())
        if self.payload.get("iss") not in (expected, *others):
            raise _refusal(self.config, "it is from another issuer")

    def _directory(self) -> str:
        tenant = self.payload.get("tid")
        if not isinstance(tenant, str) or not _DIRECTORY.fullmatch(tenant):
            raise _refusal(self.config, "it names no tenant")
        if tenant == _PERSONAL_ACCOUNTS and "/organizations" in (self.config.oidc_discovery_endpoint or ""):
            raise _refusal(self.config, "it is of a personal account")
        return tenant

    def audience(self) -> None:
        """Compare `aud` with the client; among several audiences, `azp` has to be the client."""
        audience = self.payload.get("aud")
        several = audience if isinstance(audience, list) else [audience]
        if self.config.client_id not in several:
            raise _refusal(self.config, "it was issued to another client")
        if len(several) > 1 and self.payload.get("azp") != self.config.client_id:
            raise _refusal(self.config, "it was issued to several clients")

    def times(self, now_s: int) -> None:
        """Refuse a token that has expired, never expires, or is from the future."""
        expires = self.payload.get("exp")
        if not _is_number(expires) or expires <= now_s:
            raise _refusal(self.config, "it has expired")
        for name in ("iat", "nbf"):
            since = self.payload.get(name, 0)
            if not _is_number(since) or since > now_s + LEEWAY_S:
                raise _refusal(self.config, f"it is not valid yet ({name})")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refusal(config: ProviderConfigForClient, reason: str) -> ProviderError:
    return ProviderError(config.third_party_id, f"the id token was refused: {reason}")
