"""Users as groups of login methods: the functions to find, list and delete them, awaitable and under `.sync`.

Accounts are not linked yet; the recipe has the name under which applications override these functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from ..claims.payload import UserContext
from .chain.chain import InputOverrideConfig
from .chain.view import Layer
from .kit.recipe import OverridesOnly, Recipe, RecipeSpecification
from .kit.services import synced
from .users import directory
from .users.directory import UsersFilter, UsersResponse
from .users.user import AccountInfo, User

Order = Literal["ASC", "DESC"]


class RecipeInterface(ABC):
    """The functions over users; each can be overridden (docs/protocol.md, section 19)."""

    @abstractmethod
    async def get_users(
        self,
        tenant_id: str,
        time_joined_order: Order,
        limit: int | None,
        pagination_token: str | None,
        include_recipe_ids: Sequence[str] | None,
        query: dict[str, str] | None,
        user_context: UserContext,
    ) -> UsersResponse:
        """Return one page of a tenant's users."""

    @abstractmethod
    async def get_user_count(
        self, include_recipe_ids: Sequence[str] | None, tenant_id: str | None, user_context: UserContext
    ) -> int:
        """Return how many users there are."""

    @abstractmethod
    async def get_user(self, user_id: str, user_context: UserContext) -> User | None:
        """Return the user with this primary id or login method."""

    @abstractmethod
    async def list_users_by_account_info(
        self,
        tenant_id: str,
        account_info: AccountInfo,
        do_union_of_account_info: bool,
        user_context: UserContext,
    ) -> list[User]:
        """Return the users of a tenant that match, oldest first."""

    @abstractmethod
    async def delete_user(self, user_id: str, remove_all_linked_accounts: bool, user_context: UserContext) -> None:
        """Delete a user and everything stored about it, sessions included."""


class FunctionsLayer(Layer[RecipeInterface], RecipeInterface):
    """A layer over the functions, written as a class: override what is to change, reach the rest by `super()`."""


class AccountLinkingRecipe(Recipe[RecipeInterface, None]):
    """The users recipe of one App."""

    recipe_id = "accountlinking"
    interfaces = (RecipeInterface, None)


class _Functions(RecipeInterface):
    def __init__(self, recipe: AccountLinkingRecipe) -> None:
        self._app = recipe.app

    async def get_users(
        self,
        tenant_id: str,
        time_joined_order: Order,
        limit: int | None,
        pagination_token: str | None,
        include_recipe_ids: Sequence[str] | None,
        query: dict[str, str] | None,
        user_context: UserContext,
    ) -> UsersResponse:
        wanted = UsersFilter(tenant_id, include_recipe_ids, query)
        newest_first = time_joined_order == "DESC"
        return await self._app.read(
            lambda connection: directory.page(
                connection, wanted, newest_first=newest_first, limit=limit, pagination_token=pagination_token
            )
        )

    async def get_user_count(
        self, include_recipe_ids: Sequence[str] | None, tenant_id: str | None, user_context: UserContext
    ) -> int:
        return await self._app.read(
            lambda connection: directory.count(connection, UsersFilter(tenant_id, include_recipe_ids))
        )

    async def get_user(self, user_id: str, user_context: UserContext) -> User | None:
        return await self._app.read(lambda connection: directory.get_user(connection, user_id))

    async def list_users_by_account_info(
        self,
        tenant_id: str,
        account_info: AccountInfo,
        do_union_of_account_info: bool,
        user_context: UserContext,
    ) -> list[User]:
        return await self._app.read(
            lambda connection: directory.list_by_account_info(
                connection, tenant_id, account_info, union=do_union_of_account_info
            )
        )

    async def delete_user(self, user_id: str, remove_all_linked_accounts: bool, user_context: UserContext) -> None:
        await self._app.write(
            lambda connection: directory.delete_user(
                connection,
                user_id,
                remove_all_linked_accounts=remove_all_linked_accounts,
                on_user_deleted=[recipe.forget_user for recipe in self._app.recipes],
            ),
        )


def init(override: InputOverrideConfig | None = None) -> RecipeSpecification:
    """Describe the users recipe; every App has it, so this is needed only to override it."""
    return RecipeSpecification(AccountLinkingRecipe, OverridesOnly.checked("accountlinking", override), _Functions)


async def get_user(user_id: str, user_context: UserContext | None = None) -> User | None:
    """Return the user with this primary id or login method, None if there is none."""
    return await AccountLinkingRecipe.call(
        lambda functions, context: functions.get_user(user_id, context), user_context
    )


async def get_users_oldest_first(
    tenant_id: str,
    limit: int | None = None,
    pagination_token: str | None = None,
    include_recipe_ids: Sequence[str] | None = None,
    query: dict[str, str] | None = None,
    user_context: UserContext | None = None,
) -> UsersResponse:
    """Return one page of a tenant's users, oldest first; at most `limit` (default 100, up to 500).

    `query` may name `email`, `phone` and `provider`. BadInputError for a limit or token that is not valid.
    """
    return await AccountLinkingRecipe.call(
        lambda functions, context: functions.get_users(
            tenant_id, "ASC", limit, pagination_token, include_recipe_ids, query, context
        ),
        user_context,
    )


async def get_users_newest_first(
    tenant_id: str,
    limit: int | None = None,
    pagination_token: str | None = None,
    include_recipe_ids: Sequence[str] | None = None,
    query: dict[str, str] | None = None,
    user_context: UserContext | None = None,
) -> UsersResponse:
    """Return one page of a tenant's users, newest first; otherwise like `get_users_oldest_first`."""
    return await AccountLinkingRecipe.call(
        lambda functions, context: functions.get_users(
            tenant_id, "DESC", limit, pagination_token, include_recipe_ids, query, context
        ),
        user_context,
    )


async def get_user_count(
    include_recipe_ids: Sequence[str] | None = None,
    tenant_id: str | None = None,
    user_context: UserContext | None = None,
) -> int:
    """Return how many users there are, in one tenant or (None) in all."""
    return await AccountLinkingRecipe.call(
        lambda functions, context: functions.get_user_count(include_recipe_ids, tenant_id, context), user_context
    )


async def list_users_by_account_info(
    tenant_id: str,
    account_info: AccountInfo,
    do_union_of_account_info: bool = False,
    user_context: UserContext | None = None,
) -> list[User]:
    """Return the users of a tenant that match all given fields (with the union flag: any of them), oldest first."""
    return await AccountLinkingRecipe.call(
        lambda functions, context: functions.list_users_by_account_info(
            tenant_id, account_info, do_union_of_account_info, context
        ),
        user_context,
    )


async def delete_user(
    user_id: str, remove_all_linked_accounts: bool = True, user_context: UserContext | None = None
) -> None:
    """Delete a user and everything stored about it: sessions, passwords, metadata. An unknown user is no error."""
    await AccountLinkingRecipe.call(
        lambda functions, context: functions.delete_user(user_id, remove_all_linked_accounts, context), user_context
    )


class sync:
    """The same functions for code that cannot await."""

    get_user = staticmethod(synced(get_user))
    get_users_oldest_first = staticmethod(synced(get_users_oldest_first))
    get_users_newest_first = staticmethod(synced(get_users_newest_first))
    get_user_count = staticmethod(synced(get_user_count))
    list_users_by_account_info = staticmethod(synced(list_users_by_account_info))
    delete_user = staticmethod(synced(delete_user))
