"""What an application raised although its framework has answered for it: Flask and Django send a page with 500."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any

Unhandled = AbstractContextManager[list[Exception]]


def unhandled(app: Any, request: MutableMapping[str, Any]) -> Unhandled:
    """Collect the errors of one request, an ASGI scope or a WSGI environ, that the framework of `app` swallows.

    Starlette and others raise them again after they have answered, so there is nothing to collect.
    """
    for kind in type(app).__mro__:
        framework = kind.__module__.partition(".")[0]
        if framework in ("flask", "django"):
            found: Unhandled = import_module(f".{framework}", __package__).unhandled(app, request)
            return found
    return _nothing()


@contextmanager
def _nothing() -> Iterator[list[Exception]]:
    yield []
