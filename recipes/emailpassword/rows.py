"""The tables of the e-mail and password recipe: password hashes, and the tokens that reset a password.

Each function takes the connection of the transaction it runs in. Of a token only its SHA-256 is stored, so a leaked
database resets nobody's password (docs/protocol.md, rule 21.1).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from ...sessions.exceptions import DatabaseError
from ...sessions.schema import metadata
from ..users.directory import get_user
from ..users.login_methods import WHOSE, EmailChange, add_login_method, identity_in, set_email, storable_text, tenants
from ..users.user import AccountInfo, User

RECIPE_ID = "emailpassword"
RESET_TOKEN_BYTES = 64
RESET_TOKEN_LIFETIME_MS = 3_600_000
CLEAN_UP_BATCH = 500

passwords = sa.Table(
    "coatcheck_emailpassword_passwords",
    metadata,
    sa.Column("recipe_user_id", sa.Text, primary_key=True),
    sa.Column("password_hash", sa.Text, nullable=False),
)

reset_tokens = sa.Table(
    "coatcheck_password_reset_tokens",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("coatcheck_password_reset_tokens_user_id", "user_id"),
    sa.Index("coatcheck_password_reset_tokens_expires_at", "expires_at"),
)

# Built once, because every sign-in needs them.
_ADD_PASSWORD = sa.insert(passwords)
_FIND_PASSWORD = sa.select(passwords.c.password_hash).where(passwords.c.recipe_user_id == sa.bindparam("this"))
_FIND_BY_EMAIL = WHOSE.join(passwords, passwords.c.recipe_user_id == tenants.c.recipe_user_id).add_columns(
    passwords.c.password_hash
)


@dataclass(frozen=True, slots=True)
class ConsumedResetToken:
    """The owner of a reset token: the id of a user (or login method) and the address that it was sent to."""

    user_id: str
    email: str


# Login methods with a password


def create_user(connection: Connection, tenant_id: str, email: str, *, password_hash: str, now_ms: int) -> User | None:
    """Create a user with a login method; None if the tenant has one with the address."""
    account = AccountInfo(email=email)
    added = add_login_method(connection, tenant_id, recipe_id=RECIPE_ID, account=account, time_joined=now_ms)
    if added is None:
        return None
    add_password(connection, str(added.recipe_user_id), password_hash)
    return User.of([added])


def import_user(
    connection: Connection, tenant_id: str, email: str, *, password_hash: str, now_ms: int
) -> tuple[User, str, bool]:
    """Store a hash of another system; return the user, the login method's id, and whether they existed before.

    DatabaseError if others create and delete the user at the same moment.
    """
    for _ in range(2):
        existing = password_of(connection, tenant_id, email)
        if existing is not None:
            recipe_user_id, _ = existing
            change_password(connection, recipe_user_id, password_hash)
            user = get_user(connection, recipe_user_id)
            assert user is not None  # its login method was found in this very transaction
            return user, recipe_user_id, True
        created = create_user(connection, tenant_id, email, password_hash=password_hash, now_ms=now_ms)
        if created is not None:
            return created, created.id, False
        # Somebody has created the user between the two statements; the next attempt finds the user.
    raise DatabaseError("others create and delete the user at the same moment: import it again")


def change(connection: Connection, recipe_user_id: str, email: str | None, new_hash: str | None) -> EmailChange:
    """Change the address, the password or both of a login method; its reset tokens become void."""
    if not storable_text(recipe_user_id) or password_hash(connection, recipe_user_id) is None:
        return EmailChange.UNKNOWN_USER
    if email is not None:
        changed = set_email(connection, recipe_user_id, email)
        if changed is not EmailChange.DONE:
            return changed
        void_reset_tokens(connection, [recipe_user_id])
    if new_hash is not None:
        change_password(connection, recipe_user_id, new_hash)
    return EmailChange.DONE


def current(connection: Connection, recipe_user_id: str) -> tuple[str | None, User | None]:
    """Return the password hash of a login method and its user, as they are now."""
    return password_hash(connection, recipe_user_id), get_user(connection, recipe_user_id)


def add_password(connection: Connection, recipe_user_id: str, password_hash: str) -> None:
    """Store the first password hash of a login method."""
    connection.execute(_ADD_PASSWORD, {"recipe_user_id": recipe_user_id, "password_hash": password_hash})


def password_hash(connection: Connection, recipe_user_id: str) -> str | None:
    """Return the password hash of a login method, None if it has none."""
    return connection.execute(_FIND_PASSWORD, {"this": recipe_user_id}).scalar()


def password_of(connection: Connection, tenant_id: str, email: str) -> tuple[str, str] | None:
    """Return the id of the login method that has an address in a tenant, and its password hash; or None."""
    names = identity_in(tenant_id, recipe_id=RECIPE_ID, account=AccountInfo(email=email))
    row = None if names is None else connection.execute(_FIND_BY_EMAIL, names).first()
    return None if row is None else (row.recipe_user_id, row.password_hash)


def change_password(connection: Connection, recipe_user_id: str, password_hash: str) -> bool:
    """Replace the password and make every outstanding reset token of the login method void; False if it has none."""
    this = sa.update(passwords).where(passwords.c.recipe_user_id == recipe_user_id)
    changed = connection.execute(this.values(password_hash=password_hash)).rowcount == 1
    void_reset_tokens(connection, [recipe_user_id])
    return changed


def rehash(connection: Connection, recipe_user_id: str, *, old: str, new: str) -> bool:
    """Replace a hash by another of the same password; False if the password has changed in the meantime."""
    this = (passwords.c.recipe_user_id == recipe_user_id, passwords.c.password_hash == old)
    return connection.execute(sa.update(passwords).where(*this).values(password_hash=new)).rowcount == 1


# Reset tokens


def create_reset_token(
    connection: Connection, user_id: str, email: str, *, now_ms: int, lifetime_ms: int = RESET_TOKEN_LIFETIME_MS
) -> str:
    """Return a new reset token; tokens made before stay valid."""
    token = secrets.token_urlsafe(RESET_TOKEN_BYTES)
    row = {"token_hash": _hash(token), "user_id": user_id, "email": email, "expires_at": now_ms + lifetime_ms}
    connection.execute(sa.insert(reset_tokens).values(row))
    return token


def create_reset_token_of_user(connection: Connection, user_id: str, email: str, *, now_ms: int) -> str | None:
    """Return a new reset token of a user or login method, None for an unknown id."""
    known = get_user(connection, user_id) is not None
    return create_reset_token(connection, user_id, email, now_ms=now_ms) if known else None


def consume_reset_token(connection: Connection, token: str, *, now_ms: int) -> ConsumedResetToken | None:
    """Use up a token and with it all others of its user; None for one that is unknown, used, void or expired.

    Of two simultaneous attempts, with one token or with two of the same user, at most one succeeds.
    """
    this = reset_tokens.c.token_hash == _hash(token)
    row = connection.execute(sa.select(reset_tokens).where(this)).first()
    if row is None:
        return None
    if row.expires_at <= now_ms:
        connection.execute(sa.delete(reset_tokens).where(this))
        return None
    # One statement decides: the transaction that deletes the token's own row wins.
    everything = sa.delete(reset_tokens).where(reset_tokens.c.user_id == row.user_id)
    deleted = connection.execute(everything.returning(reset_tokens.c.token_hash)).scalars().all()
    return ConsumedResetToken(row.user_id, row.email) if row.token_hash in deleted else None


def void_reset_tokens(connection: Connection, user_ids: Iterable[str]) -> None:
    """Make every outstanding token of these ids void: after a change of password or address."""
    connection.execute(sa.delete(reset_tokens).where(reset_tokens.c.user_id.in_(list(user_ids))))


def forget(connection: Connection, ids: Iterable[str]) -> None:
    """Delete the passwords and tokens of login methods and users that no longer exist."""
    deleted = list(ids)
    connection.execute(sa.delete(passwords).where(passwords.c.recipe_user_id.in_(deleted)))
    void_reset_tokens(connection, deleted)


def clean_up(connection: Connection, *, now_ms: int, limit: int = CLEAN_UP_BATCH) -> int:
    """Delete at most `limit` expired tokens and return how many were."""
    expired = sa.select(reset_tokens.c.token_hash).where(reset_tokens.c.expires_at <= now_ms)
    oldest = expired.order_by(reset_tokens.c.expires_at).limit(limit)
    return connection.execute(sa.delete(reset_tokens).where(reset_tokens.c.token_hash.in_(oldest))).rowcount


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
