"""The import hook behind `coatcheck.shim`: modules named `supertokens_python...`, made of the table.

A module is made when it is imported, and a name in it looked up when it is first used, so that what needs Flask is
loaded only by those who ask for it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from functools import reduce
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, ClassVar

from .table import MODULES

_PLUGINS = "coatcheck has no plugins; use the overrides of the recipes"
_ONE_TENANT = "coatcheck has one tenant, `public`"
_NOT_LINKED = "coatcheck does not link accounts yet"
_KEYS = "signing keys and tokens belong to the session recipe, which every application lists anyway"
_NO_ERRORS = "the recipe raises no errors of its own: forms are answered with FIELD_ERROR, functions return results"
_NO_CORE = "there is no core server to forget anything of: leave it out; Supertokens.reset() drops everything there is"

ABSENT: dict[str, str] = {
    "SupertokensExperimentalConfig": _PLUGINS,
    "SupertokensPublicConfig": _PLUGINS,
    "plugins": _PLUGINS,
    "exceptions.PluginError": _PLUGINS,
    "process_state": _NO_CORE,
    "querier": _NO_CORE,
    **{
        f"{module}.{name}": "user ids are not mapped to ids of other systems"
        for module in ("asyncio", "syncio")
        for name in (
            "create_user_id_mapping",
            "get_user_id_mapping",
            "delete_user_id_mapping",
            "update_or_delete_user_id_mapping_info",
        )
    },
    "recipe.emailpassword.exceptions": _NO_ERRORS,
    "recipe.thirdparty.providers": "a provider has no class of its own; ProviderConfig(third_party_id=...) names it",
    "recipe.emailverification": "coatcheck does not verify addresses yet",
    "recipe.passwordless": "coatcheck has no passwordless sign-in yet",
    "recipe.thirdpartypasswordless": "coatcheck has no passwordless sign-in yet",
    "recipe.userroles": "coatcheck has no roles yet; a PrimitiveArrayClaim can hold them",
    "recipe.multifactorauth": "coatcheck has no recipe for factors yet; a BooleanClaim can tell that a second is done",
    "recipe.totp": "coatcheck has no one-time passwords yet",
    "recipe.webauthn": "coatcheck has no passkeys yet",
    "recipe.dashboard": "there is no dashboard; `coatcheck` on the command line shows what there is",
    "recipe.oauth2provider": "coatcheck does not serve OAuth clients",
    "recipe.saml": "coatcheck does not speak SAML",
    "recipe.jwt.init": _KEYS,
    "recipe.jwt.recipe": _KEYS,
    "recipe.openid.init": _KEYS,
    "recipe.openid.recipe": _KEYS,
    "recipe.multitenancy.AllowedDomainsClaim": _ONE_TENANT,
    "recipe.multitenancy.asyncio": _ONE_TENANT,
    "recipe.multitenancy.syncio": _ONE_TENANT,
    "recipe.accountlinking.ShouldAutomaticallyLink": _NOT_LINKED,
    "recipe.accountlinking.ShouldNotAutomaticallyLink": _NOT_LINKED,
    "recipe.accountlinking.AccountInfoWithRecipeIdAndUserId": _NOT_LINKED,
    "ingredients.smsdelivery": "nothing is sent by SMS",
}


_CREATED = {"created_new_user": lambda result: result.created_new_recipe_user}
_SIGNED_IN_UP = {
    "coatcheck.recipes.thirdparty.interface:SignInUpOkResult": _CREATED,
    "coatcheck.recipes.thirdparty.interface:SignInUpPostOkResult": _CREATED,
    "coatcheck.recipes.thirdparty.interface:ManuallyCreateOrUpdateUserOkResult": _CREATED,
}

ATTRIBUTES: dict[str, dict[str, dict[str, Callable[[Any], Any]]]] = {
    "": {
        "coatcheck.recipes.users.user:User": {
            "user_id": lambda user: user.id,
            "email": lambda user: next(iter(user.emails), None),
            "third_party_info": lambda user: next(iter(user.third_party), None),
        }
    },
    "recipe.thirdparty": _SIGNED_IN_UP,
    "recipe.thirdpartyemailpassword": _SIGNED_IN_UP,
}
"""Per module below `supertokens_python`: the classes, and what their older attributes stand for now."""


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
