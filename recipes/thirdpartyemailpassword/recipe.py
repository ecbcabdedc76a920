"""The combined recipe at work in one App: two recipes whose overridden operations are one.

An operation of a half goes to the top of the combined chain, whose innermost layer goes back to the half's own
implementation. So an override of the combined recipe is seen by everything that the halves do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ...claims.payload import UserContext
from ...claims.recipe_user_id import RecipeUserId
from ..accountlinking import AccountLinkingRecipe
from ..chain.chain import Chain, InputOverrideConfig
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
from ..kit.recipe import Recipe, RecipeSpecification
from ..users.user import AccountInfo, ThirdPartyInfo, User
from .interface import (
    API_ORDERS,
    FUNCTION_ORDERS,
    APIInterface,
    RecipeInterface,
    ResetPasswordUsingTokenOkResult,
)

if TYPE_CHECKING:
    from ..app import App

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
