"""From settings to an App, with the default recipes or with those that `--recipes` names."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType

from ...claims.clock import ManualClock
from ...claims.exceptions import CoatcheckError
from ...recipes import emailpassword, session, thirdparty, usermetadata
from ...recipes.app import App
from ...recipes.exceptions import OverrideError
from ...recipes.kit.app_info import InputAppInfo, normal_origin, normal_path
from ...recipes.kit.recipe import RecipeSpecification
from ...sessions.engines import masked, parse_url
from ..address import is_any_address, is_loopback
from ..app import create_app
from ..doctor.application import app_of, is_application
from ..doctor.django import settings_in_use
from ..exceptions import OptionsError, RecipesError
from ..stub import stub
from .settings import Settings

DEFAULT_DATABASE = "sqlite:///coatcheck.db"
DEFAULT_WEBSITE = "http://localhost:3000"
_APP_NAME = "coatcheck"
_DEFAULT_BASE_PATH = "/auth"
_OTHER_PACKAGES = ("coatcheck", "importlib")

_Recipes = App | Sequence[RecipeSpecification]


def build_app(settings: Settings, *, default_database: str = DEFAULT_DATABASE) -> App:
    """Return the App that the settings describe; a CoatcheckError, in one line, if they cannot work.

    No connection is opened. Only stub providers and a manual clock, if the settings permit them, make the App one with
    `unsafe_for_tests`.
    """
    _refuse_manual_clock(settings)
    stubs = _stubs(settings)
    if settings.recipes is None:
        defaults = [session.init(), emailpassword.init(), usermetadata.init()]
        return _app(
            settings, [*defaults, *stubs], default_database, unsafe_for_tests=settings.manual_clock or bool(stubs)
        )
    recipes = _as_recipes(_object_at(settings.recipes), settings.recipes)
    return _build_of(recipes, settings, default_database=default_database)


def permits_unsafe(settings: Settings) -> bool:
    """Whether features for tests only may be served: to this machine only, or because the user insists."""
    return settings.allow_unsafe_host or is_loopback(settings.host)


def default_api_domain(settings: Settings) -> str:
    """Return the address at which browsers reach the server if the settings give none."""
    host = settings.host
    if is_loopback(host) or is_any_address(host):
        # To a browser, 127.0.0.1 and localhost are different sites, and Lax cookies do not travel between sites. The
        # default website is on localhost, as most development servers are, so the API should be there as well.
        host = "localhost"
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """An App, and the web application that serves it, None if that is not known."""

    app: App
    application: object | None = None


def target_of(settings: Settings) -> Target:
    """Return what `serve` would serve with these settings, or the web application that `recipes` names.

    A CoatcheckError, in one line, if they cannot work. No connection is opened.
    """
    if settings.recipes is None:
        return _served(build_app(settings))
    found = _object_at(settings.recipes, is_whole=is_application)
    if isinstance(found, App):
        # An App does not know what serves it; in a Django project it is Django.
        return Target(_build_of(found, settings), settings_in_use())
    if not is_application(found):
        return _served(_build_of(_as_recipes(found, settings.recipes), settings))
    app = app_of(found)
    if app is None:
        raise RecipesError(
            f"--recipes {settings.recipes}: no App is to be found in this {type(found).__name__}: call init(...) "
            "in its module, or give the App to its middleware"
        )
    return Target(app, found)


def _served(app: App) -> Target:
    return Target(app, create_app(app))


def _build_of(given: _Recipes, settings: Settings, *, default_database: str = DEFAULT_DATABASE) -> App:
    """Return the App given, or one with the recipes given, as the other settings describe it."""
    if isinstance(given, App):
        _refuse_contradictions(given, settings)
        return given
    with _application_errors(str(settings.recipes)):  # the application's override functions run now
        return _app(settings, given, default_database, unsafe_for_tests=settings.manual_clock)


def _stubs(settings: Settings) -> list[RecipeSpecification]:
    names = [name.strip() for name in (settings.stub_providers or "").split(",") if name.strip()]
    if not names:
        return []
    if settings.recipes is not None:
        raise OptionsError("--stub-providers goes with the default recipes: let your list name stub(...) itself")
    if settings.workers > 1:
        raise OptionsError("--stub-providers keeps its codes in one process: leave --workers at 1")
    if not permits_unsafe(settings):
        raise OptionsError(
            f"--stub-providers lets anybody sign in as anybody: serve it on 127.0.0.1, not on {settings.host}, "
            "or add --allow-unsafe-host"
        )
    providers = [stub(name, api_base_path=_base_path(settings)) for name in names]
    return [thirdparty.init(sign_in_and_up_feature=thirdparty.SignInAndUpFeature(providers=providers))]


def _refuse_manual_clock(settings: Settings) -> None:
    if not settings.manual_clock:
        return
    if settings.workers > 1:
        raise OptionsError("--manual-clock moves the clock of one process: leave --workers at 1")
    if not permits_unsafe(settings):
        raise OptionsError(
            f"--manual-clock lets tests move the time and read the mails: serve it on 127.0.0.1, not on "
            f"{settings.host}, or add --allow-unsafe-host"
        )


def _base_path(settings: Settings) -> str:
    return _DEFAULT_BASE_PATH if settings.api_base_path is None else settings.api_base_path


def _app(
    settings: Settings,
    recipe_list: Sequence[RecipeSpecification],
    default_database: str,
    *,
    unsafe_for_tests: bool,
) -> App:
    info = InputAppInfo(
        app_name=_APP_NAME,
        api_domain=settings.api_domain or default_api_domain(settings),
        website_domain=settings.website_domain or DEFAULT_WEBSITE,
        api_base_path=_base_path(settings),
    )
    return App(
        app_info=info,
        recipe_list=recipe_list,
        database=settings.database or _unnamed_database(settings, default_database),
        clock=ManualClock() if settings.manual_clock else None,
        unsafe_for_tests=unsafe_for_tests,
    )


def _unnamed_database(settings: Settings, default_database: str) -> str:
    # A file would keep rows from the future, and the next server starts at the present time.
    return "sqlite://" if settings.manual_clock else default_database


def _refuse_contradictions(app: App, settings: Settings) -> None:
    """Refuse options that differ from the App's own: a server that ignored one could use the wrong database."""
    if settings.manual_clock and not isinstance(app.clock, ManualClock):
        raise OptionsError(
            f"--manual-clock cannot change the clock of --recipes {settings.recipes}, which is an App: make it with "
            "clock=ManualClock(), unsafe_for_tests=True, or let --recipes name a recipe list"
        )
    for option, asked, actual in _answers(app, settings):
        if asked != actual:
            raise OptionsError(
                f"--{option} says {asked}, but --recipes {settings.recipes} is an App that has {actual}: "
                "leave the option out, or let --recipes name a recipe list"
            )


def _answers(app: App, settings: Settings) -> list[tuple[str, str, str | None]]:
    answers: list[tuple[str, str, str | None]] = []
    if settings.database is not None:
        answers.append(("database", masked(parse_url(settings.database)), app.database.url))
    if settings.api_domain is not None:
        answers.append(("api-domain", normal_origin(settings.api_domain, "--api-domain"), app.info.api_domain))
    if settings.website_domain is not None:
        website = normal_origin(settings.website_domain, "--website-domain")
        answers.append(("website-domain", website, app.info.website_domain))
    if settings.api_base_path is not None:
        path = app.info.api_gateway_path + normal_path(settings.api_base_path, "--api-base-path")
        answers.append(("api-base-path", path, app.info.api_base_path))
    return answers


# The object that `--recipes module:attribute` names


def _object_at(reference: str, *, is_whole: Callable[[object], bool] = lambda found: False) -> object:
    """Import a module, also from the current directory, and return its attribute, or what that returns when called.

    An attribute for which `is_whole` is true is not called: a web application is callable, but with arguments.
    RecipesError, in one line, if anything is wrong.
    """
    module_name, attribute = _parts(reference)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    with _application_errors(reference):
        found = _attribute(_imported(module_name, reference), attribute, reference)
        # Neither an App nor a list is callable, so anything callable is a function that returns one.
        return found() if callable(found) and not is_whole(found) else found


def _as_recipes(found: object, reference: str) -> _Recipes:
    """Return an object if it is an App or a list; RecipesError if it is anything else."""
    if isinstance(found, (App, list, tuple)):
        return found
    raise _refusal(
        reference,
        f"it must be a list of what the recipes' init return, a function that returns one, or an App, not {found!r}",
    )


def _parts(reference: str) -> tuple[str, str]:
    module_name, colon, attribute = reference.partition(":")
    names = [*module_name.split("."), *attribute.split(".")]
    if colon and module_name.endswith(".py"):
        raise _refusal(reference, f"name the module, {module_name.removesuffix('.py')}, not its file")
    if not colon or not all(name.isidentifier() for name in names):
        raise _refusal(reference, "this must read module:attribute, such as config:recipes")
    return module_name, attribute


def _imported(name: str, reference: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # The module may exist and import a missing one: `_application_errors` reports that with its line.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise _refusal(
            reference, f"there is no module {error.name!r} in {os.getcwd()} or among the installed ones"
        ) from None


def _attribute(module: ModuleType, path: str, reference: str) -> object:
    found: object = module
    for name in path.split("."):
        if not hasattr(found, name):
            meant = difflib.get_close_matches(name, dir(found), n=1)
            hint = f": did you mean {meant[0]!r}?" if meant else ""
            raise _refusal(reference, f"{module.__name__} has no {name!r}{hint}")
        found = getattr(found, name)
    return found


def _refusal(reference: str, message: str) -> RecipesError:
    return RecipesError(f"--recipes {reference}: {message}")


# Failures of the application's own module


@contextmanager
def _application_errors(reference: str) -> Iterator[None]:
    """Turn an error from the application's code into a RecipesError that names file and line; the cause is kept.

    Errors of this library that did not pass through the application's code pass unchanged.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        place = _place_of(error)
        # An OverrideError names the place of the override itself.
        if isinstance(error, CoatcheckError) and (place is None or isinstance(error, OverrideError)):
            raise
        where = f"{place}: " if place else ""
        raise RecipesError(f"--recipes {reference}: {where}{_message_of(error)}") from error


def _message_of(error: BaseException) -> str:
    # The text of a SyntaxError repeats the place; the type of a CoatcheckError adds nothing to its message.
    if isinstance(error, CoatcheckError):
        return str(error)
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _place_of(error: BaseException) -> str | None:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_display_path(error.filename)}:{error.lineno}"
    passed = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _is_application_code(frame)]
    if not passed:
        return None
    # If their code calls a library that fails, the helpful line is the one that calls it.
    own = [(frame, line) for frame, line in passed if _is_in_project(frame.f_code.co_filename)]
    frame, line = (own or passed)[-1]
    return f"{_display_path(frame.f_code.co_filename)}:{line}"


def _is_application_code(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _OTHER_PACKAGES


def _is_in_project(file: str) -> bool:
    path = Path(file)
    return path.is_relative_to(os.getcwd()) and "site-packages" not in path.parts


def _display_path(file: str) -> str:
    return os.path.relpath(file) if _is_in_project(file) else file
