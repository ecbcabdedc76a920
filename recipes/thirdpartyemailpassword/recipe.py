"""The combined recipe at work in one App: two recipes whose overridden operations are one.

An operation of a half goes to the top of the combined chain, whose innermost layer goes back to the half's own
implementation. So an override of the combined recipe is seen by everything that the halves do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from starlette.responses import Response

from ...claims.payload import JSONObject, UserContext
from ...claims.recipe_user_id import RecipeUserId
from ..accountlinking import AccountLinkingRecipe
from ..chain.chain import Chain, InputOverrideConfig
from ..chain.view import Layer
from ..emailpassword.form import PASSWORD, FormField, field_value
from ..emailpassword.interface import (
    ConsumePasswordResetTokenOkResult,
    CreateResetPasswordOkResult,
    EmailExistsGetOkResult,
    GenerateTokenPostResult,
    PasswordPolicyViolationError,
    PasswordResetPostOkResult,
    PasswordResetPostResult,
    PasswordResetTokenInvalidError,
    SignInPostResult,
    SignInResult,
    SignUpPostResult,
    SignUpResult,
    UnknownUserIdError,
    UpdateEmailOrPasswordOkResult,
    UpdateResult,
)
from ..emailpassword.recipe import EmailPasswordRecipe
from ..kit.recipe import GeneralErrorResponse, Recipe, RecipeSpecification
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
from ..users.user import AccountInfo, ThirdPartyInfo, User

if TYPE_CHECKING:
    from ..app import App


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


I = TypeVar("I")  # noqa: E741 - an interface
Call = Callable[..., Awaitable[Any]]

FUNCTIONS = {
    "thirdparty": {
        "sign_in_up": "thirdparty_sign_in_up",
        "manually_create_or_update_user": "thirdparty_manually_create_or_update_user",
        "get_provider": "thirdparty_get_provider",
    },
    "emailpassword": {
        "sign_up": "emailpassword_sign_up",
        "sign_in": "emailpassword_sign_in",
        "create_reset_password_token": "create_reset_password_token",
        "update_email_or_password": "update_email_or_password",
    },
}
"""The names that functions of the halves have in the combined recipe; their parameters are the same."""

APIS = {
    "thirdparty": {
        "authorisation_url_get": "authorisation_url_get",
        "sign_in_up_post": "thirdparty_sign_in_up_post",
        "apple_redirect_handler_post": "apple_redirect_handler_post",
    },
    "emailpassword": {
        "sign_up_post": "emailpassword_sign_up_post",
        "sign_in_post": "emailpassword_sign_in_post",
        "email_exists_get": "emailpassword_email_exists_get",
        "generate_password_reset_token_post": "generate_password_reset_token_post",
        "password_reset_post": "password_reset_post",
    },
}


@dataclass(frozen=True)
class CombinedConfig:
    """What `thirdpartyemailpassword.init` accepts, as the specifications of the halves and one override."""

    halves: tuple[RecipeSpecification, ...]
    override: InputOverrideConfig


class ThirdPartyEmailPasswordRecipe(Recipe[RecipeInterface]):
    """The combined recipe of one App; routes and first factors are those of its parts."""

    recipe_id = "thirdpartyemailpassword"

    def __init__(self, app: App, config: CombinedConfig) -> None:
        super().__init__(app, config)
        self.parts = tuple(half.build(app, half.config) for half in config.halves)
        functions, apis = _Functions(self), _Apis(self)
        for part in self.parts:
            self._join(part.chains["functions"], FUNCTIONS[part.recipe_id], functions, lambda: self.functions)
            self._join(part.chains["apis"], APIS[part.recipe_id], apis, lambda: self.apis)
        self.functions = self._chain(RecipeInterface, functions, config.override.functions)
        self.apis = self._chain(APIInterface, apis, config.override.apis)
        for part in self.parts:
            self._disable(part)

    @property
    def emailpassword(self) -> EmailPasswordRecipe:
        """The half that knows passwords."""
        return EmailPasswordRecipe.of(self.app)

    @staticmethod
    def _join(chain: Chain[Any], names: Mapping[str, str], implementation: Any, top: Callable[[], Any]) -> None:
        def join(original_implementation: Any) -> Any:
            for name, combined in names.items():
                if not hasattr(implementation, combined):
                    setattr(implementation, combined, _to_half(getattr(original_implementation, name)))
                setattr(original_implementation, name, _to_combined(top, combined))
            return original_implementation

        chain.apply(join)

    def _chain(self, interface: type[I], implementation: object, override: Callable[..., Any] | None) -> I:
        is_functions = interface is RecipeInterface
        chain = Chain(
            interface,
            cast("I", implementation),
            recipe_id=self.recipe_id,
            kind="functions" if is_functions else "apis",
            positional_orders=FUNCTION_ORDERS if is_functions else API_ORDERS,
        )
        self.add_chain(chain, override)
        return chain.top

    def _disable(self, part: Recipe[Any]) -> None:
        off = [name for name, combined in APIS[part.recipe_id].items() if self.chains["apis"].is_disabled(combined)]

        def disable(original_implementation: Any) -> Any:
            for name in off:
                setattr(original_implementation, name, None)
            return original_implementation

        part.chains["apis"].apply(disable)


def _to_combined(top: Callable[[], Any], name: str) -> Call:
    async def to_combined(*args: Any) -> Any:
        return await getattr(top(), name)(*args)

    return to_combined


def _to_half(original: Call) -> Call:
    async def to_half(*args: Any) -> Any:
        return await original(*args)

    return to_half


class _Functions:
    """What the combined recipe does itself; the rest is joined to the halves."""

    def __init__(self, recipe: ThirdPartyEmailPasswordRecipe) -> None:
        self._recipe = recipe

    async def reset_password_using_token(
        self, token: str, new_password: str, tenant_id: str, user_context: UserContext
    ) -> ResetPasswordUsingTokenOkResult | PasswordResetTokenInvalidError | PasswordPolicyViolationError:
        half = self._recipe.emailpassword
        broken = await half.password_error(new_password, tenant_id)
        if broken is not None:
            return PasswordPolicyViolationError(broken)
        consumed = await half.functions.consume_password_reset_token(token, tenant_id, user_context)
        if not isinstance(consumed, ConsumePasswordResetTokenOkResult):
            return consumed
        updated = await self._recipe.functions.update_email_or_password(
            RecipeUserId(consumed.user_id), None, new_password, None, tenant_id, user_context
        )
        if isinstance(updated, PasswordPolicyViolationError):
            return updated
        if not isinstance(updated, UpdateEmailOrPasswordOkResult):
            return PasswordResetTokenInvalidError()
        return ResetPasswordUsingTokenOkResult(consumed.user_id, consumed.email)

    async def get_user_by_id(self, user_id: str, user_context: UserContext) -> User | None:
        return await AccountLinkingRecipe.of(self._recipe.app).functions.get_user(user_id, user_context)

    async def get_users_by_email(self, email: str, tenant_id: str, user_context: UserContext) -> list[User]:
        return await self._listed(tenant_id, AccountInfo(email=email), user_context)

    async def get_user_by_thirdparty_info(
        self, third_party_id: str, third_party_user_id: str, tenant_id: str, user_context: UserContext
    ) -> User | None:
        account = AccountInfo(third_party=ThirdPartyInfo(third_party_id, third_party_user_id))
        return next(iter(await self._listed(tenant_id, account, user_context)), None)

    async def _listed(self, tenant_id: str, account: AccountInfo, user_context: UserContext) -> list[User]:
        functions = AccountLinkingRecipe.of(self._recipe.app).functions
        return await functions.list_users_by_account_info(tenant_id, account, False, user_context)


class _Apis:
    """The one API that does not simply go to a half: resetting is a function of the combined recipe."""

    def __init__(self, recipe: ThirdPartyEmailPasswordRecipe) -> None:
        self._recipe = recipe

    async def password_reset_post(
        self, form_fields: list[FormField], token: str, tenant_id: str, api_options: Any, user_context: UserContext
    ) -> PasswordResetPostResult:
        password = field_value(form_fields, PASSWORD)
        functions = self._recipe.functions
        result = await functions.reset_password_using_token(token, password, tenant_id, user_context)
        if not isinstance(result, ResetPasswordUsingTokenOkResult):
            return result
        user = await functions.get_user_by_id(result.user_id, user_context)
        return PasswordResetTokenInvalidError() if user is None else PasswordResetPostOkResult(result.email, user)
