"""What gets installed is one package with every room in it: from a checkout, an sdist or in place, links or not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest

from ..kit import LIMIT_S, ROOT, plain_environment
from .test_layout import CONFIG, LAYERS

pytestmark = pytest.mark.slow
BESIDE = ("README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml")
SDIST = "from setuptools import build_meta; build_meta.build_sdist('dist')"
CHECK = f"""
import importlib, pathlib, sys
sys.path.append({sysconfig.get_path("purelib")!r})
for name in {CONFIG["packages"]!r}:
    importlib.import_module(name)
import coatcheck
print(pathlib.Path(coatcheck.__file__).parent, (pathlib.Path(coatcheck.__file__).parent / "py.typed").exists())
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command to its end and return what it printed."""
    environment = plain_environment(PIP_DISABLE_PIP_VERSION_CHECK="1")
    ran = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.strip()


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a new environment that can build; what coatcheck needs it borrows from this one."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    install = (python, "-m", "pip", "install", "-q", "setuptools>=77")
    ran = subprocess.run(install, capture_output=True, text=True, timeout=LIMIT_S)
    if ran.returncode != 0:
        if "CI" in os.environ:
            pytest.fail(ran.stderr)
        pytest.skip("setuptools cannot be installed")
    return python


@pytest.fixture(params=["links", "no links"])
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of what a build needs, with the links for type checkers or without."""
    copy = tmp_path / "checkout"
    for folder in (*LAYERS, "src"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=ignored)
    for name in BESIDE:
        shutil.copy(ROOT / name, copy)
    if request.param == "no links":
        for layer in LAYERS:
            (copy / "src" / "coatcheck" / layer).unlink()
    return copy


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_every_package_can_be_installed_and_imported(interpreter: Path, checkout: Path, kind: str) -> None:
    """`pip install .`, an sdist and `pip install -e .` give the same packages, typed, and nothing at the top level."""
    source = checkout
    if kind == "sdist":
        run(interpreter, "-c", SDIST, cwd=checkout)
        (archive,) = (checkout / "dist").glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(checkout.parent / "unpacked", filter="data")
        (source,) = (checkout.parent / "unpacked").iterdir()
    how = ("-e",) if kind == "editable" else ()
    options = ("-q", "--no-deps", "--no-build-isolation", "--force-reinstall")
    run(interpreter, "-m", "pip", "install", *options, *how, source, cwd=checkout.parent)
    where, typed = run(interpreter, "-W", "error", "-c", CHECK, cwd=checkout.parent).rsplit(" ", 1)
    assert (Path(where).is_relative_to(checkout), typed) == (kind == "editable", "True")
    for layer in LAYERS:
        found = f"import importlib.util; print(importlib.util.find_spec({layer!r}))"
        assert run(interpreter, "-c", found, cwd=checkout.parent) == "None"
