"""The table behind `coatcheck.shim`: the modules of `supertokens_python`, and what each of their names means.

    MODULES["recipe.session"]["SessionContainer"] == "coatcheck.recipes.session.container:SessionContainer"

Keys are paths below `supertokens_python`, targets are `module:attribute`. Every function stands in two modules:
`.asyncio` has the awaitable one, `.syncio` the plain one, which coatcheck keeps in a class named `sync`.

Each recipe has one block in MODULES. For a new recipe, copy the block of `usermetadata`, the smallest one, and remove
the line of the recipe from ABSENT. Its class with `get_instance` is one line in `recipes.py`. A function that older
applications call with other arguments is written in this folder; every other function needs only its name here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

R = "coatcheck.recipes"
C = "coatcheck.claims"
S = "coatcheck.shim"


def same(home: str, names: str) -> dict[str, str]:
    """Return entries for names that are the same in `home`."""
    return {name: f"{home}:{name}" for name in names.split()}


def pair(module: str, *homes: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return the modules `.asyncio` and `.syncio` of `module` for entries of awaitable functions."""
    functions = {name: target for home in homes for name, target in home.items()}
    plain = {name: target.replace(":", ":sync.") for name, target in functions.items()}
    inside = f"{module}." if module else ""
    return {f"{inside}asyncio": functions, f"{inside}syncio": plain}


def override_configs(*names: str) -> dict[str, str]:
    """Return the entry of InputOverrideConfig, and those of the newer names that the SDK has for it."""
    return dict.fromkeys(("InputOverrideConfig", *names), f"{S}.overrides:InputOverrideConfig")


DELIVERY = {
    **same(f"{S}.overrides", "EmailDeliveryConfig EmailDeliveryInterface"),
    **same(f"{R}.delivery.smtp", "SMTPService"),
}
SIGN_IN_RESULTS = ("SignInOkResult", "SignUpOkResult", "SignInPostOkResult", "SignUpPostOkResult")

MODULES: dict[str, dict[str, str]] = {
    # The root
    "": {
        **same(f"{S}.init", "init InputAppInfo Supertokens convert_to_recipe_user_id is_recipe_initialized"),
        **same(f"{R}.app", "SupertokensConfig"),
        **same(f"{R}.kit.app_info", "AppInfo"),
        **same(f"{R}.kit.request", "get_all_cors_headers"),
        **same(C, "RecipeUserId"),
        "RecipeInit": f"{R}.kit.recipe:RecipeSpecification",
        "get_request_from_user_context": f"{S}.frameworks:get_request_from_user_context",
    },
    "supertokens": same(f"{S}.init", "Supertokens"),
    **pair(
        "",
        same(
            f"{R}.accountlinking",
            "get_user get_users_oldest_first get_users_newest_first get_user_count list_users_by_account_info",
        ),
        same(f"{S}.users", "delete_user get_available_first_factors"),
    ),
    "types": {
        **same(f"{R}.users.user", "User LoginMethod AccountInfo"),
        **same(C, "RecipeUserId"),
        **same(f"{C}.claim", "MaybeAwaitable"),
        **same(f"{R}.kit.recipe", "GeneralErrorResponse"),
        **same(f"{S}.frameworks", "APIResponse"),
    },
    "types.base": {
        **same(f"{R}.users.user", "User LoginMethod AccountInfo"),
        **same(C, "RecipeUserId"),
        **same(f"{C}.claim", "MaybeAwaitable"),
        **same(f"{C}.payload", "UserContext"),
        "AccountInfoInput": f"{R}.users.user:AccountInfo",
    },
    "exceptions": {
        "SuperTokensError": f"{R}.exceptions:CoatcheckError",
        "GeneralError": f"{R}.exceptions:RecipeError",
        **same(f"{R}.exceptions", "BadInputError"),
        **same(f"{S}.exceptions", "raise_general_exception raise_bad_input_exception"),
    },
    # Frameworks
    "framework": same(f"{S}.frameworks", "BaseRequest BaseResponse"),
    "framework.request": same(f"{S}.frameworks", "BaseRequest"),
    "framework.response": same(f"{S}.frameworks", "BaseResponse"),
    "framework.fastapi": same("coatcheck.server.fastapi", "get_middleware"),
    "framework.flask": {"Middleware": "coatcheck.server.flask:CoatCheck"},
    "framework.django": {"middleware": "coatcheck.server.django:Middleware"},
    "framework.django.django_middleware": {"middleware": "coatcheck.server.django:Middleware"},
    "recipe": {},
    # User metadata: copy this block for a new recipe
    "recipe.usermetadata": {
        **same(f"{R}.usermetadata", "init"),
        **override_configs("UserMetadataOverrideConfig"),
    },
    "recipe.usermetadata.recipe": same(f"{S}.recipes", "UserMetadataRecipe"),
    "recipe.usermetadata.interfaces": same(
        f"{R}.usermetadata", "RecipeInterface MetadataResult ClearUserMetadataResult"
    ),
    **pair(
        "recipe.usermetadata",
        same(f"{R}.usermetadata", "get_user_metadata update_user_metadata clear_user_metadata"),
    ),
    # Sessions
    "recipe.session": {
        **same(f"{S}.session", "init"),
        **override_configs("SessionOverrideConfig"),
        **same(f"{S}.overrides", "InputErrorHandlers"),
        **same(f"{R}.session.container", "SessionContainer"),
        **same(f"{S}.recipes", "SessionRecipe"),
        **same(f"{R}.session.config", "TokenTransferMethod"),
    },
    "recipe.session.claims": same(C, "SessionClaim PrimitiveClaim PrimitiveArrayClaim BooleanClaim"),
    "recipe.session.interfaces": {
        **same(
            f"{R}.session.results",
            "SessionInformationResult SessionDoesNotExistError "
            "GetClaimValueOkResult RegenerateAccessTokenOkResult SessionObj AccessTokenObj SignOutOkayResponse",
        ),
        **same(f"{R}.session.interface", "RecipeInterface APIInterface APIOptions"),
        **same(f"{R}.session.container", "SessionContainer ReqResInfo"),
        **same(C, "SessionClaim SessionClaimValidator ClaimValidationResult ClaimsValidationResult"),
        **same("coatcheck.sessions.session", "TokenInfo"),
        **same(f"{C}.payload", "JSONObject"),
        **same(f"{S}.session", "GetSessionTokensDangerouslyDict ResponseMutator JSONPrimitive JSONPrimitiveList"),
    },
    "recipe.session.exceptions": {
        "SuperTokensSessionError": f"{R}.exceptions:SessionError",
        **same(
            f"{R}.exceptions",
            "UnauthorisedError TryRefreshTokenError TokenTheftError InvalidClaimsError "
            "ClearDuplicateSessionCookiesError",
        ),
        **same(C, "ClaimValidationError"),
        **same(
            f"{S}.exceptions",
            "raise_token_theft_exception raise_try_refresh_token_exception raise_unauthorised_exception "
            "raise_invalid_claims_exception raise_clear_duplicate_session_cookies_exception",
        ),
    },
    "recipe.session.utils": {
        **same(f"{R}.session.config", "TokenTransferMethod SessionConfig"),
        **same(f"{S}.overrides", "InputErrorHandlers"),
        "ErrorHandlers": f"{S}.overrides:InputErrorHandlers",
    },
    "recipe.session.session_class": {"Session": f"{R}.session.container:SessionContainer"},
    "recipe.session.recipe_implementation": {"RecipeImplementation": f"{R}.session.functions:SessionFunctions"},
    "recipe.session.recipe": same(f"{S}.recipes", "SessionRecipe"),
    **pair(
        "recipe.session",
        same(
            f"{R}.session",
            "get_session get_session_without_request_response refresh_session refresh_session_without_request_response "
            "revoke_session revoke_multiple_sessions get_session_information update_session_data_in_database "
            "merge_into_access_token_payload fetch_and_set_claim set_claim_value get_claim_value remove_claim "
            "validate_claims_for_session_handle",
        ),
        same(
            f"{S}.session",
            "create_new_session create_new_session_without_request_response revoke_all_sessions_for_user "
            "get_all_session_handles_for_user validate_claims_in_jwt_payload",
        ),
        same(f"{S}.jwt", "create_jwt get_jwks get_open_id_discovery_configuration"),
    ),
    "recipe.session.framework": {},
    "recipe.session.framework.fastapi": same("coatcheck.server.fastapi", "verify_session session_exception_handler"),
    "recipe.session.framework.flask": same("coatcheck.server.flask", "verify_session"),
    "recipe.session.framework.django": {},
    "recipe.session.framework.django.asyncio": same("coatcheck.server.django", "verify_session"),
    "recipe.session.framework.django.syncio": same("coatcheck.server.django", "verify_session"),
    # E-mail and password
    "recipe.emailpassword": {
        **same(f"{R}.emailpassword", "init InputSignUpFeature InputFormField EmailTemplateVars"),
        **override_configs("EmailPasswordOverrideConfig"),
        **DELIVERY,
        **same(f"{S}.recipes", "EmailPasswordRecipe"),
    },
    "recipe.emailpassword.recipe": same(f"{S}.recipes", "EmailPasswordRecipe"),
    "recipe.emailpassword.interfaces": same(
        f"{R}.emailpassword",
        "RecipeInterface APIInterface APIOptions SignUpOkResult SignInOkResult EmailAlreadyExistsError "
        "WrongCredentialsError SignInPostOkResult SignUpPostOkResult SignInPostNotAllowedResponse "
        "SignUpPostNotAllowedResponse PasswordResetTokenInvalidError UnknownUserIdError PasswordPolicyViolationError "
        "CreateResetPasswordOkResult ConsumePasswordResetTokenOkResult EmailExistsGetOkResult "
        "GeneratePasswordResetTokenPostOkResult GeneratePasswordResetTokenPostNotAllowedResponse "
        "PasswordResetPostOkResult UpdateEmailOrPasswordOkResult UpdateEmailOrPasswordEmailChangeNotAllowedError "
        "LinkingToSessionUserFailedError",
    ),
    "recipe.emailpassword.types": {
        **same(f"{R}.emailpassword", "FormField InputFormField EmailTemplateVars"),
        "EmailDeliveryOverrideInput": f"{R}.delivery:EmailDeliveryInterface",
    },
    **pair(
        "recipe.emailpassword",
        same(
            f"{S}.emailpassword",
            "sign_up sign_in create_reset_password_token create_reset_password_link send_reset_password_email "
            "update_email_or_password get_user_by_email",
        ),
        same(f"{S}.users", "get_user_by_id"),
        same(
            f"{R}.emailpassword",
            "verify_credentials reset_password_using_token consume_password_reset_token send_email",
        ),
    ),
    # Third-party providers
    "recipe.thirdparty": {
        **same(f"{R}.thirdparty", "init SignInAndUpFeature ProviderConfig ProviderClientConfig"),
        **same(f"{S}.thirdparty", "ProviderInput"),
        **override_configs("ThirdPartyOverrideConfig"),
        **same(f"{S}.recipes", "ThirdPartyRecipe"),
    },
    "recipe.thirdparty.recipe": same(f"{S}.recipes", "ThirdPartyRecipe"),
    "recipe.thirdparty.provider": {
        **same(
            f"{R}.thirdparty", "Provider ProviderConfig ProviderClientConfig UserInfoMap UserFields RedirectUriInfo"
        ),
        **same(f"{S}.thirdparty", "ProviderInput"),
    },
    "recipe.thirdparty.types": same(f"{R}.thirdparty", "RawUserInfoFromProvider ThirdPartyInfo UserInfo UserInfoEmail"),
    "recipe.thirdparty.interfaces": same(
        f"{R}.thirdparty",
        "RecipeInterface APIInterface APIOptions SignInUpOkResult SignInUpPostOkResult SignInUpNotAllowed "
        "SignInUpPostNoEmailGivenByProviderResponse AuthorisationUrlGetOkResult ManuallyCreateOrUpdateUserOkResult "
        "EmailChangeNotAllowedError",
    ),
    **pair(
        "recipe.thirdparty",
        same(
            f"{S}.thirdparty",
            "manually_create_or_update_user get_users_by_email get_user_by_third_party_info",
        ),
        same(f"{S}.users", "get_user_by_id"),
        same(f"{R}.thirdparty", "get_provider"),
    ),
    # The combined recipe
    "recipe.thirdpartyemailpassword": {
        **same(
            f"{R}.thirdpartyemailpassword", "init InputSignUpFeature InputFormField ProviderConfig ProviderClientConfig"
        ),
        **same(f"{S}.thirdparty", "ProviderInput"),
        **override_configs(),
        **DELIVERY,
    },
    "recipe.thirdpartyemailpassword.recipe": same(f"{S}.recipes", "ThirdPartyEmailPasswordRecipe"),
    "recipe.thirdpartyemailpassword.interfaces": {
        **same(f"{R}.thirdpartyemailpassword", "RecipeInterface APIInterface ResetPasswordUsingTokenOkResult"),
        **{f"EmailPassword{name}": f"{R}.emailpassword:{name}" for name in SIGN_IN_RESULTS},
        **{f"ThirdParty{name}": f"{R}.thirdparty:{name}" for name in ("SignInUpOkResult", "SignInUpPostOkResult")},
    },
    **pair(
        "recipe.thirdpartyemailpassword",
        same(
            f"{R}.thirdpartyemailpassword",
            "emailpassword_sign_in emailpassword_sign_up thirdparty_get_provider get_user_by_id get_users_by_email "
            "get_user_by_third_party_info reset_password_using_token send_email",
        ),
        same(f"{S}.thirdparty", "thirdparty_manually_create_or_update_user"),
        same(
            f"{S}.emailpassword",
            "create_reset_password_token create_reset_password_link send_reset_password_email update_email_or_password",
        ),
    ),
    # Tenants
    "recipe.multitenancy": {"init": f"{S}.users:init_multitenancy", **override_configs()},
    "recipe.multitenancy.recipe": same(f"{S}.recipes", "MultitenancyRecipe"),
    "recipe.multitenancy.interfaces": same(
        f"{R}.multitenancy", "RecipeInterface APIInterface APIOptions LoginMethodsGetOkResult"
    ),
    # Users and their login methods
    "recipe.accountlinking": {"init": f"{S}.users:init_accountlinking", **override_configs()},
    "recipe.accountlinking.recipe": same(f"{S}.recipes", "AccountLinkingRecipe"),
    "recipe.accountlinking.interfaces": same(f"{R}.accountlinking", "RecipeInterface"),
    # Tokens and keys, which belong to the session recipe here
    "recipe.jwt": {},
    "recipe.jwt.interfaces": same(
        f"{S}.jwt", "CreateJwtOkResult CreateJwtResultUnsupportedAlgorithm GetJWKSResult JsonWebKey"
    ),
    **pair("recipe.jwt", same(f"{S}.jwt", "create_jwt get_jwks")),
    "recipe.openid": {},
    "recipe.openid.interfaces": same(f"{S}.jwt", "GetOpenIdDiscoveryConfigurationResult"),
    **pair("recipe.openid", same(f"{S}.jwt", "create_jwt get_jwks get_open_id_discovery_configuration")),
    # Delivery
    "ingredients": {},
    "ingredients.emaildelivery": {},
    "ingredients.emaildelivery.types": {
        **same(f"{S}.overrides", "EmailDeliveryConfig EmailDeliveryInterface SMTPServiceInterface"),
        **same(f"{R}.delivery", "EmailContent SMTPSettings SMTPSettingsFrom"),
    },
}

_PLUGINS = "coatcheck has no plugins; use the overrides of the recipes"
_ONE_TENANT = "coatcheck has one tenant, `public`"
_NOT_LINKED = "coatcheck does not link accounts yet"
_KEYS = "signing keys and tokens belong to the session recipe, which every application lists anyway"
_NO_ERRORS = "the recipe raises no errors of its own: forms are answered with FIELD_ERROR, functions return results"
_NO_CORE = "there is no core server to forget anything of: leave it out; Supertokens.reset() drops everything there is"

ABSENT: dict[str, str] = {
    "SupertokensExperimentalConfig": _PLUGINS,
    "SupertokensPublicConfig": _PLUGINS,
    "plugins": _PLUGINS,
    "exceptions.PluginError": _PLUGINS,
    "process_state": _NO_CORE,
    "querier": _NO_CORE,
    **{
        f"{module}.{name}": "user ids are not mapped to ids of other systems"
        for module in ("asyncio", "syncio")
        for name in (
            "create_user_id_mapping",
            "get_user_id_mapping",
            "delete_user_id_mapping",
            "update_or_delete_user_id_mapping_info",
        )
    },
    "recipe.emailpassword.exceptions": _NO_ERRORS,
    "recipe.thirdparty.providers": "a provider has no class of its own; ProviderConfig(third_party_id=...) names it",
    "recipe.emailverification": "coatcheck does not verify addresses yet",
    "recipe.passwordless": "coatcheck has no passwordless sign-in yet",
    "recipe.thirdpartypasswordless": "coatcheck has no passwordless sign-in yet",
    "recipe.userroles": "coatcheck has no roles yet; a PrimitiveArrayClaim can hold them",
    "recipe.multifactorauth": "coatcheck has no recipe for factors yet; a BooleanClaim can tell that a second is done",
    "recipe.totp": "coatcheck has no one-time passwords yet",
    "recipe.webauthn": "coatcheck has no passkeys yet",
    "recipe.dashboard": "there is no dashboard; `coatcheck` on the command line shows what there is",
    "recipe.oauth2provider": "coatcheck does not serve OAuth clients",
    "recipe.saml": "coatcheck does not speak SAML",
    "recipe.jwt.init": _KEYS,
    "recipe.jwt.recipe": _KEYS,
    "recipe.openid.init": _KEYS,
    "recipe.openid.recipe": _KEYS,
    "recipe.multitenancy.AllowedDomainsClaim": _ONE_TENANT,
    "recipe.multitenancy.asyncio": _ONE_TENANT,
    "recipe.multitenancy.syncio": _ONE_TENANT,
    "recipe.accountlinking.ShouldAutomaticallyLink": _NOT_LINKED,
    "recipe.accountlinking.ShouldNotAutomaticallyLink": _NOT_LINKED,
    "recipe.accountlinking.AccountInfoWithRecipeIdAndUserId": _NOT_LINKED,
    "ingredients.smsdelivery": "nothing is sent by SMS",
}
"""Names of the SDK that coatcheck does not have, and the reason that the ImportError gives."""

_CREATED_NEW_USER = {"created_new_user": lambda result: result.created_new_recipe_user}
_SIGN_IN_UP_RESULTS = {
    "coatcheck.recipes.thirdparty.interface:SignInUpOkResult": _CREATED_NEW_USER,
    "coatcheck.recipes.thirdparty.interface:SignInUpPostOkResult": _CREATED_NEW_USER,
    "coatcheck.recipes.thirdparty.interface:ManuallyCreateOrUpdateUserOkResult": _CREATED_NEW_USER,
}

ATTRIBUTES: dict[str, dict[str, dict[str, Callable[[Any], Any]]]] = {
    "": {
        "coatcheck.recipes.users.user:User": {
            "user_id": lambda user: user.id,
            "email": lambda user: next(iter(user.emails), None),
            "third_party_info": lambda user: next(iter(user.third_party), None),
        }
    },
    "recipe.thirdparty": _SIGN_IN_UP_RESULTS,
    "recipe.thirdpartyemailpassword": _SIGN_IN_UP_RESULTS,
}
"""Per module below `supertokens_python`: attributes of classes of coatcheck that only older applications read.

In the seed's version a user is one login method with an address; now it is a group of login methods. The import of the
module adds the attributes to the classes; `uninstall` removes them.
"""
