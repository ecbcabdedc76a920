"""The order of the tests, and how `-n` hands them to processes: hooks of pytest for the conftest.py of this folder."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """With `-n`, a file stays in one process, so that what its tests share is made once."""
    if config.getoption("dist", "no") == "load":
        config.option.dist = "loadfile"
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files that start processes, so that at the end no process of `-n` waits for such a file of another."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
