"""The house stays as it was designed: folders map to packages, files have a size, nothing leaks to the top level.

What imports what is checked by import-linter, configured in pyproject.toml and run by `scripts/check`.
"""

from __future__ import annotations

import ast
import importlib
import json
import statistics
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

import grimp
import pytest

from ..kit import ROOT, python

LAYERS = ("claims", "sessions", "recipes", "server")
PRODUCT = (*LAYERS, "src/coatcheck")
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FRONTS = ("__init__.py", "__main__.py")
SHORT = {"claims/recipe_user_id.py", "server/exceptions.py", "server/doctor/finding.py"}
"""Files of one small thing that everybody needs; all others are long enough to be a chapter."""


def named(path: Path) -> str:
    """Return a path as it stands in the repository."""
    return path.relative_to(ROOT).as_posix()


FILES = {named(path): path.read_text() for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*.py"))}
TREES = {name: ast.parse(text) for name, text in FILES.items()}
LINES = {name: text.count("\n") for name, text in FILES.items()}
TOTAL = sum(LINES.values())


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a file, methods and nested ones included."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield every import below a node."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))


def length(node: ast.stmt) -> int:
    """Return how many lines a statement takes."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_every_mapped_folder_is_a_package_and_every_package_is_mapped() -> None:
    """The packages named in pyproject.toml are exactly the folders that hold an `__init__.py`."""
    on_disk = {name.removesuffix("/__init__.py") for name in FILES if name.endswith("/__init__.py")}
    assert {f"coatcheck/{name}".replace("coatcheck/src/", "").replace("/", ".") for name in on_disk} == {
        *CONFIG["packages"]
    }
    top = {"coatcheck": "src/coatcheck", **{f"coatcheck.{layer}": layer for layer in LAYERS}}
    assert CONFIG["package-dir"] == top


def test_no_folder_has_more_entries_than_a_reader_takes_in_at_once() -> None:
    """At most 17 entries in any folder of the product and of the tests."""
    roots = [ROOT / folder for folder in (*PRODUCT, "tests")]
    folders = [path for path in chain(roots, *(root.rglob("*") for root in roots)) if path.is_dir()]
    ours = [folder for folder in folders if not {"__pycache__", "node_modules"} & set(folder.parts)]
    entries = {named(folder): [one.name for one in folder.iterdir() if one.name != "__pycache__"] for folder in ours}
    assert {folder: len(names) for folder, names in entries.items() if len(names) > 17} == {}


def test_files_are_chapters() -> None:
    """No file is over 500 lines, and none but fronts and three that are named here is under 40."""
    tests = {named(path): path.read_text().count("\n") for path in (ROOT / "tests").rglob("*.py")}
    assert {name: lines for name, lines in (LINES | tests).items() if lines > 500} == {}
    assert {name for name, lines in LINES.items() if lines < 40 and not name.endswith(FRONTS)} <= SHORT


def test_the_product_is_as_short_as_it_was_designed() -> None:
    """The median file has 150 to 200 lines, and all files together at most 27,500."""
    assert 150 <= statistics.median(LINES.values()) <= 200
    assert TOTAL <= 27_500


def test_most_lines_say_something() -> None:
    """At most 8.5 % of the product's lines are imports."""
    lines = sum(length(node) for tree in TREES.values() for node in imports(tree))
    assert lines <= 0.085 * TOTAL


@pytest.mark.parametrize("layer", LAYERS)
def test_links_for_type_checkers_are_relative(layer: str) -> None:
    """src/coatcheck holds a relative link to each layer, for type checkers and editors only."""
    link = ROOT / "src" / "coatcheck" / layer
    assert link.is_symlink()
    assert link.readlink() == Path("..") / ".." / layer


def test_nothing_is_imported_inside_a_function() -> None:
    """Imports stand at the top of a file; optional dependencies live in modules of their own."""
    found = {
        f"{name}:{node.lineno}"
        for name, tree in TREES.items()
        for function in functions(tree)
        for node in imports(function)
    }
    assert found == set()


def test_no_function_is_over_sixty_lines() -> None:
    """A function fits on a page."""
    long = {f"{name}:{one.lineno}" for name, tree in TREES.items() for one in functions(tree) if length(one) > 60}
    assert long == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    """The graph of all modules, fronts and type-only imports included, can be put in an order."""
    graph = grimp.build_graph("coatcheck", cache_dir=None)
    TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}).prepare()


PUBLIC = {
    "coatcheck": "App init current_app InputAppInfo SupertokensConfig RecipeUserId get_user get_all_cors_headers "
    "blocking exceptions",
    "coatcheck.claims": "SessionClaim PrimitiveClaim BooleanClaim PrimitiveArrayClaim Clock ManualClock",
    "coatcheck.recipes": "session emailpassword usermetadata thirdparty thirdpartyemailpassword multitenancy "
    "accountlinking delivery exceptions",
    "coatcheck.recipes.session": "RecipeInterface APIInterface SessionContainer InputOverrideConfig "
    "InputErrorHandlers FunctionsLayer APIsLayer",
    "coatcheck.recipes.delivery": "EmailDeliveryConfig SMTPService Outbox",
    "coatcheck.server": "create_app asgi wsgi fastapi flask django drf stub doctor guard",
    "coatcheck.testing": "client make_app sign_in",
    "coatcheck.shim": "install uninstall",
    "coatcheck.server.cli": "main",
}


@pytest.mark.parametrize(("home", "name"), [(home, name) for home, names in PUBLIC.items() for name in names.split()])
def test_public_names_stay(home: str, name: str) -> None:
    """`from coatcheck... import name` works for every name that the outside relies on."""
    module = importlib.import_module(home)
    if not hasattr(module, name):
        module = importlib.import_module(f"{home}.{name}")
    else:
        assert getattr(module, name) is not None


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_layers_are_not_importable_from_the_top_level(layer: str) -> None:
    """An installed coatcheck does not occupy names such as `server` or `claims`, which applications use."""
    result = python("-I", "-c", f"import {layer}", cwd="/")
    assert result.returncode != 0
    assert "ModuleNotFoundError" in result.stderr


@pytest.mark.slow
def test_the_front_door_names_what_it_lists() -> None:
    """`__all__`, the lazy table and the names for type checkers are the same, and every name can be had."""
    block = next(node for node in TREES["src/coatcheck/__init__.py"].body if isinstance(node, ast.If))
    checked = {alias.asname or alias.name for node in imports(block) for alias in node.names}
    code = (
        "import coatcheck, json; "
        "print(json.dumps([coatcheck.__all__, sorted(coatcheck._HOME), [n for n in coatcheck.__all__ if "
        "getattr(coatcheck, n) is None]]))"
    )
    result = python("-I", "-c", code, cwd="/")
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
    assert python("-I", "-c", code, cwd="/").stdout.strip() == "[]"


@pytest.mark.slow
def test_unknown_names_are_attribute_errors() -> None:
    """A name the front door does not have is an AttributeError that names it."""
    result = python("-I", "-c", "import coatcheck; coatcheck.nonsense", cwd="/")
    assert "has no attribute 'nonsense'" in result.stderr
