"""What the e-mail/password recipe does: its functions, its HTTP APIs, and their results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TypeAlias

from ...claims.payload import JSONObject, UserContext
from ...claims.recipe_user_id import RecipeUserId
from ..chain.view import Layer
from ..delivery import EmailDeliveryInterface
from ..kit import recipe as kit
from ..kit.recipe import GeneralErrorResponse, LinkingToSessionUserFailedError, Refusal, Result
from ..session.container import SessionContainer
from ..users.user import User
from .form import FormField

# Results of functions


@dataclass(frozen=True, slots=True)
class SignUpOkResult(Result):
    """A new login method exists."""

    user: User
    recipe_user_id: RecipeUserId


@dataclass(frozen=True, slots=True)
class SignInOkResult(Result):
    """The password is right."""

    user: User
    recipe_user_id: RecipeUserId


@dataclass(frozen=True, slots=True)
class EmailAlreadyExistsError(Result):
    """The tenant has an e-mail/password login method with this address."""

    status: str = field(default="EMAIL_ALREADY_EXISTS_ERROR", kw_only=True)


@dataclass(frozen=True, slots=True)
class WrongCredentialsError(Result):
    """The address is unknown or the password wrong; the result does not say which."""

    status: str = field(default="WRONG_CREDENTIALS_ERROR", kw_only=True)


@dataclass(frozen=True, slots=True)
class UnknownUserIdError(Result):
    """There is no such login method."""

    status: str = field(default="UNKNOWN_USER_ID_ERROR", kw_only=True)


@dataclass(frozen=True, slots=True)
class CreateResetPasswordOkResult(Result):
    """A password reset token: a secret for the owner of the address."""

    token: str


@dataclass(frozen=True, slots=True)
class ConsumePasswordResetTokenOkResult(Result):
    """The token was valid, and is used up."""

    email: str
    user_id: str


@dataclass(frozen=True, slots=True)
class PasswordResetTokenInvalidError(Result):
    """The token is unknown, used or expired."""

    status: str = field(default="RESET_PASSWORD_INVALID_TOKEN_ERROR", kw_only=True)


@dataclass(frozen=True, slots=True)
class UpdateEmailOrPasswordOkResult(Result):
    """The login method has changed."""


@dataclass(frozen=True, slots=True)
class UpdateEmailOrPasswordEmailChangeNotAllowedError(Result):
    """The address may not be changed."""

    status: str = field(default="EMAIL_CHANGE_NOT_ALLOWED_ERROR", kw_only=True)
    reason: str


@dataclass(frozen=True, slots=True)
class PasswordPolicyViolationError(Result):
    """The new password breaks the policy."""

    status: str = field(default="PASSWORD_POLICY_VIOLATED_ERROR", kw_only=True)
    failure_reason: str


@dataclass(frozen=True, slots=True)
class ImportUserOkResult(Result):
    """The user exists with the imported hash."""

    user: User
    recipe_user_id: RecipeUserId
    did_user_already_exist: bool


SignUpResult: TypeAlias = SignUpOkResult | EmailAlreadyExistsError | LinkingToSessionUserFailedError
SignInResult: TypeAlias = SignInOkResult | WrongCredentialsError | LinkingToSessionUserFailedError
UpdateResult: TypeAlias = (
    UpdateEmailOrPasswordOkResult
    | EmailAlreadyExistsError
    | UnknownUserIdError
    | UpdateEmailOrPasswordEmailChangeNotAllowedError
    | PasswordPolicyViolationError
)

# Results of APIs


@dataclass(frozen=True, slots=True)
class EmailExistsGetOkResult(Result):
    """Whether the tenant has an e-mail/password login method with the address."""

    exists: bool

    def to_json(self) -> JSONObject:
        """Return the body of the answer: `{"status": "OK", "exists": true}`."""
        return {"status": self.status, "exists": self.exists}


@dataclass(frozen=True, slots=True)
class GeneratePasswordResetTokenPostOkResult(Result):
    """The answer in any case, with or without an account for the address."""


@dataclass(frozen=True, slots=True)
class GeneratePasswordResetTokenPostNotAllowedResponse(Refusal):
    """No link is created, for the reason given."""

    status: str = field(default="PASSWORD_RESET_NOT_ALLOWED", kw_only=True)


@dataclass(frozen=True, slots=True)
class PasswordResetPostOkResult(Result):
    """The password has changed; address and user are for overrides and not sent."""

    email: str
    user: User

    def to_json(self) -> JSONObject:
        """Return `{"status": "OK"}`."""
        return {"status": self.status}


@dataclass(frozen=True, slots=True)
class SignInPostOkResult(Result):
    """Signed in; the session's tokens travel in headers or cookies."""

    user: User
    session: SessionContainer


@dataclass(frozen=True, slots=True)
class SignUpPostOkResult(Result):
    """Signed up; the session's tokens travel in headers or cookies."""

    user: User
    session: SessionContainer


@dataclass(frozen=True, slots=True)
class SignInPostNotAllowedResponse(Refusal):
    """Signing in is refused for a reason that is shown to the user."""

    status: str = field(default="SIGN_IN_NOT_ALLOWED", kw_only=True)


@dataclass(frozen=True, slots=True)
class SignUpPostNotAllowedResponse(Refusal):
    """Signing up is refused for a reason that is shown to the user."""

    status: str = field(default="SIGN_UP_NOT_ALLOWED", kw_only=True)


SignInPostResult: TypeAlias = (
    SignInPostOkResult | WrongCredentialsError | SignInPostNotAllowedResponse | GeneralErrorResponse
)
SignUpPostResult: TypeAlias = (
    SignUpPostOkResult | EmailAlreadyExistsError | SignUpPostNotAllowedResponse | GeneralErrorResponse
)
PasswordResetPostResult: TypeAlias = (
    PasswordResetPostOkResult | PasswordResetTokenInvalidError | PasswordPolicyViolationError | GeneralErrorResponse
)
GenerateTokenPostResult: TypeAlias = (
    GeneratePasswordResetTokenPostOkResult | GeneratePasswordResetTokenPostNotAllowedResponse | GeneralErrorResponse
)


@dataclass(slots=True)
class APIOptions(kit.APIOptions):
    """What an API function of this recipe may need besides its own arguments."""

    email_delivery: EmailDeliveryInterface


class RecipeInterface(ABC):
    """The functions of the e-mail/password recipe; each can be overridden (docs/protocol.md, section 20)."""

    @abstractmethod
    async def sign_up(
        self,
        email: str,
        password: str,
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        user_context: UserContext,
    ) -> SignUpResult:
        """Create a login method, and link it if that is wanted and possible."""

    @abstractmethod
    async def create_new_recipe_user(
        self, email: str, password: str, tenant_id: str, user_context: UserContext
    ) -> SignUpOkResult | EmailAlreadyExistsError:
        """Create a login method without any linking."""

    @abstractmethod
    async def sign_in(
        self,
        email: str,
        password: str,
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        user_context: UserContext,
    ) -> SignInResult:
        """Verify the password, and link accounts if that is wanted and possible."""

    @abstractmethod
    async def verify_credentials(
        self, email: str, password: str, tenant_id: str, user_context: UserContext
    ) -> SignInOkResult | WrongCredentialsError:
        """Verify a password without any linking; an unknown address takes as long as a wrong password."""

    @abstractmethod
    async def create_reset_password_token(
        self, user_id: str, email: str, tenant_id: str, user_context: UserContext
    ) -> CreateResetPasswordOkResult | UnknownUserIdError:
        """Create a token that lets its bearer set a new password, once, within an hour."""

    @abstractmethod
    async def consume_password_reset_token(
        self, token: str, tenant_id: str, user_context: UserContext
    ) -> ConsumePasswordResetTokenOkResult | PasswordResetTokenInvalidError:
        """Use up a token, and with it every other token of the same user."""

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
        """Change the address, the password or both; reset tokens become void."""

    @abstractmethod
    async def import_user(
        self,
        email: str,
        password_hash: str,
        tenant_id: str,
        user_context: UserContext,
    ) -> ImportUserOkResult:
        """Create a user, or overwrite its hash, with a password hash of another system."""


class APIInterface(ABC):
    """The HTTP APIs of the e-mail/password recipe; each can be overridden, or disabled."""

    disable_email_exists_get = False
    disable_generate_password_reset_token_post = False
    disable_password_reset_post = False
    disable_sign_in_post = False
    disable_sign_up_post = False

    @abstractmethod
    async def email_exists_get(
        self, email: str, tenant_id: str, api_options: APIOptions, user_context: UserContext
    ) -> EmailExistsGetOkResult | GeneralErrorResponse:
        """Answer GET <base>/emailpassword/email/exists."""

    @abstractmethod
    async def generate_password_reset_token_post(
        self, form_fields: list[FormField], tenant_id: str, api_options: APIOptions, user_context: UserContext
    ) -> GenerateTokenPostResult:
        """Answer POST <base>/user/password/reset/token."""

    @abstractmethod
    async def password_reset_post(
        self,
        form_fields: list[FormField],
        token: str,
        tenant_id: str,
        api_options: APIOptions,
        user_context: UserContext,
    ) -> PasswordResetPostResult:
        """Answer POST <base>/user/password/reset."""

    @abstractmethod
    async def sign_in_post(
        self,
        form_fields: list[FormField],
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        api_options: APIOptions,
        user_context: UserContext,
    ) -> SignInPostResult:
        """Answer POST <base>/signin."""

    @abstractmethod
    async def sign_up_post(
        self,
        form_fields: list[FormField],
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        api_options: APIOptions,
        user_context: UserContext,
    ) -> SignUpPostResult:
        """Answer POST <base>/signup."""


class FunctionsLayer(Layer[RecipeInterface], RecipeInterface):
    """A layer over the functions, written as a class: override what is to change, reach the rest by `super()`."""


class APIsLayer(Layer[APIInterface], APIInterface):
    """A layer over the APIs, written as a class."""
