"""The user at a provider, read from an id token and from the user-info API by the paths of a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...claims.payload import JSONObject
from ..exceptions import ProviderError
from ..users.login_methods import storable_text
from .config import ProviderConfigForClient

_MAX_USER_ID = 256
"""The longest user id of a provider that is accepted, in characters."""


@dataclass(frozen=True, slots=True)
class UserInfoEmail:
    """An address, and whether the provider has verified it."""

    id: str
    is_verified: bool


@dataclass(frozen=True, slots=True)
class RawUserInfoFromProvider:
    """The data of the provider, unmapped; `from_id_token_payload` has the provider's signature."""

    from_id_token_payload: JSONObject = field(default_factory=dict)
    from_user_info_api: JSONObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UserInfo:
    """A user at a provider."""

    third_party_user_id: str
    email: UserInfoEmail | None
    raw_user_info_from_provider: RawUserInfoFromProvider


def mapped(config: ProviderConfigForClient, raw: RawUserInfoFromProvider) -> UserInfo:
    """Return the user of the raw data; the id token has precedence over the API (docs/protocol.md, rule 27.12).

    ProviderError if there is no user id, or if the two are about different users.
    """
    _check_same_subject(config, raw)
    signed, api = _Source(config, raw, signed=True), _Source(config, raw, signed=False)
    user_id = signed.user_id or api.user_id
    if user_id is None:
        raise ProviderError(config.third_party_id, "the user info has no user id")
    if len(user_id) > _MAX_USER_ID or not storable_text(user_id):
        raise ProviderError(config.third_party_id, "the user id is too long or not valid text")
    return UserInfo(user_id, _email(config, signed, api), raw)


def same_subject(raw: RawUserInfoFromProvider) -> bool:
    """Whether id token and user-info API both name the same subject."""
    subject = raw.from_id_token_payload.get("sub")
    return subject is not None and subject == raw.from_user_info_api.get("sub")


def _check_same_subject(config: ProviderConfigForClient, raw: RawUserInfoFromProvider) -> None:
    # OpenID Connect Core 1.0, section 5.3.2: otherwise one user could get the address of another.
    both = "sub" in raw.from_id_token_payload and "sub" in raw.from_user_info_api
    if both and not same_subject(raw):
        raise ProviderError(config.third_party_id, "the id token and the user info are about different users")


def _email(config: ProviderConfigForClient, signed: _Source, api: _Source) -> UserInfoEmail | None:
    address = signed.email or api.email
    if address is None:
        return None
    if not storable_text(address):
        raise ProviderError(config.third_party_id, "the e-mail address is too long or not valid text")
    # A source verifies its own address only.
    if signed.email is not None and signed.says_whether_verified:
        return UserInfoEmail(address, signed.is_verified)
    return UserInfoEmail(address, api.email == address and api.is_verified)


class _Source:
    """The values that the mapping finds in one of the two documents."""

    def __init__(self, config: ProviderConfigForClient, raw: RawUserInfoFromProvider, *, signed: bool) -> None:
        document = raw.from_id_token_payload if signed else raw.from_user_info_api
        fields = config.user_info_map.from_id_token_payload if signed else config.user_info_map.from_user_info_api
        email, verified = _value_at(document, fields.email), _value_at(document, fields.email_verified)
        self.user_id = _id(_value_at(document, fields.user_id))
        self.email = email.strip() if isinstance(email, str) and email.strip() else None
        self.says_whether_verified = verified is not None
        self.is_verified = verified is True or (isinstance(verified, str) and verified.lower() == "true")


def _id(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _value_at(document: Mapping[str, Any], path: str | None) -> object:
    if path is None:
        return None
    found: object = document
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
