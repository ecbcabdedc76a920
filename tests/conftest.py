"""Fixtures for tests above the sessions layer: an App in memory, and clients that speak HTTP to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from hypothesis import HealthCheck, settings
from starlette.testclient import TestClient

from coatcheck import App
from coatcheck.claims import Clock, ManualClock

from .kit import PostgresSchemas, app_of, http_clients, new_postgres_database, without_default_app
from .order import (
    pytest_collection_modifyitems as pytest_collection_modifyitems,
    pytest_configure as pytest_configure,
)

# A slow machine fails no test, and examples may share the fixtures of a test.
settings.register_profile(
    "thorough", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.register_profile("coatcheck", settings.get_profile("thorough"), max_examples=40)
settings.load_profile("coatcheck")


@pytest.fixture(scope="session")
def postgres_schemas() -> Iterator[PostgresSchemas]:
    """Yield the schemas of a new PostgreSQL database, dropped at the end; each process of a run has its own."""
    with new_postgres_database() as schemas:
        yield schemas


@pytest.fixture(scope="module")
def tables_exist() -> bool:
    """Whether a database may have its tables before its first use; files about that use say no."""
    return True


@pytest.fixture
def postgres_url(postgres_schemas: PostgresSchemas, tables_exist: bool) -> Iterator[str]:
    """Yield the URL of a PostgreSQL schema without rows."""
    name = postgres_schemas.borrow(tables_exist=tables_exist)
    yield postgres_schemas.url(name)
    postgres_schemas.give_back(name)


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that tests advance; it starts now, since clients drop cookies that expired by their own clock."""
    return ManualClock(Clock().now_ms() // 1000 * 1000)


@pytest.fixture
def make_app(clock: ManualClock) -> Iterator[Callable[..., App]]:
    """Make Apps in memory; keywords go to `session.init`, except those an App takes itself."""
    with ExitStack() as made:
        yield lambda *, clock=clock, **options: made.enter_context(closing(app_of(clock, **options)))


@pytest.fixture
def serve() -> Iterator[Callable[..., TestClient]]:
    """Open HTTP clients on Apps: `serve(app, routes=[...])`; the client keeps cookies as a browser does."""
    with http_clients() as open_client:
        yield open_client


@pytest.fixture
def no_default_app() -> Iterator[None]:
    """Leave the process without a default App, before and after."""
    with without_default_app():
        yield
