"""What `--recipes module:attribute` names: the application's own recipe list, or its App."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from ...recipes.app import App
from ...recipes.kit.recipe import RecipeSpecification
from ..exceptions import RecipesError
from .users_code import users_code

Recipes = App | Sequence[RecipeSpecification]


def load(reference: str) -> Recipes:
    """Import the module, from the current directory too, and return the App or the list that its attribute holds.

    The attribute may be a callable that returns either. RecipesError, in one line, if anything about it is wrong.
    """
    return checked(named(reference), reference)


def named(reference: str, *, is_whole: Callable[[object], bool] = lambda found: False) -> object:
    """Import the module and return what its attribute holds, or returns if it can be called.

    What is `is_whole` is not called: a web application can be, but not in this way.
    """
    module_name, attribute = _parts(reference)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    with users_code(reference):
        found = _attribute(_imported(module_name, reference), attribute, reference)
        # An App and a list are not callable; nothing else that is may be meant otherwise.
        return found() if callable(found) and not is_whole(found) else found


def checked(found: object, reference: str) -> Recipes:
    """Return what was found if it is an App or a list; RecipesError if it is anything else."""
    if isinstance(found, (App, list, tuple)):
        return found
    raise _error(
        reference,
        f"it must be a list of what the recipes' init return, a function that returns one, or an App, not {found!r}",
    )


def _parts(reference: str) -> tuple[str, str]:
    module_name, colon, attribute = reference.partition(":")
    names = [*module_name.split("."), *attribute.split(".")]
    if colon and module_name.endswith(".py"):
        raise _error(reference, f"name the module, {module_name.removesuffix('.py')}, not its file")
    if not colon or not all(name.isidentifier() for name in names):
        raise _error(reference, "this must read module:attribute, such as config:recipes")
    return module_name, attribute


def _imported(name: str, reference: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # The module may exist and import another that does not: that is the user's error, told with its line.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise _error(
            reference, f"there is no module {error.name!r} in {os.getcwd()} or among the installed ones"
        ) from None


def _attribute(module: ModuleType, path: str, reference: str) -> object:
    found: object = module
    for name in path.split("."):
        if not hasattr(found, name):
            meant = difflib.get_close_matches(name, dir(found), n=1)
            hint = f": did you mean {meant[0]!r}?" if meant else ""
            raise _error(reference, f"{module.__name__} has no {name!r}{hint}")
        found = getattr(found, name)
    return found


def _error(reference: str, message: str) -> RecipesError:
    return RecipesError(f"--recipes {reference}: {message}")
