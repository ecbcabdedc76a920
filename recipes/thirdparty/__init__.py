"""The third-party recipe: `thirdparty.init(...)`, and its functions, awaitable and under `.sync`."""

from __future__ import annotations

from ...claims.payload import UserContext
from ..chain.chain import InputOverrideConfig as InputOverrideConfig
from ..kit.recipe import RecipeSpecification
from ..kit.services import synced
from ..session.container import SessionContainer
from ..users.user import ThirdPartyInfo as ThirdPartyInfo
from .api import ROUTES, ThirdPartyAPI
from .config import (
    ProviderClientConfig as ProviderClientConfig,
    ProviderConfig as ProviderConfig,
    ProviderConfigForClient as ProviderConfigForClient,
    ProviderInput as ProviderInput,
    SignInAndUpFeature as SignInAndUpFeature,
    UserFields as UserFields,
    UserInfoMap as UserInfoMap,
    validated,
)
from .functions import ThirdPartyFunctions
from .interface import (
    APIInterface as APIInterface,
    APIOptions as APIOptions,
    APIsLayer as APIsLayer,
    AuthorisationUrlGetOkResult as AuthorisationUrlGetOkResult,
    EmailChangeNotAllowedError as EmailChangeNotAllowedError,
    FunctionsLayer as FunctionsLayer,
    ManuallyCreateOrUpdateUserOkResult as ManuallyCreateOrUpdateUserOkResult,
    ManuallyCreateOrUpdateUserResult,
    RecipeInterface as RecipeInterface,
    SignInUpNotAllowed as SignInUpNotAllowed,
    SignInUpOkResult as SignInUpOkResult,
    SignInUpPostNoEmailGivenByProviderResponse as SignInUpPostNoEmailGivenByProviderResponse,
    SignInUpPostOkResult as SignInUpPostOkResult,
)
from .oauth import AuthorisationRedirect as AuthorisationRedirect, RedirectUriInfo as RedirectUriInfo
from .provider import ClientTypeNotFoundError as ClientTypeNotFoundError, Provider as Provider
from .recipe import ThirdPartyRecipe
from .user_info import (
    RawUserInfoFromProvider as RawUserInfoFromProvider,
    UserInfo as UserInfo,
    UserInfoEmail as UserInfoEmail,
)

ThirdPartyOverrideConfig = InputOverrideConfig


def init(
    sign_in_and_up_feature: SignInAndUpFeature | None = None, override: InputOverrideConfig | None = None
) -> RecipeSpecification:
    """Describe the third-party recipe for an App's `recipe_list`; nothing else happens until the App is made.

    No provider is asked before somebody signs in with it. A wrong option is a ConfigurationError.
    """
    config = validated(sign_in_and_up_feature, override)
    return RecipeSpecification(ThirdPartyRecipe, config, ThirdPartyFunctions, ThirdPartyAPI, ROUTES)


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
