"""The tables of login methods, and the statements that add and change one.

Each function takes the connection of the transaction it runs in. A constraint of the database ensures that, in a tenant
and recipe, an identity belongs to one login method only. So of two simultaneous sign-ups one fails (docs/protocol.md,
rule 19.4).
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from importlib import import_module
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ...claims.recipe_user_id import RecipeUserId
from ...sessions.schema import metadata
from ..exceptions import BadInputError
from .user import AccountInfo, LoginMethod, ThirdPartyInfo, normalised_email, normalised_phone_number

MAX_IDENTITY_BYTES = 1024
"""The longest e-mail address, phone number or provider's user id that can be stored: an index has to hold it."""

methods = sa.Table(
    "coatcheck_login_methods",
    metadata,
    sa.Column("recipe_user_id", sa.Text, primary_key=True),
    sa.Column("recipe_id", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=True),
    sa.Column("phone_number", sa.Text, nullable=True),
    sa.Column("third_party_id", sa.Text, nullable=True),
    sa.Column("third_party_user_id", sa.Text, nullable=True),
    sa.Column("verified", sa.Boolean, nullable=False),
    sa.Column("time_joined", sa.BigInteger, nullable=False),
    sa.Column("primary_user_id", sa.Text, nullable=True),
    sa.Index("coatcheck_login_methods_email", "email"),
    sa.Index("coatcheck_login_methods_phone_number", "phone_number"),
    sa.Index("coatcheck_login_methods_third_party_user_id", "third_party_user_id"),
    sa.Index("coatcheck_login_methods_time_joined", "time_joined", "recipe_user_id"),
    sa.Index("coatcheck_login_methods_primary_user_id", "primary_user_id"),
)

tenants = sa.Table(
    "coatcheck_login_method_tenants",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("recipe_id", sa.Text, primary_key=True),
    sa.Column("identity", sa.Text, primary_key=True),
    sa.Column("recipe_user_id", sa.Text, nullable=False),
    sa.Index("coatcheck_login_method_tenants_recipe_user_id", "recipe_user_id"),
)
"""One row per tenant and identity: what one login method, and no other, signs in with there."""

_EMAIL = "email:"

# Built once, because every sign-in asks for them.
WHOSE = sa.select(tenants.c.recipe_user_id).where(
    tenants.c.tenant_id == sa.bindparam("tenant_id"),
    tenants.c.recipe_id == sa.bindparam("recipe_id"),
    tenants.c.identity == sa.bindparam("identity"),
)
"""Finds the id of the login method that has an identity, given what `identity_in` returns."""
WITH_TENANTS = (
    sa.select(methods, tenants.c.tenant_id)
    .join(tenants, tenants.c.recipe_user_id == methods.c.recipe_user_id, isouter=True)
    .order_by(tenants.c.tenant_id)
)
"""Finds what `login_methods` reads: a row for each identity that a login method has in a tenant."""
_ADD = sa.insert(methods)


class EmailChange(Enum):
    """What became of an attempt to change the address of a login method."""

    DONE = "done"
    TAKEN = "taken"
    UNKNOWN_USER = "unknown user"


def add_login_method(
    connection: Connection,
    tenant_id: str,
    *,
    recipe_id: str,
    account: AccountInfo,
    time_joined: int,
    verified: bool = False,
) -> LoginMethod | None:
    """Add a login method and return it, or None if the tenant has that identity already.

    BadInputError if the account names nothing to sign in with, or something that cannot be stored.
    """
    account = normalised(account)
    identities = _identities(account)
    if not identities:
        raise BadInputError(f"a login method of the recipe {recipe_id} needs an e-mail address, a number or a provider")
    _refuse_unstorable(account)
    recipe_user_id = str(uuid.uuid4())
    if not _claim(connection, [tenant_id], recipe_id, recipe_user_id, identities):
        return None
    row = _columns(account) | {"recipe_user_id": recipe_user_id, "recipe_id": recipe_id}
    connection.execute(_ADD, row | {"time_joined": time_joined, "verified": verified, "primary_user_id": None})
    return LoginMethod(
        recipe_id=recipe_id,
        recipe_user_id=RecipeUserId(recipe_user_id),
        tenant_ids=[tenant_id],
        email=account.email,
        phone_number=account.phone_number,
        third_party=account.third_party,
        time_joined=time_joined,
        verified=verified,
    )


def find_recipe_user_id(connection: Connection, tenant_id: str, *, recipe_id: str, account: AccountInfo) -> str | None:
    """Return the id of the login method that has this identity in the tenant; the account names exactly one."""
    names = identity_in(tenant_id, recipe_id=recipe_id, account=account)
    return None if names is None else connection.execute(WHOSE, names).scalar()


def identity_in(tenant_id: str, *, recipe_id: str, account: AccountInfo) -> dict[str, str] | None:
    """Return the key of an identity; None if nobody can have it, or if the account does not name exactly one."""
    account = normalised(account)
    identities = _identities(account)
    if len(identities) != 1 or not is_storable(account):
        return None
    return {"tenant_id": tenant_id, "recipe_id": recipe_id, "identity": identities[0]}


def set_email(connection: Connection, recipe_user_id: str, email: str, *, verified: bool = False) -> EmailChange:
    """Give a login method another address in all its tenants, or in none if one of them has it already.

    `verified` says whether the new address is verified; an unchanged address keeps what it was.
    """
    email = normalised_email(email)
    _refuse_unstorable(AccountInfo(email=email))
    this = methods.c.recipe_user_id == recipe_user_id
    # Without the lock, two changes at once would leave the method with both identities.
    row = connection.execute(sa.select(methods).where(this).with_for_update()).first()
    if row is None:
        return EmailChange.UNKNOWN_USER
    still = verified or (row.verified and row.email == email)
    if row.third_party_id is None and not _move_email(connection, row, email):
        return EmailChange.TAKEN
    connection.execute(sa.update(methods).where(this).values(email=email, verified=still))
    return EmailChange.DONE


def set_verified(connection: Connection, recipe_user_id: str, email: str) -> bool:
    """Mark a login method verified if `email` is still its address; return whether it is."""
    this = sa.and_(methods.c.recipe_user_id == recipe_user_id, methods.c.email == normalised_email(email))
    return connection.execute(sa.update(methods).where(this).values(verified=True)).rowcount == 1


def login_methods(rows: Iterable[sa.Row[Any]]) -> list[tuple[str, LoginMethod]]:
    """Return the login methods that rows of WITH_TENANTS describe, each with the id of its user."""
    found: dict[str, tuple[sa.Row[Any], list[str]]] = {}
    for row in rows:
        _, tenant_ids = found.setdefault(row.recipe_user_id, (row, []))
        if row.tenant_id is not None and row.tenant_id not in tenant_ids:
            tenant_ids.append(row.tenant_id)
    return [
        (row.primary_user_id or row.recipe_user_id, _login_method(row, tenant_ids))
        for row, tenant_ids in found.values()
    ]


def normalised(account: AccountInfo) -> AccountInfo:
    """Return the account as it is stored and compared (docs/protocol.md, rule 19.3)."""
    return AccountInfo(
        email=None if account.email is None else normalised_email(account.email),
        phone_number=None if account.phone_number is None else normalised_phone_number(account.phone_number),
        third_party=account.third_party,
        webauthn=account.webauthn,
    )


def is_storable(account: AccountInfo) -> bool:
    """Whether every database can store and index what the account names; nobody has any other identity."""
    return all(storable_text(value) for value in _columns(account).values() if value is not None)


def storable_text(text: str) -> bool:
    """Whether every database can store and index this text (NUL and half surrogate pairs are the exceptions)."""
    try:
        return "\0" not in text and len(text.encode()) <= MAX_IDENTITY_BYTES
    except UnicodeEncodeError:
        return False


def _refuse_unstorable(account: AccountInfo) -> None:
    if not is_storable(account):
        raise BadInputError("the e-mail address, phone number or provider's user id is too long or not valid text")


def _columns(account: AccountInfo) -> dict[str, Any]:
    third_party = account.third_party
    return {
        "email": account.email,
        "phone_number": account.phone_number,
        "third_party_id": None if third_party is None else third_party.id,
        "third_party_user_id": None if third_party is None else third_party.user_id,
    }


def _identities(account: AccountInfo) -> list[str]:
    """Return what must be unique; the e-mail address that a provider reports does not have to be."""
    if account.third_party is not None:
        return ["third party:" + json.dumps([account.third_party.id, account.third_party.user_id])]
    email = [] if account.email is None else [_EMAIL + account.email]
    return email + ([] if account.phone_number is None else ["phone:" + account.phone_number])


def _claim(
    connection: Connection, tenant_ids: Iterable[str], recipe_id: str, recipe_user_id: str, identities: Iterable[str]
) -> bool:
    """Give a login method identities in tenants: all of them, or none if one of them is taken."""
    claim = _claiming(connection.dialect.name)
    names = {"recipe_id": recipe_id, "recipe_user_id": recipe_user_id}
    claimed: list[dict[str, str]] = []
    for tenant_id, identity in itertools.product(tenant_ids, identities):
        row = names | {"tenant_id": tenant_id, "identity": identity}
        if connection.execute(claim, row).rowcount != 1:
            for one in claimed:
                connection.execute(sa.delete(tenants).filter_by(**one))
            return False
        claimed.append(row)
    return True


@lru_cache(maxsize=2)
def _claiming(dialect: str) -> sa.Insert:
    """Return the statement that adds nothing if the identity is taken; an error would end the transaction."""
    # SQLAlchemy has such a statement for each kind of database, and importing both takes time.
    insert_into = import_module(f"sqlalchemy.dialects.{dialect}").insert
    statement: sa.Insert = insert_into(tenants).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return statement


def _move_email(connection: Connection, row: sa.Row[Any], email: str) -> bool:
    this = tenants.c.recipe_user_id == row.recipe_user_id
    held = connection.execute(sa.select(tenants.c.tenant_id, tenants.c.identity).where(this)).all()
    new = _EMAIL + email
    missing = sorted({tenant_id for tenant_id, _ in held} - {tenant_id for tenant_id, one in held if one == new})
    if not _claim(connection, missing, row.recipe_id, row.recipe_user_id, [new]):
        return False
    earlier = sa.and_(this, tenants.c.identity.startswith(_EMAIL), tenants.c.identity != new)
    connection.execute(sa.delete(tenants).where(earlier))
    return True


def _login_method(row: sa.Row[Any], tenant_ids: list[str]) -> LoginMethod:
    third_party_id: str | None = row.third_party_id
    return LoginMethod(
        recipe_id=row.recipe_id,
        recipe_user_id=RecipeUserId(row.recipe_user_id),
        tenant_ids=tenant_ids,
        email=row.email,
        phone_number=row.phone_number,
        third_party=None if third_party_id is None else ThirdPartyInfo(third_party_id, row.third_party_user_id),
        time_joined=row.time_joined,
        verified=row.verified,
    )
