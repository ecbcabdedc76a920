"""The application's own tokens and the published keys, as results of the SDK's kind: a token is `result.jwt`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..claims.payload import JSONObject, UserContext
from ..recipes import session
from ..recipes.kit.services import synced


@dataclass(frozen=True, slots=True)
class CreateJwtOkResult:
    """A signed token."""

    jwt: str
    status: str = "OK"


@dataclass(frozen=True, slots=True)
class CreateJwtResultUnsupportedAlgorithm:
    """A result that is never returned, because the only algorithm, RS256, is supported."""

    status: str = "UNSUPPORTED_ALGORITHM_ERROR"


@dataclass(frozen=True, slots=True)
class JsonWebKey:
    """A public key (RFC 7517)."""

    kty: str
    kid: str
    n: str
    e: str
    alg: str
    use: str


@dataclass(frozen=True, slots=True)
class GetJWKSResult:
    """The public keys that verify tokens."""

    keys: list[JsonWebKey]
    status: str = "OK"


@dataclass(frozen=True, slots=True)
class GetOpenIdDiscoveryConfigurationResult:
    """The discovery document; it has no attributes for endpoints that coatcheck does not serve."""

    issuer: str
    jwks_uri: str
    status: str = "OK"


async def create_jwt(
    payload: JSONObject,
    validity_seconds: float | None = None,
    use_static_signing_key: bool | None = None,
    user_context: UserContext | None = None,
) -> CreateJwtOkResult:
    """Sign a token for the application; by default with a static key, and valid for a hundred years."""
    return CreateJwtOkResult(await session.create_jwt(payload, validity_seconds, use_static_signing_key, user_context))


async def get_jwks(user_context: UserContext | None = None) -> GetJWKSResult:
    """Return the public keys that verify tokens."""
    published = await session.get_jwks(user_context)
    return GetJWKSResult([_key(key) for key in published["keys"]])


async def get_open_id_discovery_configuration(
    user_context: UserContext | None = None,
) -> GetOpenIdDiscoveryConfigurationResult:
    """Return the issuer of the tokens and the URL of their keys."""
    document = await session.get_open_id_discovery_configuration(user_context)
    return GetOpenIdDiscoveryConfigurationResult(document["issuer"], document["jwks_uri"])


def _key(key: dict[str, Any]) -> JsonWebKey:
    return JsonWebKey(key["kty"], key["kid"], key["n"], key["e"], key["alg"], key["use"])


class sync:
    """The same functions as plain calls, for code that cannot await."""

    create_jwt = staticmethod(synced(create_jwt))
    get_jwks = staticmethod(synced(get_jwks))
    get_open_id_discovery_configuration = staticmethod(synced(get_open_id_discovery_configuration))
