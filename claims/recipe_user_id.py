"""The id of one login method, as a type of its own, so that it is not confused with the id of a user."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecipeUserId:
    """The id of a login method: hashable, compared by its text; `str()` returns the id."""

    recipe_user_id: str

    def __post_init__(self) -> None:
        if not isinstance(self.recipe_user_id, str):
            raise TypeError(f"RecipeUserId takes a str, not {type(self.recipe_user_id).__name__}")

    def get_as_string(self) -> str:
        """Return the id as text."""
        return self.recipe_user_id

    def __str__(self) -> str:
        return self.recipe_user_id
