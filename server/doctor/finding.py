"""What `coatcheck doctor` says about one thing: that it is wrong, or that it could not be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["error", "warning", "advice"]

LEVELS: tuple[Level, ...] = ("error", "warning", "advice")
"""The gravest first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, why that matters, and how to put it right.

    An error does not work or is not safe; a warning fails for some, or works in a way that is hardly meant; an advice
    may be left.
    """

    level: Level
    title: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Unchecked:
    """What could not be looked at, said so that "not checked:" goes before it."""

    what: str


Note: TypeAlias = Finding | Unchecked
