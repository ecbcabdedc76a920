"""Apps for tests: each of them fresh, all in memory, with a clock that stands still and hashes that cost nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

from ..claims.clock import ManualClock, system_clock
from ..claims.recipe_user_id import RecipeUserId
from ..recipes import emailpassword, session, usermetadata
from ..recipes.accountlinking import get_user, list_users_by_account_info
from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..recipes.kit.app_info import InputAppInfo
from ..recipes.kit.recipe import RecipeSpecification
from ..recipes.kit.services import standing_in
from ..recipes.users.user import AccountInfo, User
from ..server.stub import stub_providers
from ..server.stub.page import Persona, persona_for

APP_INFO = InputAppInfo("Test", "http://localhost:3567", website_domain="http://localhost:3000")
"""What an App for tests is called and where it is, unless it is told."""


@cache
def default_recipes() -> tuple[RecipeSpecification, ...]:
    """Return the recipes of an App that is given none: sessions, e-mail and password, user metadata."""
    return session.init(), emailpassword.init(), usermetadata.init()


@contextmanager
def make_app(recipe_list: Sequence[RecipeSpecification] | None = None, **config: Any) -> Iterator[App]:
    """Yield a fresh App, which is the current one while the block runs, in every thread, and close it afterwards.

    `config` are keywords of App in place of these: APP_INFO, a database in memory, a ManualClock that stands at the
    present second. `unsafe_for_tests` is always set, and mails of an SMTPService go to the outbox. What a test planned
    for stub providers and did not use is forgotten with the App.
    """
    given = {"app_info": APP_INFO, "database": "sqlite://", "clock": _clock(), **config}
    app = App(**given, recipe_list=default_recipes() if recipe_list is None else recipe_list, unsafe_for_tests=True)
    app.outbox.replaces_smtp = True
    try:
        with app.active(), standing_in(app):
            yield app
    finally:
        for provider in stub_providers(app):
            provider.script.clear()
        app.close()


def _clock() -> ManualClock:
    # At a whole second, so that `exp` and `iat`, which are whole seconds, can be reckoned with.
    return ManualClock(system_clock.now_ms() // 1000 * 1000)


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
    persona = known[0] if known else persona_for(email)
    if persona is None:
        raise ConfigurationError(f"{email!r} is not an e-mail address")
    return persona


def must_be(kind: type, given: object, call: str) -> None:
    """Raise ConfigurationError, with the call as it is meant, where something is not of its kind."""
    if not isinstance(given, kind):
        article = "an" if kind.__name__.startswith("A") else "a"
        raise ConfigurationError(f"{call} takes {article} {kind.__name__}, not {given!r}")
