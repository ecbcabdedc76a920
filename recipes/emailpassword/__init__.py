"""The e-mail/password recipe: `emailpassword.init(...)`, and its functions, awaitable and under `.sync`."""

from __future__ import annotations

from typing import Any

from ...claims.payload import UserContext
from ...claims.recipe_user_id import RecipeUserId
from ..chain.chain import InputOverrideConfig as InputOverrideConfig
from ..delivery import (
    EmailContent as EmailContent,
    EmailDeliveryConfig as EmailDeliveryConfig,
    EmailDeliveryInterface as EmailDeliveryInterface,
    SMTPService as SMTPService,
    SMTPSettings as SMTPSettings,
    SMTPSettingsFrom as SMTPSettingsFrom,
)
from ..kit.recipe import (
    GeneralErrorResponse as GeneralErrorResponse,
    LinkingToSessionUserFailedError as LinkingToSessionUserFailedError,
    RecipeSpecification,
)
from ..kit.services import current_services, synced
from ..session.container import SessionContainer
from . import api
from .api import ROUTES, EmailPasswordAPI
from .form import (
    FormField as FormField,
    InputFormField as InputFormField,
    InputSignUpFeature as InputSignUpFeature,
    validated,
)
from .functions import EmailPasswordFunctions
from .interface import (
    APIInterface as APIInterface,
    APIOptions as APIOptions,
    APIsLayer as APIsLayer,
    ConsumePasswordResetTokenOkResult as ConsumePasswordResetTokenOkResult,
    CreateResetPasswordOkResult as CreateResetPasswordOkResult,
    EmailAlreadyExistsError as EmailAlreadyExistsError,
    EmailExistsGetOkResult as EmailExistsGetOkResult,
    FunctionsLayer as FunctionsLayer,
    GeneratePasswordResetTokenPostNotAllowedResponse as GeneratePasswordResetTokenPostNotAllowedResponse,
    GeneratePasswordResetTokenPostOkResult as GeneratePasswordResetTokenPostOkResult,
    GenerateTokenPostResult as GenerateTokenPostResult,
    ImportUserOkResult as ImportUserOkResult,
    PasswordPolicyViolationError as PasswordPolicyViolationError,
    PasswordResetPostOkResult as PasswordResetPostOkResult,
    PasswordResetPostResult as PasswordResetPostResult,
    PasswordResetTokenInvalidError as PasswordResetTokenInvalidError,
    RecipeInterface as RecipeInterface,
    SignInOkResult as SignInOkResult,
    SignInPostNotAllowedResponse as SignInPostNotAllowedResponse,
    SignInPostOkResult as SignInPostOkResult,
    SignInPostResult as SignInPostResult,
    SignInResult as SignInResult,
    SignUpOkResult as SignUpOkResult,
    SignUpPostNotAllowedResponse as SignUpPostNotAllowedResponse,
    SignUpPostOkResult as SignUpPostOkResult,
    SignUpPostResult as SignUpPostResult,
    SignUpResult as SignUpResult,
    UnknownUserIdError as UnknownUserIdError,
    UpdateEmailOrPasswordEmailChangeNotAllowedError as UpdateEmailOrPasswordEmailChangeNotAllowedError,
    UpdateEmailOrPasswordOkResult as UpdateEmailOrPasswordOkResult,
    UpdateResult as UpdateResult,
    WrongCredentialsError as WrongCredentialsError,
)
from .mail import PasswordResetEmailTemplateVars
from .passwords import ImportRefusedError as ImportRefusedError
from .recipe import EmailPasswordRecipe

EmailPasswordOverrideConfig = InputOverrideConfig
EmailTemplateVars = PasswordResetEmailTemplateVars


def init(
    sign_up_feature: InputSignUpFeature | None = None,
    override: InputOverrideConfig | None = None,
    email_delivery: EmailDeliveryConfig | None = None,
) -> RecipeSpecification:
    """Describe the e-mail/password recipe for an App's `recipe_list`; nothing else happens until the App is made.

    By default mails go to the log and to `app.outbox`, nowhere else. A wrong option is a ConfigurationError.
    """
    config = validated(sign_up_feature, override, email_delivery)
    return RecipeSpecification(EmailPasswordRecipe, config, EmailPasswordFunctions, EmailPasswordAPI, ROUTES)


async def sign_up(
    tenant_id: str,
    email: str,
    password: str,
    session: SessionContainer | None = None,
    user_context: UserContext | None = None,
) -> SignUpResult:
    """Create a login method; only the form checks the password policy, this function does not."""
    return await EmailPasswordRecipe.call(
        lambda functions, context: functions.sign_up(email, password, tenant_id, session, session is not None, context),
        user_context,
    )


async def sign_in(
    tenant_id: str,
    email: str,
    password: str,
    session: SessionContainer | None = None,
    user_context: UserContext | None = None,
) -> SignInResult:
    """Verify a password; no session is created."""
    return await EmailPasswordRecipe.call(
        lambda functions, context: functions.sign_in(email, password, tenant_id, session, session is not None, context),
        user_context,
    )


async def verify_credentials(
    tenant_id: str, email: str, password: str, user_context: UserContext | None = None
) -> SignInOkResult | WrongCredentialsError:
    """Verify a password without any linking."""
    return await EmailPasswordRecipe.call(
        lambda functions, context: functions.verify_credentials(email, password, tenant_id, context), user_context
    )


async def create_reset_password_token(
    tenant_id: str, user_id: str, email: str, user_context: UserContext | None = None
) -> CreateResetPasswordOkResult | UnknownUserIdError:
    """Create a token that lets its bearer set a new password, once, within an hour."""
    return await EmailPasswordRecipe.call(
        lambda functions, context: functions.create_reset_password_token(user_id, email, tenant_id, context),
        user_context,
    )


async def consume_password_reset_token(
    tenant_id: str, token: str, user_context: UserContext | None = None
) -> ConsumePasswordResetTokenOkResult | PasswordResetTokenInvalidError:
    """Use up a token, and with it every other token of the same user."""
    return await EmailPasswordRecipe.call(
        lambda functions, context: functions.consume_password_reset_token(token, tenant_id, context), user_context
    )


async def reset_password_using_token(
    tenant_id: str, token: str, new_password: str, user_context: UserContext | None = None
) -> UpdateResult | PasswordResetTokenInvalidError:
    """Use up a token and set the new password; if the policy refuses the password, the token stays valid."""
    context: UserContext = {} if user_context is None else user_context
    recipe = EmailPasswordRecipe.of(current_services())
    with recipe.app.active():
        reason = await recipe.password_error(new_password, tenant_id)
        if reason is not None:
            return PasswordPolicyViolationError(reason)
        consumed = await recipe.functions.consume_password_reset_token(token, tenant_id, context)
        if not isinstance(consumed, ConsumePasswordResetTokenOkResult):
            return PasswordResetTokenInvalidError()
        return await recipe.functions.update_email_or_password(
            RecipeUserId(consumed.user_id), None, new_password, None, tenant_id, context
        )


async def update_email_or_password(
    recipe_user_id: RecipeUserId,
    email: str | None = None,
    password: str | None = None,
    apply_password_policy: bool | None = None,
    tenant_id_for_password_policy: str | None = None,
    user_context: UserContext | None = None,
) -> UpdateResult:
    """Change the address, the password or both; reset tokens become void, sessions stay."""
    return await EmailPasswordRecipe.call(
        lambda functions, context: functions.update_email_or_password(
            recipe_user_id, email, password, apply_password_policy, tenant_id_for_password_policy or "public", context
        ),
        user_context,
    )


async def import_user(
    tenant_id: str, email: str, password_hash: str, user_context: UserContext | None = None
) -> ImportUserOkResult:
    """Create a user with a password hash of another system, or overwrite the hash of an existing one.

    Argon2id and scrypt as PHC strings, bcrypt with the extra `bcrypt`. ImportRefusedError for a hash that cannot be
    checked at sign-in.
    """
    return await EmailPasswordRecipe.call(
        lambda functions, context: functions.import_user(email, password_hash, tenant_id, context), user_context
    )


async def create_reset_password_link(
    tenant_id: str, user_id: str, email: str, user_context: UserContext | None = None
) -> str | UnknownUserIdError:
    """Return a link to the website's page for a new password, with a token that is valid for an hour."""
    context: UserContext = {} if user_context is None else user_context
    recipe = EmailPasswordRecipe.of(current_services())
    with recipe.app.active():
        link = await api.reset_link(recipe, None, tenant_id, user_id, email=email, user_context=context)
    return UnknownUserIdError() if link is None else link


async def send_reset_password_email(
    tenant_id: str, user_id: str, email: str, user_context: UserContext | None = None
) -> str:
    """Deliver a reset link now; return `OK` or `UNKNOWN_USER_ID_ERROR`. Errors of the delivery reach the caller."""
    context: UserContext = {} if user_context is None else user_context
    recipe = EmailPasswordRecipe.of(current_services())
    with recipe.app.active():
        sent = await api.send_reset_link(recipe, None, tenant_id, user_id, email=email, user_context=context)
    return "OK" if sent else "UNKNOWN_USER_ID_ERROR"


async def send_email(template_vars: Any, user_context: UserContext | None = None) -> None:
    """Deliver a mail through the recipe's delivery service."""
    recipe = EmailPasswordRecipe.of(current_services())
    with recipe.app.active():
        await recipe.email_delivery.send_email(template_vars, {} if user_context is None else user_context)


class sync:
    """The same functions for code that cannot await."""

    sign_up = staticmethod(synced(sign_up))
    sign_in = staticmethod(synced(sign_in))
    verify_credentials = staticmethod(synced(verify_credentials))
    create_reset_password_token = staticmethod(synced(create_reset_password_token))
    consume_password_reset_token = staticmethod(synced(consume_password_reset_token))
    reset_password_using_token = staticmethod(synced(reset_password_using_token))
    update_email_or_password = staticmethod(synced(update_email_or_password))
    import_user = staticmethod(synced(import_user))
    create_reset_password_link = staticmethod(synced(create_reset_password_link))
    send_reset_password_email = staticmethod(synced(send_reset_password_email))
    send_email = staticmethod(synced(send_email))
