"""The third-party recipe's own functions: the innermost layer of the chain."""

from __future__ import annotations

from ...claims.payload import JSONObject, UserContext
from ...claims.recipe_user_id import RecipeUserId
from ..exceptions import BadInputError
from ..session.container import SessionContainer
from ..users.user import AccountInfo, ThirdPartyInfo
from . import interface as results, rows
from .interface import ManuallyCreateOrUpdateUserResult, RecipeInterface, SignInUpResult
from .provider import Provider
from .recipe import ThirdPartyRecipe
from .user_info import RawUserInfoFromProvider

_ATTEMPTS = 5
"""How often to try again if another sign-up of the same user comes in between."""


class ThirdPartyFunctions(RecipeInterface):
    """The functions without any override; they call each other through the top of the chain."""

    def __init__(self, recipe: ThirdPartyRecipe) -> None:
        self._recipe = recipe
        self._app = recipe.app

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
        """Create or update the login method; the result has the provider's data for overrides."""
        result = await self._recipe.functions.manually_create_or_update_user(
            third_party_id,
            third_party_user_id,
            email,
            is_verified,
            session,
            should_try_linking_with_session_user,
            tenant_id,
            user_context,
        )
        if isinstance(result, results.EmailChangeNotAllowedError):
            return results.SignInUpNotAllowed(result.reason)
        if not isinstance(result, results.ManuallyCreateOrUpdateUserOkResult):
            return result
        return results.SignInUpOkResult(
            result.user,
            result.recipe_user_id,
            result.created_new_recipe_user,
            oauth_tokens,
            raw_user_info_from_provider,
        )

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
        """Create or update in one transaction; accounts are not linked yet."""
        if not third_party_id or not third_party_user_id:
            raise BadInputError("a login method of the recipe thirdparty needs a provider and a user id")
        account = AccountInfo(email=email, third_party=ThirdPartyInfo(third_party_id, third_party_user_id))
        now_ms = self._app.clock.now_ms()
        for _ in range(_ATTEMPTS):
            stored = await self._app.write(
                lambda connection: rows.create_or_update_user(
                    connection, tenant_id, account, verified=is_verified, now_ms=now_ms
                )
            )
            if stored is not None:
                return results.ManuallyCreateOrUpdateUserOkResult(
                    stored.user, RecipeUserId(stored.recipe_user_id), stored.created
                )
        raise BadInputError("others create and delete the user at the same moment: try again")

    async def get_provider(
        self, third_party_id: str, client_type: str | None, tenant_id: str, user_context: UserContext
    ) -> Provider | None:
        """Return a provider of the tenant, the application's override applied to it; no request is sent."""
        return await self._recipe.provider(third_party_id, client_type, tenant_id, user_context)
