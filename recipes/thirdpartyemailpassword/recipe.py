"""The combined recipe: its functions and APIs, which are those of two recipes, the halves, under other names.

An operation of a half calls the top of the combined chain, whose innermost layer calls the half's own implementation.
So an override of the combined recipe applies to everything that the halves do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from ...claims.payload import UserContext
from ...claims.recipe_user_id import RecipeUserId
from ..accountlinking import AccountLinkingRecipe
from ..chain.chain import Chain
from ..chain.view import Layer
from ..emailpassword import interface as emailpassword
from ..emailpassword.form import PASSWORD, FormField, field_value
from ..emailpassword.interface import (
    ConsumePasswordResetTokenOkResult,
    PasswordPolicyViolationError,
    PasswordResetPostOkResult,
    PasswordResetPostResult,
    PasswordResetTokenInvalidError,
    UpdateEmailOrPasswordOkResult,
)
from ..emailpassword.recipe import EmailPasswordRecipe
from ..kit.recipe import Recipe, Result
from ..thirdparty import interface as thirdparty
from ..users.user import AccountInfo, ThirdPartyInfo, User

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ResetPasswordUsingTokenOkResult(Result):
    """The token is used up and the password has changed."""

    user_id: str
    email: str


def renamed(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Return an operation of a half, which the combined recipe gives a name of its own."""
    return method


class RecipeInterface(ABC):
    """The functions of the combined recipe; each can be overridden (docs/protocol.md, rule 27.17)."""

    thirdparty_sign_in_up = renamed(thirdparty.RecipeInterface.sign_in_up)
    thirdparty_manually_create_or_update_user = renamed(thirdparty.RecipeInterface.manually_create_or_update_user)
    thirdparty_get_provider = renamed(thirdparty.RecipeInterface.get_provider)
    emailpassword_sign_up = renamed(emailpassword.RecipeInterface.sign_up)
    emailpassword_sign_in = renamed(emailpassword.RecipeInterface.sign_in)
    create_reset_password_token = renamed(emailpassword.RecipeInterface.create_reset_password_token)
    update_email_or_password = renamed(emailpassword.RecipeInterface.update_email_or_password)

    @abstractmethod
    async def reset_password_using_token(
        self, token: str, new_password: str, tenant_id: str, user_context: UserContext
    ) -> ResetPasswordUsingTokenOkResult | PasswordResetTokenInvalidError | PasswordPolicyViolationError:
        """Use up a token and set the new password; if the policy refuses the password, the token stays valid."""

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


class APIInterface(ABC):  # noqa: B024 - its methods are abstract where they are defined
    """The HTTP APIs of the combined recipe; each can be overridden, or disabled."""

    disable_authorisation_url_get = False
    disable_thirdparty_sign_in_up_post = False
    disable_apple_redirect_handler_post = False
    disable_emailpassword_sign_up_post = False
    disable_emailpassword_sign_in_post = False
    disable_emailpassword_email_exists_get = False
    disable_generate_password_reset_token_post = False
    disable_password_reset_post = False

    authorisation_url_get = renamed(thirdparty.APIInterface.authorisation_url_get)
    thirdparty_sign_in_up_post = renamed(thirdparty.APIInterface.sign_in_up_post)
    apple_redirect_handler_post = renamed(thirdparty.APIInterface.apple_redirect_handler_post)
    emailpassword_sign_up_post = renamed(emailpassword.APIInterface.sign_up_post)
    emailpassword_sign_in_post = renamed(emailpassword.APIInterface.sign_in_post)
    emailpassword_email_exists_get = renamed(emailpassword.APIInterface.email_exists_get)
    generate_password_reset_token_post = renamed(emailpassword.APIInterface.generate_password_reset_token_post)
    password_reset_post = renamed(emailpassword.APIInterface.password_reset_post)


class FunctionsLayer(Layer[RecipeInterface], RecipeInterface):
    """A layer over the functions, written as a class: override what is to change, reach the rest by `super()`."""


class APIsLayer(Layer[APIInterface], APIInterface):
    """A layer over the APIs, written as a class."""


_SIGN_IN = ("email", "password", "tenant_id", "user_context")
_FORM_POST = ("form_fields", "tenant_id", "api_options", "user_context")

FUNCTION_ORDERS = {
    "thirdparty_sign_in_up": thirdparty.FUNCTION_ORDERS["sign_in_up"],
    "thirdparty_manually_create_or_update_user": thirdparty.FUNCTION_ORDERS["manually_create_or_update_user"],
    "emailpassword_sign_up": (_SIGN_IN,),
    "emailpassword_sign_in": (_SIGN_IN,),
}
"""The orders of arguments from the time when applications were written for this recipe (rule 15.5)."""

API_ORDERS = {
    "thirdparty_sign_in_up_post": thirdparty.API_ORDERS["sign_in_up_post"],
    "emailpassword_sign_up_post": (_FORM_POST,),
    "emailpassword_sign_in_post": (_FORM_POST,),
}


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


class ThirdPartyEmailPasswordRecipe(Recipe[RecipeInterface, APIInterface]):
    """The combined recipe of one App; routes and first factors are those of its parts."""

    recipe_id = "thirdpartyemailpassword"
    interfaces = (RecipeInterface, APIInterface)
    orders = (FUNCTION_ORDERS, API_ORDERS)

    def begin_chains(self, functions: Any, apis: Any) -> None:
        """Join the halves to this recipe's chains, and build these."""
        for part in self.parts:
            self._join(part.chains["functions"], FUNCTIONS[part.recipe_id], functions, lambda: self.functions)
            self._join(part.chains["apis"], APIS[part.recipe_id], apis, lambda: self.apis)
        super().begin_chains(functions, apis)
        for part in self.parts:
            self._disable(part)

    @property
    def emailpassword(self) -> EmailPasswordRecipe:
        """The half for passwords."""
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

    def _disable(self, part: Recipe[Any, Any]) -> None:
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


class CombinedFunctions:
    """The functions of the combined recipe that do not belong to a half."""

    def __init__(self, recipe: ThirdPartyEmailPasswordRecipe) -> None:
        self._recipe = recipe

    async def reset_password_using_token(
        self, token: str, new_password: str, tenant_id: str, user_context: UserContext
    ) -> ResetPasswordUsingTokenOkResult | PasswordResetTokenInvalidError | PasswordPolicyViolationError:
        """Use up a token and set the new password, by functions that an override of either recipe may replace."""
        half = self._recipe.emailpassword
        reason = await half.password_error(new_password, tenant_id)
        if reason is not None:
            return PasswordPolicyViolationError(reason)
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
        """Return the user with this id or login method."""
        return await AccountLinkingRecipe.of(self._recipe.app).functions.get_user(user_id, user_context)

    async def get_users_by_email(self, email: str, tenant_id: str, user_context: UserContext) -> list[User]:
        """Return the users of a tenant with this address, oldest first."""
        return await self._list_users(tenant_id, AccountInfo(email=email), user_context)

    async def get_user_by_thirdparty_info(
        self, third_party_id: str, third_party_user_id: str, tenant_id: str, user_context: UserContext
    ) -> User | None:
        """Return the user of a tenant with this account of a provider."""
        account = AccountInfo(third_party=ThirdPartyInfo(third_party_id, third_party_user_id))
        return next(iter(await self._list_users(tenant_id, account, user_context)), None)

    async def _list_users(self, tenant_id: str, account: AccountInfo, user_context: UserContext) -> list[User]:
        functions = AccountLinkingRecipe.of(self._recipe.app).functions
        return await functions.list_users_by_account_info(tenant_id, account, False, user_context)


class CombinedAPI:
    """The API that does not only call a half: resetting a password is a function of the combined recipe."""

    def __init__(self, recipe: ThirdPartyEmailPasswordRecipe) -> None:
        self._recipe = recipe

    async def password_reset_post(
        self, form_fields: list[FormField], token: str, tenant_id: str, api_options: Any, user_context: UserContext
    ) -> PasswordResetPostResult:
        """Use up the token and set the new password."""
        password = field_value(form_fields, PASSWORD)
        functions = self._recipe.functions
        result = await functions.reset_password_using_token(token, password, tenant_id, user_context)
        if not isinstance(result, ResetPasswordUsingTokenOkResult):
            return result
        user = await functions.get_user_by_id(result.user_id, user_context)
        return PasswordResetTokenInvalidError() if user is None else PasswordResetPostOkResult(result.email, user)
