"""Providers and e-mail/password as one recipe: `thirdpartyemailpassword.init(...)`, its functions, and `.sync`."""

from __future__ import annotations

from collections.abc import Sequence

from ...claims.payload import UserContext
from .. import emailpassword, thirdparty
from ..chain.chain import InputOverrideConfig as InputOverrideConfig
from ..delivery import EmailDeliveryConfig as EmailDeliveryConfig, SMTPService as SMTPService
from ..emailpassword import (
    create_reset_password_link as create_reset_password_link,
    create_reset_password_token as create_reset_password_token,
    send_email as send_email,
    send_reset_password_email as send_reset_password_email,
    update_email_or_password as update_email_or_password,
)
from ..emailpassword.form import (
    FormField as FormField,
    InputFormField as InputFormField,
    InputSignUpFeature as InputSignUpFeature,
)
from ..emailpassword.interface import (
    PasswordPolicyViolationError,
    PasswordResetTokenInvalidError,
    SignInResult,
    SignUpResult,
)
from ..kit.recipe import OverridesOnly, RecipeSpecification
from ..kit.services import synced
from ..thirdparty.config import (
    ProviderClientConfig as ProviderClientConfig,
    ProviderConfig as ProviderConfig,
    ProviderInput as ProviderInput,
    SignInAndUpFeature,
)
from ..thirdparty.interface import ManuallyCreateOrUpdateUserResult
from ..thirdparty.provider import Provider
from ..users.user import User
from .recipe import (
    APIInterface as APIInterface,
    APIsLayer as APIsLayer,
    CombinedAPI,
    CombinedFunctions,
    FunctionsLayer as FunctionsLayer,
    RecipeInterface as RecipeInterface,
    ResetPasswordUsingTokenOkResult as ResetPasswordUsingTokenOkResult,
    ThirdPartyEmailPasswordRecipe,
)

ThirdPartyEmailPasswordOverrideConfig = InputOverrideConfig


def init(
    sign_up_feature: InputSignUpFeature | None = None,
    override: InputOverrideConfig | None = None,
    providers: Sequence[ProviderInput] | None = None,
    email_delivery: EmailDeliveryConfig | None = None,
) -> RecipeSpecification:
    """Describe the combined recipe for an App's `recipe_list`; nothing else happens until the App is made.

    It contains the recipes `thirdparty` and `emailpassword`, and its `override` applies to both. A wrong option is a
    ConfigurationError.
    """
    halves = (
        thirdparty.init(SignInAndUpFeature(providers or ())),
        emailpassword.init(sign_up_feature, None, email_delivery),
    )
    config = OverridesOnly.checked("thirdpartyemailpassword", override)
    return RecipeSpecification(ThirdPartyEmailPasswordRecipe, config, CombinedFunctions, CombinedAPI, brings=halves)


async def emailpassword_sign_up(
    tenant_id: str, email: str, password: str, user_context: UserContext | None = None
) -> SignUpResult:
    """Create a login method; only the form checks the password policy, this function does not."""
    return await ThirdPartyEmailPasswordRecipe.call(
        lambda functions, context: functions.emailpassword_sign_up(email, password, tenant_id, None, False, context),
        user_context,
    )


async def emailpassword_sign_in(
    tenant_id: str, email: str, password: str, user_context: UserContext | None = None
) -> SignInResult:
    """Verify a password; no session is created."""
    return await ThirdPartyEmailPasswordRecipe.call(
        lambda functions, context: functions.emailpassword_sign_in(email, password, tenant_id, None, False, context),
        user_context,
    )


async def thirdparty_manually_create_or_update_user(
    tenant_id: str,
    third_party_id: str,
    third_party_user_id: str,
    email: str,
    is_verified: bool = False,
    user_context: UserContext | None = None,
) -> ManuallyCreateOrUpdateUserResult:
    """Create a login method, or give the one that exists the address; no provider is asked."""
    return await ThirdPartyEmailPasswordRecipe.call(
        lambda functions, context: functions.thirdparty_manually_create_or_update_user(
            third_party_id, third_party_user_id, email, is_verified, None, False, tenant_id, context
        ),
        user_context,
    )


async def thirdparty_get_provider(
    tenant_id: str, third_party_id: str, client_type: str | None = None, user_context: UserContext | None = None
) -> Provider | None:
    """Return a provider with a client of the type chosen; None if the tenant does not offer it."""
    return await ThirdPartyEmailPasswordRecipe.call(
        lambda functions, context: functions.thirdparty_get_provider(third_party_id, client_type, tenant_id, context),
        user_context,
    )


async def get_user_by_id(user_id: str, user_context: UserContext | None = None) -> User | None:
    """Return the user with this id or login method, None if there is none."""
    return await ThirdPartyEmailPasswordRecipe.call(
        lambda functions, context: functions.get_user_by_id(user_id, context), user_context
    )


async def get_users_by_email(tenant_id: str, email: str, user_context: UserContext | None = None) -> list[User]:
    """Return the users of a tenant with this address, oldest first."""
    return await ThirdPartyEmailPasswordRecipe.call(
        lambda functions, context: functions.get_users_by_email(email, tenant_id, context), user_context
    )


async def get_user_by_third_party_info(
    tenant_id: str, third_party_id: str, third_party_user_id: str, user_context: UserContext | None = None
) -> User | None:
    """Return the user of a tenant with this account of a provider."""
    return await ThirdPartyEmailPasswordRecipe.call(
        lambda functions, context: functions.get_user_by_thirdparty_info(
            third_party_id, third_party_user_id, tenant_id, context
        ),
        user_context,
    )


async def reset_password_using_token(
    tenant_id: str, token: str, new_password: str, user_context: UserContext | None = None
) -> ResetPasswordUsingTokenOkResult | PasswordResetTokenInvalidError | PasswordPolicyViolationError:
    """Use up a token and set the new password; if the policy refuses the password, the token stays valid."""
    return await ThirdPartyEmailPasswordRecipe.call(
        lambda functions, context: functions.reset_password_using_token(token, new_password, tenant_id, context),
        user_context,
    )


class sync:
    """The same functions for code that cannot await."""

    emailpassword_sign_up = staticmethod(synced(emailpassword_sign_up))
    emailpassword_sign_in = staticmethod(synced(emailpassword_sign_in))
    thirdparty_manually_create_or_update_user = staticmethod(synced(thirdparty_manually_create_or_update_user))
    thirdparty_get_provider = staticmethod(synced(thirdparty_get_provider))
    get_user_by_id = staticmethod(synced(get_user_by_id))
    get_users_by_email = staticmethod(synced(get_users_by_email))
    get_user_by_third_party_info = staticmethod(synced(get_user_by_third_party_info))
    reset_password_using_token = staticmethod(synced(reset_password_using_token))
    create_reset_password_token = staticmethod(synced(create_reset_password_token))
    create_reset_password_link = staticmethod(synced(create_reset_password_link))
    send_reset_password_email = staticmethod(synced(send_reset_password_email))
    update_email_or_password = staticmethod(synced(update_email_or_password))
    send_email = staticmethod(synced(send_email))
