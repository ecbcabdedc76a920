"""Run an application that was written for the SuperTokens SDK on coatcheck, without changing a line of it.

    import coatcheck.shim; coatcheck.shim.install()      before the first `import supertokens_python`
    python -m coatcheck.shim pytest tests                 or any other module, or a script
    pytest -p coatcheck.shim                              installed before the first conftest.py is read

Then `supertokens_python` and everything below it mean coatcheck. A name that coatcheck does not have is an ImportError
that says so and lists what there is. Importing this module changes nothing.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .finder import install, is_installed, uninstall

__all__ = ["install", "is_installed", "main", "uninstall"]

USAGE = "usage: python -m coatcheck.shim MODULE [argument ...]   or   python -m coatcheck.shim SCRIPT.py [argument ...]"


def main(arguments: Sequence[str]) -> None:
    """Run a module (or a script) as `python -m` would, with the shim installed; children of it run without."""
    if not arguments or arguments[0].startswith("-"):
        sys.exit(USAGE)
    program, *rest = arguments
    sys.argv = [program, *rest]
    if program == "pytest":
        _run_pytest(rest)
    elif program.endswith(".py"):
        install()
        sys.path[0] = str(Path(program).resolve().parent)
        runpy.run_path(program, run_name="__main__")
    else:
        install()
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _run_pytest(rest: list[str]) -> None:
    """Let pytest load the shim as a plugin: so it knows it, and hands it on to the workers of pytest-xdist."""
    sys.argv = ["pytest", "-p", "coatcheck.shim", *rest]
    # Forgotten, because pytest warns of plugins that were imported before it could rewrite their assertions.
    for name in [name for name in sys.modules if name.partition(".")[0] == "coatcheck"]:
        del sys.modules[name]
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


def pytest_addoption(parser: Any, pluginmanager: Any) -> None:
    """Install when pytest registers this module as a plugin, which is before it reads any conftest.py.

    This hook is the one that is called right then however the plugin is named: `-p`, an ini file or `pytest_plugins`.
    """
    install()


def pytest_unconfigure(config: Any) -> None:
    """Put the import system back when pytest ends."""
    uninstall()
