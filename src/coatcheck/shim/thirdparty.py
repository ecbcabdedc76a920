"""The third-party recipe with the signatures of the SDK: those of the seed's version and the newest ones.

All other functions of the SDK are those of `coatcheck.recipes.thirdparty`.
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
"""The argument after the address: whether it is verified (newest), or the user context (seed)."""


class ProviderInput(thirdparty_config.ProviderInput):
    """A provider; `override` and the flag for tenants may stand in either order."""

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
    """Create a login method, or change its address; older applications do not say whether the address is verified."""
    verified, context = _verified_and_context(is_verified, user_context)
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
    """Do the same through the combined recipe."""
    verified, context = _verified_and_context(is_verified, user_context)
    return await thirdpartyemailpassword.thirdparty_manually_create_or_update_user(
        tenant_id, third_party_id, third_party_user_id, email, verified, context
    )


async def get_users_by_email(tenant_id: str, email: str, user_context: UserContext | None = None) -> list[User]:
    """Return the users of a tenant who sign in with a provider and this address, oldest first."""
    users = await accountlinking.list_users_by_account_info(tenant_id, AccountInfo(email), False, user_context)
    return [user for user in users if any(method.has_same_email_as(email) for method in _provider_methods(user))]


async def get_user_by_third_party_info(
    tenant_id: str, third_party_id: str, third_party_user_id: str, user_context: UserContext | None = None
) -> User | None:
    """Return the user of a tenant who has this account at a provider."""
    account = AccountInfo(third_party=ThirdPartyInfo(third_party_id, third_party_user_id))
    users = await accountlinking.list_users_by_account_info(tenant_id, account, False, user_context)
    return users[0] if users else None


def _provider_methods(user: User) -> list[LoginMethod]:
    return [method for method in user.login_methods if method.recipe_id == "thirdparty"]


def _verified_and_context(
    is_verified: VerifiedOrContext, user_context: UserContext | None
) -> tuple[bool, UserContext | None]:
    return (False, is_verified) if isinstance(is_verified, dict) else (bool(is_verified), user_context)


class sync:
    """The same functions as plain calls, for code that cannot await."""

    manually_create_or_update_user = staticmethod(synced(manually_create_or_update_user))
    thirdparty_manually_create_or_update_user = staticmethod(synced(thirdparty_manually_create_or_update_user))
    get_users_by_email = staticmethod(synced(get_users_by_email))
    get_user_by_third_party_info = staticmethod(synced(get_user_by_third_party_info))
