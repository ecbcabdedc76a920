"""The e-mail/password recipe's HTTP APIs without any override, and the routes that read requests and write answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from ...claims.payload import UserContext
from ...claims.recipe_user_id import RecipeUserId
from ..accountlinking import AccountLinkingRecipe
from ..exceptions import BadInputError
from ..kit.recipe import GeneralErrorResponse, LinkingToSessionUserFailedError
from ..kit.request import after_response
from ..kit.routing import ApiCall, Route, answer, fdi_version, has_user_objects, json_body
from ..session.container import SessionContainer
from ..session.sign_in import linking_failure, refuse_linking, session_after_sign_in, session_for_sign_in
from ..users.user import AccountInfo, LoginMethod, User
from . import interface as results
from .form import (
    EMAIL,
    PASSWORD,
    ConfiguredField,
    FieldError,
    FormField,
    field_error,
    field_value,
    form_field_errors,
    parse_form_fields,
)
from .interface import (
    APIInterface,
    APIOptions,
    GenerateTokenPostResult,
    PasswordResetPostResult,
    SignInPostResult,
    SignUpPostResult,
)
from .mail import PasswordResetEmailTemplateVars, PasswordResetEmailTemplateVarsUser
from .recipe import EmailPasswordRecipe

_PLACEHOLDER_DOMAINS = ("@stfakeemail.supertokens.com", ".fakeemail.com")
"""The ends of made-up addresses, for users without an address; nobody signs in or up with them."""


class EmailPasswordAPI(APIInterface):
    """The APIs without any override."""

    def __init__(self, recipe: EmailPasswordRecipe) -> None:
        self._recipe = recipe
        self._app = recipe.app

    async def email_exists_get(
        self, email: str, tenant_id: str, api_options: APIOptions, user_context: UserContext
    ) -> results.EmailExistsGetOkResult | GeneralErrorResponse:
        """Return whether the tenant has an e-mail/password login method with the address."""
        return results.EmailExistsGetOkResult(await self._login_method(email, tenant_id, user_context) is not None)

    async def sign_up_post(
        self,
        form_fields: list[FormField],
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        api_options: APIOptions,
        user_context: UserContext,
    ) -> SignUpPostResult:
        """Create a login method and a session for it."""
        refuse_linking(session, should_try_linking_with_session_user)
        email, password = field_value(form_fields, EMAIL), field_value(form_fields, PASSWORD)
        if _is_placeholder(email):
            return results.EmailAlreadyExistsError()
        result = await self._recipe.functions.sign_up(
            email, password, tenant_id, session, should_try_linking_with_session_user, user_context
        )
        if isinstance(result, results.EmailAlreadyExistsError):
            return result
        if isinstance(result, LinkingToSessionUserFailedError):
            return results.SignUpPostNotAllowedResponse(linking_failure(result.reason, first_code=13))
        session = await self._session(api_options.request, result, tenant_id, session, user_context)
        return results.SignUpPostOkResult(result.user, session)

    async def sign_in_post(
        self,
        form_fields: list[FormField],
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        api_options: APIOptions,
        user_context: UserContext,
    ) -> SignInPostResult:
        """Verify the password and create a session."""
        refuse_linking(session, should_try_linking_with_session_user)
        email, password = field_value(form_fields, EMAIL), field_value(form_fields, PASSWORD)
        result = await self._recipe.functions.sign_in(
            email, password, tenant_id, session, should_try_linking_with_session_user, user_context
        )
        if isinstance(result, results.WrongCredentialsError) or _is_placeholder(email):
            return results.WrongCredentialsError()
        if isinstance(result, LinkingToSessionUserFailedError):
            return results.SignInPostNotAllowedResponse(linking_failure(result.reason, first_code=9))
        session = await self._session(api_options.request, result, tenant_id, session, user_context)
        return results.SignInPostOkResult(result.user, session)

    async def _session(
        self,
        request: Request,
        result: results.SignUpOkResult | results.SignInOkResult,
        tenant_id: str,
        session: SessionContainer | None,
        user_context: UserContext,
    ) -> SessionContainer:
        return await session_after_sign_in(
            self._app,
            request,
            result.user,
            result.recipe_user_id,
            tenant_id=tenant_id,
            session=session,
            user_context=user_context,
        )

    async def generate_password_reset_token_post(
        self, form_fields: list[FormField], tenant_id: str, api_options: APIOptions, user_context: UserContext
    ) -> GenerateTokenPostResult:
        """Deliver a link if there is an account; neither the answer nor its time reveals whether there is one.

        The search for the account starts after the answer, because it takes longer if there is an account.
        """
        email, request = field_value(form_fields, EMAIL), api_options.request

        async def deliver() -> None:
            method = await self._login_method(email, tenant_id, user_context)
            if method is not None and method.email is not None:
                # To the address of the account: the typed one may look alike and belong to somebody else.
                await send_reset_link(
                    self._recipe,
                    request,
                    tenant_id,
                    str(method.recipe_user_id),
                    email=method.email,
                    user_context=user_context,
                )

        after_response(request, deliver)
        return results.GeneratePasswordResetTokenPostOkResult()

    async def password_reset_post(
        self,
        form_fields: list[FormField],
        token: str,
        tenant_id: str,
        api_options: APIOptions,
        user_context: UserContext,
    ) -> PasswordResetPostResult:
        """Use up the token and set the new password; sessions stay."""
        functions, password = self._recipe.functions, field_value(form_fields, PASSWORD)
        consumed = await functions.consume_password_reset_token(token, tenant_id, user_context)
        if not isinstance(consumed, results.ConsumePasswordResetTokenOkResult):
            return results.PasswordResetTokenInvalidError()
        user = await AccountLinkingRecipe.of(self._app).functions.get_user(consumed.user_id, user_context)
        method = None if user is None else _method_of(user, consumed)
        if user is None or method is None:
            return results.PasswordResetTokenInvalidError()
        updated = await functions.update_email_or_password(
            method.recipe_user_id, None, password, None, tenant_id, user_context
        )
        if isinstance(updated, results.PasswordPolicyViolationError):
            return updated
        if not isinstance(updated, results.UpdateEmailOrPasswordOkResult):
            return results.PasswordResetTokenInvalidError()
        return results.PasswordResetPostOkResult(consumed.email, user)

    async def _login_method(self, email: str, tenant_id: str, user_context: UserContext) -> LoginMethod | None:
        users = await AccountLinkingRecipe.of(self._app).functions.list_users_by_account_info(
            tenant_id, AccountInfo(email=email), False, user_context
        )
        methods = [method for user in users for method in user.login_methods]
        ours = (
            method
            for method in methods
            if method.recipe_id == self._recipe.recipe_id
            and method.has_same_email_as(email)
            and tenant_id in method.tenant_ids
        )
        return next(ours, None)


def _method_of(user: User, consumed: results.ConsumePasswordResetTokenOkResult) -> LoginMethod | None:
    ours = [method for method in user.login_methods if method.recipe_id == "emailpassword"]
    same = [method for method in ours if str(method.recipe_user_id) == consumed.user_id]
    return next((method for method in same if method.has_same_email_as(consumed.email)), None)


def _is_placeholder(email: str) -> bool:
    """Whether an address is a made-up one."""
    return email.strip().lower().endswith(_PLACEHOLDER_DOMAINS)


async def reset_link(
    recipe: EmailPasswordRecipe,
    request: Request | None,
    tenant_id: str,
    user_id: str,
    *,
    email: str,
    user_context: UserContext,
) -> str | None:
    """Return a link with a new reset token, None for an unknown user (docs/protocol.md, rule 21.5)."""
    created = await recipe.functions.create_reset_password_token(user_id, email, tenant_id, user_context)
    if not isinstance(created, results.CreateResetPasswordOkResult):
        return None
    info = recipe.app.info
    query = urlencode({"token": created.token, "tenantId": tenant_id})
    return f"{info.website_origin(request, user_context)}{info.website_base_path}/reset-password?{query}"


async def send_reset_link(
    recipe: EmailPasswordRecipe,
    request: Request | None,
    tenant_id: str,
    user_id: str,
    *,
    email: str,
    user_context: UserContext,
) -> bool:
    """Deliver a reset link; False for an unknown user."""
    link = await reset_link(recipe, request, tenant_id, user_id, email=email, user_context=user_context)
    if link is None:
        return False
    user = PasswordResetEmailTemplateVarsUser(user_id, RecipeUserId(user_id), email)
    await recipe.email_delivery.send_email(PasswordResetEmailTemplateVars(user, link, tenant_id), user_context)
    return True


# Routes

_EMAIL_TAKEN = "This email already exists. Please sign in instead."


async def _checked_form(
    call: ApiCall, body: dict[str, Any], configured: Sequence[ConfiguredField]
) -> tuple[list[FormField], Response | None]:
    fields = parse_form_fields(body, configured)
    errors = await form_field_errors(fields, configured, tenant_id=call.tenant_id)
    return fields, answer(field_error(errors)) if errors else None


async def _sign_up(call: ApiCall) -> Response:
    recipe, body = EmailPasswordRecipe.of(call.app), await json_body(call.request)
    fields, refusal = await _checked_form(call, body, recipe.config.sign_up_fields)
    if refusal is not None:
        return refusal
    session, flag, tenant_id = await session_for_sign_in(call, body)
    options = recipe.options(call.request)
    result = await recipe.apis.sign_up_post(fields, tenant_id, session, flag, options, call.user_context)
    if isinstance(result, results.EmailAlreadyExistsError):
        return answer(field_error([FieldError(EMAIL, _EMAIL_TAKEN)]))
    return _sign_in_answer(call, result)


async def _sign_in(call: ApiCall) -> Response:
    recipe, body = EmailPasswordRecipe.of(call.app), await json_body(call.request)
    fields, refusal = await _checked_form(call, body, recipe.config.sign_in_fields)
    if refusal is not None:
        return refusal
    session, flag, tenant_id = await session_for_sign_in(call, body)
    options = recipe.options(call.request)
    result = await recipe.apis.sign_in_post(fields, tenant_id, session, flag, options, call.user_context)
    return _sign_in_answer(call, result)


def _sign_in_answer(call: ApiCall, result: Any) -> Response:
    if not isinstance(result, results.SignInPostOkResult | results.SignUpPostOkResult):
        return answer(result)
    if has_user_objects(fdi_version(call.request)):
        return answer({"status": "OK", "user": result.user.to_json()})
    return answer({"status": "OK", "user": result.user.legacy_json(result.session.recipe_user_id)})


async def _email_exists(call: ApiCall) -> Response:
    email = call.request.query_params.get("email")
    if email is None:
        raise BadInputError("Please provide the email as a GET param")
    recipe = EmailPasswordRecipe.of(call.app)
    options = recipe.options(call.request)
    return answer(await recipe.apis.email_exists_get(email, call.tenant_id, options, call.user_context))


async def _reset_token(call: ApiCall) -> Response:
    recipe, body = EmailPasswordRecipe.of(call.app), await json_body(call.request)
    fields, refusal = await _checked_form(call, body, recipe.config.reset_request_fields)
    if refusal is not None:
        return refusal
    options = recipe.options(call.request)
    result = await recipe.apis.generate_password_reset_token_post(fields, call.tenant_id, options, call.user_context)
    return answer(result)


async def _reset(call: ApiCall) -> Response:
    recipe, body = EmailPasswordRecipe.of(call.app), await json_body(call.request)
    fields, refusal = await _checked_form(call, body, recipe.config.reset_fields)
    if refusal is not None:
        return refusal
    if "token" not in body:
        raise BadInputError("Please provide the password reset token")
    token = body["token"]
    if not isinstance(token, str):
        raise BadInputError("The password reset token must be a string")
    options = recipe.options(call.request)
    result = await recipe.apis.password_reset_post(fields, token, call.tenant_id, options, call.user_context)
    if isinstance(result, results.PasswordPolicyViolationError):
        return answer(field_error([FieldError(PASSWORD, result.failure_reason)]))
    return answer(result)


ROUTES = (
    Route("POST", "/signup", "sign_up_post", _sign_up),
    Route("POST", "/signin", "sign_in_post", _sign_in),
    Route("POST", "/user/password/reset/token", "generate_password_reset_token_post", _reset_token),
    Route("POST", "/user/password/reset", "password_reset_post", _reset),
    Route("GET", "/emailpassword/email/exists", "email_exists_get", _email_exists),
    Route("GET", "/signup/email/exists", "email_exists_get", _email_exists),
)
