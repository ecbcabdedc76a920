"""Responses as the SDK knows them: `response.set_status_code(401); response.set_json_content({...})`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from ..recipes.exceptions import ConfigurationError
from ..recipes.kit.routing import ApiResponse
from ..recipes.session.cookies import SetCookie, key_of
from ..recipes.session.response import Outcome, response_log

SameSite = Literal["lax", "none", "strict"]


class BaseResponse:
    """A response in the making; of status and body, what is set first stays.

    `default` is the answer that is sent where nothing is set; its headers, those that clear tokens among them, are
    kept.
    """

    def __init__(self, default: Response | None = None) -> None:
        self._response = Response() if default is None else default
        self._has_status = False
        self._has_body = False

    def set_cookie(
        self,
        key: str,
        value: str,
        expires: int,
        path: str = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: SameSite = "lax",
    ) -> None:
        """Set a cookie; `expires` in ms since the epoch."""
        self._response.set_cookie(
            key,
            value,
            expires=datetime.fromtimestamp(expires / 1000, UTC),
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
        )

    def set_header(self, key: str, value: str) -> None:
        """Set a header."""
        self._response.headers[key] = value

    def get_header(self, key: str) -> str | None:
        """Return a header, None where it is not set."""
        return self._response.headers.get(key)

    def remove_header(self, key: str) -> None:
        """Remove a header."""
        del self._response.headers[key]

    def set_status_code(self, status_code: int) -> None:
        """Set the status, once."""
        if not self._has_status:
            self._response.status_code, self._has_status = status_code, True

    def set_json_content(self, content: Any) -> None:
        """Set the body to a JSON value, once."""
        self._set_body(ApiResponse(content))

    def set_html_content(self, content: str) -> None:
        """Set the body to a page, once."""
        self._set_body(Response(content, media_type="text/html"))

    def redirect(self, url: str) -> BaseResponse:
        """Send the browser elsewhere."""
        self.set_header("location", url)
        self.set_status_code(302)
        return self

    @property
    def is_written(self) -> bool:
        """Whether status or body have been set."""
        return self._has_status or self._has_body

    def to_starlette(self) -> Response:
        """Return what is sent."""
        return self._response

    def lay_over_answer(self, request: Request) -> None:
        """Send the headers and cookies that were set with the answer of the API that `request` is for.

        ConfigurationError if status or body were set: those are what the API returns.
        """
        if self.is_written:
            raise ConfigurationError(
                "an API override has set the status or the body of api_options.response, which coatcheck does not "
                "send: return the answer instead, such as a GeneralErrorResponse or an object with to_json()"
            )
        log = response_log(request)
        for name, value in self._response.headers.items():
            if name == "set-cookie":
                log.add(_Cookie(value))
            elif name != "content-length":
                log.add(_Header(name, value))

    def _set_body(self, written: Response) -> None:
        if not self._has_body:
            self._has_body, self._response.body = True, written.body
            for name in ("content-type", "content-length"):
                self.set_header(name, written.headers[name])


@dataclass(frozen=True, slots=True)
class _Header:
    """A header in the log of a response."""

    name: str
    value: str

    def replay(self, outcome: Outcome) -> None:
        outcome.headers[self.name] = self.value


@dataclass(frozen=True, slots=True)
class _Cookie:
    """A cookie in the log of a response, as it was written."""

    text: str

    def replay(self, outcome: Outcome) -> None:
        name, domain, path = key_of(self.text)
        outcome.write(_WrittenCookie(name, "", path, domain, 0, False, "lax", self.text))


@dataclass(frozen=True, slots=True)
class _WrittenCookie(SetCookie):
    text: str

    def header(self) -> str:
        """Return the text as it was written."""
        return self.text
