"""A recipe list with providers, and where they send browsers back to."""

from __future__ import annotations

from typing import Any

from coatcheck.recipes import thirdparty, usermetadata
from coatcheck.recipes.thirdparty import (
    ProviderInput,
    SignInAndUpFeature,
)

from ...kit import WEBSITE

CALLBACK = f"{WEBSITE}/auth/callback/google"


def recipes(*providers: ProviderInput, **options: Any) -> list[Any]:
    """Return a recipe list with these providers."""
    return [thirdparty.init(SignInAndUpFeature(list(providers)), **options), usermetadata.init()]
