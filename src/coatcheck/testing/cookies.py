"""The cookies of a browser, stored and sent by the rules of RFC 6265; they expire by a clock that a test moves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import httpx2

from ..claims.clock import Clock
from ..recipes.kit.app_info import is_local
from ..recipes.session.config import top_level


@dataclass(frozen=True, slots=True)
class Cookie:
    """One stored cookie; `expires_ms`, in ms since the epoch, is None if it lives as long as the browser."""

    name: str
    value: str = field(repr=False)
    domain: str
    path: str = "/"
    expires_ms: int | None = None
    secure: bool = False
    http_only: bool = False
    same_site: str = "lax"
    host_only: bool = True
    order: int = field(default=0, compare=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """Domain, path and name; a new cookie replaces an earlier one with the same key."""
        return (self.domain, self.path, self.name)

    def reaches(self, url: httpx2.URL) -> bool:
        """Whether domain, path and Secure allow the cookie in a request to `url`."""
        host = url.host.lower()
        at_home = host == self.domain if self.host_only else _belongs_to(host, self.domain)
        return at_home and _is_below(url.path, self.path) and (not self.secure or _is_trustworthy(url))


class CookieJar:
    """The cookies of one browser; `website` is the origin of its page, None if there is no page.

    Domain, path, Secure and SameSite limit where cookies go; a cookie without SameSite is Lax. As in browsers, the
    addresses of this machine count as secure.
    """

    def __init__(self, clock: Clock, website: httpx2.URL | None = None) -> None:
        self._clock = clock
        self._website = website
        self._cookies: dict[tuple[str, str, str], Cookie] = {}
        self._orders = itertools.count(1)

    def __iter__(self) -> Iterator[Cookie]:
        now_ms = self._clock.now_ms()
        expired = [key for key, cookie in self._cookies.items() if _has_expired(cookie, now_ms)]
        for key in expired:
            del self._cookies[key]
        return iter(list(self._cookies.values()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def header(self, url: httpx2.URL) -> str | None:
        """Return the Cookie header of a request to `url`, None if it carries no cookie."""
        same_site = self._is_same_site(url)
        sent = [cookie for cookie in self if (same_site or cookie.same_site == "none") and cookie.reaches(url)]
        sent.sort(key=lambda cookie: (-len(cookie.path), cookie.order))  # RFC 6265, section 5.4
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in sent) or None

    def store(self, url: httpx2.URL, set_cookie: str) -> None:
        """Store the cookie of a Set-Cookie header in an answer from `url`, unless a browser would refuse it."""
        cookie = parse(url, set_cookie, self._clock.now_ms())
        if cookie is not None and (cookie.same_site == "none" or self._is_same_site(url)):
            self.put(cookie)

    def put(self, cookie: Cookie) -> None:
        """Store a cookie; it replaces an earlier one of the same name, domain and path."""
        earlier = self._cookies.pop(cookie.key, None)
        if not _has_expired(cookie, self._clock.now_ms()):
            order = next(self._orders) if earlier is None else earlier.order
            self._cookies[cookie.key] = replace(cookie, order=order)

    def find(self, name: str, *, domain: str | None = None, path: str | None = None) -> list[Cookie]:
        """Return the cookies of a name; `domain` and `path` narrow the search."""
        return [
            cookie
            for cookie in self
            if cookie.name == name and domain in (None, cookie.domain) and path in (None, cookie.path)
        ]

    def remove(self, cookie: Cookie) -> None:
        """Remove one cookie."""
        self._cookies.pop(cookie.key, None)

    def copy(self, clock: Clock) -> CookieJar:
        """Return a new jar with the same cookies."""
        copied = CookieJar(clock, self._website)
        for cookie in sorted(self, key=lambda cookie: cookie.order):
            copied.put(cookie)
        return copied

    def _is_same_site(self, url: httpx2.URL) -> bool:
        page = self._website
        if page is None or url.host == page.host:
            return page is None or url.scheme == page.scheme
        return _site(url) == _site(page)


class CookieView(httpx2.Cookies):
    """The cookies of a browser as httpx2 shows them: a mapping from names to values, read from a CookieJar.

    New cookies belong to `host` unless a domain is given. httpx2's own `jar` stays empty, because the CookieJar decides
    for every request, by the browser's clock, which cookies are sent.
    """

    def __init__(self, jar: CookieJar, host: str) -> None:
        super().__init__()
        self._cookie_jar = jar
        self._host = host

    def extract_cookies(self, response: httpx2.Response) -> None:
        """Do nothing, because the browser has already read the response."""

    def set_cookie_header(self, request: httpx2.Request) -> None:
        """Do nothing, because the browser adds its cookies when the request is sent."""

    def set(self, name: str, value: str, domain: str = "", path: str = "/") -> None:
        """Set a cookie as a script in the page can; with `domain`, for all hosts of that domain."""
        bare = domain.removeprefix(".")
        self._cookie_jar.put(Cookie(name, value, domain=bare or self._host, path=path, host_only=not bare))

    def get(  # type: ignore[override]
        self, name: str, default: str | None = None, domain: str | None = None, path: str | None = None
    ) -> str | None:
        """Return the value of a cookie; CookieConflict if several have that name."""
        found = self._cookie_jar.find(name, domain=domain, path=path)
        if len(found) > 1:
            raise httpx2.CookieConflict(f"Multiple cookies exist with name={name}")
        return found[0].value if found else default

    def delete(self, name: str, domain: str | None = None, path: str | None = None) -> None:
        """Delete the cookies of a name."""
        for cookie in self._cookie_jar.find(name, domain=domain, path=path):
            self._cookie_jar.remove(cookie)

    def clear(self, domain: str | None = None, path: str | None = None) -> None:
        """Delete all cookies, or those of a domain and a path."""
        for cookie in self._cookie_jar:
            if domain in (None, cookie.domain) and path in (None, cookie.path):
                self._cookie_jar.remove(cookie)

    def update(self, cookies: Any = None) -> None:  # type: ignore[override]
        """Set cookies from a mapping, from pairs, or from other cookies."""
        for cookie in httpx2.Cookies(cookies).jar if not isinstance(cookies, CookieView) else cookies._cookie_jar:
            self.set(cookie.name, cookie.value or "", cookie.domain, cookie.path)

    def __len__(self) -> int:
        return len(self._cookie_jar)

    def __iter__(self) -> Iterator[str]:
        return (cookie.name for cookie in self._cookie_jar)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __repr__(self) -> str:
        shown = ", ".join(f"{cookie.name} for {cookie.domain}{cookie.path}" for cookie in self._cookie_jar)
        return f"<CookieView [{shown}]>"


def parse(url: httpx2.URL, set_cookie: str, now_ms: int) -> Cookie | None:
    """Return the cookie of a Set-Cookie header, None if a browser ignores it (RFC 6265, section 5.3)."""
    pair, *rest = set_cookie.split(";")
    name, equals, value = (part.strip() for part in pair.partition("="))
    if not equals or not name:
        return None
    attributes = {key.strip().lower(): text.strip() for key, _, text in (part.partition("=") for part in rest)}
    host = url.host.lower()
    domain = attributes.get("domain", "").lower().removeprefix(".")
    same_site = attributes.get("samesite", "").lower()
    cookie = Cookie(
        name,
        value,
        domain=domain or host,
        path=attributes["path"] if attributes.get("path", "").startswith("/") else _default_path(url.path),
        expires_ms=_expiry(attributes, now_ms),
        secure="secure" in attributes,
        http_only="httponly" in attributes,
        same_site=same_site if same_site in ("strict", "none") else "lax",
        host_only=not domain,
    )
    return cookie if _is_acceptable(cookie, url) else None


def _is_acceptable(cookie: Cookie, url: httpx2.URL) -> bool:
    host = url.host.lower()
    if not _belongs_to(host, cookie.domain) or (cookie.domain != host and "." not in cookie.domain):
        return False
    if cookie.secure and not _is_trustworthy(url):
        return False
    # Browsers drop such cookies; for this machine they are accepted, as docs/protocol.md, rule 8.4 says.
    if cookie.same_site == "none" and not cookie.secure and not is_local(host):
        return False
    if cookie.name.startswith("__Host-"):
        return cookie.secure and cookie.host_only and cookie.path == "/"
    return cookie.secure or not cookie.name.startswith("__Secure-")


def _expiry(attributes: dict[str, str], now_ms: int) -> int | None:
    seconds = attributes.get("max-age", "")
    if seconds.removeprefix("-").isdigit():
        return now_ms + int(seconds) * 1000
    return _read_date(attributes["expires"]) if "expires" in attributes else None


@lru_cache(maxsize=64)
def _read_date(text: str) -> int | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return round(date.replace(tzinfo=UTC).timestamp() * 1000)  # cookie dates are always UTC (RFC 6265, section 5.1.1)


def _has_expired(cookie: Cookie, now_ms: int) -> bool:
    return cookie.expires_ms is not None and cookie.expires_ms <= now_ms


def _belongs_to(host: str, domain: str) -> bool:
    return host == domain or (host.endswith(f".{domain}") and not _is_address(host))


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


def _is_address(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdigit()


def _is_trustworthy(url: httpx2.URL) -> bool:
    return url.scheme == "https" or is_local(url.host)


def _default_path(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _site(url: httpx2.URL) -> tuple[str, str]:
    return url.scheme, top_level(f"{url.scheme}://{url.host}")
