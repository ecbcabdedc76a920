"""Whom a test means by an e-mail address, an id or a User: found in the App, or made."""

from __future__ import annotations

import secrets
from typing import Any, TypeAlias

from ..claims.recipe_user_id import RecipeUserId
from ..recipes import emailpassword
from ..recipes.accountlinking import get_user, list_users_by_account_info
from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..recipes.users.user import AccountInfo, User
from ..server.stub.personas import Persona, typed
from ..server.stub.routes import stub_providers

Who: TypeAlias = User | RecipeUserId | str
"""A user, one of its login methods, an id of either, or an e-mail address."""


async def login_method_of(app: App, who: Who, tenant: str) -> RecipeUserId:
    """Return the login method with which somebody signs in; App and clock must be the current ones.

    A user is made for an address that the tenant does not know, by sign-up with a password nobody knows or, without
    e-mail and password, as from a provider. An id that nobody has stands for itself, as it does for sessions.
    """
    if isinstance(who, RecipeUserId):
        return who
    if isinstance(who, User):
        return _in_tenant(who, tenant)
    if not isinstance(who, str) or not who:
        raise ConfigurationError(
            f"nobody can be signed in as {who!r}: pass an e-mail address, a user id, a User or a RecipeUserId"
        )
    if "@" in who:
        known = await list_users_by_account_info(tenant, AccountInfo(email=who))
        return _in_tenant(known[0], tenant) if known else await _made(app, who, tenant)
    user = await get_user(who)
    if user is None or who in {method.recipe_user_id.get_as_string() for method in user.login_methods}:
        return RecipeUserId(who)
    return _in_tenant(user, tenant)


def _in_tenant(user: User, tenant: str) -> RecipeUserId:
    there = [method for method in user.login_methods if tenant in method.tenant_ids]
    return (there or user.login_methods)[0].recipe_user_id


async def _made(app: App, email: str, tenant: str) -> RecipeUserId:
    if app.has_recipe("emailpassword"):
        signed_up = await emailpassword.sign_up(tenant, email, secrets.token_urlsafe())
        if isinstance(signed_up, emailpassword.SignUpOkResult):
            return signed_up.recipe_user_id
        raise ConfigurationError(f"{email} could not be signed up: {signed_up!r}")
    if app.has_recipe("thirdparty"):
        return await _from_provider(app, email, tenant)
    raise ConfigurationError(
        f"nobody can have the address {email} in this App, which has neither emailpassword.init(...) nor "
        "thirdparty.init(...): sign in a RecipeUserId"
    )


async def _from_provider(app: App, email: str, tenant: str) -> RecipeUserId:
    # Asked for by its id: an App without the recipe need not load it.
    recipe: Any = app.recipe("thirdparty")
    if not recipe.config.providers:
        raise ConfigurationError(f"{email} has no provider to come from: thirdparty.init was given none")
    persona, third_party_id = _persona(app, email), recipe.config.providers[0].config.third_party_id
    signed_up = await recipe.functions.manually_create_or_update_user(
        third_party_id, persona.user_id, email, persona.email_verified, None, False, tenant, {}
    )
    if signed_up.status != "OK":
        raise ConfigurationError(f"{email} could not be signed up: {signed_up!r}")
    recipe_user_id: RecipeUserId = signed_up.recipe_user_id
    return recipe_user_id


def _persona(app: App, email: str) -> Persona:
    """Return whom a stub provider would take the owner of an address for."""
    known = [persona for stub in stub_providers(app) for persona in stub.personas if persona.email == email]
    persona = known[0] if known else typed(email)
    if persona is None:
        raise ConfigurationError(f"{email!r} is not an e-mail address")
    return persona
