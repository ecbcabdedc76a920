"""What the documents show is true: their Python blocks run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if path.exists()]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run(document: Path) -> None:
    """The Python blocks of a document, one after the other, run without an error."""
    namespace: dict[str, object] = {"__name__": document.stem}
    for block in BLOCK.findall(document.read_text()):
        exec(compile(block, document.name, "exec"), namespace)
