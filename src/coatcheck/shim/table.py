"""The table behind `coatcheck.shim`: every `supertokens_python` module there is, and what each of its names means.

    MODULES["recipe.session"]["SessionContainer"] == "coatcheck.recipes.session.container:SessionContainer"

Keys are paths below `supertokens_python`, targets `module:attribute`. Functions stand in pairs: `.asyncio` has the
awaitable ones, `.syncio` their plain forms, which coatcheck keeps in a class named `sync`. What is knowingly absent is
in `absent`.
"""

from __future__ import annotations

R = "coatcheck.recipes"
C = "coatcheck.claims"
S = "coatcheck.shim"


def same(home: str, names: str) -> dict[str, str]:
    """Return entries for names that `home` has under the same name."""
    return {name: f"{home}:{name}" for name in names.split()}


def pair(module: str, *homes: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return the modules `.asyncio` and `.syncio` of `module`, given the awaitable functions."""
    functions = {name: target for home in homes for name, target in home.items()}
    plain = {name: target.replace(":", ":sync.") for name, target in functions.items()}
    inside = f"{module}." if module else ""
    return {f"{inside}asyncio": functions, f"{inside}syncio": plain}


OVERRIDE = same(f"{S}.overrides", "InputOverrideConfig")
DELIVERY = {
    **same(f"{S}.signing_in", "EmailDeliveryConfig EmailDeliveryInterface"),
    **same(f"{R}.delivery.smtp", "SMTPService"),
}
PROVIDER = same(
    f"{R}.thirdparty", "Provider ProviderConfig ProviderClientConfig UserInfoMap UserFields RedirectUriInfo"
)
CLAIMS = same(C, "SessionClaim PrimitiveClaim PrimitiveArrayClaim BooleanClaim")
SIGNED = ("SignInOkResult", "SignUpOkResult", "SignInPostOkResult", "SignUpPostOkResult")
VERIFY = "verify_session"

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
        **same(f"{S}.exceptions", "APIResponse"),
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
    "framework": {
        **same(f"{S}.frameworks", "BaseRequest"),
        **same(f"{S}.frameworks", "BaseResponse"),
    },
    "framework.request": same(f"{S}.frameworks", "BaseRequest"),
    "framework.response": same(f"{S}.frameworks", "BaseResponse"),
    "framework.fastapi": same("coatcheck.server.fastapi", "get_middleware"),
    "framework.flask": {"Middleware": "coatcheck.server.flask:CoatCheck"},
    "framework.django": {"middleware": "coatcheck.server.django:Middleware"},
    "framework.django.django_middleware": {"middleware": "coatcheck.server.django:Middleware"},
    "recipe": {},
    # Sessions
    "recipe.session": {
        **same(f"{S}.session", "init"),
        **OVERRIDE,
        "SessionOverrideConfig": f"{S}.overrides:InputOverrideConfig",
        **same(f"{S}.overrides", "InputErrorHandlers"),
        **same(f"{R}.session.container", "SessionContainer"),
        **same(f"{S}.recipes", "SessionRecipe"),
        **same(f"{R}.session.config", "TokenTransferMethod"),
    },
    "recipe.session.claims": CLAIMS,
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
        **same(f"{S}.exceptions", "GetSessionTokensDangerouslyDict ResponseMutator JSONPrimitive JSONPrimitiveList"),
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
    "recipe.session.framework.fastapi": same("coatcheck.server.fastapi", f"{VERIFY} session_exception_handler"),
    "recipe.session.framework.flask": same("coatcheck.server.flask", VERIFY),
    "recipe.session.framework.django": {},
    "recipe.session.framework.django.asyncio": same("coatcheck.server.django", VERIFY),
    "recipe.session.framework.django.syncio": same("coatcheck.server.django", VERIFY),
    # E-mail and password
    "recipe.emailpassword": {
        **same(f"{R}.emailpassword", "init InputSignUpFeature InputFormField EmailTemplateVars"),
        **OVERRIDE,
        "EmailPasswordOverrideConfig": f"{S}.overrides:InputOverrideConfig",
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
            f"{S}.signing_in",
            "sign_up sign_in create_reset_password_token create_reset_password_link send_reset_password_email "
            "update_email_or_password get_user_by_id get_user_by_email",
        ),
        same(
            f"{R}.emailpassword",
            "verify_credentials reset_password_using_token consume_password_reset_token send_email",
        ),
    ),
    # Providers
    "recipe.thirdparty": {
        **same(f"{R}.thirdparty", "init SignInAndUpFeature ProviderConfig ProviderClientConfig"),
        **same(f"{S}.thirdparty", "ProviderInput"),
        **OVERRIDE,
        "ThirdPartyOverrideConfig": f"{S}.overrides:InputOverrideConfig",
        **same(f"{S}.recipes", "ThirdPartyRecipe"),
    },
    "recipe.thirdparty.recipe": same(f"{S}.recipes", "ThirdPartyRecipe"),
    "recipe.thirdparty.provider": {**PROVIDER, **same(f"{S}.thirdparty", "ProviderInput")},
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
            "manually_create_or_update_user get_user_by_id get_users_by_email get_user_by_third_party_info",
        ),
        same(f"{R}.thirdparty", "get_provider"),
    ),
    # Both as one
    "recipe.thirdpartyemailpassword": {
        **same(f"{R}.thirdpartyemailpassword", "init InputSignUpFeature InputFormField ProviderConfig"),
        **same(f"{R}.thirdpartyemailpassword", "ProviderClientConfig"),
        **same(f"{S}.thirdparty", "ProviderInput"),
        **OVERRIDE,
        **DELIVERY,
    },
    "recipe.thirdpartyemailpassword.recipe": same(f"{S}.recipes", "ThirdPartyEmailPasswordRecipe"),
    "recipe.thirdpartyemailpassword.interfaces": {
        **same(f"{R}.thirdpartyemailpassword", "RecipeInterface APIInterface ResetPasswordUsingTokenOkResult"),
        **{f"EmailPassword{name}": f"{R}.emailpassword:{name}" for name in SIGNED},
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
            f"{S}.signing_in",
            "create_reset_password_token create_reset_password_link send_reset_password_email update_email_or_password",
        ),
    ),
    # What every App has
    "recipe.usermetadata": {
        **same(f"{R}.usermetadata", "init"),
        **OVERRIDE,
        "UserMetadataOverrideConfig": f"{S}.overrides:InputOverrideConfig",
    },
    "recipe.usermetadata.recipe": same(f"{S}.recipes", "UserMetadataRecipe"),
    "recipe.usermetadata.interfaces": same(
        f"{R}.usermetadata", "RecipeInterface MetadataResult ClearUserMetadataResult"
    ),
    **pair(
        "recipe.usermetadata",
        same(f"{R}.usermetadata", "get_user_metadata update_user_metadata clear_user_metadata"),
    ),
    "recipe.multitenancy": {"init": f"{S}.users:init_multitenancy", **OVERRIDE},
    "recipe.multitenancy.recipe": same(f"{S}.recipes", "MultitenancyRecipe"),
    "recipe.multitenancy.interfaces": same(
        f"{R}.multitenancy", "RecipeInterface APIInterface APIOptions LoginMethodsGetOkResult"
    ),
    "recipe.accountlinking": {"init": f"{S}.users:init_accountlinking", **OVERRIDE},
    "recipe.accountlinking.recipe": same(f"{S}.recipes", "AccountLinkingRecipe"),
    "recipe.accountlinking.interfaces": same(f"{R}.accountlinking", "RecipeInterface"),
    "recipe.jwt": {},
    "recipe.jwt.interfaces": same(
        f"{S}.jwt", "CreateJwtOkResult CreateJwtResultUnsupportedAlgorithm GetJWKSResult JsonWebKey"
    ),
    **pair("recipe.jwt", same(f"{S}.jwt", "create_jwt get_jwks")),
    "recipe.openid": {},
    "recipe.openid.interfaces": same(f"{S}.jwt", "GetOpenIdDiscoveryConfigurationResult"),
    **pair("recipe.openid", same(f"{S}.jwt", "create_jwt get_jwks get_open_id_discovery_configuration")),
    "ingredients": {},
    "ingredients.emaildelivery": {},
    "ingredients.emaildelivery.types": {
        **same(f"{S}.signing_in", "EmailDeliveryConfig EmailDeliveryInterface SMTPServiceInterface"),
        **same(f"{R}.delivery", "EmailContent SMTPSettings SMTPSettingsFrom"),
    },
}
