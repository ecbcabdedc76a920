"""Failures of the application's own module, told in one line with the place in its code."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ...claims.exceptions import CoatcheckError
from ...recipes.exceptions import OverrideError
from ..exceptions import RecipesError

_NOT_THEIRS = ("coatcheck", "importlib")


@contextmanager
def users_code(reference: str) -> Iterator[None]:
    """Turn what the application's code raises into a RecipesError that names file and line; the cause is kept.

    Errors of ours that did not pass through the application's code are let through as they are.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        place = _place(error)
        # An OverrideError names the place of the override itself.
        if isinstance(error, CoatcheckError) and (place is None or isinstance(error, OverrideError)):
            raise
        where = f"{place}: " if place else ""
        raise RecipesError(f"--recipes {reference}: {where}{_told(error)}") from error


def _told(error: BaseException) -> str:
    # A SyntaxError's text repeats the place; the names of our own errors add nothing to what they say.
    if isinstance(error, CoatcheckError):
        return str(error)
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _place(error: BaseException) -> str | None:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}:{error.lineno}"
    passed = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _is_theirs(frame)]
    if not passed:
        return None
    # Where their code calls a library that fails, the line that calls it is the one to look at.
    own = [(frame, line) for frame, line in passed if _is_in_project(frame.f_code.co_filename)]
    frame, line = (own or passed)[-1]
    return f"{_shown(frame.f_code.co_filename)}:{line}"


def _is_theirs(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _NOT_THEIRS


def _is_in_project(file: str) -> bool:
    path = Path(file)
    return path.is_relative_to(os.getcwd()) and "site-packages" not in path.parts


def _shown(file: str) -> str:
    return os.path.relpath(file) if _is_in_project(file) else file
