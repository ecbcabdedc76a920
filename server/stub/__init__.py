"""Stub identity providers: `stub("google")` is a provider to sign in with, without Google and without a network.

`stub` loads the third-party recipe and its HTTP client with its first use; serving an App needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute, Route

from ...recipes.app import App
from ...recipes.exceptions import ConfigurationError
from .page import PERSONAS as PERSONAS, Persona as Persona
from .provider import StubProvider as StubProvider, browser_path
from .script import RecordedRequest as RecordedRequest, Script as Script, StubError as StubError

if TYPE_CHECKING:
    from .make import provider_of as provider_of, stub as stub
else:  # type checkers would take every name for one that exists

    def __getattr__(name: str) -> Any:
        if name in ("stub", "provider_of"):
            return getattr(import_module(".make", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def stub_routes(app: App) -> list[BaseRoute]:
    """Return the page of each stub provider as a route; ConfigurationError if it sends browsers to another path."""
    routes: list[BaseRoute] = []
    for given, provider in _stubs(app):
        path = browser_path(provider.third_party_id, app.info.api_base_path)
        if given.browser_endpoint != path:
            raise ConfigurationError(
                f"stub({provider.third_party_id!r}) sends browsers to {given.browser_endpoint}, but this API serves "
                f"its page at {path}: make it with api_base_path={app.info.api_base_path!r}"
            )
        # A gateway removes its part of the path before the request arrives here.
        routes.append(Route(path.removeprefix(app.info.api_gateway_path), provider.page, methods=["GET", "POST"]))
    return routes


def stub_providers(app: App) -> list[StubProvider]:
    """Return the stub providers of an App."""
    return [provider for _, provider in _stubs(app)]


def _stubs(app: App) -> list[tuple[Any, StubProvider]]:
    if not app.has_recipe("thirdparty"):
        return []
    # The provider behind the transport tells; to name the transport's class would load the HTTP client.
    played = [(given, getattr(given.transport, "app", None)) for given in app.recipe("thirdparty").config.providers]
    return [(given, provider) for given, provider in played if isinstance(provider, StubProvider)]
