"""From settings to an App: the default recipes, or the application's own."""

from __future__ import annotations

from collections.abc import Sequence

from ...claims.clock import ManualClock
from ...recipes import emailpassword, session, thirdparty, usermetadata
from ...recipes.app import App
from ...recipes.kit.app_info import InputAppInfo, normal_origin, normal_path
from ...recipes.kit.recipe import RecipeSpecification
from ...sessions.engines import parse_url, shown
from ..address import is_any_address, is_loopback
from ..exceptions import OptionsError
from ..stub import stub
from .recipes_file import Recipes, load
from .settings import Settings
from .users_code import users_code

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
