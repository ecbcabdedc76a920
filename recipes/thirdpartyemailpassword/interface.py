"""What the combined recipe does: the functions and APIs of both halves, under the names it has for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from ...claims.payload import JSONObject, UserContext
from ...claims.recipe_user_id import RecipeUserId
from ..chain.view import Layer
from ..emailpassword.form import FormField
from ..emailpassword.interface import (
    CreateResetPasswordOkResult,
    EmailExistsGetOkResult,
    GenerateTokenPostResult,
    PasswordPolicyViolationError,
    PasswordResetPostResult,
    PasswordResetTokenInvalidError,
    SignInPostResult,
    SignInResult,
    SignUpPostResult,
    SignUpResult,
    UnknownUserIdError,
    UpdateResult,
)
from ..kit.recipe import GeneralErrorResponse
from ..session.container import SessionContainer
from ..thirdparty.interface import API_ORDERS as THIRDPARTY_APIS
from ..thirdparty.interface import FUNCTION_ORDERS as THIRDPARTY_FUNCTIONS
from ..thirdparty.interface import (
    AuthorisationUrlGetOkResult,
    ManuallyCreateOrUpdateUserResult,
    SignInUpPostResult,
    SignInUpResult,
)
from ..thirdparty.oauth import RedirectUriInfo
from ..thirdparty.provider import Provider
from ..thirdparty.user_info import RawUserInfoFromProvider
from ..users.user import User


@dataclass(frozen=True, slots=True)
class ResetPasswordUsingTokenOkResult:
    """The token is spent and the password has changed."""

    user_id: str
    email: str
    status: str = "OK"


class RecipeInterface(ABC):
    """The functions of the combined recipe; each can be overridden (docs/protocol.md, rule 27.17)."""

    @abstractmethod
    async def thirdparty_sign_in_up(
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
        """Find or create the login method of somebody whom a provider has vouched for."""

    @abstractmethod
    async def thirdparty_manually_create_or_update_user(
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
    async def thirdparty_get_provider(
        self, third_party_id: str, client_type: str | None, tenant_id: str, user_context: UserContext
    ) -> Provider | None:
        """Return a provider with a client of the type chosen; None if the tenant does not offer it."""

    @abstractmethod
    async def emailpassword_sign_up(
        self,
        email: str,
        password: str,
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        user_context: UserContext,
    ) -> SignUpResult:
        """Create a login method, and link it where that is wanted and possible."""

    @abstractmethod
    async def emailpassword_sign_in(
        self,
        email: str,
        password: str,
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        user_context: UserContext,
    ) -> SignInResult:
        """Verify the password, and link where that is wanted and possible."""

    @abstractmethod
    async def create_reset_password_token(
        self, user_id: str, email: str, tenant_id: str, user_context: UserContext
    ) -> CreateResetPasswordOkResult | UnknownUserIdError:
        """Create a token that lets its bearer set a new password, once, within an hour."""

    @abstractmethod
    async def reset_password_using_token(
        self, token: str, new_password: str, tenant_id: str, user_context: UserContext
    ) -> ResetPasswordUsingTokenOkResult | PasswordResetTokenInvalidError | PasswordPolicyViolationError:
        """Spend a token and set the new password; a password the policy refuses leaves the token good."""

    @abstractmethod
    async def update_email_or_password(
        self,
        recipe_user_id: RecipeUserId,
        email: str | None,
        password: str | None,
        apply_password_policy: bool | None,
        tenant_id_for_password_policy: str,
        user_context: UserContext,
    ) -> UpdateResult:
        """Change the address, the password or both; outstanding reset tokens end."""

    @abstractmethod
    async def get_user_by_id(self, user_id: str, user_context: UserContext) -> User | None:
        """Return the user with this id or login method."""

    @abstractmethod
    async def get_users_by_email(self, email: str, tenant_id: str, user_context: UserContext) -> list[User]:
        """Return the users of a tenant with this address, oldest first."""

    @abstractmethod
    async def get_user_by_thirdparty_info(
        self, third_party_id: str, third_party_user_id: str, tenant_id: str, user_context: UserContext
    ) -> User | None:
        """Return the user of a tenant with this account of a provider."""


class APIInterface(ABC):
    """The HTTP APIs of the combined recipe; each can be overridden, or disabled."""

    disable_authorisation_url_get = False
    disable_thirdparty_sign_in_up_post = False
    disable_apple_redirect_handler_post = False
    disable_emailpassword_sign_up_post = False
    disable_emailpassword_sign_in_post = False
    disable_emailpassword_email_exists_get = False
    disable_generate_password_reset_token_post = False
    disable_password_reset_post = False

    @abstractmethod
    async def authorisation_url_get(
        self, provider: Provider, redirect_uri_on_provider_dashboard: str, api_options: Any, user_context: UserContext
    ) -> AuthorisationUrlGetOkResult | GeneralErrorResponse:
        """Answer GET <base>/authorisationurl."""

    @abstractmethod
    async def thirdparty_sign_in_up_post(
        self,
        provider: Provider,
        redirect_uri_info: RedirectUriInfo | None,
        oauth_tokens: JSONObject | None,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        tenant_id: str,
        api_options: Any,
        user_context: UserContext,
    ) -> SignInUpPostResult:
        """Answer POST <base>/signinup."""

    @abstractmethod
    async def apple_redirect_handler_post(
        self, form_post_info: dict[str, Any], api_options: Any, user_context: UserContext
    ) -> Response | None:
        """Answer POST <base>/callback/apple."""

    @abstractmethod
    async def emailpassword_sign_up_post(
        self,
        form_fields: list[FormField],
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        api_options: Any,
        user_context: UserContext,
    ) -> SignUpPostResult:
        """Answer POST <base>/signup."""

    @abstractmethod
    async def emailpassword_sign_in_post(
        self,
        form_fields: list[FormField],
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        api_options: Any,
        user_context: UserContext,
    ) -> SignInPostResult:
        """Answer POST <base>/signin."""

    @abstractmethod
    async def emailpassword_email_exists_get(
        self, email: str, tenant_id: str, api_options: Any, user_context: UserContext
    ) -> EmailExistsGetOkResult | GeneralErrorResponse:
        """Answer GET <base>/emailpassword/email/exists."""

    @abstractmethod
    async def generate_password_reset_token_post(
        self, form_fields: list[FormField], tenant_id: str, api_options: Any, user_context: UserContext
    ) -> GenerateTokenPostResult:
        """Answer POST <base>/user/password/reset/token."""

    @abstractmethod
    async def password_reset_post(
        self, form_fields: list[FormField], token: str, tenant_id: str, api_options: Any, user_context: UserContext
    ) -> PasswordResetPostResult:
        """Answer POST <base>/user/password/reset."""


class FunctionsLayer(Layer[RecipeInterface], RecipeInterface):
    """A layer over the functions, written as a class: override what is to change, reach the rest by `super()`."""


class APIsLayer(Layer[APIInterface], APIInterface):
    """A layer over the APIs, written as a class."""


_SIGN_IN = ("email", "password", "tenant_id", "user_context")
_FORM_POST = ("form_fields", "tenant_id", "api_options", "user_context")

FUNCTION_ORDERS = {
    "thirdparty_sign_in_up": THIRDPARTY_FUNCTIONS["sign_in_up"],
    "thirdparty_manually_create_or_update_user": THIRDPARTY_FUNCTIONS["manually_create_or_update_user"],
    "emailpassword_sign_up": (_SIGN_IN,),
    "emailpassword_sign_in": (_SIGN_IN,),
}
"""The orders of arguments from the time when applications were written for this recipe (rule 15.5)."""

API_ORDERS = {
    "thirdparty_sign_in_up_post": THIRDPARTY_APIS["sign_in_up_post"],
    "emailpassword_sign_up_post": (_FORM_POST,),
    "emailpassword_sign_in_post": (_FORM_POST,),
}
