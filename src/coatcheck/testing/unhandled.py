"""Errors of applications that frameworks answer themselves: Flask and Django send a page with 500."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any

Unhandled = AbstractContextManager[list[Exception]]


def unhandled(app: Any, request: MutableMapping[str, Any]) -> Unhandled:
    """Collect the errors of one request (an ASGI scope or a WSGI environ) that the framework of `app` does not raise.

    Starlette and others raise their errors again after the answer, so for them there is nothing to collect.
    """
    for kind in type(app).__mro__:
        collect = _FRAMEWORKS.get(kind.__module__.partition(".")[0])
        if collect is not None:
            return collect(app, request)
    return _no_errors()


@contextmanager
def _flask_errors(app: Any, environ: MutableMapping[str, Any]) -> Iterator[list[Exception]]:
    flask = import_module("flask")
    errors: list[Exception] = []

    def collect(_sender: Any, exception: Exception, **_more: Any) -> None:
        if flask.request.environ is environ:
            errors.append(exception)

    with flask.got_request_exception.connected_to(collect, app):
        yield errors


@contextmanager
def _django_errors(_app: Any, request: MutableMapping[str, Any]) -> Iterator[list[Exception]]:
    got_request_exception = import_module("django.core.signals").got_request_exception
    errors: list[Exception] = []
    marker = object()
    request["coatcheck.exchange"] = marker

    def collect(request: Any, **_more: Any) -> None:
        origin = getattr(request, "scope", None) or request.META
        if origin.get("coatcheck.exchange") is marker:
            error = sys.exception()  # the signal does not carry the error
            errors.extend([error] if isinstance(error, Exception) else [])

    got_request_exception.connect(collect)
    try:
        yield errors
    finally:
        got_request_exception.disconnect(collect)


@contextmanager
def _no_errors() -> Iterator[list[Exception]]:
    yield []


_FRAMEWORKS: dict[str, Callable[[Any, MutableMapping[str, Any]], Unhandled]] = {
    "flask": _flask_errors,
    "django": _django_errors,
}
