"""The cookies of a browser as httpx2 shows them: a mapping from names to values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2

from .cookies import Cookie, CookieJar


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
