"""The table that a run prints: what was measured, compared with what, and whether the target is met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HEADINGS = ("group", "what", "time", "ratio", "compared with", "target", "met")


@dataclass(frozen=True)
class Row:
    """One measurement: a ratio to a yardstick, or (without one) a time in seconds judged by itself.

    `most` and `least` are the target, in the unit of the ratio or else in seconds; without either nothing is promised.
    """

    group: str
    what: str
    seconds: float | None
    ratio: float | None = None
    yardstick: str = ""
    most: float | None = None
    least: float | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the row as texts."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        time = "" if self.seconds is None else shown(self.seconds)
        return (self.group, self.what, time, ratio, self.yardstick, self._target(), self._met())

    def _target(self) -> str:
        limit = self.most if self.most is not None else self.least
        if limit is None:
            return ""
        sign = "<=" if self.most is not None else ">="
        return f"{sign} {shown(limit) if self.ratio is None else format(limit, '.2f')}"

    def _met(self) -> str:
        value = self.ratio if self.ratio is not None else self.seconds
        if value is None or (self.most is None and self.least is None):
            return ""
        met = (self.most is None or value <= self.most) and (self.least is None or value >= self.least)
        return "yes" if met else "NO"


def shown(seconds: float) -> str:
    """Return a time in the unit that reads best."""
    for unit, length in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def written(rows: Iterable[Row]) -> str:
    """Return the table as text, its columns in line."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
