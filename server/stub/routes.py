"""The authorization pages of an App's stub providers, for browsers; without such providers there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route

from ...recipes.app import App
from ...recipes.exceptions import ConfigurationError
from .provider import StubProvider

if TYPE_CHECKING:
    from ...recipes.thirdparty.config import ProviderInput


def stub_routes(app: App) -> list[BaseRoute]:
    """Return one route for each stub provider; ConfigurationError where it sends browsers to another path."""
    routes: list[BaseRoute] = []
    for given, provider in _stubs(app):
        path = browser_path(provider.third_party_id, app.info.api_base_path)
        if given.browser_endpoint != path:
            raise ConfigurationError(
                f"stub({provider.third_party_id!r}) sends browsers to {given.browser_endpoint}, but this API serves "
                f"its page at {path}: make it with api_base_path={app.info.api_base_path!r}"
            )
        # A gateway takes its part of the path away before the request arrives here.
        routes.append(Route(path.removeprefix(app.info.api_gateway_path), provider.page, methods=["GET", "POST"]))
    return routes


def stub_providers(app: App) -> list[StubProvider]:
    """Return what plays the stub providers that an App was given."""
    return [provider for _, provider in _stubs(app)]


def browser_path(third_party_id: str, api_base_path: str) -> str:
    """Return the path of a stub provider's authorization page on the API's domain."""
    return f"{api_base_path}/stub/{third_party_id}/authorize"


def _stubs(app: App) -> list[tuple[ProviderInput, StubProvider]]:
    if not app.has_recipe("thirdparty"):
        return []
    inputs: tuple[ProviderInput, ...] = app.recipe("thirdparty").config.providers
    # Known by what it drives: an App without ThirdParty need not load an HTTP client only to be served.
    played = [(given, getattr(given.transport, "app", None)) for given in inputs]
    return [(given, provider) for given, provider in played if isinstance(provider, StubProvider)]
