"""The third-party recipe's HTTP APIs without any override, and the routes that read requests and write answers."""

from __future__ import annotations

import base64
import json
import logging
import string
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.responses import HTMLResponse, Response

from ...claims.claim import awaited
from ...claims.payload import JSONObject, UserContext
from ..exceptions import BadInputError, ConfigurationError, ProviderError
from ..kit.recipe import GeneralErrorResponse, LinkingToSessionUserFailedError
from ..kit.routing import ApiCall, Route, answer, fdi_version, has_user_objects, json_body, limited_body
from ..session.container import SessionContainer
from ..session.sign_in import linking_failure, refuse_linking, session_after_sign_in, session_for_sign_in
from .http import with_query
from .interface import (
    APIInterface,
    APIOptions,
    AuthorisationUrlGetOkResult,
    SignInUpNotAllowed,
    SignInUpPostNoEmailGivenByProviderResponse,
    SignInUpPostOkResult,
    SignInUpPostResult,
)
from .oauth import RedirectUriInfo
from .provider import Provider
from .recipe import ThirdPartyRecipe
from .user_info import UserInfo, UserInfoEmail

logger = logging.getLogger("coatcheck.thirdparty")
_FIRST_LINKING_CODE = 20
_PLACEHOLDER_DOMAIN = "stfakeemail.supertokens.com"
"""The domain of made-up addresses, for users without an address; applications have stored such addresses."""


class ThirdPartyAPI(APIInterface):
    """The APIs without any override."""

    def __init__(self, recipe: ThirdPartyRecipe) -> None:
        self._recipe = recipe
        self._app = recipe.app

    async def authorisation_url_get(
        self,
        provider: Provider,
        redirect_uri_on_provider_dashboard: str,
        api_options: APIOptions,
        user_context: UserContext,
    ) -> AuthorisationUrlGetOkResult | GeneralErrorResponse:
        """Return the address of the provider's page; if the provider fails, a general error."""
        try:
            redirect = await provider.get_authorisation_redirect_url(redirect_uri_on_provider_dashboard, user_context)
        except ProviderError as error:
            return _general_error(provider, error)
        return AuthorisationUrlGetOkResult(redirect.url_with_query_params, redirect.pkce_code_verifier)

    async def sign_in_up_post(
        self,
        provider: Provider,
        redirect_uri_info: RedirectUriInfo | None,
        oauth_tokens: JSONObject | None,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        tenant_id: str,
        api_options: APIOptions,
        user_context: UserContext,
    ) -> SignInUpPostResult:
        """Ask the provider for the user, find or create the login method, and create a session for it."""
        refuse_linking(session, should_try_linking_with_session_user)
        if (
            redirect_uri_info is not None
            and redirect_uri_info.redirect_uri_query_params.get("error") == "access_denied"
        ):
            return GeneralErrorResponse(f"Signing in with {provider.config.name} was cancelled.")
        try:
            tokens, info = await _ask_provider(provider, redirect_uri_info, oauth_tokens, user_context)
        except ProviderError as error:
            return _general_error(provider, error)
        email = info.email or await _made_up_address(provider, info, tenant_id, user_context)
        if email is None:
            return SignInUpPostNoEmailGivenByProviderResponse()
        result = await self._recipe.functions.sign_in_up(
            provider.id,
            info.third_party_user_id,
            email.id,
            email.is_verified,
            tokens,
            info.raw_user_info_from_provider,
            session,
            should_try_linking_with_session_user,
            tenant_id,
            user_context,
        )
        if isinstance(result, LinkingToSessionUserFailedError):
            return SignInUpNotAllowed(linking_failure(result.reason, first_code=_FIRST_LINKING_CODE))
        if isinstance(result, SignInUpNotAllowed):
            return result
        session = await session_after_sign_in(
            self._app,
            api_options.request,
            result.user,
            result.recipe_user_id,
            tenant_id=tenant_id,
            session=session,
            user_context=user_context,
        )
        return SignInUpPostOkResult(
            result.user,
            result.created_new_recipe_user,
            session,
            result.oauth_tokens,
            result.raw_user_info_from_provider,
        )

    async def apple_redirect_handler_post(
        self, form_post_info: dict[str, Any], api_options: APIOptions, user_context: UserContext
    ) -> None:
        """Redirect the browser to the website, and to no other place, with what Apple has posted (rule 27.14)."""
        target = _website_address(form_post_info.get("state"))
        origin = api_options.app_info.website_origin(api_options.request, user_context)
        # Compared as text, with the slash, so that it does not matter how browsers read the rest.
        if not target.startswith(f"{origin}/") or not target.isprintable():
            raise BadInputError("the frontendRedirectURI in the state is not an address of the website")
        location = with_query(target, {name: str(value) for name, value in form_post_info.items()})
        location = quote(location, safe=string.punctuation)  # Headers are ASCII, addresses need not be.
        api_options.response = HTMLResponse(status_code=303, headers={"Location": location})


async def _ask_provider(
    provider: Provider,
    redirect_uri_info: RedirectUriInfo | None,
    oauth_tokens: JSONObject | None,
    user_context: UserContext,
) -> tuple[JSONObject, UserInfo]:
    if redirect_uri_info is not None:
        tokens = await provider.exchange_auth_code_for_oauth_tokens(redirect_uri_info, user_context)
        return tokens, await provider.get_user_info(tokens, user_context)
    if oauth_tokens is None:
        raise BadInputError("Please provide one of redirectURIInfo or oAuthTokens in the request body")
    return oauth_tokens, await provider.get_user_info_from_client(oauth_tokens, user_context)


async def _made_up_address(
    provider: Provider, info: UserInfo, tenant_id: str, user_context: UserContext
) -> UserInfoEmail | None:
    config = provider.config
    if config.require_email:
        return None
    if config.generate_fake_email is None:
        return UserInfoEmail(f"{info.third_party_user_id}.{provider.id}@{_PLACEHOLDER_DOMAIN}", True)
    generated = config.generate_fake_email(tenant_id, info.third_party_user_id, user_context)
    return UserInfoEmail(await awaited(generated), True)


def _general_error(provider: Provider, error: ProviderError) -> GeneralErrorResponse:
    """Log the reason, and return a message without it: the reason is about provider and configuration."""
    logger.warning("signing in with a provider failed: %s", error)
    return GeneralErrorResponse(f"Signing in with {provider.config.name} did not work. Please try again.")


def _website_address(state: object) -> str:
    """Return the `frontendRedirectURI` of a state (base64 of JSON, of either alphabet); BadInputError without one."""
    try:
        text = str(state or "").replace("-", "+").replace("_", "/").replace(" ", "+")
        parsed = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
        address = parsed["frontendRedirectURI"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadInputError("the state has no frontendRedirectURI") from None
    if not isinstance(address, str):
        raise BadInputError("the state has no frontendRedirectURI")
    return address


# Routes


async def _authorisation_url(call: ApiCall) -> Response:
    query = call.request.query_params
    for name in ("thirdPartyId", "redirectURIOnProviderDashboard"):
        if not query.get(name):
            raise BadInputError(f"Please provide the {name} as a GET param")
    provider = await _provider(call, query["thirdPartyId"], query.get("clientType") or None, call.tenant_id)
    recipe, address = ThirdPartyRecipe.of(call.app), query["redirectURIOnProviderDashboard"]
    options = recipe.options(call.request)
    return answer(await recipe.apis.authorisation_url_get(provider, address, options, call.user_context))


async def _sign_in_up(call: ApiCall) -> Response:
    body = await json_body(call.request, "Please provide a JSON input")
    third_party_id = _text(body, "thirdPartyId")
    if third_party_id is None:
        raise BadInputError("Please provide the thirdPartyId in request body")
    redirect_uri_info, oauth_tokens = _redirect_uri_info(body), _oauth_tokens(body)
    if redirect_uri_info is None and oauth_tokens is None:
        raise BadInputError("Please provide one of redirectURIInfo or oAuthTokens in the request body")
    session, flag, tenant_id = await session_for_sign_in(call, body)
    provider = await _provider(call, third_party_id, _text(body, "clientType"), tenant_id)
    recipe = ThirdPartyRecipe.of(call.app)
    options = recipe.options(call.request)
    result = await recipe.apis.sign_in_up_post(
        provider, redirect_uri_info, oauth_tokens, session, flag, tenant_id, options, call.user_context
    )
    return _sign_in_answer(call, result)


async def _provider(call: ApiCall, third_party_id: str, client_type: str | None, tenant_id: str) -> Provider:
    functions = ThirdPartyRecipe.of(call.app).functions
    provider = await functions.get_provider(third_party_id, client_type, tenant_id, call.user_context)
    if provider is None:
        raise BadInputError(f"the provider {third_party_id} could not be found in the configuration")
    return provider


def _sign_in_answer(call: ApiCall, result: Any) -> Response:
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


_MAX_FORM_FIELDS = 50


async def _apple(call: ApiCall) -> Response:
    raw = await limited_body(call.request)
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=_MAX_FORM_FIELDS)
    except ValueError:
        raise BadInputError("the body is not a form") from None
    recipe = ThirdPartyRecipe.of(call.app)
    options = recipe.options(call.request)
    result: Any = await recipe.apis.apple_redirect_handler_post(dict(pairs), options, call.user_context)
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
