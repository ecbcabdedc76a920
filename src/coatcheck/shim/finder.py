"""The import hook behind `coatcheck.shim`: it makes the modules named `supertokens_python...` from the table.

A module is made when it is imported, and a name in it is looked up when it is first used. So an application that does
not use Flask does not load Flask.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from functools import reduce
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, ClassVar

from .table import ABSENT, ATTRIBUTES, MODULES

ROOT = "supertokens_python"

_logger = logging.getLogger("coatcheck.shim")


class ShimModule(ModuleType):
    """One module of the table; for a name that it lacks, an AttributeError lists the names that it has."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        inside = path_below_root(self.__name__)
        target = MODULES[inside].get(name)
        if target is not None:
            found = resolve(target)
        elif _joined(inside, name) in MODULES:
            found = import_module(f"{self.__name__}.{name}")
        else:
            raise AttributeError(missing_name_message(inside, name))
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *names_in(path_below_root(self.__name__))})


class Finder(MetaPathFinder, Loader):
    """Finds the modules of the table; ImportError for all other modules below the same root."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of the table comes from, None for a module outside `supertokens_python`."""
        if fullname != ROOT and not fullname.startswith(f"{ROOT}."):
            return None
        inside = path_below_root(fullname)
        if inside not in MODULES:
            # `from package import name` would hide a ModuleNotFoundError and its message.
            raise ImportError(missing_name_message(*_split(inside)), name=fullname)
        return ModuleSpec(fullname, self, origin="coatcheck.shim", is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module, which is still empty."""
        return ShimModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """List what `from module import *` takes, and add the older attributes that belong to this module."""
        inside = path_below_root(module.__name__)
        vars(module)["__all__"] = sorted(MODULES[inside])
        for target, attributes in ATTRIBUTES.get(inside, {}).items():
            for name, getter in attributes.items():
                setattr(resolve(target), name, property(getter))
                _State.older_attributes.add((resolve(target), name))


class _State:
    """What `install` has changed in this process; `uninstall` needs it to restore everything."""

    finder: ClassVar[Finder | None] = None
    real_modules: ClassVar[dict[str, ModuleType]] = {}
    older_attributes: ClassVar[set[tuple[type, str]]] = set()


def install() -> None:
    """Make `supertokens_python` and everything below it mean coatcheck; a second call changes nothing.

    It hides the real package if that is installed. Names that were imported from the real package before do not
    change; a WARNING says so.
    """
    if _State.finder is not None:
        return
    _State.real_modules = _remove_modules()
    if _State.real_modules:
        _logger.warning("%s was imported before install(): names imported then are not coatcheck's", ROOT)
    _State.finder = Finder()
    sys.meta_path.insert(0, _State.finder)


def uninstall() -> None:
    """Restore the import system as `install` found it; without `install`, do nothing."""
    if _State.finder is None:
        return
    sys.meta_path.remove(_State.finder)
    _remove_modules()
    sys.modules.update(_State.real_modules)
    for kind, name in _State.older_attributes:
        delattr(kind, name)
    _State.finder, _State.real_modules, _State.older_attributes = None, {}, set()


def is_installed() -> bool:
    """Whether `supertokens_python` means coatcheck."""
    return _State.finder is not None


def resolve(target: str) -> Any:
    """Return the object that an entry of the table names, such as `coatcheck.recipes.session:sync.get_session`."""
    module, _, names = target.partition(":")
    home = import_module(module)
    try:
        return reduce(getattr, names.split("."), home)
    except AttributeError as error:
        # An AttributeError would say that the application asks for a name outside the table, but the table is wrong.
        raise ImportError(f"the table of coatcheck.shim names {target}, which does not exist: {error}") from error


def missing_name_message(inside: str, name: str) -> str:
    """Return the message for a name that a module lacks: the reason, if it is known, and the names that it has."""
    owner = _joined(ROOT, inside)
    reason = ABSENT.get(_joined(inside, name))
    why = f": {reason}" if reason else ""
    return f"coatcheck.shim has no {name!r} in {owner}{why}. {owner} has {', '.join(names_in(inside)) or 'nothing'}"


def names_in(inside: str) -> list[str]:
    """Return the names of a module of the table, with those of its submodules."""
    below = {path.rpartition(".")[2] for path in MODULES if path and path.rpartition(".")[0] == inside}
    return sorted({*MODULES[inside], *below})


def path_below_root(fullname: str) -> str:
    """Return the key of a module in the table; the root has the empty text."""
    return fullname[len(ROOT) + 1 :]


def _split(inside: str) -> tuple[str, str]:
    """Return the nearest parent that exists, and the name that it lacks."""
    owner, _, name = inside.rpartition(".")
    return (owner, name) if owner in MODULES else _split(owner)


def _joined(*parts: str) -> str:
    return ".".join(filter(None, parts))


def _remove_modules() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name == ROOT or name.startswith(f"{ROOT}.")]
    return {name: sys.modules.pop(name) for name in names}
