"""The e-mail/password recipe's routes: requests read, APIs called, results written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from ..exceptions import BadInputError
from ..kit.routing import ApiCall, Route, answer, fdi_version, has_user_objects, json_body
from ..session.sign_in import linking_flag, session_for_sign_in
from .form import (
    EMAIL,
    PASSWORD,
    ConfiguredField,
    FieldError,
    FormField,
    field_error,
    form_field_errors,
    parse_form_fields,
)
from .interface import (
    APIOptions,
    EmailAlreadyExistsError,
    PasswordPolicyViolationError,
    SignInPostOkResult,
    SignUpPostOkResult,
)
from .recipe import EmailPasswordRecipe

EMAIL_TAKEN = "This email already exists. Please sign in instead."


def _options(call: ApiCall) -> APIOptions:
    recipe = EmailPasswordRecipe.of(call.app)
    return APIOptions(
        call.request, None, recipe.recipe_id, recipe.config, recipe.functions, call.app.info, recipe.email_delivery
    )


async def _form(
    call: ApiCall, body: dict[str, Any], configured: Sequence[ConfiguredField]
) -> tuple[list[FormField], Response | None]:
    fields = parse_form_fields(body, configured)
    errors = await form_field_errors(fields, configured, tenant_id=call.tenant_id)
    return fields, answer(field_error(errors)) if errors else None


async def _sign_up(call: ApiCall) -> Response:
    recipe, body = EmailPasswordRecipe.of(call.app), await json_body(call.request)
    fields, refusal = await _form(call, body, recipe.config.sign_up_fields)
    if refusal is not None:
        return refusal
    flag = linking_flag(call.request, body)
    session = await session_for_sign_in(call.app, call.request, flag, call.user_context)
    tenant_id = call.tenant_id if session is None else session.tenant_id
    result = await recipe.apis.sign_up_post(fields, tenant_id, session, flag, _options(call), call.user_context)
    if isinstance(result, EmailAlreadyExistsError):
        return answer(field_error([FieldError(EMAIL, EMAIL_TAKEN)]))
    return _signed_in(call, result)


async def _sign_in(call: ApiCall) -> Response:
    recipe, body = EmailPasswordRecipe.of(call.app), await json_body(call.request)
    fields, refusal = await _form(call, body, recipe.config.sign_in_fields)
    if refusal is not None:
        return refusal
    flag = linking_flag(call.request, body)
    session = await session_for_sign_in(call.app, call.request, flag, call.user_context)
    tenant_id = call.tenant_id if session is None else session.tenant_id
    result = await recipe.apis.sign_in_post(fields, tenant_id, session, flag, _options(call), call.user_context)
    return _signed_in(call, result)


def _signed_in(call: ApiCall, result: Any) -> Response:
    if not isinstance(result, SignInPostOkResult | SignUpPostOkResult):
        return answer(result)
    if has_user_objects(fdi_version(call.request)):
        return answer({"status": "OK", "user": result.user.to_json()})
    return answer({"status": "OK", "user": result.user.legacy_json(result.session.recipe_user_id)})


async def _email_exists(call: ApiCall) -> Response:
    email = call.request.query_params.get("email")
    if email is None:
        raise BadInputError("Please provide the email as a GET param")
    apis = EmailPasswordRecipe.of(call.app).apis
    return answer(await apis.email_exists_get(email, call.tenant_id, _options(call), call.user_context))


async def _reset_token(call: ApiCall) -> Response:
    recipe, body = EmailPasswordRecipe.of(call.app), await json_body(call.request)
    fields, refusal = await _form(call, body, recipe.config.reset_request_fields)
    if refusal is not None:
        return refusal
    return answer(
        await recipe.apis.generate_password_reset_token_post(fields, call.tenant_id, _options(call), call.user_context)
    )


async def _reset(call: ApiCall) -> Response:
    recipe, body = EmailPasswordRecipe.of(call.app), await json_body(call.request)
    fields, refusal = await _form(call, body, recipe.config.reset_fields)
    if refusal is not None:
        return refusal
    if "token" not in body:
        raise BadInputError("Please provide the password reset token")
    token = body["token"]
    if not isinstance(token, str):
        raise BadInputError("The password reset token must be a string")
    result = await recipe.apis.password_reset_post(fields, token, call.tenant_id, _options(call), call.user_context)
    if isinstance(result, PasswordPolicyViolationError):
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
