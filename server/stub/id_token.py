"""The id tokens of stub providers, right and wrong ones, and the one key of the process that signs them."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from ...claims.clock import current_clock
from .script import StubError

KEY_ID = "stub-1"
LIFETIME_S = 3600

_lock = threading.Lock()


def jwks() -> dict[str, Any]:
    """Return the public key as a JSON Web Key Set (RFC 7517)."""
    public = json.loads(RSAAlgorithm.to_jwk(_signing_key().public_key()))
    return {"keys": [{**public, "kid": KEY_ID, "alg": "RS256", "use": "sig"}]}


def id_token(claims: Mapping[str, Any], error: StubError | None = None) -> str:
    """Return a signed id token issued now, or one that is wrong in the way `error` says."""
    now = current_clock.get().now_ms() // 1000
    payload = {**claims, "iat": now, "exp": now + LIFETIME_S}
    if error == "malformed_id_token":
        return "this.is-not.an-id-token"
    if error == "wrong_audience":
        payload["aud"] = "the-client-of-somebody-else"
    if error == "wrong_issuer":
        payload["iss"] = "https://issuer.of.somebody.else.invalid"
    if error == "expired_id_token":
        payload |= {"iat": now - 2 * LIFETIME_S, "exp": now - LIFETIME_S}
    if error == "alg_none":
        return jwt.encode(payload, "", algorithm="none", headers={"kid": KEY_ID})
    return jwt.encode(payload, _signing_key(), algorithm="RS256", headers={"kid": KEY_ID})


def _signing_key() -> RSAPrivateKey:
    with _lock:  # Two threads that need it first must not make two.
        return _made_key()


@lru_cache(maxsize=1)
def _made_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)
