"""Error reports of Django: its debug page and the mails to its ADMINS, without tokens and passwords."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from django.http import HttpRequest
from django.template.defaultfilters import pprint
from django.views.debug import SafeExceptionReporterFilter, get_exception_reporter_filter
from starlette.requests import Request

from ..recipes.context import response_log
from ..recipes.emailpassword_form import PASSWORD
from ..recipes.session_cookies import ACCESS_COOKIE, REFRESH_COOKIE, cookies_of
from ..recipes.session_response import ANTI_CSRF_HEADER

_LONG = 16
"""What is shorter is no token, but perhaps a word such as `remove`."""


def hide_secrets(request: HttpRequest, own: Request) -> None:
    """Have reports about a request leave out what would let a reader act as its user."""
    wrapped = get_exception_reporter_filter(request)
    cast("Any", request).exception_reporter_filter = _Filter(wrapped, request, own)


class _Filter:
    """The project's own filter, which hides cookies and settings, and then the values that contain a secret."""

    def __init__(self, wrapped: SafeExceptionReporterFilter, request: HttpRequest, own: Request) -> None:
        self._wrapped = wrapped
        self._request = request
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def get_safe_request_meta(self, request: HttpRequest) -> dict[str, Any]:
        """Return `request.META` as it may be shown."""
        return self._without_secrets(self._wrapped.get_safe_request_meta(request))

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> Any:
        """Return the variables of a frame as they may be shown."""
        return self._without_secrets(dict(self._wrapped.get_traceback_frame_variables(request, tb_frame))).items()

    def _without_secrets(self, shown: dict[str, Any]) -> dict[str, Any]:
        secrets = {*_tokens(self._own), *_passwords(self._request)}
        return {
            name: self._wrapped.cleansed_substitute if _contains(value, secrets) else value
            for name, value in shown.items()
        }


def _contains(value: Any, secrets: set[str]) -> bool:
    text = pprint(value)
    return any(secret in text for secret in secrets)


def _tokens(own: Request) -> Iterator[str]:
    outcome = response_log(own).outcome()
    sent = [value for name, value in cookies_of(own) if name in (ACCESS_COOKIE, REFRESH_COOKIE)]
    told = [own.headers.get("authorization", "").rpartition(" ")[2], own.headers.get(ANTI_CSRF_HEADER, "")]
    given = [cookie.value for cookie in outcome.cookies.values()]
    for token in (*sent, *told, *given, *outcome.headers.values()):
        if token is not None and len(token) >= _LONG:
            yield token


def _passwords(request: HttpRequest) -> Iterator[str]:
    """Return the passwords of a form of the auth API, if that has been read."""
    try:
        fields = json.loads(getattr(request, "_body", b""))["formFields"]
        passwords = [field["value"] for field in fields if field["id"] == PASSWORD]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    yield from (password for password in passwords if isinstance(password, str) and password)
