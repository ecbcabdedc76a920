"""Tenants: which one a request belongs to, and how one can sign in to it. There is one tenant, `public`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from ..claims.payload import UserContext
from .chain.chain import Chain
from .chain.override_config import InputOverrideConfig, checked_override
from .exceptions import UnknownTenantError
from .kit.recipe import Recipe, RecipeSpecification
from .kit.results import GeneralErrorResponse
from .kit.routing import ApiCall, Route, answer
from .multitenancy_interface import (
    APIInterface,
    APIOptions,
    APIsLayer,
    FunctionsLayer,
    LoginMethodsGetOkResult,
    RecipeInterface,
)

if TYPE_CHECKING:
    from .app import App

DEFAULT_TENANT = "public"

__all__ = [
    "DEFAULT_TENANT",
    "APIInterface",
    "APIOptions",
    "APIsLayer",
    "FunctionsLayer",
    "GeneralErrorResponse",
    "InputOverrideConfig",
    "LoginMethodsGetOkResult",
    "RecipeInterface",
    "init",
]


def init(override: InputOverrideConfig | None = None) -> RecipeSpecification:
    """Describe the tenants recipe; every App has it, so this is needed only to override it."""
    return RecipeSpecification("multitenancy", checked_override("multitenancy", override), TenantsRecipe)


class TenantsRecipe(Recipe[RecipeInterface]):
    """The tenants recipe of one App."""

    recipe_id = "multitenancy"

    def __init__(self, app: App, config: InputOverrideConfig) -> None:
        super().__init__(app, config, ROUTES)
        functions = Chain(RecipeInterface, _Functions(), recipe_id=self.recipe_id, kind="functions")
        apis = Chain(APIInterface, _Apis(app), recipe_id=self.recipe_id, kind="apis")
        self.add_chain(functions, config.functions)
        self.add_chain(apis, config.apis)
        self.functions = functions.top
        self.apis: APIInterface = apis.top


class _Functions(RecipeInterface):
    async def get_tenant_id(self, tenant_id_from_frontend: str, user_context: UserContext) -> str:
        return tenant_id_from_frontend


class _Apis(APIInterface):
    def __init__(self, app: App) -> None:
        self._app = app

    async def login_methods_get(
        self, tenant_id: str, client_type: str | None, api_options: APIOptions, user_context: UserContext
    ) -> LoginMethodsGetOkResult | GeneralErrorResponse:
        factors = [factor for recipe in self._app.recipes for factor in recipe.first_factors]
        providers = [
            provider
            for recipe in self._app.recipes
            for provider in await recipe.login_providers(tenant_id, client_type, user_context)
        ]
        return LoginMethodsGetOkResult(list(dict.fromkeys(factors)), providers)


async def tenant_of(app: App, named: str | None, user_context: UserContext) -> str:
    """Return the tenant of a request whose path names `named`; UnknownTenantError (HTTP 404) if there is none such."""
    recipe = TenantsRecipe.of(app)
    tenant_id = await recipe.functions.get_tenant_id(named or DEFAULT_TENANT, user_context)
    if tenant_id != DEFAULT_TENANT:
        raise UnknownTenantError(tenant_id)
    return tenant_id


async def _login_methods(call: ApiCall) -> Response:
    recipe = TenantsRecipe.of(call.app)
    options = APIOptions(call.request, None, recipe.recipe_id, recipe.config, recipe.functions, call.app.info)
    client_type = call.request.query_params.get("clientType")
    return answer(await recipe.apis.login_methods_get(call.tenant_id, client_type, options, call.user_context))


ROUTES = (Route("GET", "/loginmethods", "login_methods_get", _login_methods),)
