"""What Flask swallows: the errors of views that it answers with 500."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import flask


@contextmanager
def unhandled(app: flask.Flask, environ: MutableMapping[str, Any]) -> Iterator[list[Exception]]:
    """Collect the errors that Flask answers for the request of this environ."""
    errors: list[Exception] = []

    def collect(_sender: flask.Flask, exception: Exception, **_more: Any) -> None:
        if flask.request.environ is environ:
            errors.append(exception)

    with flask.got_request_exception.connected_to(collect, app):
        yield errors
