"""The functions of the SDK that raise errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from ..claims.exceptions import CoatcheckError
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


def raise_general_exception(msg: str | Exception, previous: Exception | None = None) -> NoReturn:
    """Raise the general error; an error of coatcheck is raised as it is."""
    if isinstance(msg, CoatcheckError):
        raise msg
    raise RecipeError(str(msg)) from previous


def raise_bad_input_exception(msg: str) -> NoReturn:
    """Raise the error that the API answers with HTTP 400 and the message."""
    raise BadInputError(msg)


def raise_token_theft_exception(
    user_id: str, recipe_user_id: RecipeUserId | str, session_handle: str | None = None
) -> NoReturn:
    """Raise the error of a stolen refresh token; older applications pass the handle second."""
    if session_handle is None:
        recipe_user_id, session_handle = RecipeUserId(user_id), str(recipe_user_id)
    owner = recipe_user_id if isinstance(recipe_user_id, RecipeUserId) else RecipeUserId(recipe_user_id)
    raise TokenTheftError(user_id, owner, session_handle)


def raise_try_refresh_token_exception(msg: str | Exception) -> NoReturn:
    """Raise the error that makes the client refresh; an error of coatcheck is raised as it is."""
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
    """Raise the error of claims that have failed."""
    raise InvalidClaimsError(msg, payload)


def raise_clear_duplicate_session_cookies_exception(
    msg: str, response_mutators: Sequence[object] | None = None
) -> NoReturn:
    """Raise the error of cookies that a browser holds twice."""
    _refuse_mutators(response_mutators)
    raise ClearDuplicateSessionCookiesError(msg)


def _refuse_mutators(response_mutators: Sequence[object] | None) -> None:
    if response_mutators:
        raise ConfigurationError("response_mutators: coatcheck keeps a log of token changes and does not run them")
