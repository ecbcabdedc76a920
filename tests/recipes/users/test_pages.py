"""Pages through users, and their number."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import update

from coatcheck.recipes.exceptions import BadInputError
from coatcheck.recipes.users.directory import UsersFilter, count, page
from coatcheck.recipes.users.login_methods import add_login_method, methods
from coatcheck.recipes.users.user import AccountInfo, ThirdPartyInfo
from coatcheck.sessions.database import Database

PUBLIC = UsersFilter("public")

every_database = pytest.mark.parametrize("store", ["memory", "file", "postgres"], indirect=True)


def add(store: Database, name: str, *, at: int, tenant_id: str = "public", provider: str | None = None) -> str:
    """Add a user who signs in with a password, or with a provider, and return the id."""
    third_party = None if provider is None else ThirdPartyInfo(provider, name)
    account = AccountInfo(email=f"{name}@example.com", third_party=third_party)
    recipe_id = "emailpassword" if provider is None else "thirdparty"
    added = store.write(lambda c: add_login_method(c, tenant_id, recipe_id=recipe_id, account=account, time_joined=at))
    assert added is not None
    return str(added.recipe_user_id)


def walk(store: Database, wanted: UsersFilter, *, limit: int | None = None, newest_first: bool = False) -> list[str]:
    """Return the ids of all users, page by page."""
    ids: list[str] = []
    token: str | None = None
    while True:
        found = store.read(
            lambda c, token=token: page(c, wanted, limit=limit, newest_first=newest_first, pagination_token=token)  # type: ignore[misc]
        )
        ids += [user.id for user in found.users]
        assert limit is None or len(found.users) <= limit
        token = found.next_pagination_token
        if token is None:
            return ids


@every_database
def test_pages_are_in_order_and_complete(store: Database) -> None:
    """Pages of any size, oldest or newest first, show everybody once, also those who joined in one millisecond."""
    everybody = [(at, add(store, f"u{n}", at=at)) for n, at in enumerate([5, 3, 3, 3, 9, 1, 3])]
    oldest = [user_id for _, user_id in sorted(everybody)]
    for limit in (1, 2, 3, 7, 8):
        assert walk(store, PUBLIC, limit=limit) == oldest
        assert walk(store, PUBLIC, limit=limit, newest_first=True) == oldest[::-1]


@every_database
def test_a_group_is_where_its_first_login_method_is(store: Database) -> None:
    """A linked user appears once, at the time its first login method joined."""
    ids = [add(store, f"u{n}", at=n) for n in range(4)]
    linked = methods.c.recipe_user_id.in_([ids[3], ids[0]])
    store.write(lambda c: c.execute(update(methods).where(linked).values(primary_user_id=ids[3])))
    assert walk(store, PUBLIC, limit=1) == [ids[3], ids[1], ids[2]]
    assert walk(store, PUBLIC, limit=2, newest_first=True) == [ids[2], ids[1], ids[3]]
    assert store.read(lambda c: count(c, PUBLIC)) == 3


@every_database
def test_last_page_has_no_token(store: Database) -> None:
    """A page that ends with the last user has no token, and an empty tenant has an empty page."""
    add(store, "u", at=1)
    assert store.read(lambda c: page(c, PUBLIC, limit=1)).next_pagination_token is None
    assert store.read(lambda c: page(c, UsersFilter("t1"))).users == []


def test_a_hundred_by_default(store: Database) -> None:
    """Without a limit a page has a hundred users."""
    for n in range(101):
        add(store, f"u{n}", at=n)
    first = store.read(lambda c: page(c, PUBLIC))
    assert len(first.users) == 100
    assert len(walk(store, PUBLIC)) == 101


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_impossible_limits(store: Database, limit: int) -> None:
    """A limit below one or above five hundred is bad input."""
    with pytest.raises(BadInputError, match="1 to 500"):
        store.read(lambda c: page(c, PUBLIC, limit=limit))


@every_database
def test_filters(store: Database) -> None:
    """Users are narrowed by tenant, recipe, and what their address, number or provider contain."""
    ada = add(store, "ada", at=1)
    bob = add(store, "bob_x", at=2, provider="google-mobile")
    add(store, "eve", at=3, tenant_id="t1")

    def ids(**given: object) -> list[str]:
        wanted = UsersFilter(**{"tenant_id": "public", **given})  # type: ignore[arg-type]
        found = walk(store, wanted)
        assert store.read(lambda c: count(c, wanted)) == len(found)
        return found

    assert ids() == [ada, bob]
    assert len(ids(tenant_id=None)) == 3
    assert ids(include_recipe_ids=["thirdparty"]) == [bob]
    assert ids(include_recipe_ids=["thirdparty", "emailpassword"]) == [ada, bob]
    assert ids(include_recipe_ids=[]) == []
    assert ids(query={}) == [ada, bob]
    assert ids(query={"email": " ADA"}) == [ada]
    assert ids(query={"email": "example.com"}) == [ada, bob]
    assert ids(query={"email": "%"}) == []
    assert ids(query={"email": "b_x"}) == [bob]
    assert ids(query={"provider": "Google"}) == [bob]
    assert ids(query={"provider": "mobile"}) == []
    assert ids(query={"phone": "+49"}) == []
    assert ids(query={"email": "bob", "provider": "google"}) == [bob]
    assert ids(query={"email": "ada", "provider": "google"}) == []


@pytest.mark.parametrize("query", [{"name": "x"}, {"email": "\0"}, {"email": "\ud800"}])
def test_impossible_queries(store: Database, query: dict[str, str]) -> None:
    """Searching by anything else, or for what no database stores, is bad input."""
    with pytest.raises(BadInputError):
        store.read(lambda c: page(c, UsersFilter("public", query=query)))


def token_of(value: object) -> str:
    """Return a token that says something else."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode("ascii")


@every_database
@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "é",
        "\0",
        "bnVsbA==",
        token_of([1]),
        token_of(["1", "x"]),
        token_of([1, 2]),
        token_of([1, None]),
        token_of([1, []]),
        token_of([1.5, "x"]),
        token_of([True, "x"]),
        token_of([2**63, "x"]),
        token_of([1, "\0"]),
        token_of([1, "\ud800"]),
        token_of({"time": 1}),
        "[" * 100_000,
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_garbage_tokens(store: Database, token: str) -> None:
    """A token that was never given out is bad input, on every database."""
    with pytest.raises(BadInputError, match="invalid pagination token"):
        store.read(lambda c: page(c, PUBLIC, pagination_token=token))


scalars = st.none() | st.booleans() | st.integers() | st.text()


@settings(max_examples=200)
@given(st.text() | st.builds(token_of, scalars | st.lists(scalars | st.lists(scalars, max_size=2), max_size=4)))
def test_any_token_is_a_place_or_bad_input(store: Database, token: str) -> None:
    """Whatever is given as a token, the answer is a page or bad input."""
    try:
        found = store.read(lambda c: page(c, PUBLIC, pagination_token=token))
    except BadInputError:
        return
    assert found.users == []
