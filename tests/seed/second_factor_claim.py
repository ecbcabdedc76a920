from coatcheck.recipes import session
from coatcheck.claims import BooleanClaim
from coatcheck.recipes.session import RecipeInterface
from typing import Any, Dict, Optional

# This will be used to modify the session's access token payload
# to add {"2fa-completed": false} into it.
SecondFactorClaim = BooleanClaim(
    key="2fa-completed", fetch_value=lambda _, __, ___: False)

def override_session_functions(original_implementation: RecipeInterface):
    original_create_new_session = original_implementation.create_new_session

    async def create_new_session(
        user_id: str,
        access_token_payload: Optional[Dict[str, Any]],
        session_data_in_database: Optional[Dict[str, Any]],
        disable_anti_csrf: Optional[bool],
        tenant_id: str,
        user_context: Dict[str, Any],
    ):
        # This function is called after signing in or signing up via the first factor
        if access_token_payload is None:
            access_token_payload = {}

        access_token_payload = {**access_token_payload, **(await SecondFactorClaim.build(user_id, tenant_id, user_context))}

        return await original_create_new_session(
            user_id, access_token_payload, session_data_in_database, disable_anti_csrf, tenant_id, user_context
        )

    original_implementation.create_new_session = create_new_session
    return original_implementation

session.init(
    override=session.InputOverrideConfig(functions=override_session_functions)
)
