"""The house stays as it was designed: folders map to packages, imports point down, nothing leaks to the top level."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("claims", "sessions", "recipes", "server")
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an isolated interpreter, outside the checkout."""
    return subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd="/", check=False)


def test_every_mapped_folder_is_a_package_and_every_package_is_mapped() -> None:
    """The packages named in pyproject.toml are exactly the folders that hold an `__init__.py`."""
    mapped = set(CONFIG["package-dir"].values())
    assert set(CONFIG["package-dir"]) == set(CONFIG["packages"])
    on_disk = {folder for folder in LAYERS if (ROOT / folder / "__init__.py").exists()}
    on_disk |= {"src/coatcheck"} if (ROOT / "src/coatcheck/__init__.py").exists() else set()
    assert mapped == on_disk


@pytest.mark.parametrize("layer", LAYERS)
def test_folders_are_flat(layer: str) -> None:
    """No package lies inside a package."""
    assert [path.name for path in (ROOT / layer).iterdir() if path.is_dir() and path.name != "__pycache__"] == []


@pytest.mark.parametrize("layer", LAYERS)
def test_links_for_type_checkers_are_relative(layer: str) -> None:
    """src/coatcheck holds a relative link to each layer, for type checkers and editors only."""
    link = ROOT / "src" / "coatcheck" / layer
    assert link.is_symlink()
    assert link.readlink() == Path("..") / ".." / layer


def imports_of(path: Path) -> list[tuple[ast.ImportFrom | ast.Import, bool]]:
    """Return the imports of a file, each with whether it stands inside a function."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    return [(node, id(node) in inside) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down_only(layer: str) -> None:
    """A layer imports from itself and from the layers below it, never from one above."""
    above = LAYERS[LAYERS.index(layer) + 1 :]
    for path in (ROOT / layer).glob("*.py"):
        for node, _ in imports_of(path):
            if isinstance(node, ast.ImportFrom) and node.level == 2 and node.module:
                assert node.module.partition(".")[0] not in above, f"{path.name}:{node.lineno} imports upward"


@pytest.mark.parametrize("layer", LAYERS)
def test_nothing_is_imported_inside_a_function(layer: str) -> None:
    """Imports stand at the top of a file; optional dependencies live in modules of their own."""
    for path in (ROOT / layer).glob("*.py"):
        for node, inside in imports_of(path):
            assert not inside, f"{path.name}:{node.lineno} imports inside a function"


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_layers_are_not_importable_from_the_top_level(layer: str) -> None:
    """An installed coatcheck does not occupy names such as `server` or `claims`, which applications use."""
    result = python(f"import {layer}")
    assert result.returncode != 0
    assert "ModuleNotFoundError" in result.stderr


@pytest.mark.slow
def test_the_front_door_names_what_it_lists() -> None:
    """`__all__`, the lazy table and the names for type checkers are the same, and every name can be had."""
    source = ast.parse((ROOT / "src" / "coatcheck" / "__init__.py").read_text())
    block = next(node for node in source.body if isinstance(node, ast.If))
    checked = {alias.asname or alias.name for node in block.body for alias in node.names}  # type: ignore[attr-defined]
    code = (
        "import coatcheck, json; "
        "print(json.dumps([coatcheck.__all__, sorted(coatcheck._HOME), [n for n in coatcheck.__all__ if "
        "getattr(coatcheck, n) is None]]))"
    )
    result = python(code)
    assert result.returncode == 0, result.stderr
    listed, table, missing = json.loads(result.stdout)
    assert listed == table == sorted(checked)
    assert missing == []


@pytest.mark.slow
def test_importing_the_package_loads_only_the_standard_library() -> None:
    """`import coatcheck` loads nothing that has to be installed."""
    code = (
        "import sys; before = set(sys.modules); import coatcheck; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names) - {'coatcheck'}))"
    )
    assert python(code).stdout.strip() == "[]"


@pytest.mark.slow
def test_unknown_names_are_attribute_errors() -> None:
    """A name the front door does not have is an AttributeError that names it."""
    result = python("import coatcheck; coatcheck.nonsense")
    assert "has no attribute 'nonsense'" in result.stderr
