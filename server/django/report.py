"""Django's error reports (debug page, mails to ADMINS) without secrets, and what `manage.py check` reports."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pprint import pformat
from typing import Any, cast

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.views.debug import SafeExceptionReporterFilter, get_exception_reporter_filter
from starlette.requests import Request

from ...recipes.chain.trace import is_secret
from ...recipes.session.response import ACCESS_COOKIE, ANTI_CSRF_HEADER, REFRESH_COOKIE, cookies_of, response_log

_LONG = 16
"""A shorter text is no token, but perhaps a word such as `remove`."""


def hide_secrets(request: HttpRequest, own: Request) -> None:
    """Keep secrets with which a reader could act as the user out of the reports about a request."""
    wrapped = get_exception_reporter_filter(request)
    cast("Any", request).exception_reporter_filter = _Filter(wrapped, request, own)


class _Filter:
    """The project's own filter, which hides cookies and settings; this one also hides values that contain a secret."""

    def __init__(self, wrapped: SafeExceptionReporterFilter, request: HttpRequest, own: Request) -> None:
        self._wrapped = wrapped
        self._request = request
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def get_safe_request_meta(self, request: HttpRequest) -> dict[str, Any]:
        """Return `request.META` without secrets."""
        return self._without_secrets(self._wrapped.get_safe_request_meta(request))

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> Any:
        """Return the variables of a frame without secrets."""
        return self._without_secrets(dict(self._wrapped.get_traceback_frame_variables(request, tb_frame))).items()

    def _without_secrets(self, values: dict[str, Any]) -> dict[str, Any]:
        secrets = {spelt for secret in {*_tokens(self._own), *_in_form(self._request)} for spelt in _spellings(secret)}
        return {
            name: self._wrapped.cleansed_substitute if _contains(value, secrets) else value
            for name, value in values.items()
        }


def _contains(value: Any, secrets: set[str]) -> bool:
    try:
        # In one line: the report breaks long texts into pieces, and a secret could lie across two of them.
        text = _bare(pformat(value, width=sys.maxsize))
    except Exception:
        return False  # the report cannot show it either
    return any(secret in text for secret in secrets)


def _spellings(secret: str) -> set[str]:
    """Return the spellings of a secret in a report: as text, as bytes, and in JSON."""
    written = (repr(secret), repr(secret.encode("utf-8", "surrogatepass")).removeprefix("b"), json.dumps(secret))
    return {_bare(one[1:-1]) for one in written}


def _bare(text: str) -> str:
    """Return a text in lower case without backslashes, which depend on its quotes and on the texts around it."""
    return text.replace("\\", "").lower()


def _tokens(own: Request) -> Iterator[str]:
    outcome = response_log(own).outcome()
    sent = [value for name, value in cookies_of(own) if name in (ACCESS_COOKIE, REFRESH_COOKIE)]
    in_headers = [own.headers.get("authorization", "").rpartition(" ")[2], own.headers.get(ANTI_CSRF_HEADER, "")]
    issued = [cookie.value for cookie in outcome.cookies.values()]
    for token in (*sent, *in_headers, *issued, *outcome.headers.values()):
        if token is not None and len(token) >= _LONG:
            yield token


def _in_form(request: HttpRequest) -> Iterator[str]:
    """Yield the secrets in the body of a request to the auth API if it has been read."""
    try:
        yield from list(_secrets_in("", json.loads(getattr(request, "_body", b""))))
    except (ValueError, RecursionError):
        return


def _secrets_in(name: str, value: Any) -> Iterator[str]:
    """Yield the values whose names are those of secrets: passwords in form fields, tokens and codes."""
    if isinstance(value, str):
        if value and is_secret(name):
            yield value
    elif isinstance(value, dict):
        called = value.get("id")
        for key, inner in value.items():
            yield from _secrets_in(called if key == "value" and isinstance(called, str) else key, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets_in(name, inner)


# Checks


@dataclass(frozen=True, slots=True)
class _Order:
    """A middleware that must be listed before ours, and what happens otherwise."""

    module: str
    name: str
    id: str
    otherwise: str


_BEFORE_OURS = (
    _Order(
        "corsheaders.middleware",
        "CorsMiddleware",
        "coatcheck.W001",
        "answers of the auth API get no CORS headers, and browsers hide them from the pages of the website",
    ),
    _Order(
        "django.middleware.security",
        "SecurityMiddleware",
        "coatcheck.W002",
        "the auth API is served without its headers and, under SECURE_SSL_REDIRECT, over plain HTTP",
    ),
    _Order(
        "django.middleware.cache",
        "UpdateCacheMiddleware",
        "coatcheck.W003",
        "it stores responses before they are marked as depending on the session, and may show them to anybody",
    ),
)


def check_middleware(ours: type) -> list[CheckMessage]:
    """Return the faults of the MIDDLEWARE setting; `ours` is the class of our middleware."""
    listed = [(path, _class(path)) for path in settings.MIDDLEWARE]
    places = [place for place, (_, found) in enumerate(listed) if issubclass(found, ours)]
    if not places:
        return [_missing(ours)]
    twice = [] if len(places) == 1 else [_twice([listed[place][0] for place in places])]
    return [*twice, *_too_late(listed, places[0])]


def _missing(ours: type) -> CheckMessage:
    return Error(
        "The middleware of coatcheck is missing from MIDDLEWARE: nothing serves the auth API, and views protected by "
        "verify_session fail.",
        hint=f"Add '{ours.__module__}.{ours.__qualname__}' to MIDDLEWARE, below CorsMiddleware if there is one.",
        id="coatcheck.E001",
    )


def _twice(paths: list[str]) -> CheckMessage:
    return Error(
        f"The middleware of coatcheck is listed {len(paths)} times in MIDDLEWARE: {', '.join(paths)}.",
        hint="Leave one of them, the first.",
        id="coatcheck.E002",
    )


def _too_late(listed: list[tuple[str, type]], place: int) -> Iterator[CheckMessage]:
    for path, found in listed[place + 1 :]:
        for order in _BEFORE_OURS:
            if any((part.__module__, part.__name__) == (order.module, order.name) for part in found.__mro__):
                yield Warning(
                    f"{path} comes after {listed[place][0]} in MIDDLEWARE: {order.otherwise}.",
                    hint=f"Move '{path}' above '{listed[place][0]}'.",
                    id=order.id,
                )


def _class(path: str) -> type:
    """Return the class that a path names; `object` for a function or for a path that cannot be imported."""
    try:
        found = import_string(path)
    except ImportError:
        return object
    return found if isinstance(found, type) else object
