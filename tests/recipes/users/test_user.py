"""The values that describe a user."""

from __future__ import annotations

import pytest

from coatcheck.claims.recipe_user_id import RecipeUserId
from coatcheck.recipes.users.user import (
    LoginMethod,
    ThirdPartyInfo,
    User,
    WebauthnInfo,
    normalised_email,
    normalised_phone_number,
)


def method(recipe_user_id: str = "r1", **changes: object) -> LoginMethod:
    """Return an e-mail and password login method, changed as told."""
    values: dict[str, object] = {
        "recipe_id": "emailpassword",
        "recipe_user_id": RecipeUserId(recipe_user_id),
        "tenant_ids": ["public"],
        "email": "a@example.com",
        "phone_number": None,
        "third_party": None,
        "time_joined": 1000,
        "verified": False,
        **changes,
    }
    return LoginMethod(**values)  # type: ignore[arg-type]


def google(recipe_user_id: str = "r2", **changes: object) -> LoginMethod:
    """Return a login method of a third party."""
    third_party = ThirdPartyInfo("google", "42")
    values: dict[str, object] = {"recipe_id": "thirdparty", "third_party": third_party, "verified": True, **changes}
    return method(recipe_user_id, **values)


def test_unlinked_user_is_its_only_login_method() -> None:
    """A user that was never linked has its login method's id and is not primary."""
    user = User.of([method()])
    assert (user.id, user.is_primary_user, user.time_joined) == ("r1", False, 1000)
    assert user.login_methods[0].recipe_user_id == RecipeUserId("r1")


def test_every_top_level_key_of_the_json_is_present() -> None:
    """The JSON of a user has all its keys, empty where there is nothing; a login method omits what it lacks."""
    assert User.of([method()]).to_json() == {
        "id": "r1",
        "isPrimaryUser": False,
        "tenantIds": ["public"],
        "emails": ["a@example.com"],
        "phoneNumbers": [],
        "thirdParty": [],
        "webauthn": {"credentialIds": []},
        "timeJoined": 1000,
        "loginMethods": [
            {
                "recipeId": "emailpassword",
                "recipeUserId": "r1",
                "tenantIds": ["public"],
                "timeJoined": 1000,
                "verified": False,
                "email": "a@example.com",
            }
        ],
    }


def test_linked_user_is_the_union_of_its_login_methods() -> None:
    """A group keeps its primary id, lists each contact once, and joined when its first login method did."""
    user = User.of(
        [
            google(time_joined=500, tenant_ids=["t1", "public"]),
            method(),
            method("r3", recipe_id="passwordless", email=None, phone_number="+4930123456", time_joined=2000),
        ],
        primary_user_id="r1",
    )
    assert (user.id, user.is_primary_user, user.time_joined) == ("r1", True, 500)
    assert user.emails == ["a@example.com"]
    assert user.phone_numbers == ["+4930123456"]
    assert user.third_party == [ThirdPartyInfo("google", "42")]
    assert user.tenant_ids == ["t1", "public"]
    assert [one.recipe_user_id.get_as_string() for one in user.login_methods] == ["r2", "r1", "r3"]
    assert user.to_json()["thirdParty"] == [{"id": "google", "userId": "42"}]
    assert user.to_json()["loginMethods"][0]["thirdParty"] == {"id": "google", "userId": "42"}


def test_primary_id_outlives_its_login_method() -> None:
    """A group keeps its id even when the login method it was named after is gone."""
    assert User.of([google()], primary_user_id="gone").id == "gone"


def test_legacy_json_shows_one_login_method() -> None:
    """Clients of an older FDI see the user as one login method: the one asked for, else the first."""
    user = User.of([method(), google(time_joined=2000)], primary_user_id="r1")
    first = {"id": "r1", "timeJoined": 1000, "email": "a@example.com"}
    assert user.legacy_json() == first
    assert user.legacy_json(RecipeUserId("unknown")) == first
    assert user.legacy_json(RecipeUserId("r2")) == {**first, "thirdParty": {"id": "google", "userId": "42"}}


def test_passkeys_are_listed() -> None:
    """Passkeys of all login methods appear with the user."""
    user = User.of([method(webauthn=WebauthnInfo(["c1"]))])
    assert user.webauthn == WebauthnInfo(["c1"])
    assert user.to_json()["loginMethods"][0]["webauthn"] == {"credentialIds": ["c1"]}


def test_same_email_whatever_case_and_space() -> None:
    """Addresses are compared trimmed and in lower case; a missing one equals nothing."""
    assert method().has_same_email_as(" A@Example.COM ")
    assert not method().has_same_email_as("b@example.com")
    assert not method().has_same_email_as(None)
    assert not method(email=None).has_same_email_as("a@example.com")


def test_same_phone_number_however_written() -> None:
    """Numbers are compared as E.164, or trimmed where they are none; a missing one equals nothing."""
    phone = method(phone_number="+4930123456")
    assert phone.has_same_phone_number_as("+49 (30) 12-34.56")
    assert phone.has_same_phone_number_as("0049 30 123456")
    assert not phone.has_same_phone_number_as("+4930123457")
    assert not phone.has_same_phone_number_as(None)
    assert method(phone_number=" 030 1 ").has_same_phone_number_as("030 1")
    assert not method().has_same_phone_number_as("+4930123456")


def test_same_third_party_account() -> None:
    """Accounts of providers are compared by both ids, trimmed; a missing one equals nothing."""
    assert google().has_same_third_party_info_as(ThirdPartyInfo(" google", "42 "))
    assert not google().has_same_third_party_info_as(ThirdPartyInfo("google", "43"))
    assert not google().has_same_third_party_info_as(ThirdPartyInfo("github", "42"))
    assert not google().has_same_third_party_info_as(None)
    assert not method().has_same_third_party_info_as(ThirdPartyInfo("google", "42"))


@pytest.mark.parametrize("text", ["", " x ", "ǅ@x.y", "A@B.C\n", "İ@x.y"])
def test_normalising_twice_changes_nothing(text: str) -> None:
    """A normalised address or number is its own normal form."""
    assert normalised_email(normalised_email(text)) == normalised_email(text)
    assert normalised_phone_number(normalised_phone_number(text)) == normalised_phone_number(text)
