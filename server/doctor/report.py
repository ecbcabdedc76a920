"""A diagnosis as text, for the command line."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator

from . import Diagnosis
from .finding import LEVELS, Finding

_WIDTH = 100
_INDENT = " " * 4


def report(diagnosis: Diagnosis) -> str:
    """Return every finding with why and fix, a count of them, and what was not checked."""
    parts = ["\n".join(_told(finding)) for finding in diagnosis.findings]
    parts.append(_summary(diagnosis))
    parts += ["\n".join(_wrapped(what, "not checked: ", " " * 2) for what in diagnosis.unchecked)]
    return "\n\n".join(part for part in parts if part)


def _told(finding: Finding) -> Iterator[str]:
    yield _wrapped(finding.title, f"{finding.level}: ", _INDENT)
    yield _wrapped(finding.why, _INDENT, _INDENT)
    yield _wrapped(finding.fix, f"{_INDENT}Fix: ", _INDENT)


def _summary(diagnosis: Diagnosis) -> str:
    counts = Counter(finding.level for finding in diagnosis.findings)
    told = [f"{counts[level]} {level}{_plural(level, counts[level])}" for level in LEVELS if counts[level]]
    return ", ".join(told) or "nothing found"


def _plural(level: str, count: int) -> str:
    return "" if count == 1 or level == "advice" else "s"


def _wrapped(text: str, first: str, rest: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
