"""The functions over users in the signatures of the SDK.

What is not here is the same in coatcheck (`coatcheck.recipes.accountlinking`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..claims.payload import UserContext
from ..recipes import accountlinking, multitenancy
from ..recipes.app import current_app
from ..recipes.chain.chain import InputOverrideConfig
from ..recipes.exceptions import ConfigurationError
from ..recipes.kit.recipe import RecipeSpecification
from ..recipes.kit.services import synced


def init_accountlinking(
    on_account_linked: Callable[..., Any] | None = None,
    should_do_automatic_account_linking: Callable[..., Any] | None = None,
    override: InputOverrideConfig | None = None,
) -> RecipeSpecification:
    """Describe the users recipe; ConfigurationError for what needs accounts to be linked, which they are not yet."""
    if on_account_linked is not None or should_do_automatic_account_linking is not None:
        raise ConfigurationError("accountlinking.init: coatcheck does not link accounts yet; only override is accepted")
    return accountlinking.init(override)


def init_multitenancy(
    get_allowed_domains_for_tenant_id: Callable[..., Any] | None = None, override: InputOverrideConfig | None = None
) -> RecipeSpecification:
    """Describe the tenants recipe; ConfigurationError for allowed domains, since there is one tenant only."""
    if get_allowed_domains_for_tenant_id is not None:
        raise ConfigurationError("multitenancy.init: coatcheck has one tenant, and no allowed domains of tenants")
    return multitenancy.init(override)


async def delete_user(
    user_id: str,
    remove_all_linked_accounts: bool | UserContext | None = True,
    user_context: UserContext | None = None,
) -> None:
    """Delete a user; the seed's time passed the user context second."""
    context = remove_all_linked_accounts if isinstance(remove_all_linked_accounts, dict) else user_context
    await accountlinking.delete_user(user_id, remove_all_linked_accounts is not False, context)


async def get_available_first_factors(tenant_id: str, user_context: UserContext | None = None) -> list[str]:
    """Return the ids of the factors with which one can sign in to a tenant."""
    app = current_app()
    with app.active():
        await multitenancy.TenantsRecipe.of(app).tenant_of(tenant_id, {} if user_context is None else user_context)
        factors = [factor for recipe in app.recipes for factor in recipe.first_factors]
    return list(dict.fromkeys(factors))


class sync:
    """The same functions for code that cannot await."""

    delete_user = staticmethod(synced(delete_user))
    get_available_first_factors = staticmethod(synced(get_available_first_factors))
