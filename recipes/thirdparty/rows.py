"""Login methods of the third-party recipe; it has no tables of its own.

Each function takes the connection of the transaction it runs in.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from ..users.directory import get_user
from ..users.login_methods import EmailChange, add_login_method, find_recipe_user_id, set_email
from ..users.user import AccountInfo, User

RECIPE_ID = "thirdparty"


@dataclass(frozen=True, slots=True)
class StoredUser:
    """The user of an account at a provider, its login method, and whether that is new."""

    user: User
    recipe_user_id: str
    created: bool


def create_or_update_user(
    connection: Connection, tenant_id: str, account: AccountInfo, *, verified: bool, now_ms: int
) -> StoredUser | None:
    """Create the login method of an account, or give the one that exists the address, and return its user.

    None if somebody else creates or deletes the login method at this moment: the caller tries again.
    """
    identity = AccountInfo(third_party=account.third_party)
    known = find_recipe_user_id(connection, tenant_id, recipe_id=RECIPE_ID, account=identity)
    if known is None:
        added = add_login_method(
            connection, tenant_id, recipe_id=RECIPE_ID, account=account, time_joined=now_ms, verified=verified
        )
        return None if added is None else StoredUser(User.of([added]), str(added.recipe_user_id), True)
    if set_email(connection, known, account.email or "", verified=verified) is not EmailChange.DONE:
        return None
    user = get_user(connection, known)
    assert user is not None  # it was written in this very transaction
    return StoredUser(user, known, False)
