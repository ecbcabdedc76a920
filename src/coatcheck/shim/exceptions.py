"""The SDK's functions that raise errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol, TypedDict, runtime_checkable

from ..claims.exceptions import CoatcheckError
from ..claims.payload import JSONObject, UserContext
from ..claims.recipe_user_id import RecipeUserId
from ..claims.validator import ClaimValidationError
from ..recipes.exceptions import BadInputError, ConfigurationError, RecipeError
from ..sessions.exceptions import (
    ClearDuplicateSessionCookiesError,
    InvalidClaimsError,
    TokenTheftError,
    TryRefreshTokenError,
    UnauthorisedError,
)
from .frameworks import BaseResponse


def raise_general_exception(msg: str | Exception, previous: Exception | None = None) -> NoReturn:
    """Raise the error for whatever has no error of its own; one of ours is raised as it is."""
    if isinstance(msg, CoatcheckError):
        raise msg
    raise RecipeError(str(msg)) from previous


def raise_bad_input_exception(msg: str) -> NoReturn:
    """Raise the error that is answered with HTTP 400 and the message."""
    raise BadInputError(msg)


def raise_token_theft_exception(
    user_id: str, recipe_user_id: RecipeUserId | str, session_handle: str | None = None
) -> NoReturn:
    """Raise the error of a stolen refresh token; the seed's time passed the handle second."""
    if session_handle is None:
        recipe_user_id, session_handle = RecipeUserId(user_id), str(recipe_user_id)
    owner = recipe_user_id if isinstance(recipe_user_id, RecipeUserId) else RecipeUserId(recipe_user_id)
    raise TokenTheftError(user_id, owner, session_handle)


def raise_try_refresh_token_exception(msg: str | Exception) -> NoReturn:
    """Raise the error that makes the client refresh; one of ours is raised as it is."""
    if isinstance(msg, CoatcheckError):
        raise msg
    raise TryRefreshTokenError(str(msg))


def raise_unauthorised_exception(
    msg: str, clear_tokens: bool = True, response_mutators: Sequence[object] | None = None
) -> NoReturn:
    """Raise the error of a missing session."""
    _refuse_mutators(response_mutators)
    raise UnauthorisedError(msg, clear_tokens)


def raise_invalid_claims_exception(msg: str, payload: list[ClaimValidationError]) -> NoReturn:
    """Raise the error of claims that do not hold."""
    raise InvalidClaimsError(msg, payload)


def raise_clear_duplicate_session_cookies_exception(
    msg: str, response_mutators: Sequence[object] | None = None
) -> NoReturn:
    """Raise the error of cookies that a browser holds twice."""
    _refuse_mutators(response_mutators)
    raise ClearDuplicateSessionCookiesError(msg)


def _refuse_mutators(response_mutators: Sequence[object] | None) -> None:
    if response_mutators:
        raise ConfigurationError("response_mutators: coatcheck keeps a log of what happens to tokens and runs none")


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
