"""Environment variables that look like an option but are none: most likely misspelt, and otherwise silently ignored."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import fields

from ...recipes.app import ENCRYPTION_KEY_VARIABLE
from ..testing.guard import TOKEN_VARIABLE
from .settings import Settings, variable

_PREFIX = "COATCHECK_"
_SIMILAR = 0.75
"""The similarity from which on a name is taken as misspelt: DATABASE_URL is, TEST_POSTGRES is not."""

KNOWN = frozenset({ENCRYPTION_KEY_VARIABLE, TOKEN_VARIABLE, *(variable(option.name) for option in fields(Settings))})
"""Every variable that a command reads."""


def misspelt(names: Iterable[str]) -> Iterator[str]:
    """Return one warning for each name that is close to a known variable without being one."""
    # Compared without the prefix they share, which would make any two of them similar.
    options = [name.removeprefix(_PREFIX) for name in sorted(KNOWN)]
    for name in sorted(names):
        if name in KNOWN or not name.upper().startswith(_PREFIX):
            continue
        meant = difflib.get_close_matches(name.upper().removeprefix(_PREFIX), options, n=1, cutoff=_SIMILAR)
        if meant:
            yield f"the environment variable {name} is not read: did you mean {_PREFIX}{meant[0]}?"
