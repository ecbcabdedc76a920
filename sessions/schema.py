"""The MetaData on which all tables are declared, and how a database is brought to this version of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, inspect, select, text, update

from .exceptions import DatabaseError, SchemaTooNewError

metadata = MetaData()
"""Every table of the library; the module that owns a table declares it, with a name that begins with `coatcheck_`."""

SCHEMA_VERSION = 1
"""The version of the tables that this library reads and writes."""

Upgrade = Callable[[Connection], None]

UPGRADES: Mapping[int, Upgrade] = {}
"""`UPGRADES[n]` takes a database from version n to n + 1."""

schema_table = Table(
    "coatcheck_schema",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
)

_LOCK_ID = 0x636F6174  # "coat": the advisory lock under which one process at a time changes the tables
_ONLY_ROW = 1


def is_current(connection: Connection, *, version: int = SCHEMA_VERSION) -> bool:
    """Whether the database has every table in this version; only reads."""
    missing = _missing_tables(connection)
    return not missing and _stored_version(connection) == version


def ensure(
    connection: Connection, *, version: int = SCHEMA_VERSION, upgrades: Mapping[int, Upgrade] = UPGRADES
) -> None:
    """Create missing tables and upgrade those of an older version, in the caller's write transaction.

    Raises SchemaTooNewError if a newer version of the library has written the database.
    """
    _lock(connection)
    fresh = schema_table.name not in inspect(connection).get_table_names()
    if not fresh:
        _upgrade(connection, version, upgrades)
    metadata.create_all(connection, tables=_missing_tables(connection), checkfirst=False)
    if fresh:
        connection.execute(insert(schema_table).values(id=_ONLY_ROW, version=version))


def _upgrade(connection: Connection, version: int, upgrades: Mapping[int, Upgrade]) -> None:
    stored = _stored_version(connection)
    if stored > version:
        raise SchemaTooNewError(
            f"the database has schema version {stored}, this coatcheck knows up to {version}: install a newer coatcheck"
        )
    for step in range(stored, version):
        upgrades[step](connection)
    if stored < version:
        connection.execute(update(schema_table).values(version=version))


def _missing_tables(connection: Connection) -> list[Table]:
    present = set(inspect(connection).get_table_names())
    return [table for table in metadata.sorted_tables if table.name not in present]


def _stored_version(connection: Connection) -> int:
    version: int | None = connection.execute(select(schema_table.c.version)).scalar_one_or_none()
    if version is None:
        raise DatabaseError(f"the table {schema_table.name} has no row with the version of the schema")
    return version


def _lock(connection: Connection) -> None:
    # SQLite needs no lock, because no other connection writes during a write transaction (BEGIN IMMEDIATE).
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
