"""What applications import from the SDK: each name resolves under the shim, or is known to be absent, with a reason.

How much of it resolves is shown in docs/shim.md, in a table that `test_the_page_shows_the_coverage` computes anew.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from coatcheck.shim.finder import names_in
from coatcheck.shim.table import ABSENT, MODULES

PAGE = Path(__file__).parents[2] / "docs" / "shim.md"

USER_FUNCTIONS = """get_user delete_user get_users_oldest_first get_users_newest_first get_user_count
    list_users_by_account_info get_available_first_factors create_user_id_mapping get_user_id_mapping
    delete_user_id_mapping update_or_delete_user_id_mapping_info"""

SESSION_FUNCTIONS = """create_new_session create_new_session_without_request_response get_session
    get_session_without_request_response refresh_session refresh_session_without_request_response revoke_session
    revoke_all_sessions_for_user revoke_multiple_sessions get_all_session_handles_for_user get_session_information
    update_session_data_in_database merge_into_access_token_payload fetch_and_set_claim set_claim_value get_claim_value
    remove_claim validate_claims_for_session_handle validate_claims_in_jwt_payload create_jwt get_jwks
    get_open_id_discovery_configuration"""

PASSWORD_FUNCTIONS = """sign_up sign_in verify_credentials create_reset_password_token reset_password_using_token
    consume_password_reset_token update_email_or_password create_reset_password_link send_reset_password_email
    send_email get_user_by_id get_user_by_email"""

PROVIDER_FUNCTIONS = """manually_create_or_update_user get_provider get_user_by_id get_users_by_email
    get_user_by_third_party_info"""

COMBINED_FUNCTIONS = """emailpassword_sign_in emailpassword_sign_up thirdparty_manually_create_or_update_user
    thirdparty_get_provider get_user_by_id get_users_by_email get_user_by_third_party_info create_reset_password_token
    create_reset_password_link reset_password_using_token update_email_or_password send_reset_password_email
    send_email"""

METADATA_FUNCTIONS = "get_user_metadata update_user_metadata clear_user_metadata"

VERIFICATION_FUNCTIONS = """create_email_verification_token verify_email_using_token is_email_verified
    revoke_email_verification_tokens unverify_email create_email_verification_link send_email_verification_email
    send_email"""

CODE_FUNCTIONS = """create_code create_new_code_for_device consume_code check_code update_user revoke_all_codes
    revoke_code list_codes_by_email list_codes_by_phone_number list_codes_by_device_id
    list_codes_by_pre_auth_session_id create_magic_link signinup send_email send_sms delete_email_for_user
    delete_phone_number_for_user"""

ROLE_FUNCTIONS = """add_role_to_user remove_user_role get_roles_for_user get_users_that_have_role
    create_new_role_or_add_permissions get_permissions_for_role remove_permissions_from_role
    get_roles_that_have_permission delete_role get_all_roles"""

FACTOR_FUNCTIONS = """get_mfa_requirements_for_auth mark_factor_as_complete_in_session
    assert_allowed_to_setup_factor_else_throw_invalid_claim_error get_factors_setup_for_user
    get_required_secondary_factors_for_user add_to_required_secondary_factors_for_user
    remove_from_required_secondary_factors_for_user"""

DEVICE_FUNCTIONS = "create_device update_device list_devices remove_device verify_device verify_totp"

SURFACE = {
    "": """init InputAppInfo AppInfo SupertokensConfig SupertokensExperimentalConfig SupertokensPublicConfig Supertokens
        RecipeInit RecipeUserId convert_to_recipe_user_id get_all_cors_headers get_request_from_user_context
        is_recipe_initialized process_state querier""",
    "supertokens": "Supertokens",
    "asyncio": USER_FUNCTIONS,
    "syncio": USER_FUNCTIONS,
    "types": "RecipeUserId User LoginMethod AccountInfo MaybeAwaitable APIResponse GeneralErrorResponse",
    "types.base": """UserContext AccountInfoInput RecipeUserId User LoginMethod AccountInfo MaybeAwaitable""",
    "exceptions": """SuperTokensError GeneralError BadInputError PluginError raise_general_exception
        raise_bad_input_exception""",
    "plugins": """SuperTokensPlugin SuperTokensPublicPlugin RecipePluginOverride OverrideMap PluginRouteHandler
        VerifySessionOptions PluginOkResponse PluginErrorResponse""",
    "framework": "BaseRequest BaseResponse",
    "framework.request": "BaseRequest",
    "framework.response": "BaseResponse",
    "framework.fastapi": "get_middleware",
    "framework.flask": "Middleware",
    "framework.django": "middleware",
    "framework.django.django_middleware": "middleware",
    "recipe.session": """init InputOverrideConfig SessionOverrideConfig InputErrorHandlers SessionContainer
        SessionRecipe TokenTransferMethod exceptions""",
    "recipe.session.claims": "SessionClaim PrimitiveClaim PrimitiveArrayClaim BooleanClaim",
    "recipe.session.interfaces": """RecipeInterface APIInterface APIOptions SessionContainer SessionClaim
        SessionClaimValidator ClaimValidationResult ClaimsValidationResult SessionInformationResult
        SessionDoesNotExistError GetClaimValueOkResult GetSessionTokensDangerouslyDict RegenerateAccessTokenOkResult
        SessionObj AccessTokenObj TokenInfo ReqResInfo SignOutOkayResponse ResponseMutator JSONObject JSONPrimitive
        JSONPrimitiveList""",
    "recipe.session.exceptions": """SuperTokensSessionError UnauthorisedError TryRefreshTokenError TokenTheftError
        InvalidClaimsError ClearDuplicateSessionCookiesError ClaimValidationError raise_token_theft_exception
        raise_try_refresh_token_exception raise_unauthorised_exception raise_invalid_claims_exception
        raise_clear_duplicate_session_cookies_exception""",
    "recipe.session.utils": "TokenTransferMethod InputErrorHandlers ErrorHandlers SessionConfig",
    "recipe.session.session_class": "Session",
    "recipe.session.recipe_implementation": "RecipeImplementation",
    "recipe.session.recipe": "SessionRecipe",
    "recipe.session.asyncio": SESSION_FUNCTIONS,
    "recipe.session.syncio": SESSION_FUNCTIONS,
    "recipe.session.framework.fastapi": "verify_session session_exception_handler",
    "recipe.session.framework.flask": "verify_session",
    "recipe.session.framework.django.asyncio": "verify_session",
    "recipe.session.framework.django.syncio": "verify_session",
    "recipe.emailpassword": """init InputOverrideConfig EmailPasswordOverrideConfig InputSignUpFeature InputFormField
        EmailDeliveryConfig EmailDeliveryInterface EmailTemplateVars SMTPService EmailPasswordRecipe
        exceptions""",
    "recipe.emailpassword.recipe": "EmailPasswordRecipe",
    "recipe.emailpassword.asyncio": PASSWORD_FUNCTIONS,
    "recipe.emailpassword.syncio": PASSWORD_FUNCTIONS,
    "recipe.emailpassword.interfaces": """RecipeInterface APIInterface APIOptions SignUpOkResult SignInOkResult
        EmailAlreadyExistsError WrongCredentialsError SignInPostOkResult SignUpPostOkResult
        SignInPostNotAllowedResponse SignUpPostNotAllowedResponse PasswordResetTokenInvalidError UnknownUserIdError
        PasswordPolicyViolationError CreateResetPasswordOkResult""",
    "recipe.emailpassword.types": "FormField InputFormField EmailTemplateVars EmailDeliveryOverrideInput",
    "recipe.thirdparty": """init SignInAndUpFeature ProviderInput ProviderConfig ProviderClientConfig
        InputOverrideConfig ThirdPartyOverrideConfig ThirdPartyRecipe providers""",
    "recipe.thirdparty.recipe": "ThirdPartyRecipe",
    "recipe.thirdparty.provider": """Provider ProviderConfig ProviderClientConfig UserInfoMap UserFields
        RedirectUriInfo""",
    "recipe.thirdparty.types": "RawUserInfoFromProvider ThirdPartyInfo UserInfo UserInfoEmail",
    "recipe.thirdparty.asyncio": PROVIDER_FUNCTIONS,
    "recipe.thirdparty.syncio": PROVIDER_FUNCTIONS,
    "recipe.thirdparty.interfaces": """RecipeInterface APIInterface SignInUpOkResult SignInUpPostOkResult
        SignInUpNotAllowed""",
    "recipe.thirdpartyemailpassword": """init InputOverrideConfig InputSignUpFeature ProviderInput ProviderConfig
        ProviderClientConfig SMTPService""",
    "recipe.thirdpartyemailpassword.recipe": "ThirdPartyEmailPasswordRecipe",
    "recipe.thirdpartyemailpassword.interfaces": "RecipeInterface APIInterface EmailPasswordSignInOkResult",
    "recipe.thirdpartyemailpassword.asyncio": COMBINED_FUNCTIONS,
    "recipe.thirdpartyemailpassword.syncio": COMBINED_FUNCTIONS,
    "recipe.usermetadata": "init InputOverrideConfig UserMetadataOverrideConfig",
    "recipe.usermetadata.recipe": "UserMetadataRecipe",
    "recipe.usermetadata.interfaces": "RecipeInterface MetadataResult",
    "recipe.usermetadata.asyncio": METADATA_FUNCTIONS,
    "recipe.usermetadata.syncio": METADATA_FUNCTIONS,
    "recipe.emailverification": """init EmailVerificationClaim SMTPService EmailTemplateVars EmailDeliveryInterface
        TypeGetEmailForUserIdFunction InputOverrideConfig EmailVerificationOverrideConfig""",
    "recipe.emailverification.asyncio": VERIFICATION_FUNCTIONS,
    "recipe.emailverification.syncio": VERIFICATION_FUNCTIONS,
    "recipe.emailverification.interfaces": "RecipeInterface APIInterface",
    "recipe.passwordless": """init ContactConfig ContactEmailOnlyConfig ContactPhoneOnlyConfig
        ContactEmailOrPhoneConfig InputOverrideConfig SMTPService TwilioService SuperTokensSMSService
        EmailDeliveryInterface SMSDeliveryInterface""",
    "recipe.passwordless.asyncio": CODE_FUNCTIONS,
    "recipe.passwordless.syncio": CODE_FUNCTIONS,
    "recipe.passwordless.interfaces": "RecipeInterface APIInterface ConsumeCodePostOkResult",
    "recipe.userroles": "init UserRoleClaim PermissionClaim InputOverrideConfig",
    "recipe.userroles.asyncio": ROLE_FUNCTIONS,
    "recipe.userroles.syncio": ROLE_FUNCTIONS,
    "recipe.userroles.interfaces": "RecipeInterface UnknownRoleError",
    "recipe.multifactorauth": "init OverrideConfig MultiFactorAuthOverrideConfig MultiFactorAuthRecipe",
    "recipe.multifactorauth.types": "FactorIds MFARequirementList MFAClaimValue OverrideConfig",
    "recipe.multifactorauth.multi_factor_auth_claim": "MultiFactorAuthClaim MultiFactorAuthClaimClass",
    "recipe.multifactorauth.asyncio": FACTOR_FUNCTIONS,
    "recipe.multifactorauth.syncio": FACTOR_FUNCTIONS,
    "recipe.totp": "init TOTPConfig OverrideConfig TOTPOverrideConfig",
    "recipe.totp.asyncio": DEVICE_FUNCTIONS,
    "recipe.totp.syncio": DEVICE_FUNCTIONS,
    "recipe.multitenancy": "init AllowedDomainsClaim",
    "recipe.multitenancy.recipe": "MultitenancyRecipe",
    "recipe.multitenancy.asyncio": "create_or_update_tenant",
    "recipe.multitenancy.syncio": "create_or_update_tenant",
    "recipe.accountlinking": """init ShouldAutomaticallyLink ShouldNotAutomaticallyLink
        AccountInfoWithRecipeIdAndUserId""",
    "recipe.accountlinking.recipe": "AccountLinkingRecipe",
    "recipe.dashboard": "init",
    "recipe.jwt": "init recipe",
    "recipe.jwt.asyncio": "create_jwt get_jwks",
    "recipe.jwt.syncio": "create_jwt get_jwks",
    "recipe.openid": "init recipe",
    "recipe.oauth2provider": "init",
    "recipe.saml": "init",
    "recipe.webauthn": "init",
    "recipe.thirdpartypasswordless": "init",
    "ingredients.emaildelivery.types": "EmailDeliveryConfig EmailDeliveryInterface SMTPSettings SMTPSettingsFrom",
    "ingredients.smsdelivery.types": "SMSDeliveryConfig TwilioSettings",
}
"""Modules below `supertokens_python` and what applications and tests take from them, in the seed's time and since.

`Plugin...OkResponse` and `Plugin...ErrorResponse` stand for all whose names have something in between.
"""

MEMBERS = {
    "types.User": """id is_primary_user tenant_ids emails phone_numbers third_party webauthn login_methods time_joined
        to_json""",
    "types.LoginMethod": """recipe_id recipe_user_id tenant_ids email phone_number third_party webauthn time_joined
        verified has_same_email_as has_same_phone_number_as has_same_third_party_info_as""",
    "recipe.session.recipe.SessionRecipe": "get_instance init reset",
    "recipe.emailpassword.interfaces.RecipeInterface": """sign_up create_new_recipe_user sign_in verify_credentials
        create_reset_password_token consume_password_reset_token update_email_or_password""",
    "recipe.emailpassword.interfaces.APIInterface": """email_exists_get generate_password_reset_token_post
        password_reset_post sign_in_post sign_up_post""",
    "recipe.thirdparty.interfaces.RecipeInterface": "sign_in_up manually_create_or_update_user get_provider",
    "recipe.thirdparty.interfaces.APIInterface": """authorisation_url_get sign_in_up_post
        apple_redirect_handler_post""",
    "recipe.usermetadata.interfaces.RecipeInterface": METADATA_FUNCTIONS,
}
"""Classes below `supertokens_python`, and what applications read from them or override in them."""

KNOWN_ABSENT = """
    SupertokensExperimentalConfig SupertokensPublicConfig exceptions.PluginError plugins
    asyncio.create_user_id_mapping asyncio.get_user_id_mapping asyncio.delete_user_id_mapping
    asyncio.update_or_delete_user_id_mapping_info syncio.create_user_id_mapping syncio.get_user_id_mapping
    syncio.delete_user_id_mapping syncio.update_or_delete_user_id_mapping_info
    recipe.emailverification recipe.passwordless recipe.thirdpartypasswordless recipe.userroles recipe.multifactorauth
    recipe.totp recipe.webauthn recipe.dashboard recipe.oauth2provider recipe.saml recipe.jwt.init recipe.openid.init
    recipe.jwt.recipe recipe.openid.recipe process_state querier recipe.emailpassword.exceptions
    recipe.thirdparty.providers
    recipe.multitenancy.AllowedDomainsClaim recipe.multitenancy.asyncio recipe.multitenancy.syncio
    recipe.accountlinking.ShouldAutomaticallyLink recipe.accountlinking.ShouldNotAutomaticallyLink
    recipe.accountlinking.AccountInfoWithRecipeIdAndUserId ingredients.smsdelivery
"""

NAMES = [(module, name) for module, names in SURFACE.items() for name in names.split()]


def absence(module: str, name: str) -> str | None:
    """Return why a name is absent: it itself, its module or a package around it is listed."""
    parts = [*filter(None, module.split(".")), name]
    reasons = [ABSENT.get(".".join(parts[:length])) for length in range(1, len(parts) + 1)]
    return next(filter(None, reasons), None)


def test_what_is_absent_does_not_grow_by_itself() -> None:
    """The list of knowingly absent names is this one; whoever adds to it says so here."""
    assert sorted(ABSENT) == sorted(KNOWN_ABSENT.split())
    assert [name for name, reason in ABSENT.items() if len(reason) < 20] == []


def test_every_absent_name_is_one_that_applications_ask_for() -> None:
    """Nothing is listed as absent that is there, or that nobody would look for."""
    asked = {".".join(filter(None, [module, name])) for module, name in NAMES}
    for entry in ABSENT:
        assert any(name == entry or name.startswith(f"{entry}.") for name in asked), entry
        module, _, name = entry.rpartition(".")
        assert name not in MODULES.get(module, {})
        assert entry not in MODULES


@pytest.mark.parametrize("module", SURFACE)
def test_names_resolve_or_are_known_to_be_absent(shimmed: None, module: str) -> None:
    """A name can be imported exactly if it is not listed as absent; an absent one says why, and lists what there is."""
    path = ".".join(filter(None, ["supertokens_python", module]))
    around = module
    while around not in MODULES:
        around = around.rpartition(".")[0]
    for name in SURFACE[module].split():
        reason = absence(module, name)
        if reason is None:
            assert getattr(importlib.import_module(path), name) is not None
        else:
            with pytest.raises(ImportError, match=re.escape(reason)) as caught:
                exec(f"from {path} import {name}")
            there = ", ".join(names_in(around))
            assert str(caught.value).endswith(f"{'.'.join(filter(None, ['supertokens_python', around]))} has {there}")


@pytest.mark.parametrize("named", MEMBERS)
def test_classes_have_the_members_that_applications_use(shimmed: None, named: str) -> None:
    """Users, login methods, singletons and interfaces have what is read from them, or overridden in them."""
    module, _, name = named.rpartition(".")
    found = getattr(importlib.import_module(f"supertokens_python.{module}"), name)
    assert [member for member in MEMBERS[named].split() if not hasattr(found, member)] == []


def coverage() -> list[str]:
    """Return the rows of the table in docs/shim.md; a module of awaitable functions and its plain twin share one."""
    shared: dict[str, list[str]] = {}
    for module in SURFACE:
        shared.setdefault(re.sub(r"\bsyncio$", "asyncio", module), []).append(module)
    rows, resolve, absent = [], 0, 0
    for modules in shared.values():
        names = SURFACE[modules[0]].split()
        assert all(SURFACE[module].split() == names for module in modules)
        lacking: dict[str, list[str]] = {}
        for name in names:
            if (reason := absence(modules[0], name)) is not None:
                lacking.setdefault(reason, []).append(f"`{name}`")
        count = sum(map(len, lacking.values()))
        whole = count == len(names)
        told = " · ".join(reason if whole else f"{', '.join(lacking[reason])}: {reason}" for reason in lacking)
        title = ", ".join(f"`{module or 'supertokens_python'}`" for module in modules)
        rows.append(f"| {title} | {len(names) - count} | {count} | {len(names)} | {told} |".replace("|  |", "| |"))
        resolve, absent = resolve + (len(names) - count) * len(modules), absent + count * len(modules)
    return [*rows, f"| together, twins counted twice | {resolve} | {absent} | {resolve + absent} | |"]


def test_the_page_shows_the_coverage() -> None:
    """The table in docs/shim.md says of every module how many names resolve, how many are absent, and why."""
    page = PAGE.read_text()
    table = page[page.index("| module | resolve | absent | all |") :].partition("\n\n")[0].splitlines()
    assert table[2:] == coverage()


@pytest.mark.parametrize("module", MODULES)
def test_every_entry_of_the_table_names_something(shimmed: None, module: str) -> None:
    """No entry of the table is a dead letter, also where no application is known to ask for it."""
    path = ".".join(filter(None, ["supertokens_python", module]))
    found = importlib.import_module(path)
    assert [name for name in MODULES[module] if getattr(found, name) is None] == []
    assert sorted(found.__all__) == sorted(MODULES[module])


@pytest.mark.parametrize(
    "recipe", [module[:-8] for module in MODULES if module.endswith("asyncio") and "django" not in module]
)
def test_functions_stand_in_pairs(shimmed: None, recipe: str) -> None:
    """`.asyncio` has coroutine functions, `.syncio` the same names and signatures as plain ones."""
    path = ".".join(filter(None, ["supertokens_python", recipe]))
    awaitable, plain = (importlib.import_module(f"{path}.{twin}") for twin in ("asyncio", "syncio"))
    assert awaitable.__all__ == plain.__all__
    for name in awaitable.__all__:
        assert inspect.iscoroutinefunction(getattr(awaitable, name))
        assert not inspect.iscoroutinefunction(getattr(plain, name))
        assert inspect.signature(getattr(plain, name)) == inspect.signature(getattr(awaitable, name))
