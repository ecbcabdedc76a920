"""From settings to an App: the default recipes, or the application's own."""

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
from ...sessions.engines import parse_url, shown
from ..address import is_any_address, is_loopback
from ..app import create_app
from ..doctor.application import app_of, is_application
from ..doctor.django import settings_in_use
from ..exceptions import OptionsError, RecipesError
from ..stub import stub
from .settings import Settings

_NOT_THEIRS = ("coatcheck", "importlib")


@contextmanager
def users_code(reference: str) -> Iterator[None]:
    """Turn what the application's code raises into a RecipesError that names file and line; the cause is kept.

    Errors of ours that did not pass through the application's code are let through as they are.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        place = _place(error)
        # An OverrideError names the place of the override itself.
        if isinstance(error, CoatcheckError) and (place is None or isinstance(error, OverrideError)):
            raise
        where = f"{place}: " if place else ""
        raise RecipesError(f"--recipes {reference}: {where}{_told(error)}") from error


def _told(error: BaseException) -> str:
    # A SyntaxError's text repeats the place; the names of our own errors add nothing to what they say.
    if isinstance(error, CoatcheckError):
        return str(error)
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _place(error: BaseException) -> str | None:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}:{error.lineno}"
    passed = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _is_theirs(frame)]
    if not passed:
        return None
    # Where their code calls a library that fails, the line that calls it is the one to look at.
    own = [(frame, line) for frame, line in passed if _is_in_project(frame.f_code.co_filename)]
    frame, line = (own or passed)[-1]
    return f"{_shown(frame.f_code.co_filename)}:{line}"


def _is_theirs(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _NOT_THEIRS


def _is_in_project(file: str) -> bool:
    path = Path(file)
    return path.is_relative_to(os.getcwd()) and "site-packages" not in path.parts


def _shown(file: str) -> str:
    return os.path.relpath(file) if _is_in_project(file) else file


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


DEFAULT_DATABASE = "sqlite:///coatcheck.db"
DEFAULT_WEBSITE = "http://localhost:3000"
APP_NAME = "coatcheck"

_DEFAULT_BASE_PATH = "/auth"


def build_app(settings: Settings, *, default_database: str = DEFAULT_DATABASE) -> App:
    """Return the App that the settings describe; a CoatcheckError, in one line, if they cannot work.

    No connection is opened. `unsafe_for_tests` is passed only for stub providers and a manual clock, where the settings
    permit them.
    """
    _refuse_manual_clock(settings)
    stubs = _stubs(settings)
    if settings.recipes is None:
        defaults = [session.init(), emailpassword.init(), usermetadata.init()]
        return _app(
            settings, [*defaults, *stubs], default_database, unsafe_for_tests=settings.manual_clock or bool(stubs)
        )
    return build_of(load(settings.recipes), settings, default_database=default_database)


def build_of(given: Recipes, settings: Settings, *, default_database: str = DEFAULT_DATABASE) -> App:
    """Return the App given, or one with the recipes given, as the other settings describe it."""
    if isinstance(given, App):
        _refuse_contradictions(given, settings)
        return given
    with users_code(str(settings.recipes)):  # The application's override functions run now.
        return _app(settings, given, default_database, unsafe_for_tests=settings.manual_clock)


def permits_unsafe(settings: Settings) -> bool:
    """Tell whether what is for tests only may be served: to this machine, or where the user insists."""
    return settings.allow_unsafe_host or is_loopback(settings.host)


def default_api_domain(settings: Settings) -> str:
    """Return the address at which browsers should reach the server where none was given."""
    host = settings.host
    if is_loopback(host) or is_any_address(host):
        # To a browser, 127.0.0.1 and localhost are different sites, and Lax cookies do not travel between sites. The
        # default website is on localhost, as most development servers are, so that is how the API should be called.
        host = "localhost"
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


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
    unsafe_for_tests: bool = False,
) -> App:
    info = InputAppInfo(
        app_name=APP_NAME,
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
    # A file would keep what happened at times that have not come, for a server that starts at the present again.
    return "sqlite://" if settings.manual_clock else default_database


def _refuse_contradictions(app: App, settings: Settings) -> None:
    """Refuse options that an App has answered otherwise: ignoring one could mean serving another database."""
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
        answers.append(("database", shown(parse_url(settings.database)), app.database.url))
    if settings.api_domain is not None:
        answers.append(("api-domain", normal_origin(settings.api_domain, "--api-domain"), app.info.api_domain))
    if settings.website_domain is not None:
        website = normal_origin(settings.website_domain, "--website-domain")
        answers.append(("website-domain", website, app.info.website_domain))
    if settings.api_base_path is not None:
        path = app.info.api_gateway_path + normal_path(settings.api_base_path, "--api-base-path")
        answers.append(("api-base-path", path, app.info.api_base_path))
    return answers


@dataclass(frozen=True, slots=True)
class Target:
    """An App, and the web application that serves it, None where that is not known."""

    app: App
    application: object | None = None


def target_of(settings: Settings) -> Target:
    """Return what the settings name: what `serve` would serve with them, or the web application in `recipes`.

    A CoatcheckError, in one line, if it cannot be had. No connection is opened.
    """
    if settings.recipes is None:
        return _served(build_app(settings))
    found = named(settings.recipes, is_whole=is_application)
    if isinstance(found, App):
        # Who serves an App cannot be told; in a Django project, it is Django.
        return Target(build_of(found, settings), settings_in_use())
    if not is_application(found):
        return _served(build_of(checked(found, settings.recipes), settings))
    app = app_of(found)
    if app is None:
        raise RecipesError(
            f"--recipes {settings.recipes}: no App is to be found in this {type(found).__name__}: call init(...) when "
            "it is made, or hand the App to the middleware"
        )
    return Target(app, found)


def _served(app: App) -> Target:
    return Target(app, create_app(app))
