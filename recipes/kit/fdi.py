"""The front-end interface version a client speaks, and what depends on it (docs/protocol.md, rule 18.4)."""

from __future__ import annotations

import re

from starlette.requests import Request

Version = tuple[int, int]

NEWEST: Version = (4, 2)
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})")


def fdi_version(request: Request) -> Version:
    """Return the highest version a client lists, the newest one if it lists none that can be read."""
    listed = [_parsed(part) for part in request.headers.get("fdi-version", "").split(",")]
    known = [version for version in listed if version is not None]
    return max(known, default=NEWEST)


def has_user_objects(version: Version) -> bool:
    """Tell whether a client expects the newer user object, with login methods."""
    return (1, 18) <= version < (2, 0) or version >= (3, 0)


def knows_linking_flag(version: Version) -> bool:
    """Tell whether a client sends `shouldTryLinkingWithSessionUser`, so that its absence means false."""
    return version >= (3, 1)


def _parsed(text: str) -> Version | None:
    match = _VERSION.fullmatch(text.strip())
    return None if match is None else (int(match[1]), int(match[2]))
