"""The third-party recipe in the signatures of the SDK, those of the seed's time and the newest ones.

What is not here is the same in coatcheck (`coatcheck.recipes.thirdparty`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..claims.payload import UserContext
from ..recipes import accountlinking, thirdparty, thirdpartyemailpassword
from ..recipes.kit.services import synced
from ..recipes.session.container import SessionContainer
from ..recipes.thirdparty import config as thirdparty_config
from ..recipes.thirdparty.config import ProviderConfig
from ..recipes.thirdparty.interface import ManuallyCreateOrUpdateUserResult
from ..recipes.users.user import AccountInfo, LoginMethod, ThirdPartyInfo, User

VerifiedOrContext = bool | UserContext | None
"""What stands behind the address: newest whether it is verified, in the seed's time the user context."""


class ProviderInput(thirdparty_config.ProviderInput):
    """A provider; `override` and the flag for tenants may come in either order."""

    def __init__(
        self,
        config: ProviderConfig,
        override: Callable[..., Any] | bool | None = None,
        include_in_non_public_tenants_by_default: bool | Callable[..., Any] | None = False,
        **others: Any,
    ) -> None:
        given = (override, include_in_non_public_tenants_by_default)
        super().__init__(
            config, True in given, next((one for one in given if not isinstance(one, bool | None)), None), **others
        )


async def manually_create_or_update_user(
    tenant_id: str,
    third_party_id: str,
    third_party_user_id: str,
    email: str,
    is_verified: VerifiedOrContext = False,
    session: SessionContainer | None = None,
    user_context: UserContext | None = None,
) -> ManuallyCreateOrUpdateUserResult:
    """Create a login method, or give the one that exists the address; the seed's time said nothing of verification."""
    verified, context = _verified_then_context(is_verified, user_context)
    return await thirdparty.manually_create_or_update_user(
        tenant_id, third_party_id, third_party_user_id, email, verified, session, context
    )


async def thirdparty_manually_create_or_update_user(
    tenant_id: str,
    third_party_id: str,
    third_party_user_id: str,
    email: str,
    is_verified: VerifiedOrContext = False,
    user_context: UserContext | None = None,
) -> ManuallyCreateOrUpdateUserResult:
    """Do the same by way of the combined recipe."""
    verified, context = _verified_then_context(is_verified, user_context)
    return await thirdpartyemailpassword.thirdparty_manually_create_or_update_user(
        tenant_id, third_party_id, third_party_user_id, email, verified, context
    )


async def get_user_by_id(user_id: str, user_context: UserContext | None = None) -> User | None:
    """Return the user with this id or login method."""
    return await accountlinking.get_user(user_id, user_context)


async def get_users_by_email(tenant_id: str, email: str, user_context: UserContext | None = None) -> list[User]:
    """Return the users of a tenant whom a provider knows under this address, oldest first."""
    users = await accountlinking.list_users_by_account_info(tenant_id, AccountInfo(email), False, user_context)
    return [user for user in users if any(method.has_same_email_as(email) for method in _of_providers(user))]


async def get_user_by_third_party_info(
    tenant_id: str, third_party_id: str, third_party_user_id: str, user_context: UserContext | None = None
) -> User | None:
    """Return the user of a tenant with this account of a provider."""
    account = AccountInfo(third_party=ThirdPartyInfo(third_party_id, third_party_user_id))
    users = await accountlinking.list_users_by_account_info(tenant_id, account, False, user_context)
    return users[0] if users else None


def _of_providers(user: User) -> list[LoginMethod]:
    return [method for method in user.login_methods if method.recipe_id == "thirdparty"]


def _verified_then_context(
    is_verified: VerifiedOrContext, user_context: UserContext | None
) -> tuple[bool, UserContext | None]:
    return (False, is_verified) if isinstance(is_verified, dict) else (bool(is_verified), user_context)


class sync:
    """The same functions for code that cannot await."""

    manually_create_or_update_user = staticmethod(synced(manually_create_or_update_user))
    thirdparty_manually_create_or_update_user = staticmethod(synced(thirdparty_manually_create_or_update_user))
    get_user_by_id = staticmethod(synced(get_user_by_id))
    get_users_by_email = staticmethod(synced(get_users_by_email))
    get_user_by_third_party_info = staticmethod(synced(get_user_by_third_party_info))
