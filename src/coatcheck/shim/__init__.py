"""Run an application that was written for the SuperTokens SDK on coatcheck, without changing a line of it.

    import coatcheck.shim; coatcheck.shim.install()      before the first `import supertokens_python`
    python -m coatcheck.shim pytest tests                 or any other module, or a script
    pytest -p coatcheck.shim                              installs before pytest reads the first conftest.py

Then `supertokens_python` and everything below it mean coatcheck. For a name that coatcheck does not have, an
ImportError gives the reason and lists the names of the module. Importing this module changes nothing.
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
    """Run a module or a script, as `python -m` does, with the shim installed; child processes run without it."""
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
    """Let pytest load the shim as a plugin, so that the workers of pytest-xdist get it, too."""
    sys.argv = ["pytest", "-p", "coatcheck.shim", *rest]
    # pytest warns about plugins that were imported before it could rewrite their assertions.
    for name in [name for name in sys.modules if name.partition(".")[0] == "coatcheck"]:
        del sys.modules[name]
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


def pytest_addoption(parser: Any, pluginmanager: Any) -> None:
    """Install when pytest registers this module as a plugin, which is before it reads any conftest.py.

    No other hook is called at that moment for all three: `-p`, an ini file and `pytest_plugins`.
    """
    install()


def pytest_unconfigure(config: Any) -> None:
    """Restore the import system when pytest ends."""
    uninstall()
