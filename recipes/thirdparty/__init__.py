"""The third-party recipe: `thirdparty.init(...)`, and its functions, awaitable and under `.sync`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...claims.payload import UserContext
from ..chain.chain import Chain, InputOverrideConfig
from ..kit.recipe import RecipeSpecification
from ..kit.services import synced
from ..session.container import SessionContainer
from ..users.user import ThirdPartyInfo
from .api import ROUTES, ThirdPartyAPI
from .config import (
    ProviderClientConfig,
    ProviderConfig,
    ProviderConfigForClient,
    ProviderInput,
    SignInAndUpFeature,
    ThirdPartyConfig,
    UserFields,
    UserInfoMap,
    validated,
)
from .functions import ThirdPartyFunctions
from .interface import (
    API_ORDERS,
    FUNCTION_ORDERS,
    APIInterface,
    APIOptions,
    APIsLayer,
    AuthorisationUrlGetOkResult,
    EmailChangeNotAllowedError,
    FunctionsLayer,
    ManuallyCreateOrUpdateUserOkResult,
    ManuallyCreateOrUpdateUserResult,
    RecipeInterface,
    SignInUpNotAllowed,
    SignInUpOkResult,
    SignInUpPostNoEmailGivenByProviderResponse,
    SignInUpPostOkResult,
)
from .oauth import AuthorisationRedirect, RedirectUriInfo
from .provider import ClientTypeNotFoundError, Provider
from .recipe import ThirdPartyRecipe
from .user_info import RawUserInfoFromProvider, UserInfo, UserInfoEmail

if TYPE_CHECKING:
    from ..app import App

ThirdPartyOverrideConfig = InputOverrideConfig


def init(
    sign_in_and_up_feature: SignInAndUpFeature | None = None, override: InputOverrideConfig | None = None
) -> RecipeSpecification:
    """Describe the third-party recipe for an App's `recipe_list`; nothing else happens until the App is made.

    No provider is asked before somebody signs in with it. A wrong option is a ConfigurationError.
    """
    return RecipeSpecification("thirdparty", validated(sign_in_and_up_feature, override), build)


def build(app: App, config: ThirdPartyConfig) -> ThirdPartyRecipe:
    """Return the recipe at work in an App."""
    recipe = ThirdPartyRecipe(app, config, ROUTES)
    recipe.finish(
        Chain(
            RecipeInterface,
            ThirdPartyFunctions(recipe),
            recipe_id="thirdparty",
            kind="functions",
            positional_orders=FUNCTION_ORDERS,
        ),
        Chain(APIInterface, ThirdPartyAPI(recipe), recipe_id="thirdparty", kind="apis", positional_orders=API_ORDERS),
    )
    return recipe


async def manually_create_or_update_user(
    tenant_id: str,
    third_party_id: str,
    third_party_user_id: str,
    email: str,
    is_verified: bool,
    session: SessionContainer | None = None,
    user_context: UserContext | None = None,
) -> ManuallyCreateOrUpdateUserResult:
    """Create a login method, or give the one that exists the address; no provider is asked."""
    return await ThirdPartyRecipe.call(
        lambda functions, context: functions.manually_create_or_update_user(
            third_party_id,
            third_party_user_id,
            email,
            is_verified,
            session,
            session is not None,
            tenant_id,
            context,
        ),
        user_context,
    )


async def get_provider(
    tenant_id: str, third_party_id: str, client_type: str | None = None, user_context: UserContext | None = None
) -> Provider | None:
    """Return a provider with a client of the type chosen; None if the tenant does not offer it."""
    return await ThirdPartyRecipe.call(
        lambda functions, context: functions.get_provider(third_party_id, client_type, tenant_id, context),
        user_context,
    )


class sync:
    """The same functions for code that cannot await."""

    manually_create_or_update_user = staticmethod(synced(manually_create_or_update_user))
    get_provider = staticmethod(synced(get_provider))


__all__ = [
    "APIInterface",
    "APIOptions",
    "APIsLayer",
    "AuthorisationRedirect",
    "AuthorisationUrlGetOkResult",
    "ClientTypeNotFoundError",
    "EmailChangeNotAllowedError",
    "FunctionsLayer",
    "InputOverrideConfig",
    "ManuallyCreateOrUpdateUserOkResult",
    "Provider",
    "ProviderClientConfig",
    "ProviderConfig",
    "ProviderConfigForClient",
    "ProviderInput",
    "RawUserInfoFromProvider",
    "RecipeInterface",
    "RedirectUriInfo",
    "SignInAndUpFeature",
    "SignInUpNotAllowed",
    "SignInUpOkResult",
    "SignInUpPostNoEmailGivenByProviderResponse",
    "SignInUpPostOkResult",
    "ThirdPartyInfo",
    "ThirdPartyOverrideConfig",
    "UserFields",
    "UserInfo",
    "UserInfoEmail",
    "UserInfoMap",
    "get_provider",
    "init",
    "manually_create_or_update_user",
    "sync",
]
