"""The cookies of a browser: kept and sent as RFC 6265 says, expiring by a clock that a test moves."""

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

_SAME_SITE = {"lax": "lax", "strict": "strict", "none": "none"}


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie as a browser keeps it; `expires_ms` is None where it lives as long as the browser."""

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
        """What makes two cookies the same one."""
        return (self.domain, self.path, self.name)

    def reaches(self, url: httpx2.URL) -> bool:
        """Tell whether a request to `url` carries the cookie, as far as domain, path and Secure go."""
        host = url.host.lower()
        at_home = host == self.domain if self.host_only else _lies_in(host, self.domain)
        return at_home and _is_below(url.path, self.path) and (not self.secure or _is_trustworthy(url))


class CookieJar:
    """The cookies of one browser, whose page lies on `website` (an origin; None where no page is involved).

    Cookies go where domain, path, Secure and SameSite let them; one without SameSite is Lax. As in browsers, this
    machine's own addresses count as secure.
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
        """Return the Cookie header of a request to `url`, None where it carries no cookie."""
        same_site = self._is_same_site(url)
        sent = [cookie for cookie in self if (same_site or cookie.same_site == "none") and cookie.reaches(url)]
        sent.sort(key=lambda cookie: (-len(cookie.path), cookie.order))  # RFC 6265, section 5.4
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in sent) or None

    def store(self, url: httpx2.URL, set_cookie: str) -> None:
        """Do what a Set-Cookie header in the answer from `url` asks for, unless a browser would refuse."""
        cookie = parse(url, set_cookie, self._clock.now_ms())
        if cookie is not None and (cookie.same_site == "none" or self._is_same_site(url)):
            self.put(cookie)

    def put(self, cookie: Cookie) -> None:
        """Keep a cookie, in place of an earlier one of the same name, domain and path."""
        earlier = self._cookies.pop(cookie.key, None)
        if not _has_expired(cookie, self._clock.now_ms()):
            order = next(self._orders) if earlier is None else earlier.order
            self._cookies[cookie.key] = replace(cookie, order=order)

    def find(self, name: str, *, domain: str | None = None, path: str | None = None) -> list[Cookie]:
        """Return the cookies of that name, of that domain and path where they are given."""
        return [
            cookie
            for cookie in self
            if cookie.name == name and domain in (None, cookie.domain) and path in (None, cookie.path)
        ]

    def remove(self, cookie: Cookie) -> None:
        """Forget one cookie."""
        self._cookies.pop(cookie.key, None)

    def copy(self, clock: Clock) -> CookieJar:
        """Return a jar of its own with the same cookies."""
        copied = CookieJar(clock, self._website)
        for cookie in sorted(self, key=lambda cookie: cookie.order):
            copied.put(cookie)
        return copied

    def _is_same_site(self, url: httpx2.URL) -> bool:
        page = self._website
        if page is None or url.host == page.host:
            return page is None or url.scheme == page.scheme
        return _site(url) == _site(page)


def parse(url: httpx2.URL, set_cookie: str, now_ms: int) -> Cookie | None:
    """Return the cookie of a Set-Cookie header, None where a browser ignores it (RFC 6265, section 5.3)."""
    pair, *rest = set_cookie.split(";")
    name, equals, value = (part.strip() for part in pair.partition("="))
    if not equals or not name:
        return None
    read = {key.strip().lower(): text.strip() for key, _, text in (part.partition("=") for part in rest)}
    host = url.host.lower()
    domain = read.get("domain", "").lower().removeprefix(".")
    cookie = Cookie(
        name,
        value,
        domain=domain or host,
        path=read["path"] if read.get("path", "").startswith("/") else _default_path(url.path),
        expires_ms=_expiry(read, now_ms),
        secure="secure" in read,
        http_only="httponly" in read,
        same_site=_SAME_SITE.get(read.get("samesite", "").lower(), "lax"),
        host_only=not domain,
    )
    return cookie if _is_acceptable(cookie, url) else None


def _is_acceptable(cookie: Cookie, url: httpx2.URL) -> bool:
    host = url.host.lower()
    if not _lies_in(host, cookie.domain) or (cookie.domain != host and "." not in cookie.domain):
        return False
    if cookie.secure and not _is_trustworthy(url):
        return False
    # Browsers drop such cookies; on this machine they are let through, as docs/protocol.md, rule 8.4 does.
    if cookie.same_site == "none" and not cookie.secure and not is_local(host):
        return False
    if cookie.name.startswith("__Host-"):
        return cookie.secure and cookie.host_only and cookie.path == "/"
    return cookie.secure or not cookie.name.startswith("__Secure-")


def _expiry(read: dict[str, str], now_ms: int) -> int | None:
    seconds = read.get("max-age", "")
    if seconds.removeprefix("-").isdigit():
        return now_ms + int(seconds) * 1000
    return _read_date(read["expires"]) if "expires" in read else None


@lru_cache(maxsize=64)
def _read_date(text: str) -> int | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return round(date.replace(tzinfo=UTC).timestamp() * 1000)  # cookies know no other zone (RFC 6265, section 5.1.1)


def _has_expired(cookie: Cookie, now_ms: int) -> bool:
    return cookie.expires_ms is not None and cookie.expires_ms <= now_ms


def _lies_in(host: str, domain: str) -> bool:
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


class CookieView(httpx2.Cookies):
    """A mapping over a CookieJar; new cookies belong to `host` unless a domain is given.

    httpx2's own `jar` stays empty: which cookies travel is decided anew for every request, by the browser's clock.
    """

    def __init__(self, jar: CookieJar, host: str) -> None:
        super().__init__()
        self._kept = jar
        self._host = host

    def extract_cookies(self, response: httpx2.Response) -> None:
        """Do nothing: the browser has seen the response already."""

    def set_cookie_header(self, request: httpx2.Request) -> None:
        """Do nothing: the browser adds its cookies when the request is sent."""

    def set(self, name: str, value: str, domain: str = "", path: str = "/") -> None:
        """Set a cookie as a script in the page could, for all hosts of `domain` where one is given."""
        bare = domain.removeprefix(".")
        self._kept.put(Cookie(name, value, domain=bare or self._host, path=path, host_only=not bare))

    def get(  # type: ignore[override]
        self, name: str, default: str | None = None, domain: str | None = None, path: str | None = None
    ) -> str | None:
        """Return the value of a cookie; CookieConflict where several have that name."""
        found = self._kept.find(name, domain=domain, path=path)
        if len(found) > 1:
            raise httpx2.CookieConflict(f"Multiple cookies exist with name={name}")
        return found[0].value if found else default

    def delete(self, name: str, domain: str | None = None, path: str | None = None) -> None:
        """Delete the cookies of that name."""
        for cookie in self._kept.find(name, domain=domain, path=path):
            self._kept.remove(cookie)

    def clear(self, domain: str | None = None, path: str | None = None) -> None:
        """Delete all cookies, or those of a domain and a path."""
        for cookie in self._kept:
            if domain in (None, cookie.domain) and path in (None, cookie.path):
                self._kept.remove(cookie)

    def update(self, cookies: Any = None) -> None:  # type: ignore[override]
        """Set cookies from a mapping, from pairs, or from other cookies."""
        for cookie in httpx2.Cookies(cookies).jar if not isinstance(cookies, CookieView) else cookies._kept:
            self.set(cookie.name, cookie.value or "", cookie.domain, cookie.path)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[str]:
        return (cookie.name for cookie in self._kept)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __repr__(self) -> str:
        shown = ", ".join(f"{cookie.name} for {cookie.domain}{cookie.path}" for cookie in self._kept)
        return f"<CookieView [{shown}]>"
