"""What an App offers its recipes, and which App is current: the App of the running context, else the default one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection

from ...claims.clock import Clock, current_clock
from ...sessions.blocking import database_work
from ...sessions.database import Database
from ...sessions.key_store import Cipher
from ...sessions.signing_key import KeySource
from ..exceptions import ConfigurationError, NotInitialisedError
from ..users.directory import UserDirectory
from .app_info import AppInfo
from .driver import Driver, drive, driven

P = ParamSpec("P")
R = TypeVar("R")


class Services:
    """What an App offers its recipes; the class App adds how it is built."""

    info: AppInfo
    database: Database
    clock: Clock
    cipher: Cipher
    """What seals secrets that are stored in the database."""
    key_source: KeySource
    users: UserDirectory
    outbox: Any
    """The Outbox (`recipes/delivery`) with the mails that no server has sent."""
    driver: Driver
    """What runs the plain (`.sync`) functions."""
    unsafe_for_tests: bool
    recipes_by_id: dict[str, Any]
    """The recipes of the App, in the order in which routes are searched; `Recipe.of` gives each its type."""

    def active(self) -> Active:
        """Return a context manager in which this App and its clock are the current ones."""
        return Active(self)

    async def on_database_thread(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a blocking function: inline for a database in memory, otherwise as `database_work` does."""
        if self.database.inline:
            return fn(*args, **kwargs)
        return await database_work(fn, *args, **kwargs)

    def read(self, work: Callable[[Connection], R]) -> Coroutine[Any, Any, R]:
        """Run `work` in a transaction that changes nothing."""
        return self.on_database_thread(self.database.read, work)

    def write(self, work: Callable[[Connection], R]) -> Coroutine[Any, Any, R]:
        """Run `work` in a transaction; `work` runs again if the database asks for that."""
        return self.on_database_thread(self.database.write, work)

    async def primary_user_id(self, recipe_user_id: str) -> str:
        """Return the id of the user who owns a login method; the same id where there is no such user."""
        return await self.read(lambda connection: self.users.primary_id(connection, recipe_user_id))

    @property
    def recipes(self) -> tuple[Any, ...]:
        """The recipes of the App, in the order in which routes are searched."""
        return tuple(self.recipes_by_id.values())

    def has_recipe(self, recipe_id: str) -> bool:
        """Whether this App has the recipe."""
        return recipe_id in self.recipes_by_id

    def recipe(self, recipe_id: str) -> Any:
        """Return a recipe; ConfigurationError naming the missing `init` call if it is not in the list."""
        found = self.recipes_by_id.get(recipe_id)
        if found is None:
            raise ConfigurationError(f"{recipe_id}.init(...) is missing from recipe_list")
        return found


_bound: ContextVar[Services | None] = ContextVar("coatcheck_app", default=None)

_NONE = "Initialisation not done. Did you forget to call coatcheck.init(...), or to enter `with app.active():`?"
_SEVERAL = (
    "this thread has no context of a test, and several Apps are open in tests, so nobody can tell which is meant: "
    "enter `with app.active():`, or start the thread with contextvars.copy_context().run"
)


class _Default:
    """The process's default App and those of running tests; in a class, so that no global statement is needed."""

    app: Services | None = None
    of_tests: tuple[Services, ...] = ()
    without_context: Services | None = None
    """The App of calls that come without a context; kept here because every request asks for it."""


def _choose_default() -> None:
    candidates = _Default.of_tests or (_Default.app,)
    _Default.without_context = candidates[0] if len(candidates) == 1 else None


def current_services() -> Services:
    """Return the App bound to the running context, else the one `init` made; NotInitialisedError if there is none.

    In a test it is the test's App rather than the one of `init`.
    """
    app = _bound.get() or _Default.without_context
    if app is None:
        raise NotInitialisedError(_SEVERAL if _Default.of_tests else _NONE)
    return app


def default_services() -> Services | None:
    """Return the process's default App, None before `init`."""
    return _Default.app


def set_default_services(app: Services | None) -> None:
    """Make `app` the process's default."""
    _Default.app = app
    _choose_default()


def substitute_default(*apps: Services) -> None:
    """Let the Apps of running tests replace the default; if there are several, a call without a context finds none."""
    _Default.of_tests = apps
    _choose_default()


def is_current(app: Services) -> bool:
    """Whether an App and its clock are the current ones."""
    return (_bound.get() or _Default.without_context) is app and current_clock.get() is app.clock


class Active:
    """A context in which one App and its clock are current; it costs nothing if they already are."""

    __slots__ = ("_app", "_app_token", "_clock_token")

    def __init__(self, app: Services) -> None:
        self._app = app
        self._app_token: Token[Services | None] | None = None
        self._clock_token: Token[Clock] | None = None

    def __enter__(self) -> Services:
        app = self._app
        if (_bound.get() or _Default.without_context) is not app:
            self._app_token = _bound.set(app)
        if current_clock.get() is not app.clock:
            self._clock_token = current_clock.set(app.clock)
        return app

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._app_token is not None:
            _bound.reset(self._app_token)
        if self._clock_token is not None:
            current_clock.reset(self._clock_token)


def synced(f: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """Return the plain form of an async function; `sync_overrides` of the current App says how it runs."""
    return driven(f, chosen_by=_driver)


def _driver() -> Driver:
    app = _bound.get() or _Default.without_context
    return drive if app is None else app.driver
