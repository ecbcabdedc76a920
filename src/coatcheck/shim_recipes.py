"""Recipes as the singletons of the SDK: `SessionRecipe.get_instance()`, `.init(...)`, `.reset()`."""

from __future__ import annotations

from typing import Any, ClassVar

from .recipes import emailpassword, emailpassword_recipe, session_recipe, thirdparty, thirdparty_recipe
from .recipes.current_app import current_app
from .recipes.recipe import Recipe
from .shim_init import reset
from .shim_session import init


class _Singleton:
    """A recipe of the current App; `reset` drops the App with everything in it."""

    recipe: ClassVar[type[Recipe[Any]]]

    @classmethod
    def get_instance(cls) -> Any:
        """Return the recipe at work in the current App; ConfigurationError if `init` was not called for it."""
        return cls.recipe.of(current_app())

    reset = staticmethod(reset)


class SessionRecipe(_Singleton):
    """The session recipe."""

    recipe = session_recipe.SessionRecipe
    recipe_id = "session"
    init = staticmethod(init)


class EmailPasswordRecipe(_Singleton):
    """The e-mail/password recipe."""

    recipe = emailpassword_recipe.EmailPasswordRecipe
    recipe_id = "emailpassword"
    init = staticmethod(emailpassword.init)


class ThirdPartyRecipe(_Singleton):
    """The third-party recipe."""

    recipe = thirdparty_recipe.ThirdPartyRecipe
    recipe_id = "thirdparty"
    init = staticmethod(thirdparty.init)
