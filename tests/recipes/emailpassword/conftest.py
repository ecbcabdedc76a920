"""An App with the recipe as it is, and a client on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from coatcheck import App

from ...kit import Make, Serve


@pytest.fixture
def app(make_app: Make) -> Iterator[App]:
    """Return an App with the recipe as it is, made current."""
    made = make_app()
    with made.active():
        yield made


@pytest.fixture
def client(app: App, serve: Serve) -> TestClient:
    """Return a client on that App."""
    return serve(app)
