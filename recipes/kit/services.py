"""Which App a call belongs to: the one bound to the running context, else the process's default."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ...claims.clock import Clock, current_clock
from ..exceptions import NotInitialisedError
from .driver import Driver, drive, driven

if TYPE_CHECKING:
    from ..app import App

P = ParamSpec("P")
R = TypeVar("R")

_bound: ContextVar[App | None] = ContextVar("coatcheck_app", default=None)

_NONE = "Initialisation not done. Did you forget to call coatcheck.init(...), or to enter `with app.active():`?"
_SEVERAL = (
    "this thread has no context of a test, and several Apps are open in tests, so nobody can tell which is meant: "
    "enter `with app.active():`, or start the thread with contextvars.copy_context().run"
)


class _Default:
    """Holds the process's default App and those of running tests, so that setting them needs no global statement."""

    app: App | None = None
    of_tests: tuple[App, ...] = ()
    without_context: App | None = None
    """Whose the calls are that come without a context, as every request asks; None where nobody can tell."""
    lock = threading.Lock()


def _settle() -> None:
    candidates = _Default.of_tests or (_Default.app,)
    _Default.without_context = candidates[0] if len(candidates) == 1 else None


def current_app() -> App:
    """Return the App bound to the running context, else the one `init` made; NotInitialisedError if there is none.

    In a test it is the test's App rather than the one of `init`.
    """
    app = _bound.get() or _Default.without_context
    if app is None:
        raise NotInitialisedError(_SEVERAL if _Default.of_tests else _NONE)
    return app


def default_app() -> App | None:
    """Return the process's default App, None before `init`."""
    return _Default.app


def set_default_app(app: App | None) -> None:
    """Make `app` the process's default."""
    _Default.app = app
    _settle()


@contextmanager
def standing_in(app: App) -> Iterator[None]:
    """Let `app` be meant by calls without a context, such as those of a test's own threads, while the block runs."""
    with _Default.lock:
        _Default.of_tests += (app,)
        _settle()
    try:
        yield
    finally:
        with _Default.lock:
            _Default.of_tests = tuple(one for one in _Default.of_tests if one is not app)
            _settle()


def is_current(app: App) -> bool:
    """Tell whether an App, and its clock, are the current ones."""
    return (_bound.get() or _Default.without_context) is app and current_clock.get() is app.clock


class Active:
    """A context in which one App, and its clock, are current; free where they already are."""

    __slots__ = ("_app", "_app_token", "_clock_token")

    def __init__(self, app: App) -> None:
        self._app = app
        self._app_token: Token[App | None] | None = None
        self._clock_token: Token[Clock] | None = None

    def __enter__(self) -> App:
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
    """Return the plain form of an async function, driven as the current App says (`sync_overrides`)."""
    return driven(f, chosen_by=_driver)


def _driver() -> Driver:
    app = _bound.get() or _Default.without_context
    return drive if app is None else app.driver
