"""The e-mail/password recipe of one App: its chains, its hasher and its delivery of mail."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection

from ...claims.recipe_user_id import RecipeUserId
from ...sessions.clean_up import CleanUp
from ..delivery import EMAIL as EMAIL_DELIVERY, EmailDeliveryInterface
from ..exceptions import ConfigurationError
from ..kit.recipe import Recipe
from ..kit.services import Services
from ..users.directory import DeletedUser
from . import rows
from .form import PASSWORD, EmailPasswordConfig, FormField, form_field_errors
from .interface import APIInterface, APIOptions, RecipeInterface, SignUpOkResult
from .passwords import PasswordHasher

_CREDENTIALS = ("email", "password", "tenant_id", "user_context")
_FORM_POST = ("form_fields", "tenant_id", "api_options", "user_context")

FUNCTION_ORDERS = {
    "sign_up": (_CREDENTIALS,),
    "sign_in": (_CREDENTIALS,),
    "create_reset_password_token": (("user_id", "tenant_id", "user_context"),),
}
"""The orders in which older versions of the reference passed arguments (docs/protocol.md, rule 15.5)."""

API_ORDERS = {"sign_up_post": (_FORM_POST,), "sign_in_post": (_FORM_POST,)}


class EmailPasswordRecipe(Recipe[RecipeInterface, APIInterface]):
    """The e-mail/password recipe of one App."""

    recipe_id = "emailpassword"
    interfaces = (RecipeInterface, APIInterface)
    orders = (FUNCTION_ORDERS, API_ORDERS)
    deliveries = (EMAIL_DELIVERY,)
    options_class = APIOptions
    first_factors = ("emailpassword",)
    config: EmailPasswordConfig
    email_delivery: EmailDeliveryInterface

    def __init__(self, app: Services, config: EmailPasswordConfig) -> None:
        super().__init__(app, config)
        self.hasher = PasswordHasher(unsafe_for_tests=app.unsafe_for_tests)
        self.tokens_clean_up = CleanUp(
            app.database,
            app.clock,
            kind="password reset tokens",
            delete_batch=lambda connection, now_ms: rows.clean_up(connection, now_ms=now_ms),
        )

    def option_values(self) -> dict[str, Any]:
        """Return the fields of the options that are the same for every request."""
        return {**super().option_values(), "email_delivery": self.email_delivery}

    async def password_error(self, password: str, tenant_id: str) -> str | None:
        """Return the rule of the policy that a password breaks, None for a good password."""
        field = [FormField(PASSWORD, password)]
        errors = await form_field_errors(field, self.config.reset_fields, tenant_id=tenant_id)
        return errors[0].error if errors else None

    def startup_lines(self) -> list[str]:
        """Return the line that says how to sign up."""
        body = '{"formFields": [{"id": "email", "value": "..."}, {"id": "password", "value": "..."}]}'
        return [f"sign up: POST {self.app.info.issuer}/signup with the body {body}"]

    async def test_login_method(self, tenant_id: str, email: str, *, subject: str, verified: bool) -> RecipeUserId:
        """Sign up with a password that nobody knows; ConfigurationError if an override refuses it."""
        signed_up = await self.functions.sign_up(email, secrets.token_urlsafe(), tenant_id, None, False, {})
        if isinstance(signed_up, SignUpOkResult):
            return signed_up.recipe_user_id
        raise ConfigurationError(f"{email} could not be signed up: {signed_up!r}")

    def clean_up(self) -> int:
        """Delete the reset tokens that have expired."""
        return self.tokens_clean_up.run()

    def forget_user(self, connection: Connection, deleted: DeletedUser) -> None:
        """Delete passwords and reset tokens of ids that nobody has any more."""
        rows.forget(connection, [*deleted.recipe_user_ids, *deleted.ids])
