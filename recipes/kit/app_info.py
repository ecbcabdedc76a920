"""The name of an application, and the addresses of its API and website in one form (docs/protocol.md, section 8)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import urlsplit

from starlette.requests import Request

from ...claims.payload import UserContext
from ..exceptions import ConfigurationError

OriginFunction: TypeAlias = Callable[[Request | None, UserContext], str]
_SCOPE_ORIGIN = "coatcheck.origin"


@dataclass(frozen=True, slots=True)
class InputAppInfo:
    """The addresses as an application writes them; `normalise` checks them.

    `origin` has precedence over `website_domain`. For an API that serves several websites it is a function of the
    request (None outside one) and the user context.
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
    """The addresses in one form: domains are `scheme://host[:port]`, paths begin with a slash or are empty.

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
        """Return the origin of the website for one request; an `origin` function is called once per request."""
        if isinstance(self.origin, str):
            return self.origin
        scope = {} if request is None else request.scope
        asked: tuple[AppInfo, str] | None = scope.get(_SCOPE_ORIGIN)
        if asked is None or asked[0] is not self:  # another App may serve the same request
            origin = normal_origin(_text(self.origin(request, user_context), "origin"), "origin")
            asked = scope[_SCOPE_ORIGIN] = (self, origin)
        return asked[1]


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


# Addresses in one form

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_AUTHORITY_END = re.compile(r"[/?#\\]")
_DOMAIN_LIKE = re.compile(r"localhost|\[|[^/?#]*[.:]")
_COOKIE_SAFE_PATH = re.compile(r"[\x21-\x3a\x3c-\x7e]*")  # visible ASCII without ";", which would end a Path attribute


@lru_cache(maxsize=256)
def normal_origin(text: str, field: str) -> str:
    """Return `scheme://host[:port]` in lower case, without a default port; an error names `field`.

    A text without a scheme means https, and http for localhost and IP literals. Paths and queries are dropped
    (docs/protocol.md, rule 8.1).
    """
    scheme, rest = _split_scheme(text.strip(), field)
    # A single word is more often a forgotten placeholder than a host, so it needs a scheme.
    if not scheme and not _DOMAIN_LIKE.match(rest.lower()):
        raise _bad_domain(text, field)
    host, port = _host_and_port(rest, text, field)
    scheme = scheme or ("http" if is_local(host) else "https")
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"


def normal_path(text: str, field: str) -> str:
    """Return a path with a leading and without a trailing slash, `""` for the root; an error names `field`.

    A scheme, a domain, a query and a fragment are dropped; letter case is kept; a text that begins with a slash is
    never read as a domain (docs/protocol.md, rule 8.5).
    """
    scheme, rest = _split_scheme(text.strip(), field)
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    head, slash, tail = rest.partition("/")
    if scheme or _DOMAIN_LIKE.match(head):
        rest = slash + tail
    path = "/" + rest.strip("/") if rest.strip("/") else ""
    if not _COOKIE_SAFE_PATH.fullmatch(path):
        raise ConfigurationError(f"{field} must be a plain path such as /auth, not {text!r}")
    return path


def normal_host(text: str, field: str) -> str:
    """Return only the lower-case host of an address, with or without scheme, port and path; an error names `field`."""
    _, rest = _split_scheme(text.strip(), field)
    return _host_and_port(rest, text, field)[0]


def host_of(origin: str) -> str:
    """Return the host of a normalised origin, IPv6 addresses without brackets."""
    return urlsplit(origin).hostname or ""


def is_local(host: str) -> bool:
    """Whether a host is an IP literal or begins with `localhost` (docs/protocol.md, rule 8.2)."""
    if host.startswith("localhost"):
        return True
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _split_scheme(text: str, field: str) -> tuple[str, str]:
    scheme, separator, rest = text.partition("://")
    if not separator or _AUTHORITY_END.search(scheme):
        return "", text
    if scheme.lower() not in _DEFAULT_PORTS:
        raise ConfigurationError(f"{field} must begin with http:// or https://, not {scheme + separator!r}")
    return scheme.lower(), rest


def _host_and_port(rest: str, text: str, field: str) -> tuple[str, int | None]:
    authority = _AUTHORITY_END.split(rest, maxsplit=1)[0]
    try:
        parts = urlsplit(f"//{authority}")
        host, port = _ascii(parts.hostname or ""), parts.port
    except ValueError:
        raise _bad_domain(text, field) from None
    # urlsplit silently drops line breaks and tabs.
    if (
        "@" in authority
        or not authority.isprintable()
        or not (_HOST.fullmatch(host) or (":" in host and is_local(host)))
    ):
        raise _bad_domain(text, field)
    return (f"[{host}]" if ":" in host else host), port


def _ascii(host: str) -> str:
    host = host.removeprefix(".").removesuffix(".")
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _bad_domain(text: str, field: str) -> ConfigurationError:
    return ConfigurationError(f"{field} must be a domain such as https://api.example.com, not {text!r}")
