"""The fixtures of the pytest plugin: each calls a plain function of the kit and loads it when a test needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from .. import testing

if TYPE_CHECKING:
    from ..claims.clock import ManualClock
    from ..recipes.app import App
    from ..recipes.kit.recipe import RecipeSpecification


@pytest.fixture(scope="session")
def coatcheck_recipes() -> Sequence[RecipeSpecification]:
    """Return the recipe list of `coatcheck_app`; override it in a conftest.py to test your own recipes."""
    return testing.default_recipes()


@pytest.fixture(scope="session")
def coatcheck_config() -> Mapping[str, Any]:
    """Return more keywords for the App behind `coatcheck_app`, such as app_info; override it in a conftest.py."""
    return {}


@pytest.fixture
def coatcheck_app(
    coatcheck_recipes: Sequence[RecipeSpecification], coatcheck_config: Mapping[str, Any]
) -> Iterator[App]:
    """Yield a new App in memory, the current one during the test, with a clock that the test moves."""
    with testing.make_app(coatcheck_recipes, **coatcheck_config) as app:
        yield app


@pytest.fixture
def clock(coatcheck_app: App) -> ManualClock:
    """Return the clock of `coatcheck_app`: `clock.advance(seconds)`."""
    return testing.manual_clock(coatcheck_app)


@pytest.fixture
def outbox(coatcheck_app: App) -> testing.Mailbox:
    """Return the mails of `coatcheck_app`: `outbox.last.link`, `outbox.to("ann@example.com").last.token`."""
    return testing.Mailbox(coatcheck_app.outbox)


@pytest.fixture
def providers(coatcheck_app: App) -> testing.Providers:
    """Return the stub providers: `providers["google"].next_persona("ada@example.com")`."""
    return testing.Providers(coatcheck_app)


@pytest.fixture(name="sign_in")
def sign_in_fixture(coatcheck_app: App) -> testing.SignIn:
    """Make sessions without HTTP: `sign_in("ann@example.com", claims={SecondFactorClaim: True})`."""
    return partial(testing.sign_in, coatcheck_app)
