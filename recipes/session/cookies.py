"""Session cookies as text: reading a raw Cookie header, writing Set-Cookie."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import quote, unquote

from starlette.requests import Request

from .site import SameSite

ACCESS_COOKIE = "sAccessToken"
REFRESH_COOKIE = "sRefreshToken"
LEGACY_COOKIE = "sIdRefreshToken"

ACCESS_COOKIE_LIFE_MS = 31_536_000_000
"""One year, whatever the life of the access token in it (docs/protocol.md, rule 2.8)."""

_LAST_EXPIRY_MS = 253_402_300_799_000  # the end of the year 9999, after which dates have no agreed form

_SCOPE_COOKIES = "coatcheck.cookies"

CookieKey = tuple[str, str, str]
"""What makes two cookies the same one: name, domain (in lower case, without a leading dot), path."""


@dataclass(frozen=True, slots=True)
class SetCookie:
    """One cookie a response sets; an empty value that expired at 0 clears it."""

    name: str
    value: str = field(repr=False)
    path: str
    domain: str | None
    expires_ms: int
    secure: bool
    same_site: SameSite

    @property
    def key(self) -> CookieKey:
        """What identifies the cookie in a browser."""
        return (self.name, _domain_key(self.domain or ""), self.path)

    def header(self) -> str:
        """Return the value of the Set-Cookie header (docs/protocol.md, rule 2.9)."""
        parts = [f"{self.name}={quote(self.value, safe='')}"]
        if self.domain:
            parts.append(f"Domain={self.domain}")
        parts += [f"Expires={http_date(self.expires_ms)}", "HttpOnly", f"Path={self.path}"]
        parts.append(f"SameSite={self.same_site.capitalize()}")
        if self.secure:
            parts.append("Secure")
        return "; ".join(parts)


def cookies_of(request: Request) -> list[tuple[str, str]]:
    """Return every cookie of a request in the order sent, duplicates included; parsed once per request."""
    sent = [value for name, value in request.scope["headers"] if name == b"cookie"]
    if not sent:
        return []
    parsed: tuple[list[bytes], list[tuple[str, str]]] | None = request.scope.get(_SCOPE_COOKIES)
    # What was sent is compared because an application's middleware may have changed it meanwhile.
    if parsed is None or parsed[0] != sent:
        parsed = request.scope[_SCOPE_COOKIES] = (sent, parse_cookies(b"; ".join(sent).decode("latin-1")))
    return parsed[1]


def parse_cookies(header: str) -> list[tuple[str, str]]:
    """Return the names and values of a Cookie header, percent-decoded; whatever cannot be read is skipped.

    Never raises: cookies of other applications are often odd (docs/protocol.md, rule 2.10).
    """
    found: list[tuple[str, str]] = []
    for part in header.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            found.append((_decoded(name.strip(" \t")), _decoded(_unquoted(value.strip(" \t")))))
    return found


def key_of(set_cookie: str) -> CookieKey:
    """Return the key of a Set-Cookie header that anyone wrote; a missing attribute reads as empty."""
    pair, *attributes = set_cookie.split(";")
    read = {"domain": "", "path": ""}
    for attribute in attributes:
        name, _, value = attribute.partition("=")
        if name.strip().lower() in read:
            read[name.strip().lower()] = value.strip()
    return (pair.partition("=")[0].strip(), _domain_key(read["domain"]), read["path"])


def http_date(ms: int) -> str:
    """Return a time in ms as an HTTP date in GMT (RFC 9110, section 5.6.7), at most the end of the year 9999."""
    return _date(min(max(ms, 0), _LAST_EXPIRY_MS) // 1000)


@lru_cache(maxsize=64)
def _date(seconds: int) -> str:
    # Remembered, because the cookies of one response, and of one second, often expire together.
    return formatdate(seconds, usegmt=True)


def _domain_key(domain: str) -> str:
    # RFC 6265, section 5.2.3: a leading dot is ignored, so both spellings overwrite each other.
    return domain.lower().removeprefix(".")


def _decoded(text: str) -> str:
    return unquote(text) if "%" in text else text


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
