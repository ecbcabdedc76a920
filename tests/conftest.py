"""Fixtures for tests above the sessions layer: an App in memory, and clients that speak HTTP to it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from starlette.routing import BaseRoute
from starlette.testclient import TestClient

from coatcheck import App, InputAppInfo, shim
from coatcheck.claims import Clock, ManualClock
from coatcheck.recipes import emailpassword, session, usermetadata
from coatcheck.recipes.app import default_app
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.server import create_app

from .kit import API, POSTGRES, WEBSITE, PostgresSchemas


def pytest_configure(config: pytest.Config) -> None:
    """With `-n`, a file stays in one process, so that what its tests share is made once."""
    if config.getoption("dist", "no") == "load":
        config.option.dist = "loadfile"


@pytest.fixture(scope="session")
def postgres_schemas() -> Iterator[PostgresSchemas]:
    """Yield the schemas of a new PostgreSQL database, dropped at the end; each process of a run has its own."""
    admin = create_engine(make_url(POSTGRES).set(database="postgres"), isolation_level="AUTOCOMMIT")
    name = f"coatcheck_test_{secrets.token_hex(6)}"
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
            # Nothing here is to outlive a crash of the server.
            connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    except OperationalError:
        if "CI" in os.environ:
            raise
        pytest.skip(f"PostgreSQL is not reachable at {admin.url!r}")
    schemas = PostgresSchemas(make_url(POSTGRES).set(database=name))
    yield schemas
    schemas.close()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(scope="module")
def tables_exist() -> bool:
    """Tell whether a database may have its tables before its first use; files about that use say no."""
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
    made: list[App] = []

    def make(
        *,
        recipes: list[Any] | None = None,
        api_domain: str = API,
        website_domain: str = WEBSITE,
        api_base_path: str = "/auth",
        api_gateway_path: str = "",
        database: Any = None,
        clock: Clock = clock,
        unsafe_for_tests: bool = True,
        **options: Any,
    ) -> App:
        app = App(
            app_info=InputAppInfo(
                app_name="Test",
                api_domain=api_domain,
                website_domain=website_domain,
                api_base_path=api_base_path,
                api_gateway_path=api_gateway_path,
            ),
            recipe_list=[
                session.init(**options),
                *([emailpassword.init(), usermetadata.init()] if recipes is None else recipes),
            ],
            database="sqlite://" if database is None else database,
            clock=clock,
            unsafe_for_tests=unsafe_for_tests,
        )
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., TestClient]]:
    """Open HTTP clients on Apps: `serve(app, routes=[...])`; the client keeps cookies as a browser does."""
    clients: list[TestClient] = []

    def open_client(app: App, routes: list[BaseRoute] | None = None, base_url: str = API) -> TestClient:
        client = TestClient(create_app(app, routes or []), base_url=base_url, raise_server_exceptions=False)
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture
def no_default_app() -> Iterator[None]:
    """Leave the process without a default App, before and after."""
    set_default_services(None)
    yield
    left = default_app()
    set_default_services(None)
    if left is not None:
        left.close()


@pytest.fixture
def shimmed(no_default_app: None) -> Iterator[None]:
    """Have `supertokens_python` mean coatcheck, without an App yet; afterwards nothing is left of either."""
    shim.install()
    yield
    shim.uninstall()
