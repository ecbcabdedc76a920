"""The third-party recipe's routes: requests read, APIs called, results written."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import Response

from ..exceptions import BadInputError, ConfigurationError
from ..kit.routing import ApiCall, Route, answer, fdi_version, has_user_objects, json_body, limited_body
from ..session.sign_in import linking_flag, session_for_sign_in
from .interface import APIOptions, SignInUpPostOkResult
from .oauth import RedirectUriInfo
from .provider import Provider
from .recipe import ThirdPartyRecipe

MAX_FORM_FIELDS = 50


def _options(call: ApiCall) -> APIOptions:
    recipe = ThirdPartyRecipe.of(call.app)
    return APIOptions(
        call.request, None, recipe.recipe_id, recipe.config, recipe.functions, recipe.config.providers, call.app.info
    )


async def _provider(call: ApiCall, third_party_id: str, client_type: str | None, tenant_id: str) -> Provider:
    functions = ThirdPartyRecipe.of(call.app).functions
    provider = await functions.get_provider(third_party_id, client_type, tenant_id, call.user_context)
    if provider is None:
        raise BadInputError(f"the provider {third_party_id} could not be found in the configuration")
    return provider


async def _authorisation_url(call: ApiCall) -> Response:
    query = call.request.query_params
    for name in ("thirdPartyId", "redirectURIOnProviderDashboard"):
        if not query.get(name):
            raise BadInputError(f"Please provide the {name} as a GET param")
    provider = await _provider(call, query["thirdPartyId"], query.get("clientType") or None, call.tenant_id)
    result = await ThirdPartyRecipe.of(call.app).apis.authorisation_url_get(
        provider, query["redirectURIOnProviderDashboard"], _options(call), call.user_context
    )
    return answer(result)


async def _sign_in_up(call: ApiCall) -> Response:
    body = await json_body(call.request, "Please provide a JSON input")
    third_party_id = _text(body, "thirdPartyId")
    if third_party_id is None:
        raise BadInputError("Please provide the thirdPartyId in request body")
    redirect_uri_info, oauth_tokens = _redirect_uri_info(body), _oauth_tokens(body)
    if redirect_uri_info is None and oauth_tokens is None:
        raise BadInputError("Please provide one of redirectURIInfo or oAuthTokens in the request body")
    flag = linking_flag(call.request, body)
    session = await session_for_sign_in(call.app, call.request, flag, call.user_context)
    tenant_id = call.tenant_id if session is None else session.tenant_id
    provider = await _provider(call, third_party_id, _text(body, "clientType"), tenant_id)
    result = await ThirdPartyRecipe.of(call.app).apis.sign_in_up_post(
        provider, redirect_uri_info, oauth_tokens, session, flag, tenant_id, _options(call), call.user_context
    )
    return _signed_in(call, result)


def _signed_in(call: ApiCall, result: Any) -> Response:
    if not isinstance(result, SignInUpPostOkResult):
        return answer(result)
    user, created = result.user, result.created_new_recipe_user
    if has_user_objects(fdi_version(call.request)):
        return answer({"status": "OK", "user": user.to_json(), "createdNewRecipeUser": created})
    legacy = user.legacy_json(result.session.recipe_user_id)
    return answer({"status": "OK", "user": legacy, "createdNewUser": created and len(user.login_methods) == 1})


def _redirect_uri_info(body: dict[str, Any]) -> RedirectUriInfo | None:
    given = body.get("redirectURIInfo")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise BadInputError("redirectURIInfo must be an object")
    address = _text(given, "redirectURIOnProviderDashboard")
    if address is None:
        raise BadInputError("Please provide the redirectURIOnProviderDashboard in request body")
    params = given.get("redirectURIQueryParams")
    if not isinstance(params, dict):
        raise BadInputError("redirectURIQueryParams must be an object")
    return RedirectUriInfo(address, params, _text(given, "pkceCodeVerifier"))


def _oauth_tokens(body: dict[str, Any]) -> dict[str, Any] | None:
    given = body.get("oAuthTokens")
    if given is not None and not isinstance(given, dict):
        raise BadInputError("oAuthTokens must be an object")
    return given


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise BadInputError(f"{name} must be a string")
    return value or None


async def _apple(call: ApiCall) -> Response:
    raw = await limited_body(call.request)
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except ValueError:
        raise BadInputError("the body is not a form") from None
    options = _options(call)
    result: Any = await ThirdPartyRecipe.of(call.app).apis.apple_redirect_handler_post(
        dict(pairs), options, call.user_context
    )
    response = result if isinstance(result, Response) else options.response
    if response is not None:
        return response
    if result is None:
        raise ConfigurationError("apple_redirect_handler_post must set api_options.response")
    return answer(result)


ROUTES = (
    Route("GET", "/authorisationurl", "authorisation_url_get", _authorisation_url),
    Route("POST", "/signinup", "sign_in_up_post", _sign_in_up),
    Route("POST", "/callback/apple", "apple_redirect_handler_post", _apple, tenant_scoped=False),
)
