"""Tenants: which one a request belongs to, and how one can sign in to it. There is one tenant, `public`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from ..claims.payload import JSONObject, UserContext
from .chain.chain import Chain, InputOverrideConfig, checked_override
from .chain.view import Layer
from .exceptions import UnknownTenantError
from .kit.recipe import GeneralErrorResponse, Recipe, RecipeSpecification, ThirdPartyProvider
from .kit.routing import ApiCall, Route, answer

if TYPE_CHECKING:
    from .app import App
    from .kit.app_info import AppInfo


@dataclass(frozen=True, slots=True)
class LoginMethodsGetOkResult:
    """How one can sign in to a tenant."""

    first_factors: list[str]
    providers: list[ThirdPartyProvider] = field(default_factory=list)
    status: str = "OK"

    def to_json(self) -> JSONObject:
        """Return the answer's body; the `enabled` flags follow from the first factors."""
        factors = self.first_factors
        codes = {"otp-email", "otp-phone", "link-email", "link-phone"}
        return {
            "status": self.status,
            "emailPassword": {"enabled": "emailpassword" in factors},
            "thirdParty": {
                "enabled": "thirdparty" in factors,
                "providers": [provider.to_json() for provider in self.providers],
            },
            "passwordless": {"enabled": not codes.isdisjoint(factors)},
            "webauthn": {"enabled": "webauthn" in factors},
            "firstFactors": list(factors),
        }


@dataclass(slots=True)
class APIOptions:
    """What the API function may need besides its own arguments."""

    request: Request
    response: Response | None
    recipe_id: str
    config: InputOverrideConfig
    recipe_implementation: RecipeInterface
    app_info: AppInfo


class RecipeInterface(ABC):
    """The functions over tenants; each can be overridden (docs/protocol.md, section 25)."""

    @abstractmethod
    async def get_tenant_id(self, tenant_id_from_frontend: str, user_context: UserContext) -> str:
        """Return the tenant of a request, given the one its path names (`public` where it names none)."""


class APIInterface(ABC):
    """The HTTP API over tenants; it can be overridden, or disabled."""

    disable_login_methods_get = False

    @abstractmethod
    async def login_methods_get(
        self, tenant_id: str, client_type: str | None, api_options: APIOptions, user_context: UserContext
    ) -> LoginMethodsGetOkResult | GeneralErrorResponse:
        """Answer GET <base>/loginmethods."""


class FunctionsLayer(Layer[RecipeInterface], RecipeInterface):
    """A layer over the functions, written as a class: override what is to change, reach the rest by `super()`."""


class APIsLayer(Layer[APIInterface], APIInterface):
    """A layer over the APIs, written as a class."""


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
