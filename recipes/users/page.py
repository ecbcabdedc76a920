"""Pages through the users of a tenant, and their number.

A user's place is that of its earliest login method, so that linking accounts moves nobody but the one linked.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, distinct, exists, func, or_, select

from ..exceptions import BadInputError
from .directory import UsersResponse, user_id_of, users_by_id
from .login_methods import methods, storable_text, tenants

DEFAULT_LIMIT = 100
MAX_LIMIT = 500
_MAX_BIGINT = 2**63 - 1

_earlier = methods.alias("earlier")
_member = methods.alias("member")


@dataclass(frozen=True, slots=True)
class UsersFilter:
    """Which users are meant: those with a login method that fulfils everything given.

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

    BadInputError for a limit or token that cannot be.
    """
    limit = DEFAULT_LIMIT if limit is None else limit
    if not 1 <= limit <= MAX_LIMIT:
        raise BadInputError(f"limit must be a number from 1 to {MAX_LIMIT}")
    places = select(methods.c.time_joined, methods.c.recipe_user_id, user_id_of.label("user_id"))
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
    number = select(func.count(distinct(user_id_of)))
    return connection.execute(number.where(*_having_a_method(wanted))).scalar_one()


def _is_first_of_user() -> ColumnElement[bool]:
    sooner = or_(
        _earlier.c.time_joined < methods.c.time_joined,
        and_(_earlier.c.time_joined == methods.c.time_joined, _earlier.c.recipe_user_id < methods.c.recipe_user_id),
    )
    return ~exists().where(_earlier.c.primary_user_id == methods.c.primary_user_id, sooner)


def _having_a_method(wanted: UsersFilter) -> list[ColumnElement[bool]]:
    conditions = _query_conditions(wanted.query or {})
    if wanted.include_recipe_ids is not None:
        conditions.append(_member.c.recipe_id.in_(wanted.include_recipe_ids))
    if wanted.tenant_id is not None:
        there = and_(tenants.c.recipe_user_id == _member.c.recipe_user_id, tenants.c.tenant_id == wanted.tenant_id)
        conditions.append(exists().where(there))
    if not conditions:
        return []
    same_user = or_(
        _member.c.recipe_user_id == methods.c.recipe_user_id, _member.c.primary_user_id == methods.c.primary_user_id
    )
    return [exists().where(same_user, *conditions)]


def _query_conditions(query: Mapping[str, str]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name, text in query.items():
        sought = text.strip().lower()
        if not storable_text(sought):
            raise BadInputError(f"the query for {name} is too long or not valid text")
        if name == "email":
            conditions.append(_member.c.email.contains(sought, autoescape=True))
        elif name == "phone":
            conditions.append(_member.c.phone_number.contains(sought, autoescape=True))
        elif name == "provider":
            conditions.append(func.lower(_member.c.third_party_id).startswith(sought, autoescape=True))
        else:
            raise BadInputError(f"users can be searched by email, phone and provider, not by {name}")
    return conditions


def _after(place: tuple[int, str], *, newest_first: bool) -> ColumnElement[bool]:
    time_joined, recipe_user_id = place
    column, tie = methods.c.time_joined, methods.c.recipe_user_id
    if newest_first:
        return or_(column < time_joined, and_(column == time_joined, tie < recipe_user_id))
    return or_(column > time_joined, and_(column == time_joined, tie > recipe_user_id))


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
        pass  # told below, like a token of the wrong shape
    raise BadInputError("invalid pagination token")
