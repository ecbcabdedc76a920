"""The options of the command line as one value, passed to worker processes through the environment."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, fields
from typing import Any

from ...recipes.app import ENCRYPTION_KEY_VARIABLE
from ..testing.guard import TOKEN_VARIABLE

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 3567
DEFAULT_LOG_LEVEL = "info"


def variable(name: str) -> str:
    """Return the environment variable of an option, e.g. COATCHECK_API_DOMAIN for `api_domain`."""
    return f"COATCHECK_{name.upper()}"


@dataclass(frozen=True, slots=True)
class Settings:
    """The options that the user gave; None stands for an option that was not given and has no fixed default."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    workers: int = 1
    database: str | None = field(default=None, repr=False)
    api_domain: str | None = None
    website_domain: str | None = None
    api_base_path: str | None = None
    recipes: str | None = None
    log_level: str = DEFAULT_LOG_LEVEL
    stub_providers: str | None = None
    allow_unsafe_host: bool = False
    manual_clock: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Return the settings that `to_environment` has written."""
        values: dict[str, Any] = {}
        for option in fields(cls):
            text = environment.get(variable(option.name))
            if text is None or (text == "" and option.default is not None):
                continue
            if isinstance(option.default, bool):
                values[option.name] = text == str(True)
            else:
                values[option.name] = int(text) if isinstance(option.default, int) else text
        return cls(**values)

    def to_environment(self, environment: MutableMapping[str, str]) -> None:
        """Write the settings as the variables of their options; remove the variables of options that were not given."""
        for option in fields(self):
            value = getattr(self, option.name)
            if value is None:
                environment.pop(variable(option.name), None)
            else:
                environment[variable(option.name)] = str(value)


# Misspelt variables

_PREFIX = "COATCHECK_"
_SIMILAR = 0.75
"""From this similarity on a name counts as misspelt: DATABASE_URL does, TEST_POSTGRES does not."""

_KNOWN = frozenset({ENCRYPTION_KEY_VARIABLE, TOKEN_VARIABLE, *(variable(option.name) for option in fields(Settings))})
"""Every variable that a command reads."""


def misspelt(names: Iterable[str]) -> Iterator[str]:
    """Yield a warning for each name that is similar to a known variable, since it is otherwise ignored silently."""
    # Compared without the prefix, because it would make any two names similar.
    options = [name.removeprefix(_PREFIX) for name in sorted(_KNOWN)]
    for name in sorted(names):
        if name in _KNOWN or not name.upper().startswith(_PREFIX):
            continue
        meant = difflib.get_close_matches(name.upper().removeprefix(_PREFIX), options, n=1, cutoff=_SIMILAR)
        if meant:
            yield f"the environment variable {name} is not read: did you mean {_PREFIX}{meant[0]}?"
