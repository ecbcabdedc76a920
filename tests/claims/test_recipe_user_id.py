"""The id of a login method."""

from __future__ import annotations

from typing import Any, cast

import pytest

from coatcheck.claims import RecipeUserId


def test_it_is_a_value() -> None:
    """Recipe user ids are equal by their text, hashable, and read as text."""
    one = RecipeUserId("user")
    assert one == RecipeUserId("user") != RecipeUserId("other")
    assert {one: 1}[RecipeUserId("user")] == 1
    assert one.get_as_string() == str(one) == "user"


def test_it_is_not_a_string() -> None:
    """A recipe user id is not equal to a string, so it cannot be taken for a user id."""
    assert RecipeUserId("user") != cast("Any", "user")


@pytest.mark.parametrize("value", [None, 1, b"user"])
def test_it_takes_text_only(value: object) -> None:
    """Anything but text is refused at once."""
    with pytest.raises(TypeError, match="takes a str"):
        RecipeUserId(cast("Any", value))
