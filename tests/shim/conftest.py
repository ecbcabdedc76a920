"""The shim, installed and taken away again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coatcheck import shim


@pytest.fixture
def shimmed(no_default_app: None) -> Iterator[None]:
    """Have `supertokens_python` mean coatcheck, without an App yet; afterwards nothing is left of either."""
    shim.install()
    yield
    shim.uninstall()
