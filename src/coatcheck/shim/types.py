"""Types that SDK applications annotate with, and coatcheck has no need for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypedDict, runtime_checkable

from ..claims.payload import JSONObject, UserContext
from .responses import BaseResponse

JSONPrimitive = str | int | bool | None | dict[str, Any]
JSONPrimitiveList = list[str] | list[int] | list[bool] | list[None] | list[dict[str, Any]]

ResponseMutator = Callable[[BaseResponse, UserContext], None]


@runtime_checkable
class APIResponse(Protocol):
    """What an API function may return: anything that can be written as JSON."""

    def to_json(self) -> JSONObject:
        """Return the answer's body."""
        ...


class GetSessionTokensDangerouslyDict(TypedDict):
    """What `get_all_session_tokens_dangerously` returns."""

    accessToken: str
    accessAndFrontTokenUpdated: bool
    refreshToken: str | None
    frontToken: str
    antiCsrfToken: str | None
