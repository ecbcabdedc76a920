"""What the doctor sees of a Django project: its MIDDLEWARE, and the settings of django-cors-headers.

Django is not imported: a project at hand has brought it, and its settings say what there is to see.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from ...recipes.app import App
from .cors import Cors, Seen, Words
from .finding import Unchecked

MIDDLEWARE = "corsheaders.middleware.CorsMiddleware"

WORDS = Words(
    middleware=MIDDLEWARE,
    origins="CORS_ALLOWED_ORIGINS",
    credentials="CORS_ALLOW_CREDENTIALS",
    headers="CORS_ALLOW_HEADERS",
    methods="CORS_ALLOW_METHODS",
    exposed="CORS_EXPOSE_HEADERS",
    paths="CORS_URLS_REGEX",
    order=f"Put {MIDDLEWARE!r} before the middleware of coatcheck in MIDDLEWARE, best as the first of all.",
)

_OURS = "coatcheck.server.django.Middleware"
_DEFAULT_HEADERS = ("accept", "authorization", "content-type", "user-agent", "x-csrftoken", "x-requested-with")


def is_django(application: object) -> bool:
    """Tell whether this is what Django serves with, or its settings."""
    handlers, conf = sys.modules.get("django.core.handlers.base"), sys.modules.get("django.conf")
    return (handlers is not None and isinstance(application, handlers.BaseHandler)) or (
        conf is not None and application is conf.settings
    )


def settings_in_use() -> Any:
    """Return the settings of the Django project that this process belongs to, None where it belongs to none."""
    conf = sys.modules.get("django.conf")
    if conf is None or not (conf.settings.configured and "DJANGO_SETTINGS_MODULE" in os.environ):
        return None
    return conf.settings


def app_of() -> App | None:
    """Return the App that a middleware of the project's own names."""
    found = next((kind for dotted, kind in _listed() if _is(dotted, kind, _OURS)), None)
    named = getattr(found, "coatcheck", None)
    return named if isinstance(named, App) else None


def see(path: str) -> Seen:
    """Return what is to be seen of the Django project in use, its CORS as it is for a path of the auth API."""
    listed = _listed()
    ours, cors = (
        next((place for place, (dotted, kind) in enumerate(listed) if _is(dotted, kind, wanted)), None)
        for wanted in (_OURS, MIDDLEWARE)
    )
    if ours is None:
        return Seen(notes=(Unchecked(f"CORS: {_OURS} is not in MIDDLEWARE"),))
    if cors is not None:
        return Seen(MIDDLEWARE, _read(_settings(), path, around=cors < ours))
    other = next((dotted for dotted, _ in listed if "cors" in dotted.lower()), None)
    return Seen(MIDDLEWARE) if other is None else Seen(notes=(Unchecked(f"CORS: what {other} does"),))


def _settings() -> Any:
    return sys.modules["django.conf"].settings


def _listed() -> list[tuple[str, object]]:
    """Return the paths in MIDDLEWARE, and what is imported of them."""
    return [
        (dotted, getattr(sys.modules.get(dotted.rpartition(".")[0]), dotted.rpartition(".")[2], None))
        for dotted in _settings().MIDDLEWARE
    ]


def _is(dotted: str, found: object, wanted: str) -> bool:
    """Tell whether a middleware is the one wanted, by another path or as a class of the project's own, too."""
    module, _, name = wanted.rpartition(".")
    kind = getattr(sys.modules.get(module), name, None)
    return dotted == wanted or (isinstance(found, type) and isinstance(kind, type) and issubclass(found, kind))


def _read(settings: Any, path: str, *, around: bool) -> Cors:
    everybody = bool(_setting(settings, False, "CORS_ALLOW_ALL_ORIGINS", "CORS_ORIGIN_ALLOW_ALL"))
    headers = {name.lower() for name in _setting(settings, _DEFAULT_HEADERS, "CORS_ALLOW_HEADERS")}
    exposed = frozenset(name.lower() for name in _setting(settings, (), "CORS_EXPOSE_HEADERS"))
    asked = _asks_others()
    covered = asked or re.match(_setting(settings, "", "CORS_URLS_REGEX"), path)
    return Cors(
        WORDS,
        around=around,
        leaves_out=None if covered else path,
        allows=None if asked and not everybody else lambda origin: everybody or _allows(settings, origin),
        credentials=bool(_setting(settings, False, "CORS_ALLOW_CREDENTIALS")),
        headers=headers.__contains__,
        exposed=exposed,
    )


def _allows(settings: Any, origin: str) -> bool:
    listed: Iterable[str] = _setting(settings, (), "CORS_ALLOWED_ORIGINS", "CORS_ORIGIN_WHITELIST")
    patterns = _setting(settings, (), "CORS_ALLOWED_ORIGIN_REGEXES", "CORS_ORIGIN_REGEX_WHITELIST")
    return any(urlsplit(one)[:2] == urlsplit(origin)[:2] for one in listed) or any(
        re.match(pattern, origin) for pattern in patterns
    )


def _asks_others() -> bool:
    """Tell whether functions of the project decide about origins and paths, too."""
    signals = sys.modules.get("corsheaders.signals")
    return signals is not None and bool(signals.check_request_enabled.receivers)


def _setting(settings: Any, default: Any, *names: str) -> Any:
    """Return a setting by its name, or by the one it had earlier."""
    return next((getattr(settings, name) for name in names if hasattr(settings, name)), default)
