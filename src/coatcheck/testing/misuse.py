"""What the kit says where it is given something else than it needs."""

from __future__ import annotations

from ..recipes.exceptions import ConfigurationError


def must_be(kind: type, given: object, call: str) -> None:
    """Raise ConfigurationError, with the call as it is meant, where something is not of its kind."""
    if not isinstance(given, kind):
        article = "an" if kind.__name__.startswith("A") else "a"
        raise ConfigurationError(f"{call} takes {article} {kind.__name__}, not {given!r}")
