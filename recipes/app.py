"""An App: one configuration, one database, one clock, and its recipes."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, ParamSpec, TypeVar, cast

import sqlalchemy

from ..claims.clock import Clock, ManualClock, system_clock
from ..sessions.access_token import AccessTokens
from ..sessions.database import IN_MEMORY_WARNING, Database
from ..sessions.engine import SessionEngine
from ..sessions.key_store import Cipher
from ..sessions.keys import KeyRing
from ..sessions.signing_key import GENERATED
from . import accountlinking, multitenancy, usermetadata
from .chain.trace import Trace, explain, trace
from .delivery.outbox import Outbox
from .exceptions import ConfigurationError
from .kit.app_info import InputAppInfo, normalise
from .kit.driver import Driver, LoopThread, drive
from .kit.recipe import Recipe, RecipeSpecification
from .kit.services import Services, current_services, default_services, set_default_services
from .session.config import SessionConfig
from .session.recipe import SessionRecipe
from .users.directory import UserDirectory

P = ParamSpec("P")
R = TypeVar("R")
Framework = Literal["fastapi", "flask", "django"]
Mode = Literal["asgi", "wsgi"]

logger = logging.getLogger("coatcheck")

ENCRYPTION_KEY_VARIABLE = "COATCHECK_ENCRYPTION_KEY"
"""The environment variable that holds the key under which private keys are sealed in the database."""


@dataclass(frozen=True)
class SupertokensConfig:
    """Accepted for applications written against a core server: `connection_uri` may name a database URL."""

    connection_uri: str = ""
    api_key: str | None = field(default=None, repr=False)
    network_interceptor: Callable[..., Any] | None = None
    disable_core_call_cache: bool = False

    def database(self) -> str | None:
        """Return the database URL, None if `connection_uri` is empty; ConfigurationError for an http(s) address."""
        uri = self.connection_uri.strip()
        if re.match(r"https?://", uri):
            raise ConfigurationError(
                f"supertokens_config.connection_uri is {uri!r}, but coatcheck has no core server to connect to: leave "
                "it empty, or name a database (sqlite:///coatcheck.db or postgresql+psycopg://...)"
            )
        return uri or None


class App(Services):
    """The recipes of one application, with a database, keys and a clock of their own.

    `database` is a URL or a SQLAlchemy Engine, by default in memory. `encryption_key` seals private keys in
    the database; by default it is read from the environment variable COATCHECK_ENCRYPTION_KEY. `sync_overrides="loop"`
    lets the plain (`.sync`) functions run overrides that need an event loop. `unsafe_for_tests` permits manual clocks
    and stub providers, and makes password hashes fast. A wrong option is a ConfigurationError here; no connection is
    opened.
    """

    key_source = GENERATED
    outbox: Outbox
    recipes_by_id: dict[str, Recipe[Any, Any]]

    def __init__(
        self,
        *,
        app_info: InputAppInfo,
        recipe_list: Sequence[RecipeSpecification],
        database: str | sqlalchemy.Engine | None = None,
        clock: Clock | None = None,
        supertokens_config: SupertokensConfig | None = None,
        framework: Framework | None = None,
        mode: Mode | None = None,
        unsafe_for_tests: bool = False,
        sync_overrides: Literal["inline", "loop"] = "inline",
        encryption_key: str | None = None,
    ) -> None:
        _check_choice("framework", framework, ("fastapi", "flask", "django"))
        _check_choice("mode", mode, ("asgi", "wsgi"))
        _check_choice("sync_overrides", sync_overrides, ("inline", "loop"))
        if not isinstance(unsafe_for_tests, bool):  # the text "false" would count as true
            raise ConfigurationError(f"unsafe_for_tests must be True or False, not {unsafe_for_tests!r}")
        self.info = normalise(app_info)
        self.unsafe_for_tests = unsafe_for_tests
        self.driver: Driver = LoopThread() if sync_overrides == "loop" else drive
        self.clock = _permitted_clock(clock, unsafe_for_tests)
        self.outbox = Outbox()
        self.users = UserDirectory()
        self.database = self._database(database, supertokens_config)
        specifications = _checked_list(recipe_list)
        self.cipher = _cipher(encryption_key or os.environ.get(ENCRYPTION_KEY_VARIABLE) or None)
        self.recipes_by_id = {}
        for specification in (*specifications, *_implicit(specifications)):
            recipe = specification.build(self)
            self.recipes_by_id |= {one.recipe_id: one for one in (*recipe.parts, recipe)}
        _refuse_sign_in_without_sessions(self.recipes_by_id)
        self._sessions = SessionRecipe.of(self) if self.has_recipe("session") else SessionRecipe(self, SessionConfig())
        self.arguments: dict[str, Any] | None = None
        if database is None and self.database.inline:
            logger.warning(IN_MEMORY_WARNING)

    # Sessions

    @property
    def keys(self) -> KeyRing:
        """The keys that sign this App's tokens."""
        return self._sessions.keys

    @property
    def tokens(self) -> AccessTokens:
        """What signs and verifies this App's access tokens."""
        return self._sessions.tokens

    @property
    def engine(self) -> SessionEngine:
        """What keeps this App's sessions in its database."""
        return self._sessions.engine

    # Recipes

    def explain(self, name: str) -> str:
        """Return the layers of an operation such as `session.create_new_session`, outermost first."""
        recipe_id, _, operation = name.partition(".")
        for chain in self.recipe(recipe_id).chains.values():
            if operation in chain.operations:
                return explain(chain, operation)
        known = sorted(name for chain in self.recipe(recipe_id).chains.values() for name in chain.operations)
        raise ConfigurationError(f"{recipe_id} has no operation {operation!r}; it has {', '.join(known)}")

    def trace(self) -> AbstractContextManager[Trace]:
        """Return a context manager that records what every layer of every chain of this App does."""
        return trace(chain for recipe in self.recipes for chain in recipe.chains.values())

    # Housekeeping

    def clean_up(self) -> int:
        """Delete everything that has expired; return the number of rows. Blocking: call it from a job or a script."""
        with self.active():
            return sum(recipe.clean_up() for recipe in dict.fromkeys((self._sessions, *self.recipes)))

    def close(self) -> None:
        """Close the database's connections; the next use opens new ones."""
        self.database.close()

    # The test kit overrides `_open_database` and `key_source`, because its Apps are made in milliseconds.

    def _open_database(self, target: str | sqlalchemy.Engine) -> Database:
        return Database(target, clock=self.clock)

    def _database(self, given: str | sqlalchemy.Engine | None, config: SupertokensConfig | None) -> Database:
        named = None if config is None else config.database()
        if given == "":
            raise ConfigurationError("database is empty: name one, or leave it out to keep everything in memory")
        try:
            return self._open_database(given or named or "sqlite://")
        except ValueError as error:
            raise ConfigurationError(f"database: {error}") from error


def current_app() -> App:
    """Return the App bound to the running context, else the one `init` made; NotInitialisedError if there is none.

    In a test it is the test's App rather than the one of `init`.
    """
    return cast("App", current_services())


def default_app() -> App | None:
    """Return the process's default App, None before `init`."""
    return cast("App | None", default_services())


def init(
    app_info: InputAppInfo,
    supertokens_config: SupertokensConfig | None = None,
    framework: Framework | None = None,
    recipe_list: Sequence[RecipeSpecification] = (),
    mode: Mode | None = None,
    telemetry: bool | None = None,
    debug: bool | None = None,
    *,
    database: str | sqlalchemy.Engine | None = None,
    clock: Clock | None = None,
    unsafe_for_tests: bool = False,
    sync_overrides: Literal["inline", "loop"] = "inline",
    encryption_key: str | None = None,
    replace: bool = False,
) -> App:
    """Build an App and make it the process's default.

    A second call with identical arguments returns the same App; with others it is a ConfigurationError unless
    `replace=True`. `telemetry` is accepted and ignored: nothing is ever sent anywhere. `debug=True` logs at DEBUG.
    """
    arguments: dict[str, Any] = {
        "app_info": app_info,
        "supertokens_config": supertokens_config,
        "framework": framework,
        "recipe_list": list(recipe_list),
        "mode": mode,
        "database": database,
        "clock": clock,
        "unsafe_for_tests": unsafe_for_tests,
        "sync_overrides": sync_overrides,
        "encryption_key": encryption_key,
    }
    known = default_app()
    if known is not None and not replace:
        if known.arguments == arguments:
            return known
        differing = [name for name, value in arguments.items() if (known.arguments or {}).get(name) != value]
        raise ConfigurationError(
            f"init was already called with another {', '.join(differing)}; pass replace=True to start anew"
        )
    if debug:
        logger.setLevel(logging.DEBUG)
    app = App(**arguments)
    app.arguments = arguments
    set_default_services(app)
    return app


def _check_choice(name: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def _permitted_clock(clock: Clock | None, unsafe_for_tests: bool) -> Clock:
    if isinstance(clock, ManualClock) and not unsafe_for_tests:
        raise ConfigurationError("a ManualClock is for tests: pass unsafe_for_tests=True along with it")
    return system_clock if clock is None else clock


def _cipher(secret: str | None) -> Cipher:
    try:
        return Cipher(secret)
    except ValueError as error:
        raise ConfigurationError(f"encryption_key: {error}") from error


def _checked_list(recipe_list: Sequence[RecipeSpecification]) -> list[RecipeSpecification]:
    if isinstance(recipe_list, RecipeSpecification):
        raise ConfigurationError(f"recipe_list must be a list, such as [{recipe_list.recipe_id}.init()]")
    if not recipe_list:
        raise ConfigurationError("recipe_list is empty: provide at least one recipe, such as session.init()")
    for entry in recipe_list:
        if not isinstance(entry, RecipeSpecification):
            raise ConfigurationError(f"recipe_list holds {entry!r}: every entry must be what a recipe's init returns")
    ids = [one.recipe_id for entry in recipe_list for one in (entry, *entry.brings)]
    for recipe_id in ids:
        if ids.count(recipe_id) > 1:
            raise ConfigurationError(f"{recipe_id}.init(...) is in recipe_list more than once")
    return list(recipe_list)


def _refuse_sign_in_without_sessions(recipes: Mapping[str, Recipe[Any, Any]]) -> None:
    signing_in = [recipe_id for recipe_id, recipe in recipes.items() if recipe.first_factors]
    if signing_in and "session" not in recipes:
        raise ConfigurationError(f"{signing_in[0]}.init(...) needs sessions: add session.init() to recipe_list")


def _implicit(given: Sequence[RecipeSpecification]) -> list[RecipeSpecification]:
    named = {specification.recipe_id for specification in given}
    always = (accountlinking.init(), multitenancy.init(), usermetadata.init())
    return [specification for specification in always if specification.recipe_id not in named]
