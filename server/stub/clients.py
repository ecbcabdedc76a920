"""The clients of a stub provider, and how they prove who they are (RFC 6749, section 2.3)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any
from urllib.parse import unquote_plus

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ...claims.clock import current_clock

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
    """Return user and password of a Basic authorization, None where there is none."""
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
    # Some client libraries send the secret both ways; the header counts.
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
