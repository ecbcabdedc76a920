"""The notes of `coatcheck doctor`: a finding, or something that it could not check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["error", "warning", "advice"]

LEVELS: tuple[Level, ...] = ("error", "warning", "advice")
"""The most serious first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, why that matters, and how to put it right.

    An error does not work or is not safe. A warning fails for some users, or works in a way that is hardly intended. An
    advice is optional.
    """

    level: Level
    title: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Unchecked:
    """What could not be checked; the report puts "not checked:" before it."""

    what: str


Note: TypeAlias = Finding | Unchecked
