"""The contracts that import-linter checks are kept, and a planted import breaks them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ..kit import LIMIT_S, ROOT

pytestmark = pytest.mark.slow


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run `lint-imports` on the package of a checkout."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout / "src"), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the product and its configuration."""
    for folder in ("claims", "sessions", "recipes", "server", "src"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_are_kept() -> None:
    """Imports go to a lower room, and nothing is imported in a circle."""
    ran = lint(ROOT)
    assert ran.returncode == 0, ran.stdout
    assert "0 broken" in ran.stdout


@pytest.mark.parametrize("folder", ["recipes", "server"])
def test_every_room_stands_in_a_layer(folder: str) -> None:
    """A file or package that no line of the layers names would not be checked at all."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layered = {
        room.strip() for contract in contracts for line in contract.get("layers", ()) for room in line.split("|")
    }
    names = {path.stem for path in (ROOT / folder).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert {f"coatcheck.{folder}.{name}" for name in names - {"__init__"}} <= layered


@pytest.mark.parametrize(
    ("file", "planted", "found"),
    [
        ("claims/clock.py", "..sessions.database import Database", "claims.clock -> coatcheck.sessions.database"),
        ("recipes/users/user.py", "..chain.view import View", "users.user -> coatcheck.recipes.chain.view"),
        ("sessions/encoding.py", ".engine import SessionEngine", "No cycles are allowed in coatcheck.sessions."),
        ("server/guard.py", ".. import App", "coatcheck.server.guard -> coatcheck"),
    ],
    ids=["upward", "sideways", "in a circle", "the front door"],
)
def test_a_planted_import_is_found(checkout: Path, file: str, planted: str, found: str) -> None:
    """An import that only type checkers see is found like any other."""
    path = checkout / file
    path.write_text(f"{path.read_text()}\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from {planted}\n")
    ran = lint(checkout)
    assert ran.returncode == 1, ran.stdout
    assert found in ran.stdout
