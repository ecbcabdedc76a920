"""Fixtures for tests of frameworks; a framework is imported only where a test asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from coatcheck import App

if TYPE_CHECKING:
    from ...django_project import Project


@pytest.fixture(params=["wsgi", "asgi"])
def stack(request: pytest.FixtureRequest) -> str:
    """Return the kind of handler that serves a Django project."""
    kind: str = request.param
    return kind


@pytest.fixture
def project(stack: str, make_app: Callable[..., App]) -> Iterator[Callable[..., Project]]:
    """Open Django projects, each around an App of its own; keywords go to `make_app`."""
    from ...django_project import Project

    opened: list[Project] = []

    def opening(**options: Any) -> Project:
        opened.append(Project(stack, make_app(**options)))
        return opened[-1]

    yield opening
    for one in reversed(opened):
        one.close()
