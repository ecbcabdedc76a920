"""What a response does to the tokens of a client: a log of mutations, applied to the response that is finally sent.

An operation that clears the other transfer method logs this before its own tokens. Otherwise the last mutation of an
item wins, so a revoke after a create clears (docs/protocol.md, section 10). The last part reads and writes cookies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote, unquote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from .config import SameSite, TransferMethod

# The log of a request

_SCOPE_LOG = "coatcheck.log"


def response_log(request: Request) -> ResponseLog:
    """Return the log of token mutations for the response to `request`, begun at the first call."""
    log = request.scope.get(_SCOPE_LOG)
    if not isinstance(log, ResponseLog):
        log = request.scope[_SCOPE_LOG] = ResponseLog()
    return log


class ResponseLog:
    """The mutations of one request's tokens, in the order in which they happened."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: list[Mutation] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<ResponseLog {self._entries!r}>"

    @property
    def entries(self) -> tuple[Mutation, ...]:
        """The entries so far."""
        return tuple(self._entries)

    def add(self, *entries: Mutation) -> None:
        """Log mutations that have just happened."""
        self._entries.extend(entries)

    def outcome(self) -> Outcome:
        """Return the result of all entries."""
        outcome = Outcome()
        for entry in self._entries:
            entry.replay(outcome)
        return outcome

    def apply(self, headers: MutableHeaders) -> None:
        """Write the outcome into the headers of a response; doing it twice changes nothing."""
        if not self._entries:
            return
        outcome = self.outcome()
        _write_cookies(headers, outcome)
        _write_headers(headers, outcome)
        if outcome.hands_out_tokens:
            headers.setdefault("cache-control", "no-store")


# The entries of the log, and their outcome


@dataclass(frozen=True, slots=True)
class CookieSettings:
    """How session cookies are written; decided for each request, because SameSite may depend on it.

    `older_domain` is the domain that cookies had before a change of configuration, `""` if they had none.
    """

    domain: str | None
    secure: bool
    same_site: SameSite
    refresh_path: str
    access_path: str = "/"
    older_domain: str | None = None
    expose_access_token: bool = False


class ExpiringToken(Protocol):
    """A refresh token as the engine hands it out; `expiry` is in ms."""

    @property
    def token(self) -> str:
        """The token itself."""
        ...

    @property
    def expiry(self) -> int:
        """When it expires."""
        ...


@dataclass(slots=True)
class Outcome:
    """The result of a log: the cookies to write and the headers to set, None for a header to remove."""

    cookies: dict[CookieKey, SetCookie] = field(default_factory=dict)
    headers: dict[str, str | None] = field(default_factory=dict)

    def write(self, cookie: SetCookie) -> None:
        """Write a cookie in place of an earlier one of the same key."""
        self.cookies[cookie.key] = cookie

    @property
    def hands_out_tokens(self) -> bool:
        """Whether the response gives tokens to the client."""
        return self.headers.get(FRONT_HEADER) not in (None, _REMOVE)


class Mutation(Protocol):
    """One entry of the log."""

    def replay(self, outcome: Outcome) -> None:
        """Add this entry to the outcome of the earlier ones."""
        ...


@dataclass(frozen=True, slots=True)
class SetTokens:
    """Hand out tokens; without a refresh token only the access token and the front token change.

    See docs/protocol.md, rule 10.2. `now_ms` is the App's clock. The anti-CSRF token travels with cookies only.
    """

    method: TransferMethod
    access_token: str = field(repr=False)
    front_token: str = field(repr=False)
    settings: CookieSettings
    now_ms: int
    refresh_token: ExpiringToken | None = field(default=None, repr=False)
    anti_csrf_token: str | None = field(default=None, repr=False)

    def replay(self, outcome: Outcome) -> None:
        """Add this entry to the outcome of the earlier ones."""
        outcome.headers[FRONT_HEADER] = self.front_token
        if self.method == "header" or self.settings.expose_access_token:
            outcome.headers[ACCESS_HEADER] = self.access_token
        if self.method == "header":
            if self.refresh_token is not None:
                outcome.headers[REFRESH_HEADER] = self.refresh_token.token
            return
        expires_ms = self.now_ms + _ACCESS_COOKIE_LIFE_MS
        outcome.write(_cookie(ACCESS_COOKIE, self.settings, value=self.access_token, expires_ms=expires_ms))
        if self.refresh_token is not None:
            token, expiry = self.refresh_token.token, self.refresh_token.expiry
            outcome.write(_cookie(REFRESH_COOKIE, self.settings, value=token, expires_ms=expiry))
        if self.anti_csrf_token is not None:
            outcome.headers[ANTI_CSRF_HEADER] = self.anti_csrf_token


@dataclass(frozen=True, slots=True)
class ClearTokens:
    """Clear the tokens of one transfer method, and with them the front token (docs/protocol.md, rule 10.3)."""

    method: TransferMethod
    settings: CookieSettings

    def replay(self, outcome: Outcome) -> None:
        """Add this entry to the outcome of the earlier ones."""
        outcome.headers[FRONT_HEADER] = _REMOVE
        outcome.headers[ANTI_CSRF_HEADER] = None
        if self.method == "header" or self.settings.expose_access_token:
            outcome.headers[ACCESS_HEADER] = ""
        if self.method == "header":
            outcome.headers[REFRESH_HEADER] = ""
            return
        outcome.write(_cookie(ACCESS_COOKIE, self.settings))
        outcome.write(_cookie(REFRESH_COOKIE, self.settings))


@dataclass(frozen=True, slots=True)
class ClearLegacyCookie:
    """Clear the cookie of sessions older than self-contained access tokens (docs/protocol.md, rule 11.4)."""

    settings: CookieSettings

    def replay(self, outcome: Outcome) -> None:
        """Add this entry to the outcome of the earlier ones."""
        outcome.write(_cookie(LEGACY_COOKIE, self.settings))


@dataclass(frozen=True, slots=True)
class ClearOlderCookies:
    """Clear cookies on the domain they had before; the session itself stays (docs/protocol.md, rule 11.3)."""

    names: tuple[str, ...]
    settings: CookieSettings

    def __post_init__(self) -> None:
        if self.settings.older_domain is None:
            raise ValueError("older_cookie_domain is not configured, so there is no domain to clear cookies on")

    def replay(self, outcome: Outcome) -> None:
        """Add this entry to the outcome of the earlier ones."""
        for name in self.names:
            outcome.write(_cookie(name, self.settings, domain=self.settings.older_domain))


# Headers

FRONT_HEADER = "front-token"
ACCESS_HEADER = "st-access-token"
REFRESH_HEADER = "st-refresh-token"
ANTI_CSRF_HEADER = "anti-csrf"
_EXPOSE = "access-control-expose-headers"
_HEADERS = (FRONT_HEADER, ACCESS_HEADER, REFRESH_HEADER, ANTI_CSRF_HEADER)
_REMOVE = "remove"


def _write_cookies(headers: MutableHeaders, outcome: Outcome) -> None:
    others = [value for value in headers.getlist("set-cookie") if key_of(value) not in outcome.cookies]
    del headers["set-cookie"]
    for value in [*others, *(cookie.header() for cookie in outcome.cookies.values())]:
        headers.append("set-cookie", value)


def _write_headers(headers: MutableHeaders, outcome: Outcome) -> None:
    for name, value in outcome.headers.items():
        if value is None:
            del headers[name]
        else:
            headers[name] = value
    _expose(headers, [name for name in _HEADERS if outcome.headers.get(name) is not None])


def _expose(headers: MutableHeaders, names: list[str]) -> None:
    given = ", ".join(value for value in headers.getlist(_EXPOSE) if value)
    known = {name.strip().lower() for name in given.split(",")}
    missing = [name for name in names if name not in known]
    if missing:
        headers[_EXPOSE] = ", ".join([given, *missing] if given else missing)


# Cookies

ACCESS_COOKIE = "sAccessToken"
REFRESH_COOKIE = "sRefreshToken"
LEGACY_COOKIE = "sIdRefreshToken"
_ACCESS_COOKIE_LIFE_MS = 31_536_000_000
"""One year, whatever the life of the access token in it (docs/protocol.md, rule 2.8)."""

_LAST_EXPIRY_MS = 253_402_300_799_000  # the end of the year 9999, the last one with four digits
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


def _cookie(
    name: str, settings: CookieSettings, *, value: str = "", expires_ms: int = 0, domain: str | None = None
) -> SetCookie:
    return SetCookie(
        name,
        value,
        path=settings.refresh_path if name == REFRESH_COOKIE else settings.access_path,
        domain=settings.domain if domain is None else domain,
        expires_ms=expires_ms,
        secure=settings.secure,
        same_site=settings.same_site,
    )


def cookies_of(request: Request) -> list[tuple[str, str]]:
    """Return every cookie of a request in the order sent, duplicates included; parsed once per request."""
    sent = [value for name, value in request.scope["headers"] if name == b"cookie"]
    if not sent:
        return []
    parsed: tuple[list[bytes], list[tuple[str, str]]] | None = request.scope.get(_SCOPE_COOKIES)
    # The headers are compared because an application's middleware may have changed them since.
    if parsed is None or parsed[0] != sent:
        parsed = request.scope[_SCOPE_COOKIES] = (sent, parse_cookies(b"; ".join(sent).decode("latin-1")))
    return parsed[1]


def parse_cookies(header: str) -> list[tuple[str, str]]:
    """Return the names and values of a Cookie header, percent-decoded; parts that cannot be read are skipped.

    Never raises: cookies of other applications are often odd (docs/protocol.md, rule 2.10).
    """
    found: list[tuple[str, str]] = []
    for part in header.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            found.append((_decode(name.strip(" \t")), _decode(_unquote(value.strip(" \t")))))
    return found


def key_of(set_cookie: str) -> CookieKey:
    """Return the key of any Set-Cookie header; a missing attribute counts as empty."""
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
    # Cached, because the cookies of one response, and of one second, often expire together.
    return formatdate(seconds, usegmt=True)


def _domain_key(domain: str) -> str:
    # RFC 6265, section 5.2.3: a leading dot is ignored, so both spellings overwrite each other.
    return domain.lower().removeprefix(".")


def _decode(text: str) -> str:
    return unquote(text) if "%" in text else text


def _unquote(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
