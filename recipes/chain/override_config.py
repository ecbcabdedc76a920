"""How an application hands its overrides to a recipe's `init`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..exceptions import ConfigurationError


@dataclass(frozen=True)
class InputOverrideConfig:
    """The overrides of one recipe: `functions` and `apis` each receive the original implementation and return one."""

    functions: Callable[..., Any] | None = None
    apis: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        for name in ("functions", "apis"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise ConfigurationError(
                    f"override.{name} must be a function that takes the original implementation, not {value!r}"
                )


def checked_override(recipe_id: str, override: InputOverrideConfig | None) -> InputOverrideConfig:
    """Return the overrides given to a recipe's `init`, none for None; a ConfigurationError for anything else."""
    if override is None:
        return InputOverrideConfig()
    if not isinstance(override, InputOverrideConfig):
        raise ConfigurationError(f"{recipe_id}.init: override must be an instance of InputOverrideConfig or None")
    return override
