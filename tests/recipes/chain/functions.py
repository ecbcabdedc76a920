"""Functions like those of a session recipe, and a recorder in their place, for overrides of every era."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from coatcheck.claims.recipe_user_id import RecipeUserId
from coatcheck.recipes.chain.chain import Chain
from coatcheck.recipes.kit.driver import drive

Override = Callable[[Any], Any]


Create = Callable[..., Awaitable[Any]]


class Functions:
    """A part of the session recipe's interface."""

    async def create_new_session(
        self,
        user_id: str,
        recipe_user_id: RecipeUserId,
        access_token_payload: dict[str, Any] | None,
        session_data_in_database: dict[str, Any] | None,
        disable_anti_csrf: bool | None,
        tenant_id: str,
        user_context: dict[str, Any],
    ) -> Any: ...

    def get_global_claim_validators(
        self,
        tenant_id: str,
        user_id: str,
        recipe_user_id: RecipeUserId,
        claim_validators_added_by_other_recipes: list[Any],
        user_context: dict[str, Any],
    ) -> Any: ...

    async def revoke_all_sessions_for_user(
        self,
        user_id: str,
        revoke_sessions_for_linked_accounts: bool,
        tenant_id: str,
        revoke_across_all_tenants: bool,
        user_context: dict[str, Any],
    ) -> Any: ...

    async def get_session(
        self, access_token: str | None, session_required: bool | None = None, user_context: Any = None
    ) -> Any: ...


class Recorder(Functions):
    """An implementation that answers with what it was given."""

    async def create_new_session(
        self,
        user_id: str,
        recipe_user_id: RecipeUserId,
        access_token_payload: dict[str, Any] | None,
        session_data_in_database: dict[str, Any] | None,
        disable_anti_csrf: bool | None,
        tenant_id: str,
        user_context: dict[str, Any],
    ) -> Any:
        return {
            "user_id": user_id,
            "recipe_user_id": recipe_user_id,
            "access_token_payload": access_token_payload,
            "session_data_in_database": session_data_in_database,
            "disable_anti_csrf": disable_anti_csrf,
            "tenant_id": tenant_id,
            "user_context": user_context,
        }

    def get_global_claim_validators(
        self,
        tenant_id: str,
        user_id: str,
        recipe_user_id: RecipeUserId,
        claim_validators_added_by_other_recipes: list[Any],
        user_context: dict[str, Any],
    ) -> Any:
        return [tenant_id, user_id, recipe_user_id, *claim_validators_added_by_other_recipes]

    async def revoke_all_sessions_for_user(
        self,
        user_id: str,
        revoke_sessions_for_linked_accounts: bool,
        tenant_id: str,
        revoke_across_all_tenants: bool,
        user_context: dict[str, Any],
    ) -> Any:
        return [user_id, revoke_sessions_for_linked_accounts, tenant_id, revoke_across_all_tenants]

    async def get_session(
        self, access_token: str | None, session_required: bool | None = None, user_context: Any = None
    ) -> Any:
        return [access_token, session_required, user_context]


SEED = (
    "user_id",
    "access_token_payload",
    "session_data_in_database",
    "disable_anti_csrf",
    "tenant_id",
    "user_context",
)


ORDERS = {
    "create_new_session": (SEED,),
    "get_global_claim_validators": (
        ("tenant_id", "user_id", "claim_validators_added_by_other_recipes", "user_context"),
    ),
    "revoke_all_sessions_for_user": (("user_id", "tenant_id", "revoke_across_all_tenants", "user_context"),),
}


LOGIN = RecipeUserId("login-method")


CALL: dict[str, Any] = {
    "user_id": "primary",
    "recipe_user_id": LOGIN,
    "access_token_payload": {},
    "session_data_in_database": {"data": 1},
    "disable_anti_csrf": None,
    "tenant_id": "public",
    "user_context": {},
}


def chain_of(*overrides: Override) -> Chain[Functions]:
    """Return a chain with these overrides, the last one outermost."""
    chain: Chain[Functions] = Chain(
        Functions, Recorder(), recipe_id="session", kind="functions", positional_orders=ORDERS
    )
    for override in overrides:
        chain.apply(override)
    return chain


def replacing(name: str, make: Callable[[Any], Any]) -> Override:
    """Return an override function that assigns `make(original)`."""

    def override(original_implementation: Any) -> Any:
        setattr(original_implementation, name, make(getattr(original_implementation, name)))
        return original_implementation

    return override


def creating(make: Callable[[Any], Any]) -> Override:
    """Return an override of create_new_session."""
    return replacing("create_new_session", make)


def created(*overrides: Override) -> dict[str, Any]:
    """Return what arrives at the implementation beneath these overrides."""
    result: dict[str, Any] = drive(chain_of(*overrides).top.create_new_session(**CALL))
    return result
