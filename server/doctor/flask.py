"""The doctor looks into a Flask application: the CoatCheck extension, and flask-cors.

Neither Flask nor flask-cors is imported, because an application has already imported what it uses.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ...recipes.app import App
from .cors import Cors, Inspection, Words
from .finding import Finding, Unchecked

MIDDLEWARE = "flask-cors"

WORDS = Words(
    middleware=MIDDLEWARE,
    origins="origins",
    credentials="supports_credentials",
    headers="allow_headers",
    methods="methods",
    exposed="expose_headers",
    paths="resources",
    order="",
)

_Pattern = str | re.Pattern[str]

_MISSING = Finding(
    "warning",
    "the CoatCheck extension was not added to the Flask application",
    "It serves nothing of the auth API, and views under @verify_session() answer 500.",
    "Add it: CoatCheck(app), from coatcheck.server.flask.",
)


def recognises(application: object) -> bool:
    """Whether this is a Flask application."""
    flask = sys.modules.get("flask")
    return flask is not None and isinstance(application, flask.Flask)


def app_of(application: Any) -> App | None:
    """Return the App that the extension serves."""
    # Not from wsgi_app, because a ProxyFix may wrap it.
    extension = application.extensions.get("coatcheck")
    return None if extension is None else extension._api.app


def inspection(application: Any, path: str) -> Inspection:
    """Return what a look into a Flask application shows; its CORS is read for this path of the auth API."""
    if "coatcheck" not in application.extensions:
        return Inspection(notes=(_MISSING, Unchecked("CORS, without the CoatCheck extension")))
    # The extension answers before all hooks and adds tokens after them, so the order does not matter here.
    resources = list(_resources(application))
    return Inspection(MIDDLEWARE, _read(resources, path) if resources else None)


def _resources(application: Any) -> Iterator[tuple[_Pattern, Any]]:
    """Yield the paths and options of flask-cors, those added last first, as flask-cors asks them."""
    for hook in reversed(application.after_request_funcs.get(None, [])):
        if getattr(hook, "__module__", "") == "flask_cors.extension":
            yield from inspect.getclosurevars(hook).nonlocals.get("resources", ())


def _read(resources: list[tuple[_Pattern, Any]], path: str) -> Cors:
    options = next((options for pattern, options in resources if _matches(path, pattern, case_sensitive=True)), None)
    if options is None:
        return Cors(WORDS, leaves_out=path)
    origins, headers = _option(options, "origins"), _option(options, "allow_headers")
    return Cors(
        WORDS,
        allows=lambda origin: any(_matches(origin, pattern) for pattern in origins),
        credentials=bool(_option(options, "supports_credentials")),
        headers=lambda name: any(_matches(name, pattern) for pattern in headers),
        methods=frozenset(re.split(r"\s*,\s*", _option(options, "methods") or "")),
    )


def _option(options: Any, name: str) -> Any:
    # A mapping in earlier versions of flask-cors.
    return options.get(name) if isinstance(options, Mapping) else getattr(options, name)


def _matches(value: str, pattern: _Pattern, *, case_sensitive: bool = False) -> bool:
    """Ask flask-cors whether a pattern of its own matches."""
    return bool(sys.modules["flask_cors.core"].try_match_pattern(value, pattern, case_sensitive))
