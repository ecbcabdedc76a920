"""The table of user metadata: one JSON object per id, changed key by key.

Each function takes the connection of the transaction it runs in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Connection, Table, Text, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ...claims.payload import JSONObject
from ...sessions.exceptions import DatabaseError
from ...sessions.schema import metadata

table = Table(
    "coatcheck_user_metadata",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("metadata", Text, nullable=False),
)

_ATTEMPTS = 100


def get(connection: Connection, user_id: str) -> JSONObject:
    """Return the metadata of an id, empty where there is none."""
    return _parsed(_stored(connection, user_id))


def merge(connection: Connection, user_id: str, metadata_update: Mapping[str, Any]) -> JSONObject:
    """Merge an update into the metadata and return the whole (docs/protocol.md, rule 24.2).

    Of keys at the top level, null removes one and any other value replaces the old one entirely. Other keys stay, even
    if somebody writes them at the same time.
    """
    for _ in range(_ATTEMPTS):
        before = _stored(connection, user_id)
        merged = {**_parsed(before), **metadata_update}
        kept = {key: value for key, value in merged.items() if not (key in metadata_update and value is None)}
        if _swap(connection, user_id, before, _dumped(kept)):
            return kept
    raise DatabaseError("others change the metadata of this user without a pause: try again")


def clear(connection: Connection, user_id: str) -> None:
    """Delete the metadata of an id."""
    connection.execute(delete(table).where(table.c.user_id == user_id))


def _stored(connection: Connection, user_id: str) -> str | None:
    return connection.execute(select(table.c.metadata).where(table.c.user_id == user_id)).scalar()


def _parsed(stored: str | None) -> JSONObject:
    found: JSONObject = {} if stored is None else json.loads(stored)
    return found


def _dumped(value: JSONObject) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _swap(connection: Connection, user_id: str, before: str | None, new: str) -> bool:
    """Replace `before` by `new`; False if another transaction has replaced it in the meantime."""
    if before is not None:
        this = update(table).where(table.c.user_id == user_id, table.c.metadata == before)
        return connection.execute(this.values(metadata=new)).rowcount == 1
    try:
        with connection.begin_nested():
            connection.execute(insert(table).values(user_id=user_id, metadata=new))
    except IntegrityError:
        return False
    return True
