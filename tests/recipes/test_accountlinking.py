"""The functions over users, and how they are overridden; what lies below is tested with users and their pages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, update

from coatcheck import App, get_user
from coatcheck.claims import ManualClock
from coatcheck.recipes import accountlinking, emailpassword, session, usermetadata
from coatcheck.recipes.chain.chain import InputOverrideConfig
from coatcheck.recipes.exceptions import BadInputError
from coatcheck.recipes.kit.recipe import OverridesOnly, Recipe, RecipeSpecification
from coatcheck.recipes.users import login_methods
from coatcheck.recipes.users.directory import DeletedUser
from coatcheck.recipes.users.user import AccountInfo, User

from ..kit import Make, Serve

users = accountlinking.sync
CONTRACT = {
    "get_users": (
        "tenant_id",
        "time_joined_order",
        "limit",
        "pagination_token",
        "include_recipe_ids",
        "query",
        "user_context",
    ),
    "get_user_count": ("include_recipe_ids", "tenant_id", "user_context"),
    "get_user": ("user_id", "user_context"),
    "list_users_by_account_info": ("tenant_id", "account_info", "do_union_of_account_info", "user_context"),
    "delete_user": ("user_id", "remove_all_linked_accounts", "user_context"),
}


def sign_up(name: str) -> User:
    """Sign somebody up."""
    made = emailpassword.sync.sign_up("public", f"{name}@example.com", "password 1")
    assert isinstance(made, emailpassword.SignUpOkResult)
    return made.user


def link(app: App, *group: User) -> None:
    """Make these one user, as account linking will."""
    these = login_methods.methods.c.recipe_user_id.in_([user.id for user in group])
    statement = update(login_methods.methods).where(these).values(primary_user_id=group[0].id)
    app.database.write(lambda connection: connection.execute(statement))


def new_session(user: User) -> Any:
    """Create a session for the first login method of a user."""
    method = user.login_methods[0]
    return session.sync.create_new_session_without_request_response("public", method.recipe_user_id)


@pytest.fixture(params=["memory", "postgres"])
def app(make_app: Make, request: pytest.FixtureRequest) -> Iterator[App]:
    """Return an App on each kind of database, made current."""
    database = None if request.param == "memory" else request.getfixturevalue("postgres_url")
    made = make_app(database=database)
    with made.active():
        yield made


def test_awaited(app: App) -> None:
    """Every function can be awaited; `get_user` is also at the front door."""
    ann, _ = sign_up("ann"), sign_up("bob")

    async def everything() -> list[Any]:
        oldest = await accountlinking.get_users_oldest_first("public", limit=1)
        newest = await accountlinking.get_users_newest_first("public")
        listed = await accountlinking.list_users_by_account_info("public", AccountInfo(email="ANN@example.com"))
        found, count = await get_user(ann.id), await accountlinking.get_user_count()
        await accountlinking.delete_user(ann.id)
        return [oldest.users, newest.users[-1], listed, found, count, await get_user(ann.id)]

    oldest, last, listed, found, count, gone = asyncio.run(everything())
    assert [len(oldest), count, gone] == [1, 2, None]
    assert ann == listed[0] == found
    assert last.emails in (ann.emails, ["bob@example.com"])


@pytest.mark.parametrize("by_name", [True, False])
def test_every_function_can_be_overridden(make_app: Make, by_name: bool) -> None:
    """Layers get the parameters of the reference, by name or in its order (docs/protocol.md, rule 15.4)."""
    seen: list[str] = []

    def override(original: Any) -> Any:
        for name, parameters in CONTRACT.items():
            setattr(original, name, wrapped(name, parameters, getattr(original, name)))
        return original

    def wrapped(name: str, parameters: tuple[str, ...], inner: Any) -> Any:
        async def named(**given: Any) -> Any:
            assert tuple(given) == parameters
            seen.append(name)
            return await inner(**given)

        names = ", ".join(parameters)
        namespace: dict[str, Any] = {"seen": seen, "inner": inner}
        exec(f"async def layer({names}):\n seen.append({name!r})\n return await inner({names})", namespace)
        return named if by_name else namespace["layer"]

    recipes = [emailpassword.init(), accountlinking.init(InputOverrideConfig(functions=override))]
    with make_app(recipes=recipes).active():
        ann = sign_up("ann")
        assert users.get_users_oldest_first("public").users == users.get_users_newest_first("public").users == [ann]
        assert users.get_user_count() == 1
        assert users.get_user(ann.id) == ann
        assert users.list_users_by_account_info("public", AccountInfo(email="ann@example.com")) == [ann]
        users.delete_user(ann.id)
    assert seen == ["get_users", "get_users", "get_user_count", "get_user", "list_users_by_account_info", "delete_user"]


def test_pages_in_both_directions(app: App, clock: ManualClock) -> None:
    """Pages follow each other without a gap, also where somebody signs up in between (rule 19.9)."""
    for number in range(5):
        sign_up(f"u{number}")
        clock.advance(1 if number % 2 else 0)
    for page in (users.get_users_oldest_first, users.get_users_newest_first):
        seen, token = [], None
        while True:
            response = page("public", 2, token)
            seen += [user.id for user in response.users]
            token = response.next_pagination_token
            if token is None:
                break
        assert len(seen) == len(set(seen)) == 5
        assert page("public", 5).next_pagination_token is None


@pytest.mark.parametrize(
    "arguments", [{"limit": 0}, {"limit": 501}, {"pagination_token": "x"}, {"query": {"name": "x"}}]
)
def test_impossible_pages(app: App, arguments: dict[str, Any]) -> None:
    """A limit, token or query that cannot be is bad input (rule 19.9)."""
    with pytest.raises(BadInputError):
        users.get_users_oldest_first("public", **arguments)


def test_account_info_by_all_or_by_any(app: App) -> None:
    """All that is given must hold, or with the flag any of it; nothing given finds nobody (rule 19.8)."""
    ann = sign_up("ann")
    both = AccountInfo(email="ann@example.com", phone_number="+4930123456")
    assert users.list_users_by_account_info("public", both) == []
    assert users.list_users_by_account_info("public", both, do_union_of_account_info=True) == [ann]
    assert users.list_users_by_account_info("public", AccountInfo(), do_union_of_account_info=True) == []
    assert users.list_users_by_account_info("t1", AccountInfo(email="ann@example.com")) == []


# Deleting


def test_deleting_one_of_a_group(app: App) -> None:
    """Without the others, one login method goes with its password and sessions; the user, and what is kept under its
    id, remain (rule 19.11).
    """
    ann, work = sign_up("ann"), sign_up("ann.work")
    link(app, ann, work)
    for user in (ann, work):
        new_session(user)
    usermetadata.sync.update_user_metadata(ann.id, {"k": 1})
    assert len(session.sync.get_all_session_handles_for_user(ann.id)) == 2
    users.delete_user(work.id, remove_all_linked_accounts=False)
    assert len(session.sync.get_all_session_handles_for_user(ann.id)) == 1
    assert emailpassword.sync.sign_in("public", "ann.work@example.com", "password 1").status != "OK"
    left = users.get_user(ann.id)
    assert left is not None
    assert left.emails == ["ann@example.com"]
    assert usermetadata.sync.get_user_metadata(ann.id).metadata == {"k": 1}


def test_deleting_a_whole_group(app: App) -> None:
    """By default everything of the user goes, whichever of its ids is named, and sessions of all its login methods
    (rule 19.11).
    """
    ann, work, bob = sign_up("ann"), sign_up("ann.work"), sign_up("bob")
    link(app, ann, work)
    made = [new_session(user) for user in (ann, work, bob)]
    users.delete_user(work.id)
    assert [users.get_user(user.id) is None for user in (ann, work, bob)] == [True, True, False]
    informed = [session.sync.get_session_information(one.get_handle()) for one in made]
    assert [information is None for information in informed] == [True, True, False]
    for name, status in (("ann", "WRONG_CREDENTIALS_ERROR"), ("ann.work", "WRONG_CREDENTIALS_ERROR"), ("bob", "OK")):
        assert emailpassword.sync.sign_in("public", f"{name}@example.com", "password 1").status == status


def test_a_deletion_is_whole_or_not_at_all(make_app: Make) -> None:
    """If one recipe cannot forget the user, nothing is deleted: sessions, password and metadata are as before."""

    class NoFunctions:
        """The interface of a recipe without operations."""

        def __init__(self, recipe: Recipe[Any, Any]) -> None:
            pass

    class Reluctant(Recipe[NoFunctions, None]):
        recipe_id = "reluctant"
        interfaces = (NoFunctions, None)

        def forget_user(self, connection: Connection, deleted: DeletedUser) -> None:
            raise OSError(f"{deleted.ids} must stay")

    reluctant = RecipeSpecification(Reluctant, OverridesOnly.checked("reluctant", None), NoFunctions)
    # It comes after the recipes that keep something, which are listed here for that reason.
    recipes = [emailpassword.init(), usermetadata.init(), reluctant]
    with make_app(recipes=recipes).active():
        ann = sign_up("ann")
        made = new_session(ann)
        usermetadata.sync.update_user_metadata(ann.id, {"k": 1})
        with pytest.raises(OSError, match="must stay"):
            users.delete_user(ann.id)
        assert users.get_user(ann.id) == ann
        assert session.sync.get_session_information(made.get_handle()) is not None
        assert usermetadata.sync.get_user_metadata(ann.id).metadata == {"k": 1}
        assert emailpassword.sync.sign_in("public", "ann@example.com", "password 1").status == "OK"


def test_tokens_of_the_deleted_are_worth_little(make_app: Make, serve: Serve) -> None:
    """The refresh token is refused at once; an access token no longer than until the database is asked."""
    app = make_app()
    with app.active():
        ann = sign_up("ann")
        made = new_session(ann)
        tokens = made.get_all_session_tokens_dangerously()
        users.delete_user(ann.id)
        assert session.sync.get_session_without_request_response(made.get_access_token(), check_database=False)
        with pytest.raises(session.exceptions.UnauthorisedError):
            session.sync.get_session_without_request_response(made.get_access_token(), check_database=True)
    refresh = serve(app).post("/auth/session/refresh", headers={"authorization": f"Bearer {tokens['refreshToken']}"})
    assert (refresh.status_code, refresh.json()) == (401, {"message": "unauthorised"})


@pytest.mark.parametrize("odd", ["nobody", "", "\0", "\ud800", "x" * 5000])
def test_nobody(app: App, odd: str) -> None:
    """An id nobody has, of whatever characters, finds nobody, and deleting it is no error (rule 19.5)."""
    assert users.get_user(odd) is None
    users.delete_user(odd)
    assert users.list_users_by_account_info("public", AccountInfo(email=odd)) == []
