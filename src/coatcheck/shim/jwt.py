"""Tokens of the application's own and the published keys, in the results of the SDK: a token comes as `result.jwt`."""

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
    """Never returned: the one algorithm there is, RS256, is supported."""

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
    """The public keys with which tokens can be verified."""

    keys: list[JsonWebKey]
    status: str = "OK"


@dataclass(frozen=True, slots=True)
class GetOpenIdDiscoveryConfigurationResult:
    """The discovery document; attributes of endpoints that are not served are missing."""

    issuer: str
    jwks_uri: str
    status: str = "OK"


async def create_jwt(
    payload: JSONObject,
    validity_seconds: float | None = None,
    use_static_signing_key: bool | None = None,
    user_context: UserContext | None = None,
) -> CreateJwtOkResult:
    """Sign a token of the application's own, by default with a static key and for a hundred years."""
    return CreateJwtOkResult(await session.create_jwt(payload, validity_seconds, use_static_signing_key, user_context))


async def get_jwks(user_context: UserContext | None = None) -> GetJWKSResult:
    """Return the public keys with which tokens can be verified."""
    published = await session.get_jwks(user_context)
    return GetJWKSResult([_key(key) for key in published["keys"]])


async def get_open_id_discovery_configuration(
    user_context: UserContext | None = None,
) -> GetOpenIdDiscoveryConfigurationResult:
    """Return where tokens come from and where their keys are."""
    document = await session.get_open_id_discovery_configuration(user_context)
    return GetOpenIdDiscoveryConfigurationResult(document["issuer"], document["jwks_uri"])


def _key(key: dict[str, Any]) -> JsonWebKey:
    return JsonWebKey(key["kty"], key["kid"], key["n"], key["e"], key["alg"], key["use"])


class sync:
    """The same functions for code that cannot await."""

    create_jwt = staticmethod(synced(create_jwt))
    get_jwks = staticmethod(synced(get_jwks))
    get_open_id_discovery_configuration = staticmethod(synced(get_open_id_discovery_configuration))
