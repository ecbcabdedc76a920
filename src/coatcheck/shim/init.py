"""`init` and the default App for SDK applications: there is no core server, and a second `init` replaces the first."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from starlette.requests import Request

from ..claims.payload import UserContext
from ..claims.recipe_user_id import RecipeUserId
from ..recipes import app as apps
from ..recipes.app import App, Framework, Mode, SupertokensConfig, current_app, default_app
from ..recipes.exceptions import ConfigurationError
from ..recipes.kit import app_info as addresses
from ..recipes.kit.app_info import AppInfo, OriginFunction
from ..recipes.kit.recipe import RecipeSpecification
from ..recipes.kit.request import get_all_cors_headers
from ..recipes.kit.services import set_default_services
from ..sessions.engines import masked, parse_url
from .frameworks import get_request_from_user_context
from .overrides import with_sdk_request

DATABASE_VARIABLE = "COATCHECK_DATABASE"
"""The environment variable that names the database of an application whose `connection_uri` names a core server."""

_logger = logging.getLogger("coatcheck.shim")


class InputAppInfo(addresses.InputAppInfo):
    """The addresses of an application; `origin` may be a function of a request of the SDK's kind."""

    def __init__(
        self,
        app_name: str,
        api_domain: str,
        api_gateway_path: str = "",
        api_base_path: str = "/auth",
        website_base_path: str = "/auth",
        website_domain: str | None = None,
        origin: str | Callable[..., str] | None = None,
    ) -> None:
        given: str | OriginFunction | None = with_sdk_request(origin) if callable(origin) else origin
        super().__init__(
            app_name, api_domain, api_gateway_path, api_base_path, website_base_path, website_domain, given
        )


def init(
    app_info: addresses.InputAppInfo,
    framework: Framework,
    supertokens_config: SupertokensConfig,
    recipe_list: Sequence[RecipeSpecification],
    mode: Mode | None = None,
    telemetry: bool | None = None,
    debug: bool | None = None,
    experimental: object = None,
) -> None:
    """Build an App, make it the default of the process, and close the App before it.

    A `connection_uri` that names a database is used. If it names a core server, it is ignored. One WARNING then names
    the database used instead: that of COATCHECK_DATABASE, else one in memory.
    """
    if experimental is not None:
        raise ConfigurationError("experimental: coatcheck has no plugins; use the overrides of the recipes")
    before = default_app()
    apps.init(
        app_info=app_info,
        supertokens_config=replace(supertokens_config, connection_uri=""),
        framework=framework,
        recipe_list=recipe_list,
        mode=mode,
        telemetry=telemetry,
        debug=debug,
        database=_database(supertokens_config.connection_uri.strip()),
        replace=True,
    )
    if before is not None:
        before.close()


def reset() -> None:
    """Drop the default App of the process, so that the next `init` starts from nothing."""
    before = default_app()
    set_default_services(None)
    if before is not None:
        before.close()


@dataclass(frozen=True)
class Supertokens:
    """The default App of the process, as the SDK's singleton presents it."""

    app: App

    @property
    def app_info(self) -> AppInfo:
        """The addresses of the application, normalised."""
        return self.app.info

    def get_all_cors_headers(self) -> list[str]:
        """Return the request headers that a browser SDK sends."""
        return get_all_cors_headers()

    def get_request_from_user_context(self, user_context: UserContext | None) -> Request | None:
        """Return the request that a user context belongs to, None outside a request."""
        return get_request_from_user_context(user_context)

    @staticmethod
    def get_instance() -> Supertokens:
        """Return the default App; NotInitialisedError before `init`."""
        return Supertokens(current_app())

    init = staticmethod(init)
    reset = staticmethod(reset)


def is_recipe_initialized(recipe_id: str) -> bool:
    """Whether the current App has a recipe."""
    return current_app().has_recipe(recipe_id)


def convert_to_recipe_user_id(user_id: str) -> RecipeUserId:
    """Return the id of a login method as a RecipeUserId."""
    return RecipeUserId(user_id)


def _database(uri: str) -> str | None:
    """Return the URL of the database to use; None leaves it to the App, which keeps everything in memory."""
    named = os.environ.get(DATABASE_VARIABLE, "").strip()
    if not uri:
        return named or None
    if not _names_a_core(uri):
        return uri
    database = named or "sqlite://"
    _logger.warning(
        "supertokens_config.connection_uri is ignored, because there is no core server: the database is %s",
        _description_of(database),
    )
    return database


def _names_a_core(uri: str) -> bool:
    # A core URI may list several hosts, separated by semicolons, and may have no scheme.
    first = uri.partition(";")[0].lower()
    return "://" not in first or first.startswith(("http://", "https://"))


def _description_of(database: str) -> str:
    if database == "sqlite://":
        return f"one in memory, which ends with this process ({DATABASE_VARIABLE} names another)"
    return f"that of {DATABASE_VARIABLE}, {masked(parse_url(database))}"
