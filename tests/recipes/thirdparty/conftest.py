"""A stubbed Google, an App with it, and a browser on its way there."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck import App
from coatcheck.recipes.thirdparty import (
    ProviderInput,
)
from coatcheck.server.stub import stub

from ...kit import Journey, Make, Serve
from .recipes import recipes


@pytest.fixture
def google() -> ProviderInput:
    """Return a stubbed Google."""
    return stub("google")


@pytest.fixture
def app(make_app: Make, google: ProviderInput) -> App:
    """Return an App with that provider."""
    return make_app(recipes=recipes(google))


@pytest.fixture
def trip(app: App, serve: Serve, google: ProviderInput) -> Any:
    """Return a browser's way to that provider."""
    return Journey(serve(app), google)
