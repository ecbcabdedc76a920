"""The web application that serves an App; the module of its framework looks into it.

No framework is imported for that, because an application has already imported its own.
"""

from __future__ import annotations

from typing import Any, Protocol

from ...recipes.app import App, default_app
from ..wsgi import TokenMiddleware
from . import asgi, django, flask
from .cors import Inspection
from .finding import Unchecked

_NOT_NAMED = "CORS: name the web application that serves this App in its place (`coatcheck serve` has CORS of its own)"
_FOREIGN = ("litestar", "quart")


class _Framework(Protocol):
    """A module that looks into the applications of one framework."""

    def recognises(self, application: object, /) -> bool:
        """Whether an application is one of this framework."""
        ...

    def app_of(self, application: Any, /) -> App | None:
        """Return the App that an application names."""
        ...

    def inspection(self, application: Any, path: str, /) -> Inspection:
        """Return what a look into an application shows; its CORS is read for this path of the auth API."""
        ...


_FRAMEWORKS: tuple[_Framework, ...] = (asgi, flask, django)


def is_application(found: object) -> bool:
    """Whether this is a web application that a server can run."""
    known = _framework_of(found) is not None or isinstance(found, TokenMiddleware)
    return known or type(found).__module__.partition(".")[0] in _FOREIGN


def app_of(application: Any) -> App | None:
    """Return the App that an application serves, by default the one that `init` made; None if there is none."""
    if isinstance(application, TokenMiddleware):
        return application.api.app
    framework = _framework_of(application)
    found = None if framework is None else framework.app_of(application)
    return found or default_app()


def inspection_of(app: App, application: object | None) -> Inspection:
    """Return what a look into the application that serves an App shows."""
    if application is None:
        return Inspection(notes=(Unchecked(_NOT_NAMED),))
    framework = _framework_of(application)
    if framework is None:
        return Inspection(notes=(Unchecked(f"CORS: the doctor cannot look into {type(application).__name__}"),))
    path = f"{app.info.api_base_path.removeprefix(app.info.api_gateway_path)}/session/refresh"
    return framework.inspection(application, path)


def _framework_of(application: object) -> _Framework | None:
    return next((framework for framework in _FRAMEWORKS if framework.recognises(application)), None)
