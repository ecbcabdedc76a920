"""What tests can talk to: an App, an ASGI or WSGI application, the application of a test client, a live server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from inspect import iscoroutinefunction, signature
from typing import Any, TypeAlias

import httpx2

from ..recipes.app import App, current_app
from ..recipes.exceptions import ConfigurationError, NotInitialisedError
from ..server.app import create_app
from .asgi import ASGITransport
from .wsgi import WSGITransport

Application: TypeAlias = Any
"""An App; a Starlette, FastAPI or other ASGI application; a Flask or other WSGI application; Django's handlers."""

_ADVICE = (
    "no App was found behind {app!r}: let the test ask for the fixture coatcheck_app (or sign_in), call init(...) "
    "before, or name it: client(application, coatcheck=app); an App itself can be given as well"
)


@dataclass(frozen=True, slots=True)
class ServerUnderTest:
    """An application, its calling convention, and the App that handles its sessions."""

    application: Any
    is_asgi: bool
    coatcheck: App

    @classmethod
    def of(cls, given: Application, coatcheck: App | None = None) -> ServerUnderTest:
        """Find out what was given; ConfigurationError if nothing can serve it."""
        if isinstance(given, App):
            return cls(create_app(given), True, given)
        application = _application_of(given)
        if not callable(application):
            raise ConfigurationError(f"{given!r} is neither an App nor an ASGI or WSGI application")
        return cls(application, _is_asgi(application), coatcheck or _app_of(application))

    def transport(self, *, raises: bool) -> httpx2.BaseTransport:
        """Return a transport that calls the application in this process."""
        kind = ASGITransport if self.is_asgi else WSGITransport
        return kind(self.application, raises=raises, gateway=self.coatcheck.info.api_gateway_path)


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A running server: its address, and the App that handles its sessions."""

    url: str
    coatcheck: App


def _application_of(given: Any) -> Any:
    """Return the application behind a test client, or what was given."""
    module = type(given).__module__
    if module in ("flask.testing", "werkzeug.test"):
        return given.application
    if module == "starlette.testclient":
        return given.app
    if module == "django.test.client":
        return import_module("django.core.wsgi").get_wsgi_application()
    return given


def _is_asgi(application: Any) -> bool:
    if iscoroutinefunction(application) or iscoroutinefunction(type(application).__call__):
        return True
    try:
        signature(application).bind("environ", "start_response")
    except TypeError:  # a callable that takes three arguments and returns an awaitable
        return True
    except ValueError:
        return False
    return False


def _app_of(application: Any) -> App:
    """Return the App that the application names, else the current one."""
    middleware: Iterable[Any] = getattr(application, "user_middleware", ())  # Starlette, FastAPI
    candidates: list[Any] = [entry.kwargs.get("coatcheck") for entry in middleware]
    extension = getattr(application, "extensions", None)  # Flask
    if isinstance(extension, dict) and "coatcheck" in extension:
        candidates.append(extension["coatcheck"].coatcheck)
    named = next((app for app in candidates if isinstance(app, App)), None)
    if named is not None:
        return named
    try:
        return current_app()
    except NotInitialisedError:
        raise ConfigurationError(_ADVICE.format(app=application)) from None
