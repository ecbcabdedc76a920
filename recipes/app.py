"""An App: one configuration, one database, one clock, and the recipes at work in it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, ParamSpec, TypeVar

import sqlalchemy

from ..claims.clock import Clock, ManualClock, system_clock
from ..sessions import signing_key
from ..sessions.access_token import AccessTokens
from ..sessions.blocking import database_work
from ..sessions.database import IN_MEMORY_WARNING, Database
from ..sessions.engine import SessionEngine
from ..sessions.key_store import Cipher
from ..sessions.keys import KeyRing
from . import accountlinking, multitenancy, usermetadata
from .chain.trace import Trace, explain, trace
from .delivery.outbox import Outbox
from .exceptions import ConfigurationError
from .kit.app_info import InputAppInfo, normalise
from .kit.driver import Driver, LoopThread, drive
from .kit.recipe import Recipe, RecipeSpecification
from .kit.services import Active, default_app, set_default_app
from .session.config import SessionConfig
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
        """Return the database URL, None where it names none; there is no core server to connect to."""
        uri = self.connection_uri.strip()
        if re.match(r"https?://", uri):
            raise ConfigurationError(
                f"supertokens_config.connection_uri is {uri!r}, but coatcheck has no core server to connect to: leave "
                "it empty, or name a database (sqlite:///coatcheck.db or postgresql+psycopg://...)"
            )
        return uri or None


class App:
    """The recipes of one application, with a database, keys and a clock of their own.

    `database` is a URL or a SQLAlchemy Engine; in memory where none is given. `encryption_key` seals private keys in
    the database; by default it is read from the environment variable COATCHECK_ENCRYPTION_KEY. `sync_overrides="loop"`
    lets the plain (`.sync`) functions run overrides that need an event loop. `unsafe_for_tests` permits manual clocks
    and stub providers, makes password hashes and databases in memory fast, and borrows for the latter signing keys
    that earlier Apps of the process had. Whatever is wrong is a ConfigurationError here; no connection is opened.
    """

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
        if not isinstance(unsafe_for_tests, bool):  # such as "false", which would be taken for true
            raise ConfigurationError(f"unsafe_for_tests must be True or False, not {unsafe_for_tests!r}")
        self.info = normalise(app_info)
        self.unsafe_for_tests = unsafe_for_tests
        self.driver: Driver = LoopThread() if sync_overrides == "loop" else drive
        """What runs the plain (`.sync`) functions."""
        self.clock = _permitted_clock(clock, unsafe_for_tests)
        self.outbox = Outbox()
        self.users = UserDirectory()
        self.database = _database(database, supertokens_config, self.clock, prepared=unsafe_for_tests)
        specifications = _checked_list(recipe_list)
        self._open_engine(_session_config(specifications), encryption_key)
        self.recipes_by_id: dict[str, Recipe[Any]] = {}
        """The recipes at work, in the order in which routes are looked for."""
        for specification in (*specifications, *_implicit(specifications)):
            recipe = specification.build(self, specification.config)
            self.recipes_by_id |= {one.recipe_id: one for one in (*recipe.parts, recipe)}
        _refuse_sign_in_without_sessions(self.recipes_by_id)
        self.arguments: dict[str, Any] | None = None
        if database is None and self.database.inline:
            logger.warning(IN_MEMORY_WARNING)

    def _open_engine(self, config: SessionConfig, encryption_key: str | None) -> None:
        secret = encryption_key or os.environ.get(ENCRYPTION_KEY_VARIABLE) or None
        validity_ms = _ms(config.access_token_validity_seconds)
        # A file or a server would keep a key that others have by then, other processes and the real App among them.
        self._lent_keys = lent = signing_key.LentKeys() if self.database.prepared else None
        self.keys = KeyRing(
            self.database,
            self.clock,
            access_token_validity_ms=validity_ms,
            rotation_ms=_ms(config.signing_key_rotation_seconds),
            cipher=_cipher(secret),
            generate=signing_key.generate if lent is None else lent.generate,
            mark="" if lent is None else lent.mark,
        )
        self.tokens = AccessTokens(self.keys, self.clock)
        absolute = config.absolute_lifetime_seconds
        self.engine = SessionEngine(
            self.database,
            self.clock,
            keys=self.keys,
            tokens=self.tokens,
            directory=self.users,
            access_token_validity_ms=validity_ms,
            refresh_token_validity_ms=_ms(config.refresh_token_validity_seconds),
            absolute_lifetime_ms=None if absolute is None else _ms(absolute),
        )
        self.database.when_new(self.keys.begin)
        self.database.when_new(self.engine.begin)

    # Calls

    def active(self) -> Active:
        """Return a context manager in which this App and its clock are the current ones."""
        return Active(self)

    async def hop(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a blocking function: inline for a database in memory, otherwise as `database_work` does."""
        if self.database.inline:
            return fn(*args, **kwargs)
        return await database_work(fn, *args, **kwargs)

    async def primary_user_id(self, recipe_user_id: str) -> str:
        """Return the id of the user who owns a login method; the same id where there is no such user."""
        return await self.hop(self.database.read, lambda connection: self.users.primary_id(connection, recipe_user_id))

    # Recipes

    @property
    def recipes(self) -> tuple[Recipe[Any], ...]:
        """The recipes at work, in the order in which routes are looked for."""
        return tuple(self.recipes_by_id.values())

    def has_recipe(self, recipe_id: str) -> bool:
        """Tell whether a recipe is at work in this App."""
        return recipe_id in self.recipes_by_id

    def recipe(self, recipe_id: str) -> Recipe[Any]:
        """Return a recipe; ConfigurationError naming the missing `init` call if it is not in the list."""
        found = self.recipes_by_id.get(recipe_id)
        if found is None:
            raise ConfigurationError(f"{recipe_id}.init(...) is missing from recipe_list")
        return found

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
        """Delete everything that has expired; return how many rows went. Blocking: call it from a job or a script."""
        with self.active():
            return self.engine.clean_up() + sum(recipe.clean_up() for recipe in self.recipes)

    def close(self) -> None:
        """Close the database's connections; the next use opens new ones."""
        self.database.close()
        if self._lent_keys is not None:
            self.keys.forget()
            self._lent_keys.give_back()


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
    set_default_app(app)
    return app


def _check_choice(name: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def _permitted_clock(clock: Clock | None, unsafe_for_tests: bool) -> Clock:
    if isinstance(clock, ManualClock) and not unsafe_for_tests:
        raise ConfigurationError("a ManualClock is for tests: pass unsafe_for_tests=True along with it")
    return system_clock if clock is None else clock


def _database(
    given: str | sqlalchemy.Engine | None, config: SupertokensConfig | None, clock: Clock, *, prepared: bool
) -> Database:
    named = None if config is None else config.database()
    if given == "":
        raise ConfigurationError("database is empty: name one, or leave it out to keep everything in memory")
    target = given or named or "sqlite://"
    try:
        return Database(target, clock=clock, prepared=prepared)
    except ValueError as error:
        raise ConfigurationError(f"database: {error}") from error


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
    ids = [recipe_id for entry in recipe_list for recipe_id in (entry.recipe_id, *entry.brings)]
    for recipe_id in ids:
        if ids.count(recipe_id) > 1:
            raise ConfigurationError(f"{recipe_id}.init(...) is in recipe_list more than once")
    return list(recipe_list)


def _refuse_sign_in_without_sessions(recipes: Mapping[str, Recipe[Any]]) -> None:
    signing_in = [recipe_id for recipe_id, recipe in recipes.items() if recipe.first_factors]
    if signing_in and "session" not in recipes:
        raise ConfigurationError(f"{signing_in[0]}.init(...) needs sessions: add session.init() to recipe_list")


def _implicit(given: Sequence[RecipeSpecification]) -> list[RecipeSpecification]:
    named = {specification.recipe_id for specification in given}
    always = (accountlinking.init(), multitenancy.init(), usermetadata.init())
    return [specification for specification in always if specification.recipe_id not in named]


def _session_config(specifications: Sequence[RecipeSpecification]) -> SessionConfig:
    for specification in specifications:
        if isinstance(specification.config, SessionConfig):
            return specification.config
    return SessionConfig()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
