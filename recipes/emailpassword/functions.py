"""The e-mail/password recipe's own functions: the innermost layer of the chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...claims.payload import UserContext
from ...claims.recipe_user_id import RecipeUserId
from ...sessions.blocking import hashing, patient_hashing
from ...sessions.exceptions import HashingBusyError
from ..chain.view import OpenRecursion
from ..exceptions import BadInputError
from ..session.container import SessionContainer
from ..session.sign_in import refuse_linking
from ..users.login_methods import EmailChange, storable_text
from . import interface as results, rows
from .interface import RecipeInterface, SignInResult, SignUpResult, UpdateResult
from .recipe import EmailPasswordRecipe

T = TypeVar("T")


class EmailPasswordFunctions(OpenRecursion[RecipeInterface], RecipeInterface):
    """The functions without any override; they call each other through the top of the chain."""

    def __init__(self, recipe: EmailPasswordRecipe) -> None:
        self._recipe = recipe
        self._app = recipe.app
        self._hasher = recipe.hasher

    async def sign_up(
        self,
        email: str,
        password: str,
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        user_context: UserContext,
    ) -> SignUpResult:
        """Create a login method; a request to link accounts is refused before anything is written (rule 20.8)."""
        refuse_linking(session, should_try_linking_with_session_user)
        return await self.calls.create_new_recipe_user(email, password, tenant_id, user_context)

    async def create_new_recipe_user(
        self, email: str, password: str, tenant_id: str, user_context: UserContext
    ) -> results.SignUpOkResult | results.EmailAlreadyExistsError:
        """Create a login method; of two simultaneous sign-ups with one address, one gets EmailAlreadyExistsError."""
        _refuse_empty(email, password)
        password_hash = await self._hashing(self._hasher.hash, password)
        now_ms = self._app.clock.now_ms()
        user = await self._app.write(
            lambda connection: rows.create_user(
                connection, tenant_id, email, password_hash=password_hash, now_ms=now_ms
            )
        )
        if user is None:
            return results.EmailAlreadyExistsError()
        return results.SignUpOkResult(user, user.login_methods[0].recipe_user_id)

    async def sign_in(
        self,
        email: str,
        password: str,
        tenant_id: str,
        session: SessionContainer | None,
        should_try_linking_with_session_user: bool | None,
        user_context: UserContext,
    ) -> SignInResult:
        """Verify the password; a request to link accounts is refused before that (rule 20.8)."""
        refuse_linking(session, should_try_linking_with_session_user)
        return await self.calls.verify_credentials(email, password, tenant_id, user_context)

    async def verify_credentials(
        self, email: str, password: str, tenant_id: str, user_context: UserContext
    ) -> results.SignInOkResult | results.WrongCredentialsError:
        """Verify a password; one hash is computed whether or not the address is known (docs/protocol.md, rule 22.4)."""
        found = await self._app.read(lambda connection: rows.password_of(connection, tenant_id, email))
        if found is None:
            await self._hashing(self._hasher.verify_dummy, password)
            return results.WrongCredentialsError()
        recipe_user_id, stored = found
        while await self._hashing(self._hasher.verify, password, stored):
            if self._hasher.needs_rehash(stored):
                stored = await self._rehash(recipe_user_id, password, stored)
            now, user = await self._app.read(lambda connection: rows.current(connection, recipe_user_id))
            if now is None or user is None:
                break
            if now == stored:
                return results.SignInOkResult(user, RecipeUserId(recipe_user_id))
            # Verifying may wait for seconds. Meanwhile another sign-in has replaced the hash, or the user has set a new
            # password because a thief knew the old one.
            stored = now
        return results.WrongCredentialsError()

    async def _hashing(
        self, work: Callable[..., T], password: str, stored: str | None = None, *, patient: bool = False
    ) -> T:
        arguments = (password,) if stored is None else (password, stored)
        # Cheap work takes less time than handing it to a thread.
        if self._hasher.is_cheap(stored):
            return work(*arguments)
        return await (patient_hashing if patient else hashing)(work, *arguments)

    async def _rehash(self, recipe_user_id: str, password: str, stored: str) -> str:
        """Replace the hash of a right password; return the hash that is stored now, as far as this call knows."""
        try:
            new = await self._hashing(self._hasher.hash, password)
        except HashingBusyError:
            return stored  # the password is right anyway; the next sign-in tries again
        replaced = await self._app.write(
            lambda connection: rows.rehash(connection, recipe_user_id, old=stored, new=new)
        )
        return new if replaced else stored

    async def create_reset_password_token(
        self, user_id: str, email: str, tenant_id: str, user_context: UserContext
    ) -> results.CreateResetPasswordOkResult | results.UnknownUserIdError:
        """Create a token bound to the user and the address."""
        if not storable_text(email):
            raise BadInputError("the e-mail address is too long or not valid text")
        now_ms = self._app.clock.now_ms()

        def create_and_clean_up() -> str | None:
            token = self._app.database.write(
                lambda connection: rows.create_reset_token_of_user(connection, user_id, email, now_ms=now_ms)
            )
            self._recipe.tokens_clean_up.after_write()
            return token

        token = await self._app.on_database_thread(create_and_clean_up)
        return results.UnknownUserIdError() if token is None else results.CreateResetPasswordOkResult(token)

    async def consume_password_reset_token(
        self, token: str, tenant_id: str, user_context: UserContext
    ) -> results.ConsumePasswordResetTokenOkResult | results.PasswordResetTokenInvalidError:
        """Use up a token; of two simultaneous attempts one succeeds."""
        now_ms = self._app.clock.now_ms()
        consumed = await self._app.write(lambda connection: rows.consume_reset_token(connection, token, now_ms=now_ms))
        if consumed is None:
            return results.PasswordResetTokenInvalidError()
        return results.ConsumePasswordResetTokenOkResult(consumed.email, consumed.user_id)

    async def update_email_or_password(
        self,
        recipe_user_id: RecipeUserId,
        email: str | None,
        password: str | None,
        apply_password_policy: bool | None,
        tenant_id_for_password_policy: str,
        user_context: UserContext,
    ) -> UpdateResult:
        """Change address and password in one transaction, so that either both change or neither."""
        if password is not None and apply_password_policy is not False:
            reason = await self._recipe.password_error(password, tenant_id_for_password_policy)
            if reason is not None:
                return results.PasswordPolicyViolationError(reason)
        _refuse_empty(email, password)
        # A patient hash is never refused: a password reset has already used up its token.
        new_hash = None if password is None else await self._hashing(self._hasher.hash, password, patient=True)
        changed = await self._app.write(
            lambda connection: rows.change(connection, str(recipe_user_id), email, new_hash)
        )
        if changed is EmailChange.UNKNOWN_USER:
            return results.UnknownUserIdError()
        return (
            results.EmailAlreadyExistsError()
            if changed is EmailChange.TAKEN
            else results.UpdateEmailOrPasswordOkResult()
        )

    async def import_user(
        self,
        email: str,
        password_hash: str,
        tenant_id: str,
        user_context: UserContext,
    ) -> results.ImportUserOkResult:
        """Create a user with a hash of another system, or overwrite the hash of an existing one."""
        _refuse_empty(email, None)
        self._hasher.check_import(password_hash)
        now_ms = self._app.clock.now_ms()

        user, recipe_user_id, existed = await self._app.write(
            lambda connection: rows.import_user(
                connection, tenant_id, email, password_hash=password_hash, now_ms=now_ms
            )
        )
        return results.ImportUserOkResult(user, RecipeUserId(recipe_user_id), existed)


def _refuse_empty(email: str | None, password: str | None) -> None:
    if email is not None and not email.strip():
        raise BadInputError("the e-mail address must not be empty")
    if password == "":
        raise BadInputError("the password must not be empty")
