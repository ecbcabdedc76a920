"""Empty databases for the tables of the recipes, and calls that are made at the same time."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from coatcheck.claims.clock import Clock
from coatcheck.sessions.database import Database

POSTGRES = os.environ.get("COATCHECK_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/")


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Yield an empty database in memory; `@every_database` makes it each kind in turn."""
    kind = getattr(request, "param", "memory")
    if kind == "postgres":
        url: str = request.getfixturevalue("store_schema")
    elif kind == "file":
        path: Path = request.getfixturevalue("tmp_path")
        url = f"sqlite:///{path / 'store.db'}"
    else:
        url = "sqlite://"
    with closing(Database(url, clock=Clock())) as database:
        yield database


@pytest.fixture
def store_schema() -> Iterator[str]:
    """Yield the URL of an empty PostgreSQL schema, dropped at the end."""
    engine = create_engine(POSTGRES)
    schema = f"coatcheck_store_{secrets.token_hex(6)}"
    try:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
    except OperationalError:
        if "CI" in os.environ:
            raise
        pytest.skip(f"PostgreSQL is not reachable at {engine.url!r}")
    url = make_url(POSTGRES).update_query_dict({"options": f"-csearch_path={schema}"})
    yield url.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def together() -> Callable[..., list[Any]]:
    """Return a function that calls others at the same moment, each in a thread, and returns what they return."""

    def call(*functions: Callable[[], Any]) -> list[Any]:
        barrier = threading.Barrier(len(functions))

        def wait_and_call(function: Callable[[], Any]) -> Any:
            barrier.wait()
            return function()

        with ThreadPoolExecutor(len(functions)) as threads:
            return list(threads.map(wait_and_call, functions))

    return call
