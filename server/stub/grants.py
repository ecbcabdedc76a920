"""What a stub provider issues, and to whom: codes and access tokens (RFC 6749, RFC 7636), clients, id tokens."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hmac import compare_digest
from typing import Any
from urllib.parse import unquote_plus

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import RSAAlgorithm

from ...claims.clock import current_clock
from .page import Persona
from .script import StubError

CODE_LIFETIME_MS = 60_000
ACCESS_TOKEN_LIFETIME_MS = 3_600_000


class GrantError(Exception):
    """A code cannot be redeemed; the message goes into `error_description`."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """The user that a code stands for, and everything that the code is bound to."""

    persona: Persona
    client_id: str
    redirect_uri: str
    scope: str = ""
    challenge: str | None = None
    nonce: str | None = None
    expires_ms: int = 0


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The user that an access token stands for, and the client that it was issued to."""

    persona: Persona
    client_id: str
    scope: str
    expires_ms: int


@dataclass(slots=True)
class Grants:
    """The codes and tokens that one stub provider has issued; they are in memory, and expired ones are dropped."""

    _codes: dict[str, Authorization] = field(default_factory=dict)
    _tokens: dict[str, AccessToken] = field(default_factory=dict)
    _redeemed: dict[str, str] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def issue_code(self, authorization: Authorization) -> str:
        """Return a new one-time code."""
        now = current_clock.get().now_ms()
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._codes = {code: known for code, known in self._codes.items() if known.expires_ms > now}
            self._codes[code] = authorization
        return code

    def redeem(self, code: str, *, client_id: str, redirect_uri: str, verifier: str) -> tuple[Authorization, str]:
        """Exchange a code for its authorization and an access token; a refused code is spent as well."""
        with self._lock:
            known = self._codes.pop(code, None)
            if known is None:
                # RFC 6749, section 4.1.2: the token of a replayed code is revoked.
                self._tokens.pop(self._redeemed.pop(code, ""), None)
                raise GrantError("the code is unknown or was used before")
            _check_code(known, client_id, redirect_uri, verifier)
            token = self.issue_token(known.persona, client_id, known.scope)
            self._redeemed[code] = token
        return known, token

    def issue_token(self, persona: Persona, client_id: str, scope: str) -> str:
        """Return a new access token."""
        now = current_clock.get().now_ms()
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens = {token: known for token, known in self._tokens.items() if known.expires_ms > now}
            self._redeemed = {code: token for code, token in self._redeemed.items() if token in self._tokens}
            self._tokens[token] = AccessToken(persona, client_id, scope, now + ACCESS_TOKEN_LIFETIME_MS)
        return token

    def token(self, token: str) -> AccessToken | None:
        """Return the data of an access token, None if it is unknown or expired."""
        known = self._tokens.get(token)
        return known if known is not None and known.expires_ms > current_clock.get().now_ms() else None


def _check_code(known: Authorization, client_id: str, redirect_uri: str, verifier: str) -> None:
    if known.expires_ms <= current_clock.get().now_ms():
        raise GrantError("the code has expired")
    if known.client_id != client_id:
        raise GrantError("the code was issued to another client")
    if known.redirect_uri != redirect_uri:
        raise GrantError("redirect_uri is not the one of the authorization request")
    if known.challenge is None:
        # RFC 9700, section 2.1.1: a verifier without a challenge is a sign of a downgrade attack.
        if verifier:
            raise GrantError("a code_verifier was sent, but no code_challenge before")
    elif not verifier:
        raise GrantError("the code_verifier is missing")
    elif not compare_digest(s256(verifier).encode(), known.challenge.encode()):
        raise GrantError("the code_verifier does not match the code_challenge")


def s256(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


# Clients, and how they prove who they are (RFC 6749, section 2.3)

_APPLE = "https://appleid.apple.com"
_APPLE_LONGEST_S = 15_777_000


@dataclass(frozen=True, slots=True)
class StubClient:
    """A client as the application's configuration describes it; without a secret it must use PKCE."""

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    additional: Mapping[str, Any] = field(default_factory=dict, repr=False)


class ClientError(Exception):
    """The client is unknown or did not prove who it is."""


def authenticated(
    clients: Mapping[str, StubClient], fields: Mapping[str, str], authorization: str | None, *, apple: bool = False
) -> StubClient:
    """Return the client that sent a token request, with its secret in the header or in the body."""
    client_id, secret = _credentials(fields, authorization)
    client = clients.get(client_id)
    if client is None:
        raise ClientError("the client is unknown")
    if apple:
        _check_apple_secret(client, secret)
    elif not compare_digest(secret.encode(), (client.client_secret or "").encode()):
        raise ClientError("the client secret is wrong")
    return client


def basic_credentials(authorization: str | None) -> tuple[str, str] | None:
    """Return user and password of a Basic authorization, None if there is none."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote_plus(user), unquote_plus(password)


def _credentials(fields: Mapping[str, str], authorization: str | None) -> tuple[str, str]:
    basic = basic_credentials(authorization)
    if basic is None:
        return fields.get("client_id", ""), fields.get("client_secret", "")
    if fields.get("client_id", basic[0]) != basic[0]:
        raise ClientError("client_id in the body is not the one in the header")
    # Some client libraries send the secret in both places; the header counts.
    return basic


def _check_apple_secret(client: StubClient, secret: str) -> None:
    """Check the signed secret as Apple does: ES256, key id, team, audience, client and a lifetime of six months."""
    try:
        header = jwt.get_unverified_header(secret)
        key = load_pem_private_key(str(client.additional["privateKey"]).replace("\\n", "\n").encode(), None)
        claims = jwt.decode(
            secret,
            key.public_key(),  # type: ignore[arg-type]
            algorithms=["ES256"],
            audience=_APPLE,
            issuer=str(client.additional["teamId"]),
            options={"require": ["iss", "iat", "exp", "aud", "sub"], "verify_exp": False, "verify_iat": False},
        )
    except (jwt.PyJWTError, KeyError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ClientError("the client secret is not the signed token that Apple asks for") from error
    now = current_clock.get().now_ms() // 1000
    right = (
        header.get("kid") == client.additional.get("keyId"),
        claims["sub"] == client.client_id,
        now < claims["exp"] <= now + _APPLE_LONGEST_S,
    )
    if not all(right):
        raise ClientError("the client secret is signed, but names another key or client, or lives too long or no more")


# Id tokens, right and wrong ones, and the one key of the process that signs them

_KEY_ID = "stub-1"
_ID_TOKEN_LIFETIME_S = 3600

_key_lock = threading.Lock()


def jwks() -> dict[str, Any]:
    """Return the public key as a JSON Web Key Set (RFC 7517): `{"keys": [{"kty", "n", "e", "kid", "alg", "use"}]}`."""
    public = json.loads(RSAAlgorithm.to_jwk(_signing_key().public_key()))
    return {"keys": [{**public, "kid": _KEY_ID, "alg": "RS256", "use": "sig"}]}


def id_token(claims: Mapping[str, Any], error: StubError | None = None) -> str:
    """Return a signed id token issued now, or one that is wrong in the way `error` says."""
    now = current_clock.get().now_ms() // 1000
    payload = {**claims, "iat": now, "exp": now + _ID_TOKEN_LIFETIME_S}
    if error == "malformed_id_token":
        return "this.is-not.an-id-token"
    if error == "wrong_audience":
        payload["aud"] = "the-client-of-somebody-else"
    if error == "wrong_issuer":
        payload["iss"] = "https://issuer.of.somebody.else.invalid"
    if error == "expired_id_token":
        payload |= {"iat": now - 2 * _ID_TOKEN_LIFETIME_S, "exp": now - _ID_TOKEN_LIFETIME_S}
    if error == "alg_none":
        return jwt.encode(payload, "", algorithm="none", headers={"kid": _KEY_ID})
    return jwt.encode(payload, _signing_key(), algorithm="RS256", headers={"kid": _KEY_ID})


def _signing_key() -> RSAPrivateKey:
    with _key_lock:  # two threads must not make two keys
        return _made_key()


@lru_cache(maxsize=1)
def _made_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)
