"""Requests as the SDK knows them: a Starlette request that also answers to `get_header`, `get_path` and so on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from ..claims.payload import JSONObject, UserContext
from ..recipes.exceptions import ConfigurationError
from ..recipes.kit import request as context
from ..recipes.kit.routing import ApiResponse
from ..recipes.session.response import Outcome, SetCookie, key_of, response_log


class Method(str):
    """An HTTP method, to be compared as Starlette has it or called as the SDK does."""

    __slots__ = ()

    def __call__(self) -> str:
        """Return the method."""
        return str(self)


class BaseRequest(Request):
    """A request that can be asked in the words of the SDK as well as in Starlette's."""

    wrapper_used = True

    @property
    def request(self) -> Request:
        """The framework's request: this one."""
        return self

    @property
    def method(self) -> Method:
        """The HTTP method."""
        return Method(self.scope["method"])

    def get_path(self) -> str:
        """Return the path, without query."""
        return str(self.scope["path"])

    def get_original_url(self) -> str:
        """Return the whole address."""
        return str(self.url)

    def get_header(self, key: str) -> str | None:
        """Return a header, None where it is missing."""
        return self.headers.get(key)

    def get_cookie(self, key: str) -> str | None:
        """Return a cookie, None where it is missing."""
        return self.cookies.get(key)

    def get_query_param(self, key: str, default: str | None = None) -> str | None:
        """Return a parameter of the query."""
        found: str | None = self.query_params.get(key, default)
        return found

    def get_query_params(self) -> dict[str, str]:
        """Return all parameters of the query."""
        return dict(self.query_params)

    async def form_data(self) -> JSONObject:
        """Return the fields of a form; of a multipart one by python-multipart, which has to be installed."""
        if self.headers.get("content-type", "").startswith("multipart/form-data"):
            return dict(await self.form())
        return dict(parse_qsl((await self.body()).decode(), keep_blank_values=True))

    async def get_json_or_form_data(self) -> JSONObject | None:
        """Return the body as what its content type says it is, None where it is neither."""
        kind = self.headers.get("content-type", "")
        if kind.startswith("application/json"):
            return cast("JSONObject", await self.json())
        if kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
            return await self.form_data()
        return None

    def get_session(self) -> Any:
        """Return the verified session, None where there is none."""
        return getattr(self.state, "supertokens", None)

    def set_session(self, session: Any) -> None:
        """Make `session` the session of this request."""
        context.set_session(self, session)

    def set_session_as_none(self) -> None:
        """Say that this request has no session."""
        context.set_session(self, None)


def known_to_sdk(request: Request) -> BaseRequest:
    """Return the same request object as a BaseRequest; to everybody else it stays the Starlette request it was."""
    if not isinstance(request, BaseRequest):
        # The object itself has to learn: library, framework and application share it, with the body it has read.
        request.__class__ = _taught(type(request))
    return cast("BaseRequest", request)


@lru_cache(maxsize=64)
def _taught(kind: type[Request]) -> type[BaseRequest]:
    return BaseRequest if kind is Request else type(kind.__name__, (BaseRequest, kind), {})


def get_request_from_user_context(user_context: UserContext | None) -> BaseRequest | None:
    """Return the request that a user context belongs to, None outside a request."""
    request = context.get_request_from_user_context(user_context)
    return None if request is None else known_to_sdk(request)


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
