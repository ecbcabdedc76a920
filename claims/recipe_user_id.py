"""The id of one login method, told apart from the id of the user who owns it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecipeUserId:
    """The id of a login method; hashable, equal by its text, and `str()` gives the id."""

    recipe_user_id: str

    def __post_init__(self) -> None:
        if not isinstance(self.recipe_user_id, str):
            raise TypeError(f"RecipeUserId takes a str, not {type(self.recipe_user_id).__name__}")

    def get_as_string(self) -> str:
        """Return the id as text."""
        return self.recipe_user_id

    def __str__(self) -> str:
        return self.recipe_user_id
