"""What `manage.py check` says about the place of the middleware among the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string


@dataclass(frozen=True, slots=True)
class Order:
    """A middleware that has to be listed before ours, and what happens otherwise."""

    module: str
    name: str
    id: str
    otherwise: str


BEFORE_OURS = (
    Order(
        "corsheaders.middleware",
        "CorsMiddleware",
        "coatcheck.W001",
        "answers of the auth API get no CORS headers, and browsers hide them from the pages of the website",
    ),
    Order(
        "django.middleware.security",
        "SecurityMiddleware",
        "coatcheck.W002",
        "the auth API is served without its headers and, under SECURE_SSL_REDIRECT, over plain HTTP",
    ),
    Order(
        "django.middleware.cache",
        "UpdateCacheMiddleware",
        "coatcheck.W003",
        "it stores responses before they are marked as depending on the session, and may show them to anybody",
    ),
)


def check_middleware(ours: type) -> list[CheckMessage]:
    """Return what is wrong with the MIDDLEWARE setting; `ours` is the class of our middleware."""
    listed = [(path, _class(path)) for path in settings.MIDDLEWARE]
    places = [place for place, (_, found) in enumerate(listed) if issubclass(found, ours)]
    if not places:
        return [_missing(ours)]
    twice = [] if len(places) == 1 else [_twice([listed[place][0] for place in places])]
    return [*twice, *_too_late(listed, places[0])]


def _missing(ours: type) -> CheckMessage:
    return Error(
        "The middleware of coatcheck is missing from MIDDLEWARE: nothing serves the auth API, and views protected by "
        "verify_session fail.",
        hint=f"Add '{ours.__module__}.{ours.__qualname__}' to MIDDLEWARE, below CorsMiddleware if there is one.",
        id="coatcheck.E001",
    )


def _twice(paths: list[str]) -> CheckMessage:
    return Error(
        f"The middleware of coatcheck is listed {len(paths)} times in MIDDLEWARE: {', '.join(paths)}.",
        hint="Leave one of them, the first.",
        id="coatcheck.E002",
    )


def _too_late(listed: list[tuple[str, type]], place: int) -> Iterator[CheckMessage]:
    for path, found in listed[place + 1 :]:
        for order in BEFORE_OURS:
            if any((part.__module__, part.__name__) == (order.module, order.name) for part in found.__mro__):
                yield Warning(
                    f"{path} comes after {listed[place][0]} in MIDDLEWARE: {order.otherwise}.",
                    hint=f"Move '{path}' above '{listed[place][0]}'.",
                    id=order.id,
                )


def _class(path: str) -> type:
    """Return the class a path names; for functions, and for what cannot be imported, one that stands for nothing."""
    try:
        found = import_string(path)
    except ImportError:
        return object
    return found if isinstance(found, type) else object
