"""The e-mail/password recipe at work in one App: its chains, its hasher and its way of delivering mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection

from ...sessions.clean_up import CleanUp
from ..chain.chain import Chain
from ..delivery import DefaultEmailService, EmailDeliveryConfig, EmailDeliveryInterface
from ..kit.recipe import Recipe
from ..users.directory import DeletedUser
from . import rows
from .form import PASSWORD, EmailPasswordConfig, FormField, form_field_errors
from .interface import APIInterface, RecipeInterface
from .passwords import PasswordHasher

if TYPE_CHECKING:
    from ..app import App
    from ..kit.routing import Route

_CREDENTIALS = ("email", "password", "tenant_id", "user_context")
_FORM_POST = ("form_fields", "tenant_id", "api_options", "user_context")

FUNCTION_ORDERS = {
    "sign_up": (_CREDENTIALS,),
    "sign_in": (_CREDENTIALS,),
    "create_reset_password_token": (("user_id", "tenant_id", "user_context"),),
}
"""The orders in which older versions of the reference passed arguments (docs/protocol.md, rule 15.5)."""

API_ORDERS = {"sign_up_post": (_FORM_POST,), "sign_in_post": (_FORM_POST,)}


class EmailPasswordRecipe(Recipe[RecipeInterface]):
    """The e-mail/password recipe of one App."""

    recipe_id = "emailpassword"
    first_factors = ("emailpassword",)

    def __init__(self, app: App, config: EmailPasswordConfig, routes: tuple[Route, ...]) -> None:
        super().__init__(app, config, routes)
        self.config: EmailPasswordConfig = config
        self.hasher = PasswordHasher(unsafe_for_tests=app.unsafe_for_tests)
        self.tokens_clean_up = CleanUp(
            app.database,
            app.clock,
            kind="password reset tokens",
            delete_batch=lambda connection, now_ms: rows.clean_up(connection, now_ms=now_ms),
        )
        delivery = config.email_delivery or EmailDeliveryConfig()
        mail = Chain(
            EmailDeliveryInterface,
            delivery.service or DefaultEmailService(app.outbox),
            recipe_id=self.recipe_id,
            kind="email_delivery",
        )
        self.add_chain(mail, delivery.override)
        self.email_delivery = mail.top

    def finish(self, functions: Chain[RecipeInterface], apis: Chain[APIInterface]) -> None:
        """Apply the application's overrides; from here on `functions` and `apis` are the tops of the chains."""
        self.add_chain(functions, self.config.override.functions)
        self.add_chain(apis, self.config.override.apis)
        self.functions = functions.top
        self.apis: APIInterface = apis.top

    async def password_error(self, password: str, tenant_id: str) -> str | None:
        """Return what the policy has against a password, None for a good one."""
        field = [FormField(PASSWORD, password)]
        errors = await form_field_errors(field, self.config.reset_fields, tenant_id=tenant_id)
        return errors[0].error if errors else None

    def clean_up(self) -> int:
        """Delete the reset tokens that have expired."""
        return self.tokens_clean_up.run()

    def forget_user(self, connection: Connection, deleted: DeletedUser) -> None:
        """Delete passwords and reset tokens of ids that name nobody any more."""
        rows.forget(connection, [*deleted.recipe_user_ids, *deleted.ids])
