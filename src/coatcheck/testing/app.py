"""Apps for tests: each of them fresh, all in memory, with a clock that stands still and hashes that cost nothing."""

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
from ..recipes.kit.services import standing_in
from ..server.stub.routes import stub_providers

APP_INFO = InputAppInfo("Test", "http://localhost:3567", website_domain="http://localhost:3000")
"""What an App for tests is called and where it is, unless it is told."""


@cache
def default_recipes() -> tuple[RecipeSpecification, ...]:
    """Return the recipes of an App that is given none: sessions, e-mail and password, user metadata."""
    return session.init(), emailpassword.init(), usermetadata.init()


@contextmanager
def make_app(recipe_list: Sequence[RecipeSpecification] | None = None, **config: Any) -> Iterator[App]:
    """Yield a fresh App, which is the current one while the block runs, in every thread, and close it afterwards.

    `config` are keywords of App in place of these: APP_INFO, a database in memory, a ManualClock that stands at the
    present second. `unsafe_for_tests` is always set, and mails of an SMTPService go to the outbox. What a test planned
    for stub providers and did not use is forgotten with the App.
    """
    given = {"app_info": APP_INFO, "database": "sqlite://", "clock": _clock(), **config}
    app = App(**given, recipe_list=default_recipes() if recipe_list is None else recipe_list, unsafe_for_tests=True)
    app.outbox.replaces_smtp = True
    try:
        with app.active(), standing_in(app):
            yield app
    finally:
        for provider in stub_providers(app):
            provider.script.clear()
        app.close()


def _clock() -> ManualClock:
    # At a whole second, so that `exp` and `iat`, which are whole seconds, can be reckoned with.
    return ManualClock(system_clock.now_ms() // 1000 * 1000)
