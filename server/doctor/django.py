"""The doctor looks into a Django project: its MIDDLEWARE, and the settings of django-cors-headers.

Django is not imported, because a project has already imported it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from ...recipes.app import App
from .cors import Cors, Inspection, Words
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


def recognises(application: object) -> bool:
    """Whether this is a handler of Django, or its settings."""
    handlers, conf = sys.modules.get("django.core.handlers.base"), sys.modules.get("django.conf")
    return (handlers is not None and isinstance(application, handlers.BaseHandler)) or (
        conf is not None and application is conf.settings
    )


def settings_in_use() -> Any:
    """Return the settings of the Django project that this process runs, None if it runs none."""
    conf = sys.modules.get("django.conf")
    if conf is None or not (conf.settings.configured and "DJANGO_SETTINGS_MODULE" in os.environ):
        return None
    return conf.settings


def app_of(_application: object) -> App | None:
    """Return the App that the project's subclass of our middleware names."""
    found = next((kind for dotted, kind in _listed() if _is(dotted, kind, _OURS)), None)
    named = getattr(found, "coatcheck", None)
    return named if isinstance(named, App) else None


def inspection(_application: object, path: str) -> Inspection:
    """Return what a look into the Django project in use shows; its CORS is read for this path of the auth API."""
    listed = _listed()
    ours, cors = (
        next((place for place, (dotted, kind) in enumerate(listed) if _is(dotted, kind, wanted)), None)
        for wanted in (_OURS, MIDDLEWARE)
    )
    if ours is None:
        return Inspection(notes=(Unchecked(f"CORS: {_OURS} is not in MIDDLEWARE"),))
    if cors is not None:
        return Inspection(MIDDLEWARE, _read(_settings(), path, around=cors < ours))
    other = next((dotted for dotted, _ in listed if "cors" in dotted.lower()), None)
    return Inspection(MIDDLEWARE) if other is None else Inspection(notes=(Unchecked(f"CORS: what {other} does"),))


def _settings() -> Any:
    return sys.modules["django.conf"].settings


def _listed() -> list[tuple[str, object]]:
    """Return the paths in MIDDLEWARE, each with its class or function, None if its module is not imported."""
    return [
        (dotted, getattr(sys.modules.get(dotted.rpartition(".")[0]), dotted.rpartition(".")[2], None))
        for dotted in _settings().MIDDLEWARE
    ]


def _is(dotted: str, found: object, wanted: str) -> bool:
    """Whether a middleware is the wanted one, also under another path or as a subclass."""
    module, _, name = wanted.rpartition(".")
    kind = getattr(sys.modules.get(module), name, None)
    return dotted == wanted or (isinstance(found, type) and isinstance(kind, type) and issubclass(found, kind))


def _read(settings: Any, path: str, *, around: bool) -> Cors:
    everybody = bool(_setting(settings, False, "CORS_ALLOW_ALL_ORIGINS", "CORS_ORIGIN_ALLOW_ALL"))
    headers = {name.lower() for name in _setting(settings, _DEFAULT_HEADERS, "CORS_ALLOW_HEADERS")}
    exposed = frozenset(name.lower() for name in _setting(settings, (), "CORS_EXPOSE_HEADERS"))
    decided_elsewhere = _has_signal_receivers()
    covered = decided_elsewhere or re.match(_setting(settings, "", "CORS_URLS_REGEX"), path)
    return Cors(
        WORDS,
        around=around,
        leaves_out=None if covered else path,
        allows=None if decided_elsewhere and not everybody else lambda origin: everybody or _allows(settings, origin),
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


def _has_signal_receivers() -> bool:
    """Whether functions of the project also decide about origins and paths."""
    signals = sys.modules.get("corsheaders.signals")
    return signals is not None and bool(signals.check_request_enabled.receivers)


def _setting(settings: Any, default: Any, *names: str) -> Any:
    """Return a setting by its name, or by its older name."""
    return next((getattr(settings, name) for name in names if hasattr(settings, name)), default)
