"""Which login method a call means: the newest signatures say `recipe_user_id`, those of the seed's time `user_id`."""

from __future__ import annotations

from ..claims.recipe_user_id import RecipeUserId


def login_method(recipe_user_id: RecipeUserId | str | None, user_id: str | None) -> RecipeUserId:
    """Return the login method named by one of the two; TypeError if both or neither are given."""
    given = recipe_user_id if user_id is None else user_id
    if given is None or (recipe_user_id is not None and user_id is not None):
        raise TypeError("pass recipe_user_id, or user_id as older applications do")
    return given if isinstance(given, RecipeUserId) else RecipeUserId(given)
