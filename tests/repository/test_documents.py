"""What the documents show is true: their Python blocks run."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import signature
from pathlib import Path

import pytest

from coatcheck import App, InputAppInfo, init
from coatcheck.recipes import emailpassword, session

from ..kit import python

ROOT = Path(__file__).parents[2]
DOCUMENTS = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if path.exists()]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


FILE = re.compile(r"# (?:(\w+)/)?(\w+\.py)\n")
"""How a block begins that is a file of its own, of the tests that a page is about; with a folder if it is of others."""


def blocks(document: Path) -> list[str]:
    """Return the Python blocks of a document."""
    return BLOCK.findall(document.read_text())


def run_apart(*arguments: str | Path, cwd: Path) -> None:
    """Run Python in an interpreter of its own, with warnings as errors."""
    ran = python(*arguments, cwd=cwd)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run(document: Path, tmp_path: Path) -> None:
    """The Python blocks of a document, one after the other, run without an error."""
    program = "\n".join(block for block in blocks(document) if not FILE.match(block))
    if "settings.configure(" in program:  # of what a process has only one
        (tmp_path / "page.py").write_text(program)
        run_apart("-W", "error", "page.py", cwd=tmp_path)
    else:
        exec(compile(program, document.name, "exec"), {"__name__": document.stem})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "some", "options"),
    [
        (None, {"shop.py", "conftest.py", "test_shop.py", "test_trouble.py"}, ()),
        ("sdk", {"library.py", "conftest.py", "test_as_written.py", "test_moved.py"}, ("-p", "coatcheck.shim")),
    ],
    ids=["a suite", "a suite written for the SDK"],
)
def test_the_tests_of_the_testing_page_pass(
    tmp_path: Path, folder: str | None, some: set[str], options: tuple[str, ...]
) -> None:
    """Whoever copies the files that docs/testing.md shows has suites that pass."""
    found = [(named, block) for block in blocks(ROOT / "docs" / "testing.md") if (named := FILE.match(block))]
    files = [(named[2], block) for named, block in found if named[1] == folder]
    assert some <= {name for name, _ in files}
    for name, block in files:
        (tmp_path / name).write_text(block)
    run_apart("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *options, cwd=tmp_path)


@pytest.mark.parametrize("taker", [App, init, InputAppInfo, session.init, emailpassword.init])
def test_the_page_lists_every_option(taker: Callable[..., object]) -> None:
    """Whoever looks for an option on docs/configuration.md finds it."""
    rows = [line for line in (ROOT / "docs" / "configuration.md").read_text().splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert set(signature(taker).parameters) <= listed


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
