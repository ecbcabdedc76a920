"""Users, computed from their login methods: found, listed page by page, counted, deleted.

Each function takes the connection of the transaction it runs in. In a page, the place of a user is that of its earliest
login method, so that linking accounts moves only the user that is linked.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from ..exceptions import BadInputError
from .login_methods import WITH_TENANTS, is_storable, login_methods, methods, normalised, storable_text, tenants
from .user import AccountInfo, LoginMethod, User

user_id_of = sa.func.coalesce(methods.c.primary_user_id, methods.c.recipe_user_id)
"""The id of the user that a login method belongs to."""

# Built once, because every sign-in, new session and refresh asks for them.
_ids: sa.BindParameter[list[str]] = sa.bindparam("ids", expanding=True)
_OWNER = sa.select(user_id_of).where(methods.c.recipe_user_id == sa.bindparam("this"))
_GROUPS = WITH_TENANTS.where(
    sa.or_(
        sa.and_(methods.c.recipe_user_id.in_(_ids), methods.c.primary_user_id.is_(None)),
        methods.c.primary_user_id.in_(_ids),
    )
)
# For one id, the usual case: SQLAlchemy writes the text of an IN again each time.
_in_group = sa.or_(
    sa.and_(methods.c.recipe_user_id == sa.bindparam("this"), methods.c.primary_user_id.is_(None)),
    methods.c.primary_user_id == sa.bindparam("this"),
)
_GROUP = WITH_TENANTS.where(_in_group)
_IDS_OF_GROUP = (
    sa.select(methods.c.recipe_user_id).where(_in_group).order_by(methods.c.time_joined, methods.c.recipe_user_id)
)


@dataclass(frozen=True, slots=True)
class DeletedUser:
    """What a deletion removed: login methods, and the ids (theirs and the user's) that nobody has any more."""

    recipe_user_ids: tuple[str, ...]
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UsersResponse:
    """Some users in order, and the token of the next page, None on the last."""

    users: list[User]
    next_pagination_token: str | None


OnUserDeleted = Callable[[Connection, DeletedUser], None]
"""Deletes what another table keeps about a user, in the same transaction."""


def get_user(connection: Connection, user_id: str) -> User | None:
    """Return the user with this id, or the one that owns the login method with this id."""
    # Nearly every id is a user's own; only the id of a linked login method needs a second look.
    users = users_by_id(connection, [user_id])
    if not users and (owner := _owner(connection, user_id)) != user_id:
        users = users_by_id(connection, [owner])
    return next(iter(users), None)


def users_by_id(connection: Connection, user_ids: Sequence[str]) -> list[User]:
    """Return the users with these ids (a user's own, not those of login methods) in this order, without the unknown."""
    ids = [user_id for user_id in user_ids if storable_text(user_id)]
    one = len(ids) == 1
    rows = connection.execute(_GROUP if one else _GROUPS, {"this": ids[0]} if one else {"ids": ids}).all()
    groups: dict[str, list[LoginMethod]] = {}
    for owner, method in login_methods(rows):
        groups.setdefault(owner, []).append(method)
    linked = {row.primary_user_id for row in rows}
    return [
        User.of(groups[user_id], primary_user_id=user_id if user_id in linked else None)
        for user_id in user_ids
        if user_id in groups
    ]


def list_by_account_info(
    connection: Connection, tenant_id: str, account: AccountInfo, *, union: bool = False
) -> list[User]:
    """Return the users of a tenant with all (or with `union`, any) of what is given, the first to join in front."""
    in_tenant = sa.select(user_id_of).join(tenants, tenants.c.recipe_user_id == methods.c.recipe_user_id)
    in_tenant = in_tenant.where(tenants.c.tenant_id == tenant_id)
    found = [
        set(connection.execute(in_tenant.where(condition)).scalars()) for condition in _conditions(normalised(account))
    ]
    if not found:
        return []
    ids = set.union(*found) if union else set.intersection(*found)
    return sorted(users_by_id(connection, sorted(ids)), key=lambda user: (user.time_joined, user.id))


def delete_user(
    connection: Connection,
    user_id: str,
    *,
    remove_all_linked_accounts: bool = True,
    on_user_deleted: Iterable[OnUserDeleted] = (),
) -> DeletedUser:
    """Delete a user with every login method, or only the login method with this id, and what recipes store about it."""
    owner = _owner(connection, user_id)
    group = _ids_of_group(connection, owner)
    removed = group if remove_all_linked_accounts else [one for one in group if one == user_id]
    if not removed:
        return DeletedUser((), ())
    # Login methods first: a change of address locks their rows while it moves identities.
    connection.execute(sa.delete(methods).where(methods.c.recipe_user_id.in_(removed)))
    connection.execute(sa.delete(tenants).where(tenants.c.recipe_user_id.in_(removed)))
    somebody_left = len(removed) < len(group)
    ids = [one for one in removed if one != owner] if somebody_left else list(dict.fromkeys([*removed, owner]))
    deleted = DeletedUser(tuple(removed), tuple(ids))
    for forget in on_user_deleted:
        forget(connection, deleted)
    return deleted


class UserDirectory:
    """Tells the session engine which user a login method belongs to; an unknown id stands for itself."""

    def primary_id(self, connection: Connection, recipe_user_id: str) -> str:
        """Return the id of the user who owns this login method."""
        return _owner(connection, recipe_user_id)

    def login_method_ids(self, connection: Connection, user_id: str) -> list[str]:
        """Return the ids of all login methods of a user, given the id of the user or of a login method."""
        return _ids_of_group(connection, _owner(connection, user_id)) or [user_id]


def _owner(connection: Connection, user_id: str) -> str:
    return (storable_text(user_id) and connection.execute(_OWNER, {"this": user_id}).scalar()) or user_id


def _ids_of_group(connection: Connection, owner: str) -> list[str]:
    return list(connection.execute(_IDS_OF_GROUP, {"this": owner}).scalars()) if storable_text(owner) else []


def _conditions(account: AccountInfo) -> list[sa.ColumnElement[bool]]:
    """Return one condition for each field given; a passkey, and what no database can store, match nobody."""
    found: list[sa.ColumnElement[bool]] = []
    if account.email is not None:
        found.append(methods.c.email == account.email)
    if account.phone_number is not None:
        found.append(methods.c.phone_number == account.phone_number)
    if account.third_party is not None:
        info = account.third_party
        found.append(sa.and_(methods.c.third_party_id == info.id, methods.c.third_party_user_id == info.user_id))
    if account.webauthn is not None:
        found.append(sa.false())
    return found if is_storable(account) else [sa.false() for _ in found]


# Pages and counts


DEFAULT_LIMIT = 100
MAX_LIMIT = 500
_MAX_BIGINT = 2**63 - 1

_earlier = methods.alias("earlier")
_member = methods.alias("member")


@dataclass(frozen=True, slots=True)
class UsersFilter:
    """Selects users: those with one login method that fulfils everything given.

    `query` may name `email` and `phone` (contained in it) and `provider` (begins with it), in any letter case.
    """

    tenant_id: str | None = None
    include_recipe_ids: Sequence[str] | None = None
    query: Mapping[str, str] | None = None


def page(
    connection: Connection,
    wanted: UsersFilter,
    *,
    newest_first: bool = False,
    limit: int | None = None,
    pagination_token: str | None = None,
) -> UsersResponse:
    """Return the users that follow those of the page whose token is given, at most `limit` (default 100, up to 500).

    BadInputError for a limit or token that is not valid.
    """
    limit = DEFAULT_LIMIT if limit is None else limit
    if not 1 <= limit <= MAX_LIMIT:
        raise BadInputError(f"limit must be a number from 1 to {MAX_LIMIT}")
    places = sa.select(methods.c.time_joined, methods.c.recipe_user_id, user_id_of.label("user_id"))
    places = places.where(_is_first_of_user(), *_having_a_method(wanted))
    if pagination_token is not None:
        places = places.where(_after(_place(pagination_token), newest_first=newest_first))
    order = (methods.c.time_joined, methods.c.recipe_user_id)
    ordered = places.order_by(*(column.desc() if newest_first else column for column in order))
    rows = connection.execute(ordered.limit(limit + 1)).all()
    users = users_by_id(connection, [row.user_id for row in rows[:limit]])
    more = len(rows) > limit
    return UsersResponse(users, _token(rows[limit - 1].time_joined, rows[limit - 1].recipe_user_id) if more else None)


def count(connection: Connection, wanted: UsersFilter) -> int:
    """Return how many users there are."""
    number = sa.select(sa.func.count(sa.distinct(user_id_of)))
    return connection.execute(number.where(*_having_a_method(wanted))).scalar_one()


def _is_first_of_user() -> sa.ColumnElement[bool]:
    sooner = sa.or_(
        _earlier.c.time_joined < methods.c.time_joined,
        sa.and_(_earlier.c.time_joined == methods.c.time_joined, _earlier.c.recipe_user_id < methods.c.recipe_user_id),
    )
    return ~sa.exists().where(_earlier.c.primary_user_id == methods.c.primary_user_id, sooner)


def _having_a_method(wanted: UsersFilter) -> list[sa.ColumnElement[bool]]:
    conditions = _query_conditions(wanted.query or {})
    if wanted.include_recipe_ids is not None:
        conditions.append(_member.c.recipe_id.in_(wanted.include_recipe_ids))
    if wanted.tenant_id is not None:
        there = sa.and_(tenants.c.recipe_user_id == _member.c.recipe_user_id, tenants.c.tenant_id == wanted.tenant_id)
        conditions.append(sa.exists().where(there))
    if not conditions:
        return []
    same_user = sa.or_(
        _member.c.recipe_user_id == methods.c.recipe_user_id, _member.c.primary_user_id == methods.c.primary_user_id
    )
    return [sa.exists().where(same_user, *conditions)]


def _query_conditions(query: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    for name, text in query.items():
        sought = text.strip().lower()
        if not storable_text(sought):
            raise BadInputError(f"the query for {name} is too long or not valid text")
        if name == "email":
            conditions.append(_member.c.email.contains(sought, autoescape=True))
        elif name == "phone":
            conditions.append(_member.c.phone_number.contains(sought, autoescape=True))
        elif name == "provider":
            conditions.append(sa.func.lower(_member.c.third_party_id).startswith(sought, autoescape=True))
        else:
            raise BadInputError(f"users can be searched by email, phone and provider, not by {name}")
    return conditions


def _after(place: tuple[int, str], *, newest_first: bool) -> sa.ColumnElement[bool]:
    time_joined, recipe_user_id = place
    column, tie = methods.c.time_joined, methods.c.recipe_user_id
    if newest_first:
        return sa.or_(column < time_joined, sa.and_(column == time_joined, tie < recipe_user_id))
    return sa.or_(column > time_joined, sa.and_(column == time_joined, tie > recipe_user_id))


def _token(time_joined: int, recipe_user_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([time_joined, recipe_user_id]).encode()).decode("ascii")


def _place(pagination_token: str) -> tuple[int, str]:
    try:
        place = json.loads(base64.b64decode(pagination_token.encode("ascii"), altchars=b"-_", validate=True))
        time_joined, recipe_user_id = place
        known = type(time_joined) is int and isinstance(recipe_user_id, str)
        if known and abs(time_joined) <= _MAX_BIGINT and storable_text(recipe_user_id):
            return time_joined, recipe_user_id
    except (ValueError, TypeError, RecursionError):
        pass  # refused below, like a token of the wrong shape
    raise BadInputError("invalid pagination token")
