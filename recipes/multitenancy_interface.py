"""What the tenants recipe does: its function, its HTTP API, and the result of that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from ..claims.payload import JSONObject, UserContext
from .chain.layer import Layer
from .chain.override_config import InputOverrideConfig
from .kit.recipe import ThirdPartyProvider
from .kit.results import GeneralErrorResponse

if TYPE_CHECKING:
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
