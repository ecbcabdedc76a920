"""What `from coatcheck import App` takes, compared with the import of the libraries it stands on."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterable

from measure import Size
from table import Row

GROUP = "imports"
# pydantic loads nothing to speak of before its first name is asked for.
LIBRARIES = (
    "import starlette.requests, starlette.routing, jwt, cryptography, sqlalchemy; from pydantic import BaseModel"
)
OURS = "from coatcheck import App"
THEIRS = "its libraries"


def measured(size: Size) -> Iterable[Row]:
    """Yield the row of this group; each import runs in an interpreter of its own."""
    statements = {OURS: OURS, THEIRS: LIBRARIES}
    times: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(size.rounds):
        for name, statement in statements.items():
            times[name].append(_seconds(statement))
    ratio = statistics.median(a / b for a, b in zip(times[OURS], times[THEIRS], strict=True))
    yield Row(GROUP, OURS, statistics.median(times[OURS]), ratio, THEIRS, most=1.3)


def _seconds(statement: str) -> float:
    # Without garbage collection: in whose import its one long run falls is chance.
    code = (
        f"import gc, time; gc.disable(); begun = time.perf_counter(); {statement}; print(time.perf_counter() - begun)"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
