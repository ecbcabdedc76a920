"""The e-mail/password functions with the signatures of the SDK: those of the seed's version and the newest ones.

All other functions of the SDK are those of `coatcheck.recipes.emailpassword`.
"""

from __future__ import annotations

from ..claims.payload import UserContext
from ..claims.recipe_user_id import RecipeUserId
from ..recipes import accountlinking, emailpassword
from ..recipes.emailpassword.interface import (
    CreateResetPasswordOkResult,
    SignInResult,
    SignUpResult,
    UnknownUserIdError,
    UpdateResult,
)
from ..recipes.kit.services import synced
from ..recipes.session.container import SessionContainer
from ..recipes.users.user import AccountInfo, LoginMethod, User
from .users import login_method

SessionOrContext = SessionContainer | UserContext | None
"""The argument after the password: a session (newest), or the user context (seed)."""
EmailOrContext = str | UserContext | None
"""The argument after the user id: an address (newest), or the user context (seed)."""


async def sign_up(
    tenant_id: str,
    email: str,
    password: str,
    session: SessionOrContext = None,
    user_context: UserContext | None = None,
) -> SignUpResult:
    """Create a login method; older applications pass the user context in place of the session."""
    return await emailpassword.sign_up(tenant_id, email, password, *_session_and_context(session, user_context))


async def sign_in(
    tenant_id: str,
    email: str,
    password: str,
    session: SessionOrContext = None,
    user_context: UserContext | None = None,
) -> SignInResult:
    """Verify a password; older applications pass the user context in place of the session."""
    return await emailpassword.sign_in(tenant_id, email, password, *_session_and_context(session, user_context))


async def create_reset_password_token(
    tenant_id: str, user_id: str, email: EmailOrContext = None, user_context: UserContext | None = None
) -> CreateResetPasswordOkResult | UnknownUserIdError:
    """Create a token; without an address, as in older applications, it is for the address of the user."""
    address, context = await _address_and_context(user_id, email, user_context)
    return await emailpassword.create_reset_password_token(tenant_id, user_id, address, context)


async def create_reset_password_link(
    tenant_id: str, user_id: str, email: EmailOrContext = None, user_context: UserContext | None = None
) -> str | UnknownUserIdError:
    """Return a link to the page for a new password; without an address, it is for the address of the user."""
    address, context = await _address_and_context(user_id, email, user_context)
    return await emailpassword.create_reset_password_link(tenant_id, user_id, address, context)


async def send_reset_password_email(
    tenant_id: str, user_id: str, email: EmailOrContext = None, user_context: UserContext | None = None
) -> str:
    """Deliver a reset link now; without an address, it goes to the address of the user."""
    address, context = await _address_and_context(user_id, email, user_context)
    return await emailpassword.send_reset_password_email(tenant_id, user_id, address, context)


async def update_email_or_password(
    recipe_user_id: RecipeUserId | str | None = None,
    email: str | None = None,
    password: str | None = None,
    apply_password_policy: bool | None = None,
    tenant_id_for_password_policy: str | None = None,
    user_context: UserContext | None = None,
    *,
    user_id: str | None = None,
) -> UpdateResult:
    """Change the address, the password or both: of a login method (newest) or of a user id (seed)."""
    return await emailpassword.update_email_or_password(
        login_method(recipe_user_id, user_id),
        email,
        password,
        apply_password_policy,
        tenant_id_for_password_policy,
        user_context,
    )


async def get_user_by_email(tenant_id: str, email: str, user_context: UserContext | None = None) -> User | None:
    """Return the user of a tenant who signs in with this address and a password."""
    users = await accountlinking.list_users_by_account_info(tenant_id, AccountInfo(email), False, user_context)
    return next((user for user in users if any(_signs_in_with(method, email) for method in user.login_methods)), None)


def _signs_in_with(method: LoginMethod, email: str) -> bool:
    return method.recipe_id == "emailpassword" and method.has_same_email_as(email)


def _session_and_context(
    session: SessionOrContext, user_context: UserContext | None
) -> tuple[SessionContainer | None, UserContext | None]:
    return (None, session) if isinstance(session, dict) else (session, user_context)


async def _address_and_context(
    user_id: str, email: EmailOrContext, user_context: UserContext | None
) -> tuple[str, UserContext | None]:
    context = email if isinstance(email, dict) else user_context
    if isinstance(email, str):
        return email, context
    user = await accountlinking.get_user(user_id, context)
    return (user.emails[0] if user and user.emails else "", context)


class sync:
    """The same functions as plain calls, for code that cannot await."""

    sign_up = staticmethod(synced(sign_up))
    sign_in = staticmethod(synced(sign_in))
    create_reset_password_token = staticmethod(synced(create_reset_password_token))
    create_reset_password_link = staticmethod(synced(create_reset_password_link))
    send_reset_password_email = staticmethod(synced(send_reset_password_email))
    update_email_or_password = staticmethod(synced(update_email_or_password))
    get_user_by_email = staticmethod(synced(get_user_by_email))
