"""The recipes as the SDK's singleton classes: `SessionRecipe.get_instance()`, `.init(...)`, `.reset()`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..recipes import emailpassword, thirdparty, thirdpartyemailpassword, usermetadata
from ..recipes.app import current_app
from ..recipes.kit.recipe import RecipeSpecification
from .init import reset
from .session import init as init_session
from .users import init_accountlinking, init_multitenancy


class _Singleton:
    """A recipe of the current App; `reset` drops the App and everything in it."""

    recipe_id: ClassVar[str]
    init: ClassVar[Callable[..., RecipeSpecification]]

    @classmethod
    def get_instance(cls) -> Any:
        """Return the recipe that the current App uses; ConfigurationError if `init` was not called for it."""
        return current_app().recipe(cls.recipe_id)

    reset = staticmethod(reset)


def _singleton(name: str, recipe_id: str, init: Callable[..., RecipeSpecification]) -> type[_Singleton]:
    return type(name, (_Singleton,), {"recipe_id": recipe_id, "init": staticmethod(init)})


SessionRecipe = _singleton("SessionRecipe", "session", init_session)
EmailPasswordRecipe = _singleton("EmailPasswordRecipe", "emailpassword", emailpassword.init)
ThirdPartyRecipe = _singleton("ThirdPartyRecipe", "thirdparty", thirdparty.init)
ThirdPartyEmailPasswordRecipe = _singleton(
    "ThirdPartyEmailPasswordRecipe", "thirdpartyemailpassword", thirdpartyemailpassword.init
)
UserMetadataRecipe = _singleton("UserMetadataRecipe", "usermetadata", usermetadata.init)
MultitenancyRecipe = _singleton("MultitenancyRecipe", "multitenancy", init_multitenancy)
AccountLinkingRecipe = _singleton("AccountLinkingRecipe", "accountlinking", init_accountlinking)
