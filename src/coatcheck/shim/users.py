"""Users and tenants with the signatures of the SDK, and the two ways to name a login method.

All other functions of the SDK are those of `coatcheck.recipes.accountlinking`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..claims.payload import UserContext
from ..claims.recipe_user_id import RecipeUserId
from ..recipes import accountlinking, multitenancy
from ..recipes.app import current_app
from ..recipes.chain.chain import InputOverrideConfig
from ..recipes.exceptions import ConfigurationError
from ..recipes.kit.recipe import RecipeSpecification
from ..recipes.kit.services import synced
from ..recipes.users.user import User


def init_accountlinking(
    on_account_linked: Callable[..., Any] | None = None,
    should_do_automatic_account_linking: Callable[..., Any] | None = None,
    override: InputOverrideConfig | None = None,
) -> RecipeSpecification:
    """Describe the users recipe; ConfigurationError for arguments about linked accounts, which do not exist yet."""
    if on_account_linked is not None or should_do_automatic_account_linking is not None:
        raise ConfigurationError("accountlinking.init: coatcheck does not link accounts yet; only override is accepted")
    return accountlinking.init(override)


def init_multitenancy(
    get_allowed_domains_for_tenant_id: Callable[..., Any] | None = None, override: InputOverrideConfig | None = None
) -> RecipeSpecification:
    """Describe the tenants recipe; ConfigurationError for allowed domains, because there is only one tenant."""
    if get_allowed_domains_for_tenant_id is not None:
        raise ConfigurationError("multitenancy.init: coatcheck has one tenant, and no allowed domains of tenants")
    return multitenancy.init(override)


async def get_user_by_id(user_id: str, user_context: UserContext | None = None) -> User | None:
    """Return the user with this id or login method."""
    return await accountlinking.get_user(user_id, user_context)


async def delete_user(
    user_id: str,
    remove_all_linked_accounts: bool | UserContext | None = True,
    user_context: UserContext | None = None,
) -> None:
    """Delete a user; older applications pass the user context second."""
    context = remove_all_linked_accounts if isinstance(remove_all_linked_accounts, dict) else user_context
    await accountlinking.delete_user(user_id, remove_all_linked_accounts is not False, context)


async def get_available_first_factors(tenant_id: str, user_context: UserContext | None = None) -> list[str]:
    """Return the ids of the factors that sign a user in to a tenant."""
    app = current_app()
    with app.active():
        await multitenancy.TenantsRecipe.of(app).tenant_of(tenant_id, {} if user_context is None else user_context)
        factors = [factor for recipe in app.recipes for factor in recipe.first_factors]
    return list(dict.fromkeys(factors))


def login_method(recipe_user_id: RecipeUserId | str | None, user_id: str | None) -> RecipeUserId:
    """Return the login method named by one of the two; TypeError if both or neither are given."""
    given = recipe_user_id if user_id is None else user_id
    if given is None or (recipe_user_id is not None and user_id is not None):
        raise TypeError("pass recipe_user_id, or user_id as older applications do")
    return given if isinstance(given, RecipeUserId) else RecipeUserId(given)


class sync:
    """The same functions as plain calls, for code that cannot await."""

    get_user_by_id = staticmethod(synced(get_user_by_id))
    delete_user = staticmethod(synced(delete_user))
    get_available_first_factors = staticmethod(synced(get_available_first_factors))
