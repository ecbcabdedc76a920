"""Who the application is: its name, and the addresses of its API and of its website."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeAlias

from starlette.requests import Request

from ...claims.payload import UserContext
from ..exceptions import ConfigurationError
from .web_address import normal_origin, normal_path

OriginFunction: TypeAlias = Callable[[Request | None, UserContext], str]


@dataclass(frozen=True, slots=True)
class InputAppInfo:
    """The addresses as an application writes them; `normalise` checks them.

    `origin` wins over `website_domain`; it may be a function of the request (None outside one) and the user context,
    for an API that serves several websites.
    """

    app_name: str
    api_domain: str
    api_gateway_path: str = ""
    api_base_path: str = "/auth"
    website_base_path: str = "/auth"
    website_domain: str | None = None
    origin: str | OriginFunction | None = None


@dataclass(frozen=True, slots=True)
class AppInfo:
    """The same, normalised: domains are `scheme://host[:port]`, paths begin with a slash or are empty.

    `api_base_path` includes the gateway's path, as the browser sees it; `origin` is never None.
    """

    app_name: str
    api_domain: str
    website_domain: str | None
    api_base_path: str
    website_base_path: str
    api_gateway_path: str
    origin: str | OriginFunction

    @property
    def issuer(self) -> str:
        """The `iss` of access tokens: API domain and base path."""
        return self.api_domain + self.api_base_path

    @property
    def refresh_path(self) -> str:
        """The path of the refresh API, which is also the path of the refresh cookie."""
        return f"{self.api_base_path}/session/refresh"

    def website_origin(self, request: Request | None, user_context: UserContext) -> str:
        """Return the origin of the website for one request; it is asked for anew each time, never remembered."""
        if isinstance(self.origin, str):
            return self.origin
        return normal_origin(_text(self.origin(request, user_context), "origin"), "origin")


def normalise(given: InputAppInfo) -> AppInfo:
    """Check and normalise; a ConfigurationError names the field that is wrong (docs/protocol.md, rules 8.1 and 8.5)."""
    if not isinstance(given, InputAppInfo):
        raise ConfigurationError(f"app_info must be an instance of InputAppInfo, not {given!r}")
    _refuse_placeholders(given)
    website = None if given.website_domain is None else _domain(given.website_domain, "website_domain")
    origin = website if given.origin is None else _origin(given.origin)
    if origin is None:
        raise ConfigurationError("Please provide at least one of website_domain or origin in app_info")
    gateway = _path(given.api_gateway_path, "api_gateway_path")
    return AppInfo(
        app_name=_text(given.app_name, "app_name"),
        api_domain=_domain(given.api_domain, "api_domain"),
        website_domain=website,
        api_base_path=gateway + _path(given.api_base_path, "api_base_path"),
        website_base_path=_path(given.website_base_path, "website_base_path"),
        api_gateway_path=gateway,
        origin=origin,
    )


def _refuse_placeholders(given: InputAppInfo) -> None:
    for field in fields(given):
        value = getattr(given, field.name)
        if isinstance(value, str) and value.strip().startswith("<") and value.strip().endswith(">"):
            raise ConfigurationError(f"{field.name} is still the placeholder {value!r}: {_ADVICE[field.name]}")


_ADVICE = {
    "app_name": "put the name of your application there",
    "api_domain": "put the address of your API there, for example http://localhost:8000",
    "website_domain": "put the address of your website there, for example http://localhost:3000",
    "api_base_path": "put the path of the authentication API there, for example /auth",
    "website_base_path": "put the path of the sign-in page there, for example /auth",
    "api_gateway_path": "put the path of your API gateway there, or leave it out",
    "origin": "put the address of your website there, for example http://localhost:3000",
}


def _origin(given: str | OriginFunction) -> str | OriginFunction:
    return given if callable(given) else _domain(given, "origin")


def _domain(value: str, field: str) -> str:
    return normal_origin(_text(value, field), field)


def _path(value: str, field: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{field} must be a string, not {value!r}")
    return normal_path(value, field)


def _text(value: str, field: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{field} must be a string that is not empty, not {value!r}")
    return value
