"""An application for the SDK, unchanged: its own tests pass on coatcheck."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
APPLICATION = ROOT / "examples" / "sdk_app"


def imported(path: Path) -> set[str]:
    """Return the packages that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


def test_the_application_knows_the_sdk_only() -> None:
    """Not a line of it mentions coatcheck."""
    files = list(APPLICATION.glob("*.py"))
    assert len(files) == 3
    for path in files:
        assert "supertokens_python" in imported(path)
        assert "coatcheck" not in path.read_text()


def test_its_own_tests_pass_under_the_shim() -> None:
    """`python -m coatcheck.shim pytest` runs them all, with warnings as errors."""
    result = subprocess.run(
        [sys.executable, "-m", "coatcheck.shim", "pytest", "examples/sdk_app", "-q", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert "10 passed" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0
