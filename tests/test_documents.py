"""What the documents show is true: their Python blocks run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if path.exists()]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run(document: Path, tmp_path: Path) -> None:
    """The Python blocks of a document, one after the other, run without an error."""
    program = "\n".join(BLOCK.findall(document.read_text()))
    script = tmp_path / f"{document.stem.lower()}_page.py"
    script.write_text(program)
    # In an interpreter of its own where it configures what a process has only one of.
    if "settings.configure(" in program:
        ran = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
    else:
        exec(compile(program, document.name, "exec"), {"__name__": document.stem})


CITED = re.compile(r"rules? (\d+\.\d+)(?:(?:,| and| to) (\d+\.\d+))*")


def test_every_rule_that_is_cited_exists() -> None:
    """Code and tests cite rules of docs/protocol.md by number, and each number is there, once."""
    known = re.findall(r"^- \*\*(\d+\.\d+)\*\*", (ROOT / "docs" / "protocol.md").read_text(), re.MULTILINE)
    assert len(known) == len(set(known))
    files = [
        path
        for folder in ("claims", "sessions", "recipes", "server", "tests")
        for path in (ROOT / folder).rglob("*.py")
    ]
    cited = {
        (number, str(path.relative_to(ROOT)))
        for path in files
        for passage in CITED.finditer(path.read_text())
        for number in re.findall(r"\d+\.\d+", passage[0])
    }
    assert cited
    assert sorted((number, path) for number, path in cited if number not in known) == []
