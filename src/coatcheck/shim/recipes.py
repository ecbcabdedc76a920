"""Recipes as the singletons of the SDK: `SessionRecipe.get_instance()`, `.init(...)`, `.reset()`."""

from __future__ import annotations

from typing import Any, ClassVar

from ..recipes import accountlinking, emailpassword, multitenancy, thirdparty, thirdpartyemailpassword, usermetadata
from ..recipes.app import current_app
from ..recipes.emailpassword import recipe as emailpassword_recipe
from ..recipes.kit.recipe import Recipe
from ..recipes.session import recipe as session_recipe
from ..recipes.thirdparty import recipe as thirdparty_recipe
from ..recipes.thirdpartyemailpassword import recipe as thirdpartyemailpassword_recipe
from . import session as shim_session, users as shim_users
from .init import reset


class _Singleton:
    """A recipe of the current App; `reset` drops the App with everything in it."""

    recipe: ClassVar[type[Recipe[Any, Any]]]
    recipe_id: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.recipe_id = cls.recipe.recipe_id

    @classmethod
    def get_instance(cls) -> Any:
        """Return the recipe at work in the current App; ConfigurationError if `init` was not called for it."""
        return cls.recipe.of(current_app())

    reset = staticmethod(reset)


class SessionRecipe(_Singleton):
    """The session recipe."""

    recipe = session_recipe.SessionRecipe
    init = staticmethod(shim_session.init)


class EmailPasswordRecipe(_Singleton):
    """The e-mail/password recipe."""

    recipe = emailpassword_recipe.EmailPasswordRecipe
    init = staticmethod(emailpassword.init)


class ThirdPartyRecipe(_Singleton):
    """The third-party recipe."""

    recipe = thirdparty_recipe.ThirdPartyRecipe
    init = staticmethod(thirdparty.init)


class ThirdPartyEmailPasswordRecipe(_Singleton):
    """The recipe that combines both."""

    recipe = thirdpartyemailpassword_recipe.ThirdPartyEmailPasswordRecipe
    init = staticmethod(thirdpartyemailpassword.init)


class UserMetadataRecipe(_Singleton):
    """The recipe for what an application keeps about users."""

    recipe = usermetadata.UserMetadataRecipe
    init = staticmethod(usermetadata.init)


class MultitenancyRecipe(_Singleton):
    """The recipe for tenants, which every App has."""

    recipe = multitenancy.TenantsRecipe
    init = staticmethod(shim_users.init_multitenancy)


class AccountLinkingRecipe(_Singleton):
    """The recipe for users and their login methods, which every App has."""

    recipe = accountlinking.AccountLinkingRecipe
    init = staticmethod(shim_users.init_accountlinking)
