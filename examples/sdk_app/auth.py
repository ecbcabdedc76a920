"""The SDK's configuration, with our own roles, sign-up rules and mails."""

import os
from typing import Any

from supertokens_python import (
    InputAppInfo,
    RecipeUserId,
    SupertokensConfig,
    get_request_from_user_context,
    init,
)
from supertokens_python.recipe import emailpassword, session, usermetadata
from supertokens_python.recipe.emailpassword.interfaces import (
    APIInterface,
    APIOptions,
    RecipeInterface as EmailPasswordRecipeInterface,
    SignUpOkResult,
)
from supertokens_python.recipe.emailpassword.types import EmailDeliveryOverrideInput, EmailTemplateVars, FormField
from supertokens_python.recipe.session import SessionContainer
from supertokens_python.recipe.session.claims import PrimitiveArrayClaim
from supertokens_python.recipe.session.interfaces import RecipeInterface as SessionRecipeInterface
from supertokens_python.recipe.usermetadata.asyncio import get_user_metadata, update_user_metadata
from supertokens_python.types import GeneralErrorResponse

LIBRARY = "@library.example"
REFUSED = ("@spam.example", "@junk.example")

SENT: list[EmailTemplateVars] = []  # what our mail service would have sent

Context = dict[str, Any]


# Roles: the metadata of users stores them, and sessions carry them as a claim


async def fetch_roles(
    user_id: str,
    recipe_user_id: RecipeUserId,
    tenant_id: str,
    current_payload: dict[str, Any],
    user_context: Context,
) -> list[str]:
    """Read the roles of a user."""
    return (await get_user_metadata(user_id)).metadata.get("roles", [])


RolesClaim = PrimitiveArrayClaim[str](key="roles", fetch_value=fetch_roles)


def override_session_functions(original_implementation: SessionRecipeInterface) -> SessionRecipeInterface:
    """Put the roles into every new session, and store the device with it."""
    original_create_new_session = original_implementation.create_new_session

    async def create_new_session(
        user_id: str,
        recipe_user_id: RecipeUserId,
        access_token_payload: dict[str, Any] | None,
        session_data_in_database: dict[str, Any] | None,
        disable_anti_csrf: bool | None,
        tenant_id: str,
        user_context: Context,
    ) -> SessionContainer:
        payload = access_token_payload or {}
        roles = await RolesClaim.build(user_id, recipe_user_id, tenant_id, payload, user_context)
        request = get_request_from_user_context(user_context)
        device = request.get_header("user-agent") if request is not None else None
        return await original_create_new_session(
            user_id,
            recipe_user_id,
            {**payload, **roles},
            {**(session_data_in_database or {}), "device": device},
            disable_anti_csrf,
            tenant_id,
            user_context,
        )

    original_implementation.create_new_session = create_new_session
    return original_implementation


# Signing up


def override_sign_up(original_implementation: EmailPasswordRecipeInterface) -> EmailPasswordRecipeInterface:
    """Give new members their roles; an address of the library makes a librarian."""
    original_sign_up = original_implementation.sign_up

    async def sign_up(
        email: str,
        password: str,
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        user_context: Context,
    ):
        result = await original_sign_up(
            email, password, tenant_id, session, should_try_linking_with_session_user, user_context
        )
        if isinstance(result, SignUpOkResult):
            roles = ["member", "librarian"] if email.endswith(LIBRARY) else ["member"]
            await update_user_metadata(result.user.id, {"roles": roles})
        return result

    original_implementation.sign_up = sign_up
    return original_implementation


def override_sign_up_post(original_implementation: APIInterface) -> APIInterface:
    """Refuse some domains, and closed branches."""
    original_sign_up_post = original_implementation.sign_up_post

    async def sign_up_post(
        form_fields: list[FormField],
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        api_options: APIOptions,
        user_context: Context,
    ):
        email = next(field.value for field in form_fields if field.id == "email")
        if email.endswith(REFUSED):
            return GeneralErrorResponse(message="Please use another address.")
        if api_options.request.get_header("x-branch") == "closed":
            return GeneralErrorResponse(message="This branch takes no members.")
        api_options.response.set_header("x-welcome", "yes")
        return await original_sign_up_post(
            form_fields, tenant_id, session, should_try_linking_with_session_user, api_options, user_context
        )

    original_implementation.sign_up_post = sign_up_post
    return original_implementation


# Mails


def override_email_delivery(original_implementation: EmailDeliveryOverrideInput) -> EmailDeliveryOverrideInput:
    """Send through our own service, with links to our own page."""

    async def send_email(template_vars: EmailTemplateVars, user_context: Context) -> None:
        template_vars.password_reset_link = template_vars.password_reset_link.replace("/auth/", "/account/")
        SENT.append(template_vars)

    original_implementation.send_email = send_email
    return original_implementation


init(
    app_info=InputAppInfo(
        app_name="Reading list",
        api_domain="http://localhost:8000",
        website_domain="http://localhost:3000",
        api_base_path="/auth",
        website_base_path="/auth",
    ),
    supertokens_config=SupertokensConfig(
        connection_uri=os.environ.get("SUPERTOKENS_URI", "http://localhost:3567"),
        api_key=os.environ.get("SUPERTOKENS_API_KEY"),
    ),
    framework="fastapi",
    recipe_list=[
        session.init(override=session.InputOverrideConfig(functions=override_session_functions)),
        emailpassword.init(
            sign_up_feature=emailpassword.InputSignUpFeature(
                form_fields=[emailpassword.InputFormField(id="name", optional=True)]
            ),
            override=emailpassword.InputOverrideConfig(functions=override_sign_up, apis=override_sign_up_post),
            email_delivery=emailpassword.EmailDeliveryConfig(override=override_email_delivery),
        ),
        usermetadata.init(),
    ],
    mode="asgi",
)
