"""Requests and responses of the SDK's kind.

A request is a Starlette request that also has `get_header`, `get_path` and so on. A response is written step by step:
`response.set_status_code(401); response.set_json_content({...})`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, Protocol, cast, runtime_checkable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from ..claims.payload import JSONObject, UserContext
from ..recipes.exceptions import ConfigurationError
from ..recipes.kit import request as context
from ..recipes.kit.routing import ApiResponse
from ..recipes.session.response import Outcome, SetCookie, key_of, response_log


class Method(str):
    """An HTTP method: a text as in Starlette, which can be called as in the SDK."""

    __slots__ = ()

    def __call__(self) -> str:
        """Return the method."""
        return str(self)


class BaseRequest(Request):
    """A request with the methods of the SDK and those of Starlette."""

    wrapper_used = True

    @property
    def request(self) -> Request:
        """The request of the framework, which is this one."""
        return self

    @property
    def method(self) -> Method:
        """The HTTP method."""
        return Method(self.scope["method"])

    def get_path(self) -> str:
        """Return the path without the query."""
        return str(self.scope["path"])

    def get_original_url(self) -> str:
        """Return the whole URL."""
        return str(self.url)

    def get_header(self, key: str) -> str | None:
        """Return a header, None if it is missing."""
        return self.headers.get(key)

    def get_cookie(self, key: str) -> str | None:
        """Return a cookie, None if it is missing."""
        return self.cookies.get(key)

    def get_query_param(self, key: str, default: str | None = None) -> str | None:
        """Return a parameter of the query."""
        found: str | None = self.query_params.get(key, default)
        return found

    def get_query_params(self) -> dict[str, str]:
        """Return all parameters of the query."""
        return dict(self.query_params)

    async def form_data(self) -> JSONObject:
        """Return the fields of a form; a multipart form needs the package python-multipart."""
        if self.headers.get("content-type", "").startswith("multipart/form-data"):
            return dict(await self.form())
        return dict(parse_qsl((await self.body()).decode(), keep_blank_values=True))

    async def get_json_or_form_data(self) -> JSONObject | None:
        """Return the body, read by its content type; None if that is neither JSON nor a form."""
        kind = self.headers.get("content-type", "")
        if kind.startswith("application/json"):
            return cast("JSONObject", await self.json())
        if kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
            return await self.form_data()
        return None

    def get_session(self) -> Any:
        """Return the verified session, None if there is none."""
        return getattr(self.state, "supertokens", None)

    def set_session(self, session: Any) -> None:
        """Make `session` the session of this request."""
        context.set_session(self, session)

    def set_session_as_none(self) -> None:
        """Record that this request has no session."""
        context.set_session(self, None)


def as_sdk_request(request: Request) -> BaseRequest:
    """Make a request object a BaseRequest and return it; it remains the Starlette request that it was."""
    if not isinstance(request, BaseRequest):
        # The class of the object changes, because library, framework and application share it and the body it has read.
        request.__class__ = _sdk_class(type(request))
    return cast("BaseRequest", request)


@lru_cache(maxsize=64)
def _sdk_class(kind: type[Request]) -> type[BaseRequest]:
    return BaseRequest if kind is Request else type(kind.__name__, (BaseRequest, kind), {})


def get_request_from_user_context(user_context: UserContext | None) -> BaseRequest | None:
    """Return the request that a user context belongs to, None outside a request."""
    request = context.get_request_from_user_context(user_context)
    return None if request is None else as_sdk_request(request)


class BaseResponse:
    """A response that is written step by step; the first status and the first body stay.

    `default` is the answer if nothing is set. Its headers are always sent, also those that clear tokens.
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
        samesite: Literal["lax", "none", "strict"] = "lax",
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
        """Return a header, None if it is not set."""
        return self._response.headers.get(key)

    def remove_header(self, key: str) -> None:
        """Remove a header."""
        del self._response.headers[key]

    def set_status_code(self, status_code: int) -> None:
        """Set the status; a second call changes nothing."""
        if not self._has_status:
            self._response.status_code, self._has_status = status_code, True

    def set_json_content(self, content: Any) -> None:
        """Set the body to a JSON value; a second body changes nothing."""
        self._set_body(ApiResponse(content))

    def set_html_content(self, content: str) -> None:
        """Set the body to a page; a second body changes nothing."""
        self._set_body(Response(content, media_type="text/html"))

    def redirect(self, url: str) -> BaseResponse:
        """Redirect the browser to `url`."""
        self.set_header("location", url)
        self.set_status_code(302)
        return self

    @property
    def is_written(self) -> bool:
        """Whether the status or the body has been set."""
        return self._has_status or self._has_body

    def to_starlette(self) -> Response:
        """Return the Starlette response."""
        return self._response

    def add_to_answer(self, request: Request) -> None:
        """Add the headers and cookies of this response to the answer of the API that `request` is for.

        ConfigurationError if the status or the body was set: the API returns those.
        """
        if self.is_written:
            raise ConfigurationError(
                "an API override has set the status or the body of api_options.response, which coatcheck does not "
                "send: return the answer instead, such as a GeneralErrorResponse or an object with to_json()"
            )
        log = response_log(request)
        for name, value in self._response.headers.items():
            if name == "set-cookie":
                log.add(_CookieEntry(value))
            elif name != "content-length":
                log.add(_HeaderEntry(name, value))

    def _set_body(self, source: Response) -> None:
        if not self._has_body:
            self._has_body, self._response.body = True, source.body
            for name in ("content-type", "content-length"):
                self.set_header(name, source.headers[name])


@runtime_checkable
class APIResponse(Protocol):
    """What an API function may return: any object that can be written as JSON."""

    def to_json(self) -> JSONObject:
        """Return the body of the answer, such as `{"status": "OK"}`."""
        ...


@dataclass(frozen=True, slots=True)
class _HeaderEntry:
    """A header in the log of a response."""

    name: str
    value: str

    def replay(self, outcome: Outcome) -> None:
        outcome.headers[self.name] = self.value


@dataclass(frozen=True, slots=True)
class _CookieEntry:
    """A Set-Cookie header in the log of a response; its text does not change."""

    text: str

    def replay(self, outcome: Outcome) -> None:
        name, domain, path = key_of(self.text)
        outcome.write(_VerbatimCookie(name, "", path, domain, 0, False, "lax", self.text))


@dataclass(frozen=True, slots=True)
class _VerbatimCookie(SetCookie):
    text: str

    def header(self) -> str:
        """Return the text of the header."""
        return self.text
