"""What Django swallows: the errors of views that it answers with 500."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from django.core.signals import got_request_exception


@contextmanager
def unhandled(_app: object, request: MutableMapping[str, Any]) -> Iterator[list[Exception]]:
    """Collect the errors that Django answers for the request of this environ, or of this ASGI scope."""
    errors: list[Exception] = []
    marker = object()
    request["coatcheck.exchange"] = marker

    def collect(request: Any, **_more: Any) -> None:
        held = getattr(request, "scope", None) or request.META
        if held.get("coatcheck.exchange") is marker:
            error = sys.exception()  # the signal itself does not carry it
            errors.extend([error] if isinstance(error, Exception) else [])

    got_request_exception.connect(collect)
    try:
        yield errors
    finally:
        got_request_exception.disconnect(collect)
