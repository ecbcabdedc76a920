"""The session recipe at work in one App: its chains, and the claims that recipes have registered."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from ...claims.claim import SessionClaim
from ...claims.validator import SessionClaimValidator
from ...sessions.rows import remove_of_users
from ..chain.chain import Chain
from ..exceptions import ConfigurationError
from ..kit.recipe import Recipe
from ..users.directory import DeletedUser
from .config import SessionConfig
from .interface import APIInterface, APIOptions, RecipeInterface

if TYPE_CHECKING:
    from ..app import App
    from ..kit.routing import Route

POSITIONAL_ORDERS = {
    "create_new_session": (
        (
            "user_id",
            "access_token_payload",
            "session_data_in_database",
            "disable_anti_csrf",
            "tenant_id",
            "user_context",
        ),
    ),
    "get_global_claim_validators": (
        ("tenant_id", "user_id", "claim_validators_added_by_other_recipes", "user_context"),
    ),
    "validate_claims": (("user_id", "access_token_payload", "claim_validators", "user_context"),),
    "revoke_all_sessions_for_user": (("user_id", "tenant_id", "revoke_across_all_tenants", "user_context"),),
    "get_all_session_handles_for_user": (("user_id", "tenant_id", "fetch_across_all_tenants", "user_context"),),
}
"""The orders in which older versions of the reference passed arguments (docs/protocol.md, rule 15.5)."""


class SessionRecipe(Recipe[RecipeInterface]):
    """The session recipe of one App."""

    recipe_id = "session"

    def __init__(self, app: App, config: SessionConfig, routes: tuple[Route, ...]) -> None:
        super().__init__(app, config, routes)
        self.config: SessionConfig = config
        self.claims: list[SessionClaim[Any]] = list(config.claims)
        self.claim_validators: list[SessionClaimValidator] = []

    def finish(self, functions: Chain[RecipeInterface], apis: Chain[APIInterface]) -> None:
        """Apply the application's overrides; from here on `functions` and `apis` are the tops of the chains."""
        self.add_chain(functions, self.config.override.functions)
        self.add_chain(apis, self.config.override.apis)
        self.functions = functions.top
        self.apis: APIInterface = apis.top
        self.api_options = partial(
            APIOptions,
            response=None,
            recipe_id=self.recipe_id,
            config=self.config,
            recipe_implementation=self.functions,
            app_info=self.app.info,
        )
        """What makes the options of the APIs' functions from a request."""
        self._validators_overridden = functions.is_overridden("get_global_claim_validators")

    @property
    def has_validators(self) -> bool:
        """Whether there may be validators that apply to every session."""
        return bool(self.claim_validators) or self._validators_overridden

    def add_claim_from_other_recipe(self, claim: SessionClaim[Any]) -> None:
        """Build `claim` into every new session; two claims with one key are a ConfigurationError."""
        if any(claim.key == known.key for known in self.claims):
            raise ConfigurationError(f"Claim added by multiple recipes: {claim.key}")
        self.claims.append(claim)

    def add_claim_validator_from_other_recipe(self, validator: SessionClaimValidator) -> None:
        """Run `validator` wherever a session is required."""
        self.claim_validators.append(validator)

    def forget_user(self, connection: Connection, deleted: DeletedUser) -> None:
        """End the sessions of deleted login methods."""
        remove_of_users(connection, deleted.recipe_user_ids)
