"""Addresses as an application writes them, brought to one form (docs/protocol.md, section 8)."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from urllib.parse import urlsplit

from ..exceptions import ConfigurationError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_AUTHORITY_END = re.compile(r"[/?#\\]")
_DOMAIN_LIKE = re.compile(r"localhost|\[|[^/?#]*[.:]")
_COOKIE_SAFE_PATH = re.compile(r"[\x21-\x3a\x3c-\x7e]*")  # visible ASCII without ";", which would end a Path attribute


def is_local(host: str) -> bool:
    """Tell whether a host is an IP literal or begins with `localhost` (docs/protocol.md, rule 8.2)."""
    if host.startswith("localhost"):
        return True
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def host_of(origin: str) -> str:
    """Return the host of a normalised origin, IPv6 addresses without brackets."""
    return urlsplit(origin).hostname or ""


@lru_cache(maxsize=256)
def normal_origin(text: str, field: str) -> str:
    """Return `scheme://host[:port]` in lower case, without a default port; an error names `field`.

    A text without a scheme is taken as https, for localhost and IP literals as http. Paths and queries are dropped
    (docs/protocol.md, rule 8.1).
    """
    scheme, rest = _split_scheme(text.strip(), field)
    # A bare word is far more often a forgotten placeholder than a host, so it needs its scheme spelt out.
    if not scheme and not _DOMAIN_LIKE.match(rest.lower()):
        raise _bad_domain(text, field)
    host, port = _host_and_port(rest, text, field)
    scheme = scheme or ("http" if is_local(host) else "https")
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"


def normal_path(text: str, field: str) -> str:
    """Return a path with a leading and without a trailing slash, `""` for the root; an error names `field`.

    A scheme, a domain in front, a query and a fragment are dropped; letter case is kept; what begins with a slash
    is never taken as a domain (docs/protocol.md, rule 8.5).
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
    # urlsplit drops line breaks and tabs without a word.
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
