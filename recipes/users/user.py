"""The values that describe a user as a group of login methods.

A user is computed from its login methods (docs/protocol.md, section 19); nothing here reads a database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ...claims.payload import JSONObject
from ...claims.recipe_user_id import RecipeUserId

T = TypeVar("T")

_PHONE_FILLING = re.compile(r"[\s()./-]+")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class ThirdPartyInfo:
    """Who a third-party provider says somebody is: the provider's id, and the user's id there."""

    id: str
    user_id: str

    def to_json(self) -> JSONObject:
        """Return the camelCase form, such as `{"id": "google", "userId": "1234"}`."""
        return {"id": self.id, "userId": self.user_id}


@dataclass(frozen=True, slots=True)
class WebauthnInfo:
    """The passkeys of a login method or a user, by credential id."""

    credential_ids: list[str]

    def to_json(self) -> JSONObject:
        """Return the camelCase form: `{"credentialIds": [...]}`."""
        return {"credentialIds": list(self.credential_ids)}


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """What users can be found by; None means not given."""

    email: str | None = None
    phone_number: str | None = None
    third_party: ThirdPartyInfo | None = None
    webauthn: WebauthnInfo | None = None


@dataclass(frozen=True, slots=True)
class LoginMethod:
    """One way of signing in: what one recipe knows of one account; `time_joined` in ms."""

    recipe_id: str
    recipe_user_id: RecipeUserId
    tenant_ids: list[str]
    email: str | None
    phone_number: str | None
    third_party: ThirdPartyInfo | None
    time_joined: int
    verified: bool
    webauthn: WebauthnInfo | None = None

    def has_same_email_as(self, email: str | None) -> bool:
        """Whether both are the same address once normalised; False when either is missing."""
        if self.email is None or email is None:
            return False
        return normalised_email(self.email) == normalised_email(email)

    def has_same_phone_number_as(self, phone_number: str | None) -> bool:
        """Whether both are the same number in any notation; False when either is missing."""
        if self.phone_number is None or phone_number is None:
            return False
        return normalised_phone_number(self.phone_number) == normalised_phone_number(phone_number)

    def has_same_third_party_info_as(self, third_party: ThirdPartyInfo | None) -> bool:
        """Whether both name the same account of the same provider; False when either is missing."""
        if self.third_party is None or third_party is None:
            return False
        mine = (self.third_party.id.strip(), self.third_party.user_id.strip())
        return mine == (third_party.id.strip(), third_party.user_id.strip())

    def to_json(self) -> JSONObject:
        """Return the camelCase form, without the keys of what the method lacks.

        For example: `{"recipeId": "emailpassword", "recipeUserId": "...", "tenantIds": ["public"], "timeJoined": ...,
        "verified": false, "email": "ann@example.com"}`; others have `phoneNumber`, `thirdParty` or `webauthn`.
        """
        return {
            "recipeId": self.recipe_id,
            "recipeUserId": self.recipe_user_id.get_as_string(),
            "tenantIds": list(self.tenant_ids),
            "timeJoined": self.time_joined,
            "verified": self.verified,
            **self._contacts(),
        }

    def _contacts(self) -> JSONObject:
        contacts = {
            "email": self.email,
            "phoneNumber": self.phone_number,
            "thirdParty": self.third_party and self.third_party.to_json(),
            "webauthn": self.webauthn and self.webauthn.to_json(),
        }
        return {name: value for name, value in contacts.items() if value is not None}


@dataclass(frozen=True, slots=True)
class User:
    """A user; the lists are unions over the login methods, `time_joined` (ms) is the earliest of them."""

    id: str
    is_primary_user: bool
    tenant_ids: list[str]
    emails: list[str]
    phone_numbers: list[str]
    third_party: list[ThirdPartyInfo]
    webauthn: WebauthnInfo
    login_methods: list[LoginMethod]
    time_joined: int

    @classmethod
    def of(cls, login_methods: Sequence[LoginMethod], *, primary_user_id: str | None = None) -> User:
        """Return the user of one login method, or of the group that is linked under `primary_user_id`."""
        methods = sorted(login_methods, key=lambda method: (method.time_joined, method.recipe_user_id.get_as_string()))
        return cls(
            id=primary_user_id or methods[0].recipe_user_id.get_as_string(),
            is_primary_user=primary_user_id is not None,
            tenant_ids=_distinct([tenant for method in methods for tenant in method.tenant_ids]),
            emails=_distinct([method.email for method in methods]),
            phone_numbers=_distinct([method.phone_number for method in methods]),
            third_party=_distinct([method.third_party for method in methods]),
            webauthn=WebauthnInfo(
                _distinct([id_ for method in methods if method.webauthn for id_ in method.webauthn.credential_ids])
            ),
            login_methods=methods,
            time_joined=methods[0].time_joined,
        )

    def to_json(self) -> JSONObject:
        """Return the camelCase form; every key is always present (docs/protocol.md, rule 19.1)."""
        return {
            "id": self.id,
            "isPrimaryUser": self.is_primary_user,
            "tenantIds": list(self.tenant_ids),
            "emails": list(self.emails),
            "phoneNumbers": list(self.phone_numbers),
            "thirdParty": [third_party.to_json() for third_party in self.third_party],
            "webauthn": self.webauthn.to_json(),
            "timeJoined": self.time_joined,
            "loginMethods": [method.to_json() for method in self.login_methods],
        }

    def legacy_json(self, recipe_user_id: RecipeUserId | None = None) -> JSONObject:
        """Return the form for clients of an older FDI, with one login method: the one with this id, or the first one.

        For example: `{"id": "...", "timeJoined": ..., "email": "ann@example.com"}`.
        """
        method = next(
            (one for one in self.login_methods if one.recipe_user_id == recipe_user_id), self.login_methods[0]
        )
        return {"id": self.id, "timeJoined": self.time_joined, **method._contacts()}


def normalised_email(email: str) -> str:
    """Return the address as it is stored and compared: trimmed, in lower case."""
    return email.strip().lower()


def normalised_phone_number(phone_number: str) -> str:
    """Return the number as E.164 if it is an international one, otherwise only trimmed."""
    bare = _PHONE_FILLING.sub("", phone_number)
    international = "+" + bare[2:] if bare.startswith("00") else bare
    return international if _E164.fullmatch(international) else phone_number.strip()


def _distinct(values: Iterable[T | None]) -> list[T]:
    """Return the values without None and without repetitions, in the order of their first appearance."""
    found: dict[Any, None] = dict.fromkeys(values)
    found.pop(None, None)
    return list(found)
