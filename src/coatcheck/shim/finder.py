"""The import hook behind `coatcheck.shim`: modules named `supertokens_python...`, made of the table.

A module is made when it is imported, and a name in it looked up when it is first used, so that what needs Flask is
loaded only by those who ask for it.
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

from .absent import ABSENT
from .attributes import ATTRIBUTES
from .table import MODULES

ROOT = "supertokens_python"

_logger = logging.getLogger("coatcheck.shim")


class ShimModule(ModuleType):
    """One module of the table; a name it lacks is an AttributeError that says so and lists what there is."""

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
            raise AttributeError(missing(inside, name))
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *names_in(path_below_root(self.__name__))})


class Finder(MetaPathFinder, Loader):
    """Finds the modules of the table; ImportError for any other below the same root."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Say where a module of the table comes from, None for what lies elsewhere."""
        if fullname != ROOT and not fullname.startswith(f"{ROOT}."):
            return None
        inside = path_below_root(fullname)
        if inside not in MODULES:
            # Not a ModuleNotFoundError: `from package import name` would swallow it, and its message.
            raise ImportError(missing(*_split(inside)), name=fullname)
        return ModuleSpec(fullname, self, origin="coatcheck.shim", is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module, empty yet."""
        return ShimModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Say what `from module import *` takes; names are looked up when they are asked for."""
        inside = path_below_root(module.__name__)
        vars(module)["__all__"] = sorted(MODULES[inside])
        for target, attributes in ATTRIBUTES.get(inside, {}).items():
            for name, getter in attributes.items():
                setattr(resolve(target), name, property(getter))
                _State.taught.add((resolve(target), name))


class _State:
    """What `install` has done in this process: the hook, the real package's modules, older attributes of classes."""

    finder: ClassVar[Finder | None] = None
    aside: ClassVar[dict[str, ModuleType]] = {}
    taught: ClassVar[set[tuple[type, str]]] = set()


def install() -> None:
    """Make `supertokens_python` and everything below it mean coatcheck; a second call changes nothing.

    Where the real package is installed it is shadowed from here on. Names that were imported from it before stay what
    they are, of which a WARNING tells.
    """
    if _State.finder is not None:
        return
    _State.aside = _take_modules()
    if _State.aside:
        _logger.warning("%s was imported before install(): names taken from it then are not coatcheck's", ROOT)
    _State.finder = Finder()
    sys.meta_path.insert(0, _State.finder)


def uninstall() -> None:
    """Put the import system back as `install` found it; without an `install` before, do nothing."""
    if _State.finder is None:
        return
    sys.meta_path.remove(_State.finder)
    _take_modules()
    sys.modules.update(_State.aside)
    for kind, name in _State.taught:
        delattr(kind, name)
    _State.finder, _State.aside, _State.taught = None, {}, set()


def is_installed() -> bool:
    """Tell whether `supertokens_python` means coatcheck."""
    return _State.finder is not None


def resolve(target: str) -> Any:
    """Return the object that an entry of the table names, such as `coatcheck.recipes.session:sync.get_session`."""
    module, _, names = target.partition(":")
    home = import_module(module)
    try:
        return reduce(getattr, names.split("."), home)
    except AttributeError as error:
        # As an AttributeError it would read as if the application had asked for something that is not in the table.
        raise ImportError(f"coatcheck.shim takes {target} for something that is not there: {error}") from error


def missing(inside: str, name: str) -> str:
    """Return the sentence about a name that a module lacks: why, if that is known, and what the module has."""
    owner = _joined(ROOT, inside)
    reason = ABSENT.get(_joined(inside, name))
    why = f": {reason}" if reason else ""
    return f"coatcheck.shim has no {name!r} in {owner}{why}. {owner} has {', '.join(names_in(inside)) or 'nothing'}"


def names_in(inside: str) -> list[str]:
    """Return the names that a module of the table has, its submodules among them."""
    below = {path.rpartition(".")[2] for path in MODULES if path and path.rpartition(".")[0] == inside}
    return sorted({*MODULES[inside], *below})


def path_below_root(fullname: str) -> str:
    """Return the key of a module in the table, the empty text for the root."""
    return fullname[len(ROOT) + 1 :]


def _split(inside: str) -> tuple[str, str]:
    """Return the nearest module above that exists, and the name that it lacks."""
    owner, _, name = inside.rpartition(".")
    return (owner, name) if owner in MODULES else _split(owner)


def _joined(*parts: str) -> str:
    return ".".join(filter(None, parts))


def _take_modules() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name == ROOT or name.startswith(f"{ROOT}.")]
    return {name: sys.modules.pop(name) for name in names}
