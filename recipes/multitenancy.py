"""Tenants: the tenant of a request, and the ways to sign in to it. There is one tenant, `public`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from starlette.responses import Response

from ..claims.payload import JSONObject, UserContext
from ..sessions.refresh_token import DEFAULT_TENANT as DEFAULT_TENANT
from .chain.chain import InputOverrideConfig as InputOverrideConfig
from .chain.view import Layer
from .exceptions import UnknownTenantError
from .kit.recipe import (
    APIOptions as APIOptions,
    GeneralErrorResponse as GeneralErrorResponse,
    OverridesOnly,
    Recipe,
    RecipeSpecification,
    Result,
    ThirdPartyProvider,
)
from .kit.routing import ApiCall, Route, answer


@dataclass(frozen=True, slots=True)
class LoginMethodsGetOkResult(Result):
    """The ways to sign in to a tenant."""

    first_factors: list[str]
    providers: list[ThirdPartyProvider] = field(default_factory=list)

    def to_json(self) -> JSONObject:
        """Return the body of the answer; the `enabled` flags follow from the first factors.

        For example: `{"status": "OK", "emailPassword": {"enabled": true}, "thirdParty": {"enabled": false, "providers":
        []}, "passwordless": {...}, "webauthn": {...}, "firstFactors": ["emailpassword"]}`.
        """
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


class RecipeInterface(ABC):
    """The functions over tenants; each can be overridden (docs/protocol.md, section 25)."""

    @abstractmethod
    async def get_tenant_id(self, tenant_id_from_frontend: str, user_context: UserContext) -> str:
        """Return the tenant of a request, given the one that its path names (`public` if it names none)."""


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


def init(override: InputOverrideConfig | None = None) -> RecipeSpecification:
    """Describe the tenants recipe; every App has it, so this is needed only to override it."""
    config = OverridesOnly.checked("multitenancy", override)
    return RecipeSpecification(TenantsRecipe, config, _Functions, _Apis, ROUTES)


class TenantsRecipe(Recipe[RecipeInterface, APIInterface]):
    """The tenants recipe of one App."""

    recipe_id = "multitenancy"
    interfaces = (RecipeInterface, APIInterface)

    async def tenant_of(self, named: str | None, user_context: UserContext) -> str:
        """Return the tenant of a request whose path names `named`; UnknownTenantError (HTTP 404) if there is none."""
        tenant_id = await self.functions.get_tenant_id(named or DEFAULT_TENANT, user_context)
        if tenant_id != DEFAULT_TENANT:
            raise UnknownTenantError(tenant_id)
        return tenant_id


class _Functions(RecipeInterface):
    def __init__(self, recipe: TenantsRecipe) -> None:
        pass

    async def get_tenant_id(self, tenant_id_from_frontend: str, user_context: UserContext) -> str:
        return tenant_id_from_frontend


class _Apis(APIInterface):
    def __init__(self, recipe: TenantsRecipe) -> None:
        self._app = recipe.app

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


async def _login_methods(call: ApiCall) -> Response:
    recipe = TenantsRecipe.of(call.app)
    client_type = call.request.query_params.get("clientType")
    options = recipe.options(call.request)
    return answer(await recipe.apis.login_methods_get(call.tenant_id, client_type, options, call.user_context))


ROUTES = (Route("GET", "/loginmethods", "login_methods_get", _login_methods),)
