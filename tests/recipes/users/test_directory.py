"""Users in the database: added, found, changed, deleted."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, insert, select, update

from coatcheck.recipes.exceptions import BadInputError
from coatcheck.recipes.users import directory as users, login_methods
from coatcheck.recipes.users.directory import DeletedUser, UserDirectory, delete_user, get_user, list_by_account_info
from coatcheck.recipes.users.login_methods import (
    MAX_IDENTITY_BYTES,
    EmailChange,
    add_login_method,
    find_recipe_user_id,
    set_email,
    set_verified,
)
from coatcheck.recipes.users.user import AccountInfo, LoginMethod, ThirdPartyInfo, User
from coatcheck.sessions.database import Database

from ...kit import together

GOOGLE = AccountInfo(email="g@example.com", third_party=ThirdPartyInfo("google", "42"))
PHONE = AccountInfo(phone_number="+49 30 123456")
UNSTORABLE = ["a\0@example.com", "\ud800@example.com", "a" * MAX_IDENTITY_BYTES + "@example.com"]

every_database = pytest.mark.parametrize("store", ["memory", "file", "postgres"], indirect=True)


def email(address: str) -> AccountInfo:
    """Return what an e-mail and password login method is known by."""
    return AccountInfo(email=address)


def add(
    store: Database,
    account: AccountInfo,
    *,
    tenant_id: str = "public",
    recipe_id: str = "emailpassword",
    at: int = 1000,
) -> str:
    """Add a login method and return its id."""
    added = store.write(lambda c: add_login_method(c, tenant_id, recipe_id=recipe_id, account=account, time_joined=at))
    assert added is not None
    return str(added.recipe_user_id)


def link(store: Database, primary_user_id: str, *recipe_user_ids: str) -> None:
    """Make login methods one user, as account linking will."""
    these = login_methods.methods.c.recipe_user_id.in_([primary_user_id, *recipe_user_ids])
    store.write(lambda c: c.execute(update(login_methods.methods).where(these).values(primary_user_id=primary_user_id)))


def also_in(store: Database, tenant_id: str, recipe_user_id: str, address: str) -> None:
    """Let a login method live in another tenant, too."""
    row = {"recipe_id": "emailpassword", "identity": f"email:{address}", "recipe_user_id": recipe_user_id}
    store.write(lambda c: c.execute(insert(login_methods.tenants).values(tenant_id=tenant_id, **row)))


def identities(store: Database) -> set[tuple[str, str]]:
    """Return every identity that is taken, by tenant."""
    columns = (login_methods.tenants.c.tenant_id, login_methods.tenants.c.identity)
    return {(tenant, identity) for tenant, identity in store.read(lambda c: c.execute(select(*columns)).all())}


def fetch(store: Database, user_id: str) -> User | None:
    """Return a user."""
    return store.read(lambda c: get_user(c, user_id))


@every_database
def test_login_method_comes_back_as_a_user(store: Database) -> None:
    """What was added can be read, with the address normalised."""
    user = fetch(store, add(store, email("  Ada@Example.COM "), at=1234))
    assert user is not None
    assert user.to_json()["loginMethods"] == [
        {
            "recipeId": "emailpassword",
            "recipeUserId": user.id,
            "tenantIds": ["public"],
            "timeJoined": 1234,
            "verified": False,
            "email": "ada@example.com",
        }
    ]
    assert (user.is_primary_user, user.emails) == (False, ["ada@example.com"])


@every_database
def test_third_party_and_phone_come_back(store: Database) -> None:
    """Accounts of providers and phone numbers are stored and read, numbers as E.164."""
    third, phone = add(store, GOOGLE, recipe_id="thirdparty"), add(store, PHONE, recipe_id="passwordless")
    found = [fetch(store, third), fetch(store, phone)]
    assert [one and one.third_party for one in found] == [[ThirdPartyInfo("google", "42")], []]
    assert [one and one.phone_numbers for one in found] == [[], ["+4930123456"]]


@every_database
def test_an_identity_belongs_to_one_login_method(store: Database) -> None:
    """In one tenant and recipe an address, whatever its case, is taken once."""
    add(store, email("a@example.com"))
    again = store.write(
        lambda c: add_login_method(
            c, "public", recipe_id="emailpassword", account=email(" A@example.com"), time_joined=1
        )
    )
    assert again is None
    assert len(identities(store)) == 1


@every_database
def test_a_login_method_gets_all_of_its_identities_or_none(store: Database) -> None:
    """Where one of two identities is taken, the other stays free, and the transaction may go on."""
    add(store, AccountInfo(phone_number="+4930123456"), recipe_id="passwordless")
    both = AccountInfo(email="a@example.com", phone_number="+4930123456")

    def work(connection: Connection) -> LoginMethod | None:
        assert add_login_method(connection, "public", recipe_id="passwordless", account=both, time_joined=1) is None
        alone = email("a@example.com")
        return add_login_method(connection, "public", recipe_id="passwordless", account=alone, time_joined=1)

    assert store.write(work) is not None
    assert identities(store) == {("public", "phone:+4930123456"), ("public", "email:a@example.com")}


@every_database
def test_a_tenant_is_named_once_however_many_identities_it_knows(store: Database) -> None:
    """Tenants come in order, each once, though a login method has a row for each identity in each of them."""
    both = AccountInfo(email="a@example.com", phone_number="+4930123456")
    user_id = add(store, both, recipe_id="passwordless", tenant_id="t2")
    also_in(store, "t1", user_id, "a@example.com")
    user = fetch(store, user_id)
    assert user is not None
    assert user.login_methods[0].tenant_ids == ["t1", "t2"]


@every_database
def test_what_is_added_is_what_is_read(store: Database) -> None:
    """The login method that adding returns is the one that the database holds."""
    for recipe_id, account in (("emailpassword", email(" A@example.com")), ("thirdparty", GOOGLE), ("sms", PHONE)):
        added = store.write(
            lambda c, r=recipe_id, a=account: add_login_method(c, "t1", recipe_id=r, account=a, time_joined=7)  # type: ignore[misc]
        )
        assert added is not None
        user = fetch(store, str(added.recipe_user_id))
        assert user is not None
        assert user == User.of([added])


@every_database
def test_other_tenants_and_recipes_have_their_own_identities(store: Database) -> None:
    """The same address can be used in another tenant and by another recipe."""
    add(store, email("a@example.com"))
    add(store, email("a@example.com"), tenant_id="t1")
    add(store, email("a@example.com"), recipe_id="passwordless")


@every_database
def test_third_party_addresses_need_not_be_unique(store: Database) -> None:
    """Two accounts of a provider may report one address; one account is taken once."""
    add(store, GOOGLE, recipe_id="thirdparty")
    other = AccountInfo(email=GOOGLE.email, third_party=ThirdPartyInfo("google", "43"))
    add(store, other, recipe_id="thirdparty")
    again = store.write(lambda c: add_login_method(c, "public", recipe_id="thirdparty", account=GOOGLE, time_joined=1))
    assert again is None


@every_database
def test_of_two_simultaneous_sign_ups_one_wins(store: Database) -> None:
    """When one address signs up several times at once, exactly one login method comes to be."""
    for round_ in range(8):
        account = email(f"race{round_}@example.com")

        def sign_up(account: AccountInfo = account) -> LoginMethod | None:
            return store.write(
                lambda c: add_login_method(c, "public", recipe_id="emailpassword", account=account, time_joined=1)
            )

        outcomes = together(sign_up, sign_up, sign_up)
        assert [one is None for one in sorted(outcomes, key=str)].count(False) == 1
        assert len(store.read(lambda c, account=account: list_by_account_info(c, "public", account))) == 1  # type: ignore[misc]


@every_database
@pytest.mark.parametrize("address", UNSTORABLE)
def test_what_cannot_be_stored_is_bad_input(store: Database, address: str) -> None:
    """Text that a database refuses to store or index is bad input, not a failure; nobody is found by it."""
    known = add(store, email("a@example.com"))
    with pytest.raises(BadInputError):
        add(store, email(address))
    with pytest.raises(BadInputError):
        store.write(lambda c: set_email(c, known, address))
    assert store.read(lambda c: list_by_account_info(c, "public", email(address))) == []
    assert (
        store.read(lambda c: find_recipe_user_id(c, "public", recipe_id="emailpassword", account=email(address)))
        is None
    )
    assert fetch(store, address) is None
    assert store.write(lambda c: delete_user(c, address)) == DeletedUser((), ())


def test_the_longest_address_can_be_stored(store: Database) -> None:
    """An address of the greatest length is stored and found."""
    address = "é" * ((MAX_IDENTITY_BYTES - 12) // 2) + "@example.com"
    assert len(address.encode()) == MAX_IDENTITY_BYTES
    add(store, email(address))
    assert len(store.read(lambda c: list_by_account_info(c, "public", email(address)))) == 1


def test_a_login_method_needs_an_identity(store: Database) -> None:
    """Nothing to sign in with is bad input."""
    with pytest.raises(BadInputError):
        add(store, AccountInfo())


@every_database
def test_login_method_is_found_by_identity(store: Database) -> None:
    """A login method is found by address, number or provider's account, in its tenant and recipe only."""
    mine, third = add(store, email("a@example.com")), add(store, GOOGLE, recipe_id="thirdparty")
    phone = add(store, PHONE, recipe_id="passwordless")

    def find(tenant_id: str, recipe_id: str, account: AccountInfo) -> str | None:
        return store.read(lambda c: find_recipe_user_id(c, tenant_id, recipe_id=recipe_id, account=account))

    assert find("public", "emailpassword", email(" A@example.com")) == mine
    assert find("public", "thirdparty", AccountInfo(third_party=GOOGLE.third_party)) == third
    assert find("public", "passwordless", AccountInfo(phone_number="004930123456")) == phone
    assert find("t1", "emailpassword", email("a@example.com")) is None
    assert find("public", "passwordless", email("a@example.com")) is None
    assert find("public", "thirdparty", email("g@example.com")) is None
    assert find("public", "emailpassword", AccountInfo()) is None


def test_ids_of_providers_cannot_run_into_each_other(store: Database) -> None:
    """Provider and user id are told apart, wherever a separator might be smuggled in."""
    for one in (("a|b", "c"), ("a", "b|c"), ('a","b', "c"), ("a", 'b","c')):
        add(store, AccountInfo(third_party=ThirdPartyInfo(*one)), recipe_id="thirdparty")
    assert len(identities(store)) == 4


@every_database
def test_changing_the_address(store: Database) -> None:
    """A new address replaces the old one, which is free again; verification ends with the address."""
    mine = add(store, email("a@example.com"))
    assert store.write(lambda c: set_verified(c, mine, "A@example.com"))
    assert store.write(lambda c: set_email(c, mine, "a@example.com")) is EmailChange.DONE
    user = fetch(store, mine)
    assert user is not None
    assert user.login_methods[0].verified
    assert store.write(lambda c: set_email(c, mine, " B@Example.com")) is EmailChange.DONE
    user = fetch(store, mine)
    assert user is not None
    assert (user.emails, user.login_methods[0].verified) == (["b@example.com"], False)
    assert not store.write(lambda c: set_verified(c, mine, "a@example.com"))
    add(store, email("a@example.com"))


@every_database
def test_changing_to_a_verified_address(store: Database) -> None:
    """A caller that knows the new address is verified can say so."""
    mine = add(store, email("a@example.com"))
    store.write(lambda c: set_email(c, mine, "b@example.com", verified=True))
    user = fetch(store, mine)
    assert user is not None
    assert user.login_methods[0].verified


@every_database
def test_changing_to_a_taken_address(store: Database) -> None:
    """An address that another login method has in any of the tenants is refused, and nothing is changed anywhere."""
    mine = add(store, email("a@example.com"))
    also_in(store, "t1", mine, "a@example.com")
    add(store, email("b@example.com"), tenant_id="t1")
    before = identities(store)
    assert store.write(lambda c: set_email(c, mine, "b@example.com")) is EmailChange.TAKEN
    assert identities(store) == before
    user = fetch(store, mine)
    assert user is not None
    assert (user.emails, user.tenant_ids) == (["a@example.com"], ["public", "t1"])


@every_database
def test_changing_the_address_in_every_tenant(store: Database) -> None:
    """The new address is taken in all tenants that the login method lives in."""
    mine = add(store, email("a@example.com"))
    also_in(store, "t1", mine, "a@example.com")
    store.write(lambda c: set_email(c, mine, "b@example.com"))
    assert identities(store) == {("public", "email:b@example.com"), ("t1", "email:b@example.com")}


def test_changing_the_address_of_nobody(store: Database) -> None:
    """An unknown id is reported."""
    assert store.write(lambda c: set_email(c, "nobody", "b@example.com")) is EmailChange.UNKNOWN_USER


def test_a_phone_user_gets_an_address(store: Database) -> None:
    """A login method without an address can get one, and keeps its number."""
    mine = add(store, PHONE, recipe_id="passwordless")
    store.write(lambda c: set_email(c, mine, "b@example.com"))
    assert identities(store) == {("public", "phone:+4930123456"), ("public", "email:b@example.com")}
    user = fetch(store, mine)
    assert user is not None
    assert user.tenant_ids == ["public"]


def test_a_providers_address_may_be_anybodys(store: Database) -> None:
    """A third-party login method's address changes without regard to others."""
    add(store, AccountInfo(email="b@example.com", third_party=ThirdPartyInfo("google", "1")), recipe_id="thirdparty")
    mine = add(store, GOOGLE, recipe_id="thirdparty")
    assert store.write(lambda c: set_email(c, mine, "b@example.com")) is EmailChange.DONE
    assert len(identities(store)) == 2


@every_database
def test_simultaneous_changes_leave_one_identity(store: Database) -> None:
    """Two changes of one login method's address at once leave the identity of the address it ended up with."""
    mine = add(store, email("a@example.com"))
    for round_ in range(8):

        def change(address: str) -> EmailChange:
            return store.write(lambda c: set_email(c, mine, address))

        together(lambda n=round_: change(f"x{n}@example.com"), lambda n=round_: change(f"y{n}@example.com"))
        user = fetch(store, mine)
        assert user is not None
        assert identities(store) == {("public", f"email:{user.emails[0]}")}


@every_database
def test_deleting_during_a_change_of_address(store: Database) -> None:
    """A login method deleted while its address changes leaves no address behind that nobody could use."""
    for round_ in range(8):
        mine = add(store, email("a@example.com"))
        together(
            lambda mine=mine, n=round_: store.write(lambda c: set_email(c, mine, f"b{n}@example.com")),
            lambda mine=mine: store.write(lambda c: delete_user(c, mine)),
        )
        assert identities(store) == set()


@every_database
def test_linked_login_methods_are_one_user(store: Database) -> None:
    """Any login method's id, and the primary id, lead to the whole group, the first to join in front."""
    first, second = add(store, email("a@example.com"), at=2000), add(store, GOOGLE, recipe_id="thirdparty", at=1000)
    link(store, first, second)
    user = fetch(store, second)
    assert user is not None
    assert user == fetch(store, first)
    assert (user.id, user.is_primary_user, user.time_joined) == (first, True, 1000)
    assert [one.recipe_user_id.get_as_string() for one in user.login_methods] == [second, first]


@every_database
def test_listing_by_account_info(store: Database) -> None:
    """A list has the users of the tenant that match all fields, or any of them, by time joined."""
    late = add(store, email("a@example.com"), at=3000)
    early = add(store, AccountInfo(email="a@example.com", third_party=ThirdPartyInfo("google", "1")), at=1000)
    phone = add(store, PHONE, recipe_id="passwordless", at=2000)
    add(store, email("a@example.com"), tenant_id="t1", at=500)

    def ids(account: AccountInfo, *, union: bool = False) -> list[str]:
        return [user.id for user in store.read(lambda c: list_by_account_info(c, "public", account, union=union))]

    both = AccountInfo(email="A@example.com", third_party=ThirdPartyInfo("google", "1"))
    assert ids(email("a@example.com")) == [early, late]
    assert ids(both) == [early]
    assert ids(both, union=True) == [early, late]
    assert ids(AccountInfo(email="a@example.com", phone_number="+4930123456"), union=True) == [early, phone, late]
    assert ids(AccountInfo(email="a@example.com", phone_number="+4930123456")) == []
    assert ids(AccountInfo()) == ids(AccountInfo(), union=True) == []


def test_listing_looks_at_whole_users(store: Database) -> None:
    """Fields may be fulfilled by different login methods of one user."""
    first, second = add(store, email("a@example.com")), add(store, GOOGLE, recipe_id="thirdparty")
    link(store, first, second)
    account = AccountInfo(email="a@example.com", third_party=GOOGLE.third_party)
    assert [user.id for user in store.read(lambda c: list_by_account_info(c, "public", account))] == [first]


@every_database
def test_deleting_a_user(store: Database) -> None:
    """A deleted user is gone with all login methods, its addresses are free, and what others keep goes with it."""
    first, second = add(store, email("a@example.com"), at=1), add(store, GOOGLE, recipe_id="thirdparty", at=2)
    other = add(store, email("b@example.com"))
    link(store, first, second)
    heard: list[DeletedUser] = []
    store.write(lambda c: delete_user(c, second, on_user_deleted=[lambda _, deleted: heard.append(deleted)]))
    assert (fetch(store, first), fetch(store, second)) == (None, None)
    assert fetch(store, other) is not None
    assert set(heard[0].recipe_user_ids) == set(heard[0].ids) == {first, second}
    add(store, email("a@example.com"))


@every_database
def test_deleting_one_login_method(store: Database) -> None:
    """One login method can be deleted; the others remain under the primary id, whose data is then kept."""
    first, second = add(store, email("a@example.com"), at=1), add(store, GOOGLE, recipe_id="thirdparty", at=2)
    link(store, first, second)

    def delete(user_id: str) -> DeletedUser:
        return store.write(lambda c: delete_user(c, user_id, remove_all_linked_accounts=False))

    assert delete(first) == DeletedUser((first,), ())
    user = fetch(store, first)
    assert user is not None
    assert (user.id, len(user.login_methods)) == (first, 1)
    assert delete(first) == DeletedUser((), ())
    assert delete(second) == DeletedUser((second,), (second, first))


@every_database
def test_deletion_is_one_transaction(store: Database) -> None:
    """When deleting what others keep fails, the user is still there."""
    mine = add(store, email("a@example.com"))

    def fail(connection: Connection, deleted: DeletedUser) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        store.write(lambda c: delete_user(c, mine, on_user_deleted=[fail]))
    assert fetch(store, mine) is not None


def test_deleting_nobody_tells_nobody(store: Database) -> None:
    """Deleting an unknown id does nothing and calls no hook."""
    heard: list[DeletedUser] = []
    hook: users.OnUserDeleted = lambda _, deleted: heard.append(deleted)  # noqa: E731
    assert store.write(lambda c: delete_user(c, "nobody", on_user_deleted=[hook])) == DeletedUser((), ())
    assert heard == []


@every_database
def test_directory_knows_groups(store: Database) -> None:
    """The directory leads from a login method to its user and back; an unknown id stands for itself."""
    first, second = add(store, email("a@example.com"), at=2), add(store, GOOGLE, recipe_id="thirdparty", at=1)
    alone = add(store, email("b@example.com"))
    link(store, first, second)
    directory = UserDirectory()
    assert store.read(lambda c: directory.primary_id(c, second)) == first
    assert store.read(lambda c: directory.primary_id(c, alone)) == alone
    assert store.read(lambda c: directory.primary_id(c, "nobody")) == "nobody"
    assert store.read(lambda c: directory.login_method_ids(c, second)) == [second, first]
    assert store.read(lambda c: directory.login_method_ids(c, alone)) == [alone]
    assert store.read(lambda c: directory.login_method_ids(c, "nobody")) == ["nobody"]
