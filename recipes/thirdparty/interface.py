"""What the third-party recipe does: its functions, its HTTP APIs, and their results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from starlette.responses import Response

from ...claims.payload import JSONObject, UserContext
from ...claims.recipe_user_id import RecipeUserId
from ..chain.view import Layer
from ..kit import recipe as kit
from ..kit.recipe import GeneralErrorResponse, LinkingToSessionUserFailedError, Refusal, Result
from ..session.container import SessionContainer
from ..users.user import User
from .config import ProviderInput
from .oauth import RedirectUriInfo
from .provider import Provider
from .user_info import RawUserInfoFromProvider

# Results of functions


@dataclass(frozen=True, slots=True)
class SignInUpOkResult(Result):
    """Somebody has signed in or up with a provider."""

    user: User
    recipe_user_id: RecipeUserId
    created_new_recipe_user: bool
    oauth_tokens: JSONObject = field(repr=False)
    raw_user_info_from_provider: RawUserInfoFromProvider


@dataclass(frozen=True, slots=True)
class ManuallyCreateOrUpdateUserOkResult(Result):
    """The login method exists, with this address."""

    user: User
    recipe_user_id: RecipeUserId
    created_new_recipe_user: bool


@dataclass(frozen=True, slots=True)
class SignInUpNotAllowed(Refusal):
    """Signing in or up is refused for a reason that is shown to the user."""

    status: str = field(default="SIGN_IN_UP_NOT_ALLOWED", kw_only=True)


@dataclass(frozen=True, slots=True)
class EmailChangeNotAllowedError(Result):
    """The provider reports another address, which the user must not get."""

    status: str = field(default="EMAIL_CHANGE_NOT_ALLOWED_ERROR", kw_only=True)
    reason: str


SignInUpResult: TypeAlias = SignInUpOkResult | SignInUpNotAllowed | LinkingToSessionUserFailedError
ManuallyCreateOrUpdateUserResult: TypeAlias = (
    ManuallyCreateOrUpdateUserOkResult
    | EmailChangeNotAllowedError
    | SignInUpNotAllowed
    | LinkingToSessionUserFailedError
)

# Results of APIs


@dataclass(frozen=True, slots=True)
class AuthorisationUrlGetOkResult(Result):
    """The address for the browser, and the PKCE verifier that has to come back with the code."""

    url_with_query_params: str
    pkce_code_verifier: str | None = field(default=None, repr=False)

    def to_json(self) -> JSONObject:
        """Return the body: `{"status": "OK", "urlWithQueryParams": ..., "pkceCodeVerifier": ...}`."""
        verifier = {} if self.pkce_code_verifier is None else {"pkceCodeVerifier": self.pkce_code_verifier}
        return {"status": self.status, "urlWithQueryParams": self.url_with_query_params, **verifier}


@dataclass(frozen=True, slots=True)
class SignInUpPostOkResult(Result):
    """The user has signed in or up; tokens and raw user info are for overrides and not sent."""

    user: User
    created_new_recipe_user: bool
    session: SessionContainer
    oauth_tokens: JSONObject = field(repr=False)
    raw_user_info_from_provider: RawUserInfoFromProvider


@dataclass(frozen=True, slots=True)
class SignInUpPostNoEmailGivenByProviderResponse(Result):
    """The provider gave no address, and one is required."""

    status: str = field(default="NO_EMAIL_GIVEN_BY_PROVIDER", kw_only=True)


SignInUpPostResult: TypeAlias = (
    SignInUpPostOkResult | SignInUpPostNoEmailGivenByProviderResponse | SignInUpNotAllowed | GeneralErrorResponse
)


@dataclass(slots=True)
class APIOptions(kit.APIOptions):
    """What an API function of this recipe may need besides its own arguments."""

    providers: tuple[ProviderInput, ...]


class RecipeInterface(ABC):
    """The functions of the third-party recipe; each can be overridden (docs/protocol.md, section 27)."""

    @abstractmethod
    async def sign_in_up(
        self,
        third_party_id: str,
        third_party_user_id: str,
        email: str,
        is_verified: bool,
        oauth_tokens: JSONObject,
        raw_user_info_from_provider: RawUserInfoFromProvider,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        tenant_id: str,
        user_context: UserContext,
    ) -> SignInUpResult:
        """Find or create the login method of a user that a provider has confirmed."""

    @abstractmethod
    async def manually_create_or_update_user(
        self,
        third_party_id: str,
        third_party_user_id: str,
        email: str,
        is_verified: bool,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        tenant_id: str,
        user_context: UserContext,
    ) -> ManuallyCreateOrUpdateUserResult:
        """Create a login method, or give the one that exists the address; no provider is asked."""

    @abstractmethod
    async def get_provider(
        self, third_party_id: str, client_type: str | None, tenant_id: str, user_context: UserContext
    ) -> Provider | None:
        """Return a provider with a client of the type chosen; None if the tenant does not offer it."""


class APIInterface(ABC):
    """The HTTP APIs of the third-party recipe; each can be overridden, or disabled."""

    disable_authorisation_url_get = False
    disable_sign_in_up_post = False
    disable_apple_redirect_handler_post = False

    @abstractmethod
    async def authorisation_url_get(
        self,
        provider: Provider,
        redirect_uri_on_provider_dashboard: str,
        api_options: APIOptions,
        user_context: UserContext,
    ) -> AuthorisationUrlGetOkResult | GeneralErrorResponse:
        """Answer GET <base>/authorisationurl."""

    @abstractmethod
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
        """Answer POST <base>/signinup; of `redirect_uri_info` and `oauth_tokens` one is given."""

    @abstractmethod
    async def apple_redirect_handler_post(
        self, form_post_info: dict[str, Any], api_options: APIOptions, user_context: UserContext
    ) -> Response | None:
        """Answer POST <base>/callback/apple, by returning a response or setting `api_options.response`."""


class FunctionsLayer(Layer[RecipeInterface], RecipeInterface):
    """A layer over the functions, written as a class: override what is to change, reach the rest by `super()`."""


class APIsLayer(Layer[APIInterface], APIInterface):
    """A layer over the APIs, written as a class."""


FUNCTION_ORDERS = {
    "sign_in_up": (
        (
            "third_party_id",
            "third_party_user_id",
            "email",
            "oauth_tokens",
            "raw_user_info_from_provider",
            "tenant_id",
            "user_context",
        ),
    ),
    "manually_create_or_update_user": (
        ("third_party_id", "third_party_user_id", "email", "tenant_id", "user_context"),
    ),
}
"""The orders in which older versions of the reference passed arguments (docs/protocol.md, rule 15.5)."""

API_ORDERS = {
    "sign_in_up_post": (("provider", "redirect_uri_info", "oauth_tokens", "tenant_id", "api_options", "user_context"),),
}
