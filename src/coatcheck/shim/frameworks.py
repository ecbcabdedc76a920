"""Requests as the SDK knows them: a Starlette request that also answers to `get_header`, `get_path` and so on."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast
from urllib.parse import parse_qsl

from starlette.requests import Request

from ..claims.payload import JSONObject, UserContext
from ..recipes.kit import request as context


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
