"""What the kit says where it is given something else than it needs."""

from __future__ import annotations

from .recipes.exceptions import ConfigurationError


def must_be(kind: type, given: object, call: str) -> None:
    """Raise ConfigurationError, with the call as it is meant, where something is not of its kind."""
    if not isinstance(given, kind):
        raise ConfigurationError(f"{call} takes {_ARTICLES.get(kind.__name__, 'a')} {kind.__name__}, not {given!r}")


_ARTICLES = {"App": "an"}
