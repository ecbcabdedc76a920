"""The session recipe's HTTP APIs: refresh, sign out, the key set and the discovery document."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ...claims.payload import JSONObject, UserContext
from ...sessions.exceptions import UnauthorisedError
from ..exceptions import ConfigurationError
from ..kit.recipe import APIOptions, GeneralErrorResponse
from ..kit.routing import ApiCall, Route, answer, public_path
from .container import SessionContainer
from .functions import JWKS_PATH
from .interface import APIInterface, OverrideGlobalClaimValidators
from .recipe import SessionRecipe
from .requests import get_session, refresh_session, required_session
from .results import SignOutOkayResponse

_DISCOVERY_PATH = "/.well-known/openid-configuration"
UNCHECKED_METHODS = frozenset({"OPTIONS", "TRACE"})


class SessionAPI(APIInterface):
    """The APIs without any override."""

    def __init__(self, recipe: SessionRecipe) -> None:
        self._recipe = recipe

    async def refresh_post(self, api_options: APIOptions, user_context: UserContext) -> SessionContainer:
        """Exchange the request's refresh token."""
        return await refresh_session(self._recipe, api_options.request, user_context)

    async def signout_post(
        self, session: SessionContainer, api_options: APIOptions, user_context: UserContext
    ) -> SignOutOkayResponse | GeneralErrorResponse:
        """End the session."""
        await session.revoke_session(user_context)
        return SignOutOkayResponse()

    async def verify_session(
        self,
        api_options: APIOptions,
        anti_csrf_check: bool | None,
        session_required: bool,
        check_database: bool,
        override_global_claim_validators: OverrideGlobalClaimValidators | None,
        user_context: UserContext,
    ) -> SessionContainer | None:
        """Check the session of a protected route; on the refresh path, refresh (docs/protocol.md, rule 14.6)."""
        request = api_options.request
        method: str = request.scope["method"].upper()
        if method in UNCHECKED_METHODS:
            if session_required:
                raise ConfigurationError(f"verify_session cannot be used with {method} method")
            return None
        if method == "POST" and self._is_refresh(request):
            return await refresh_session(self._recipe, request, user_context)
        return await get_session(
            self._recipe,
            request,
            session_required=session_required,
            anti_csrf_check=anti_csrf_check,
            check_database=check_database,
            override_global_claim_validators=override_global_claim_validators,
            user_context=user_context,
        )

    def _is_refresh(self, request: Request) -> bool:
        info = self._recipe.app.info
        return public_path(request, info) == info.refresh_path

    async def jwks_get(self, api_options: APIOptions, user_context: UserContext) -> JSONObject | GeneralErrorResponse:
        """Return the public keys."""
        return await self._recipe.functions.get_jwks(user_context)

    async def open_id_discovery_configuration_get(
        self, api_options: APIOptions, user_context: UserContext
    ) -> JSONObject | GeneralErrorResponse:
        """Return the discovery document."""
        return await self._recipe.functions.get_open_id_discovery_configuration(user_context)


async def _refresh(call: ApiCall) -> Response:
    recipe = SessionRecipe.of(call.app)
    await _refuse_other_tenant(recipe, call)
    await recipe.apis.refresh_post(recipe.options(call.request), call.user_context)
    return answer({})


async def _refuse_other_tenant(recipe: SessionRecipe, call: ApiCall) -> None:
    """Refuse a refresh token of another tenant than the path names (docs/protocol.md, rule 25.4)."""
    if public_path(call.request, call.app.info) == call.app.info.refresh_path:
        return
    # The refresh chooses its token again, because an override of `refresh_post` stands between this check and it.
    chosen = recipe.transport(call.request, call.user_context).refresh_token()
    if chosen is None:
        return
    if await call.app.on_database_thread(recipe.engine.tenant_of, chosen.token) != call.tenant_id:
        # The session is valid, so its tokens stay.
        raise UnauthorisedError("the refresh token is of another tenant than the path", clear_tokens=False)


async def _sign_out(call: ApiCall) -> Response:
    recipe = SessionRecipe.of(call.app)
    session = await required_session(call)
    options = recipe.options(call.request)
    return answer(await recipe.apis.signout_post(session, options, call.user_context))


async def _jwks(call: ApiCall) -> Response:
    recipe = SessionRecipe.of(call.app)
    result = await recipe.apis.jwks_get(recipe.options(call.request), call.user_context)
    if not isinstance(result, dict):
        return _allow_all_origins(answer(result))
    max_age_s = result.get("validityInSecs", recipe.keys.jwks_max_age_s())
    response = _allow_all_origins(answer({name: value for name, value in result.items() if name != "validityInSecs"}))
    if max_age_s is not None:
        response.headers["cache-control"] = f"max-age={max_age_s}, must-revalidate"
    return response


async def _discovery(call: ApiCall) -> Response:
    recipe = SessionRecipe.of(call.app)
    options = recipe.options(call.request)
    return _allow_all_origins(answer(await recipe.apis.open_id_discovery_configuration_get(options, call.user_context)))


def _allow_all_origins(response: Response) -> Response:
    response.headers["access-control-allow-origin"] = "*"
    return response


ROUTES = (
    Route("POST", "/session/refresh", "refresh_post", _refresh),
    Route("POST", "/signout", "signout_post", _sign_out),
    Route("GET", JWKS_PATH, "jwks_get", _jwks),
    Route("GET", _DISCOVERY_PATH, "open_id_discovery_configuration_get", _discovery),
)
