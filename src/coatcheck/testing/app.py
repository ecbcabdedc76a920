"""Apps for tests: each one new and in memory, with a clock that the test moves and fast password hashes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from ..claims.clock import ManualClock, system_clock
from ..recipes import emailpassword, session, usermetadata
from ..recipes.app import App
from ..recipes.kit.app_info import InputAppInfo
from ..recipes.kit.recipe import RecipeSpecification
from ..server.stub import stub_providers
from .fast import FastApp, standing_in

APP_INFO = InputAppInfo("Test", "http://localhost:3567", website_domain="http://localhost:3000")
"""The name and the addresses of an App for tests, unless the test gives others."""


@cache
def default_recipes() -> tuple[RecipeSpecification, ...]:
    """Return the recipes of an App that gets none: sessions, e-mail and password, user metadata."""
    return session.init(), emailpassword.init(), usermetadata.init()


@contextmanager
def make_app(recipe_list: Sequence[RecipeSpecification] | None = None, **config: Any) -> Iterator[App]:
    """Yield a new App, which is the current one in every thread while the block runs, and close it afterwards.

    `config` holds keywords of App. They replace these defaults: APP_INFO, a database in memory, a ManualClock at the
    present second. `unsafe_for_tests` is always set, and the mails of an SMTPService go to the outbox. At the end, stub
    providers forget what the test planned and did not use.
    """
    given = {"app_info": APP_INFO, "database": "sqlite://", "clock": _clock(), **config}
    app = FastApp(**given, recipe_list=default_recipes() if recipe_list is None else recipe_list, unsafe_for_tests=True)
    app.outbox.replaces_smtp = True
    try:
        with app.active(), standing_in(app):
            yield app
    finally:
        for provider in stub_providers(app):
            provider.script.clear()
        app.close()


def _clock() -> ManualClock:
    # `exp` and `iat` are whole seconds; a clock at a whole second makes them easy to compute.
    return ManualClock(system_clock.now_ms() // 1000 * 1000)
