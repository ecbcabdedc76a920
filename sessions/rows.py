"""The table of sessions, and every statement that touches it.

Each function takes the connection of the transaction in which it runs. An expired row is treated as absent, so that a
clean-up changes no answer; only `remove` and `remove_many` count it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import sqlalchemy as sa

from .clean_up import BATCH
from .exceptions import DatabaseError
from .schema import metadata

NO_SALT = ""
_ATTEMPTS = 50
_LOST = f"the session was changed by others {_ATTEMPTS} times in a row"
_CHUNK = 500

table = sa.Table(
    "coatcheck_sessions",
    metadata,
    sa.Column("handle", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, nullable=False),
    sa.Column("recipe_user_id", sa.Text, nullable=False),
    sa.Column("cur", sa.String(64), nullable=False),
    sa.Column("salt", sa.String(32), nullable=False),
    sa.Column("salt_drawn_at", sa.BigInteger, nullable=False),
    sa.Column("session_data", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("use_static_key", sa.Boolean, nullable=False),
    sa.Index("coatcheck_sessions_expires_at", "expires_at"),
    sa.Index("coatcheck_sessions_recipe_user_id", "recipe_user_id"),
)

# Compiled once, with bound values; a row without a salt has the salt "" because NULL equals nothing.
_alive = table.c.expires_at > sa.bindparam("at_ms")
_this = table.c.handle == sa.bindparam("this")
_INSERT = sa.insert(table)
_FIND = sa.select(table).where(_this, _alive)
_MOVE = (
    sa.update(table)
    .where(_this, _alive, table.c.cur == sa.bindparam("seen_cur"), table.c.salt == sa.bindparam("seen_salt"))
    .values({name: sa.bindparam(f"new_{name}") for name in ("cur", "salt", "salt_drawn_at", "expires_at")})
    .values(use_static_key=sa.bindparam("new_use_static_key"))
)
_SET_DATA = sa.update(table).where(_this, _alive).values(session_data=sa.bindparam("new_data"))
_SET_PAYLOAD = sa.update(table).where(_this, _alive).values(payload=sa.bindparam("new_payload"))
_SWAP_PAYLOAD = _SET_PAYLOAD.where(table.c.payload == sa.bindparam("seen_payload"))
_DELETE = sa.delete(table).where(_this)
_DELETE_MANY = (
    sa.delete(table).where(table.c.handle.in_(sa.bindparam("handles", expanding=True))).returning(table.c.handle)
)
_HANDLES = (
    sa.select(table.c.handle)
    .where(table.c.recipe_user_id.in_(sa.bindparam("user_ids", expanding=True)), _alive)
    .order_by(table.c.created_at, table.c.handle)
)
_HANDLES_OF_TENANT = _HANDLES.where(table.c.tenant_id == sa.bindparam("tenant"))
_DELETE_OF_USERS = sa.delete(table).where(table.c.recipe_user_id.in_(sa.bindparam("user_ids", expanding=True)))
_expired = sa.select(table.c.handle).where(table.c.expires_at <= sa.bindparam("at_ms"))
_DELETE_EXPIRED = sa.delete(table).where(table.c.handle.in_(_expired.order_by(table.c.expires_at).limit(BATCH)))


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One stored session: times in milliseconds, claims and data as JSON texts, `salt` in hexadecimal or ""."""

    handle: str
    tenant_id: str
    recipe_user_id: str
    cur: str
    salt: str
    salt_drawn_at: int
    session_data: str
    payload: str
    expires_at: int
    created_at: int
    use_static_key: bool


_COLUMNS = tuple(field.name for field in fields(SessionRow))


def add(connection: sa.Connection, row: SessionRow) -> None:
    """Store a new session."""
    connection.execute(_INSERT, {name: getattr(row, name) for name in _COLUMNS})


def find(connection: sa.Connection, handle: str, *, at_ms: int) -> SessionRow | None:
    """Return the session of a handle, or None if there is none or it has expired."""
    found = connection.execute(_FIND, {"this": handle, "at_ms": at_ms}).first()
    return None if found is None else SessionRow(*found)


def settle(
    connection: sa.Connection, handle: str, decide: Callable[[SessionRow], SessionRow], *, at_ms: int
) -> SessionRow | None:
    """Change a session to the row that `decide` returns for its present row, and return that; None if it is absent.

    No row is locked: if another process has changed the row meanwhile, `decide` is called again with the new row.
    """
    for _ in range(_ATTEMPTS):
        row = find(connection, handle, at_ms=at_ms)
        if row is None:
            return None
        wanted = decide(row)
        if wanted is row or _move(connection, row, wanted, at_ms=at_ms):
            return wanted
    raise DatabaseError(_LOST)


def _move(connection: sa.Connection, row: SessionRow, wanted: SessionRow, *, at_ms: int) -> bool:
    values = {
        "this": row.handle,
        "at_ms": at_ms,
        "seen_cur": row.cur,
        "seen_salt": row.salt,
        "new_cur": wanted.cur,
        "new_salt": wanted.salt,
        "new_salt_drawn_at": wanted.salt_drawn_at,
        "new_expires_at": wanted.expires_at,
        "new_use_static_key": wanted.use_static_key,
    }
    return connection.execute(_MOVE, values).rowcount > 0


def set_data(connection: sa.Connection, handle: str, data: str, *, at_ms: int) -> bool:
    """Replace the data of a session; False if there is no such session."""
    return connection.execute(_SET_DATA, {"this": handle, "at_ms": at_ms, "new_data": data}).rowcount > 0


def set_payload(connection: sa.Connection, handle: str, payload: str, *, at_ms: int) -> bool:
    """Replace the custom claims of a session; False if there is no such session."""
    return connection.execute(_SET_PAYLOAD, {"this": handle, "at_ms": at_ms, "new_payload": payload}).rowcount > 0


def alter_payload(connection: sa.Connection, handle: str, change: Callable[[str], str], *, at_ms: int) -> bool:
    """Replace the custom claims by the result of `change`, which may run again; False if there is no such session."""
    for _ in range(_ATTEMPTS):
        row = find(connection, handle, at_ms=at_ms)
        if row is None:
            return False
        values = {"this": handle, "at_ms": at_ms, "seen_payload": row.payload, "new_payload": change(row.payload)}
        if connection.execute(_SWAP_PAYLOAD, values).rowcount > 0:
            return True
    raise DatabaseError(_LOST)


def handles_of(
    connection: sa.Connection, recipe_user_ids: Sequence[str], *, tenant_id: str | None, at_ms: int
) -> list[str]:
    """Return the handles of these login methods' sessions, oldest first; of all tenants if `tenant_id` is None."""
    values = {"user_ids": list(recipe_user_ids), "at_ms": at_ms}
    if tenant_id is None:
        return list(connection.execute(_HANDLES, values).scalars())
    return list(connection.execute(_HANDLES_OF_TENANT, {**values, "tenant": tenant_id}).scalars())


def remove(connection: sa.Connection, handle: str) -> bool:
    """Delete a session, expired or not; False if there is no such row."""
    return connection.execute(_DELETE, {"this": handle}).rowcount > 0


def remove_many(connection: sa.Connection, handles: Sequence[str]) -> list[str]:
    """Delete sessions, expired or not, and return the handles of those that existed, in the given order."""
    distinct = list(dict.fromkeys(handles))
    deleted: set[str] = set()
    for start in range(0, len(distinct), _CHUNK):
        batch = {"handles": distinct[start : start + _CHUNK]}
        deleted.update(connection.execute(_DELETE_MANY, batch).scalars())
    return [handle for handle in distinct if handle in deleted]


def remove_of_users(connection: sa.Connection, recipe_user_ids: Sequence[str]) -> None:
    """Delete every session of these login methods."""
    connection.execute(_DELETE_OF_USERS, {"user_ids": list(recipe_user_ids)})


def remove_expired(connection: sa.Connection, at_ms: int) -> int:
    """Delete one batch of expired sessions and return how many there were."""
    return connection.execute(_DELETE_EXPIRED, {"at_ms": at_ms}).rowcount
