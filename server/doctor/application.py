"""The web application that serves an App: which framework it comes from decides how it is looked into.

No framework is imported for that: an application at hand has brought its own.
"""

from __future__ import annotations

from typing import Any

from ...recipes.app import App, default_app
from ..wsgi import TokenMiddleware
from . import asgi as doctor_asgi
from . import django as doctor_django
from . import flask as doctor_flask
from .cors import Seen
from .finding import Unchecked

_NOT_NAMED = "CORS: name the web application that serves this App in its place (`coatcheck serve` has CORS of its own)"
_FOREIGN = ("litestar", "quart")


def is_application(found: object) -> bool:
    """Tell whether this is a web application, as a server runs it."""
    known = doctor_asgi.is_asgi(found) or doctor_flask.is_flask(found) or doctor_django.is_django(found)
    return known or isinstance(found, TokenMiddleware) or type(found).__module__.partition(".")[0] in _FOREIGN


def app_of(application: Any) -> App | None:
    """Return the App that an application serves, by default the one that `init` made; None if there is none."""
    found: App | None = None
    if doctor_asgi.is_asgi(application):
        found = doctor_asgi.app_of(application)
    elif doctor_flask.is_flask(application):
        found = doctor_flask.app_of(application)
    elif doctor_django.is_django(application):
        found = doctor_django.app_of()
    elif isinstance(application, TokenMiddleware):
        found = application.api.app
    return found or default_app()


def see(app: App, application: object | None) -> Seen:
    """Return what can be seen of an application that serves an App."""
    path = f"{app.info.api_base_path.removeprefix(app.info.api_gateway_path)}/session/refresh"
    if application is None:
        return Seen(notes=(Unchecked(_NOT_NAMED),))
    if doctor_asgi.is_asgi(application):
        return doctor_asgi.see(application)
    if doctor_flask.is_flask(application):
        return doctor_flask.see(application, path)
    if doctor_django.is_django(application):
        return doctor_django.see(path)
    return Seen(notes=(Unchecked(f"CORS: the doctor cannot look into {type(application).__name__}"),))
