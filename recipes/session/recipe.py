"""The session recipe of one App: its keys, its engine, and the claims that recipes have registered."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from ...claims.claim import SessionClaim
from ...claims.payload import UserContext
from ...claims.validator import SessionClaimValidator
from ...sessions.access_token import AccessTokens
from ...sessions.engine import SessionEngine
from ...sessions.keys import KeyRing
from ...sessions.rows import remove_of_users
from ..exceptions import ConfigurationError
from ..kit.recipe import Recipe
from ..kit.services import Services
from ..users.directory import DeletedUser
from .config import SessionConfig
from .interface import APIInterface, RecipeInterface
from .transport import Transport

FUNCTION_ORDERS = {
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


class SessionRecipe(Recipe[RecipeInterface, APIInterface]):
    """The session recipe of one App."""

    recipe_id = "session"
    interfaces = (RecipeInterface, APIInterface)
    orders = (FUNCTION_ORDERS, {})
    config: SessionConfig

    def __init__(self, app: Services, config: SessionConfig) -> None:
        super().__init__(app, config)
        self.claims: list[SessionClaim[Any]] = list(config.claims)
        self.claim_validators: list[SessionClaimValidator] = []
        validity_ms = _ms(config.access_token_validity_seconds)
        self.keys = KeyRing(
            app.database,
            app.clock,
            access_token_validity_ms=validity_ms,
            rotation_ms=_ms(config.signing_key_rotation_seconds),
            cipher=app.cipher,
            source=app.key_source,
        )
        self.tokens = AccessTokens(self.keys, app.clock)
        absolute = config.absolute_lifetime_seconds
        self.engine = SessionEngine(
            app.database,
            app.clock,
            keys=self.keys,
            tokens=self.tokens,
            directory=app.users,
            access_token_validity_ms=validity_ms,
            refresh_token_validity_ms=_ms(config.refresh_token_validity_seconds),
            absolute_lifetime_ms=None if absolute is None else _ms(absolute),
        )

    def transport(self, request: Request, user_context: UserContext) -> Transport:
        """Return the transport of a request's tokens."""
        return Transport(self.config, self.app.info, self.app.clock, request, user_context)

    @property
    def has_validators(self) -> bool:
        """Whether there may be validators that apply to every session."""
        return bool(self.claim_validators) or self._validators_overridden

    @cached_property
    def _validators_overridden(self) -> bool:
        return self.chains["functions"].is_overridden("get_global_claim_validators")

    def add_claim_from_other_recipe(self, claim: SessionClaim[Any]) -> None:
        """Build `claim` into every new session; two claims with one key are a ConfigurationError."""
        if any(claim.key == known.key for known in self.claims):
            raise ConfigurationError(f"Claim added by multiple recipes: {claim.key}")
        self.claims.append(claim)

    def add_claim_validator_from_other_recipe(self, validator: SessionClaimValidator) -> None:
        """Run `validator` for every verified session."""
        self.claim_validators.append(validator)

    def clean_up(self) -> int:
        """Delete the sessions that have expired."""
        return self.engine.clean_up()

    def forget_user(self, connection: Connection, deleted: DeletedUser) -> None:
        """End the sessions of deleted login methods."""
        remove_of_users(connection, deleted.recipe_user_ids)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
