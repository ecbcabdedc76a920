"""The client's cookies: kept, sent and dropped as browsers do it, by the clock that a test moves."""

from __future__ import annotations

from email.utils import formatdate

import httpx2
import pytest

from coatcheck.claims import ManualClock
from coatcheck.testing.cookies import Cookie, CookieJar, CookieView, parse

API = httpx2.URL("https://api.example.com/auth/signin")


@pytest.fixture
def jar(clock: ManualClock) -> CookieJar:
    """Return the jar of a browser that shows a page of the same site as the API."""
    return CookieJar(clock, httpx2.URL("https://www.example.com"))


def sent(jar: CookieJar, url: str) -> str | None:
    return jar.header(httpx2.URL(url))


def test_a_cookie_expires_by_the_clock(jar: CookieJar, clock: ManualClock) -> None:
    """Expires is compared with the clock that a test advances, to the millisecond."""
    jar.store(API, f"a=1; Path=/; Expires={formatdate(clock.now_ms() // 1000 + 60, usegmt=True)}")
    clock.advance(60 - 0.001)
    assert sent(jar, "https://api.example.com/") == "a=1"
    clock.advance(0.001)
    assert sent(jar, "https://api.example.com/") is None
    assert len(jar) == 0


def test_dates_are_in_greenwich(jar: CookieJar, clock: ManualClock) -> None:
    """Whatever zone they name, or none."""
    hour = formatdate(clock.now_ms() // 1000 + 3600, usegmt=True).removesuffix(" GMT")
    for name, zone in (("a", " GMT"), ("b", ""), ("c", " +0900")):
        jar.store(API, f"{name}=1; Path=/; Expires={hour}{zone}")
    clock.advance(3599)
    assert len(jar) == 3
    clock.advance(1)
    assert len(jar) == 0


def test_max_age_wins_over_expires(jar: CookieJar, clock: ManualClock) -> None:
    """RFC 6265, section 5.3, step 3; nothing and nonsense mean that the cookie lives as long as the browser."""
    jar.store(API, "short=1; Path=/; Max-Age=10; Expires=Fri, 31 Dec 9999 23:59:59 GMT")
    jar.store(API, "odd=1; Path=/; Max-Age=soon; Expires=tomorrow")
    clock.advance(10)
    assert sent(jar, "https://api.example.com/") == "odd=1"


@pytest.mark.parametrize("gone", ["Max-Age=0", "Max-Age=-1", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"])
def test_an_expired_cookie_takes_the_earlier_one_with_it(jar: CookieJar, gone: str) -> None:
    """That is how servers clear cookies."""
    jar.store(API, "a=1; Path=/")
    jar.store(API, f"a=; Path=/; {gone}")
    assert list(jar) == []


@pytest.mark.parametrize(
    ("attributes", "url", "travels"),
    [
        ("Path=/", "https://api.example.com/anything", True),
        ("Path=/", "https://www.example.com/", False),
        ("Path=/", "https://a.api.example.com/", False),
        ("Path=/; Domain=example.com", "https://www.example.com/", True),
        ("Path=/; Domain=.Example.com", "https://api.example.com/", True),
        ("Path=/; Domain=example.com", "https://badexample.com/", False),
        ("Path=/auth", "https://api.example.com/auth", True),
        ("Path=/auth", "https://api.example.com/auth/x", True),
        ("Path=/auth", "https://api.example.com/author", False),
        ("", "https://api.example.com/auth/session", True),
        ("", "https://api.example.com/", False),
        ("Path=relative", "https://api.example.com/auth/x", True),
        ("Path=/; Secure", "https://api.example.com:8443/", True),
        ("Path=/; Secure", "http://api.example.com/", False),
    ],
)
def test_where_a_cookie_travels(attributes: str, url: str, travels: bool) -> None:
    """Host or domain, path, and Secure decide; ports do not."""
    jar = CookieJar(ManualClock())
    jar.store(API, f"a=1; {attributes}")
    assert (sent(jar, url) is not None) is travels


@pytest.mark.parametrize(
    "refused",
    [
        "no equals sign",
        "=1",
        "a=1; Domain=other.example",
        "a=1; Domain=com",
        "a=1; Domain=www.example.com",
        "a=1; SameSite=None",
        "__Host-a=1; Secure; Path=/; Domain=api.example.com",
        "__Host-a=1; Secure; Path=/auth",
        "__Host-a=1; Path=/",
        "__Secure-a=1; Path=/",
    ],
)
def test_cookies_that_browsers_refuse(refused: str) -> None:
    """Foreign domains, SameSite=None without Secure, and prefixes whose promise is not kept."""
    assert parse(API, refused, 0) is None


@pytest.mark.parametrize("accepted", ["__Host-a=1; Secure; Path=/", "__Secure-a=1; Secure", "a=1; SameSite=odd"])
def test_cookies_that_browsers_accept(accepted: str) -> None:
    """Prefixes whose promise is kept, and attributes nobody knows."""
    assert parse(API, accepted, 0) is not None


def test_a_secure_cookie_needs_a_connection_that_is(jar: CookieJar) -> None:
    """Over http it is not stored, except from this very machine, which browsers trust."""
    jar.store(httpx2.URL("http://api.example.com/"), "a=1; Secure; SameSite=None")
    assert len(jar) == 0
    local = CookieJar(ManualClock())
    local.store(httpx2.URL("http://localhost:3567/"), "a=1; Secure; Path=/")
    assert sent(local, "http://localhost:3567/") == "a=1"


@pytest.mark.parametrize(
    ("page", "same_site", "travels"),
    [
        ("https://www.example.com", "Strict", True),
        ("https://www.example.com", "", True),
        ("http://www.example.com", "Lax", False),
        ("https://example.org", "Strict", False),
        ("https://example.org", "Lax", False),
        ("https://example.org", "", False),
        ("https://example.org", "None", True),
        (None, "Strict", True),
    ],
)
def test_same_site(page: str | None, same_site: str, travels: bool) -> None:
    """From a page of another site only SameSite=None travels; without the attribute a cookie is Lax."""
    foreign = CookieJar(ManualClock(), None if page is None else httpx2.URL(page))
    written = f"; SameSite={same_site}" if same_site else ""
    foreign.store(API, f"a=1; Path=/; Secure{written}")
    assert (len(foreign) == 1) is travels
    foreign.put(Cookie("a", "1", domain="api.example.com", same_site=same_site.lower() or "lax"))
    assert (sent(foreign, "https://api.example.com/") is not None) is travels


def test_same_site_none_on_this_machine() -> None:
    """Local hosts may do without Secure (docs/protocol.md, rule 8.4)."""
    local = CookieJar(ManualClock(), httpx2.URL("https://localhost:3000"))
    local.store(httpx2.URL("http://localhost:3567/"), "a=1; SameSite=None; Path=/")
    assert sent(local, "http://localhost:3567/") == "a=1"


def test_longer_paths_come_first_then_older_cookies(jar: CookieJar) -> None:
    """RFC 6265, section 5.4; a new value keeps the place of the old one."""
    for text in ("a=1; Path=/", "b=1; Path=/auth", "c=1; Path=/", "a=2; Path=/"):
        jar.store(API, text)
    assert sent(jar, "https://api.example.com/auth") == "b=1; a=2; c=1"


def test_addresses_have_no_subdomains() -> None:
    """A Domain attribute never reaches across IP addresses."""
    assert parse(httpx2.URL("http://10.0.0.1/"), "a=1; Domain=0.0.1", 0) is None
    assert parse(httpx2.URL("http://[::1]/"), "a=1; Path=/", 0) is not None


@pytest.fixture
def view(jar: CookieJar) -> CookieView:
    """Return the jar as httpx2 shows it."""
    return CookieView(jar, "api.example.com")


def test_the_view_is_a_mapping(view: CookieView, jar: CookieJar) -> None:
    """Cookies can be read, set and deleted by name, as in any httpx2 client."""
    view["a"] = "1"
    view.set("b", "2", domain="example.com", path="/x")
    assert (dict(view), len(view), bool(view)) == ({"a": "1", "b": "2"}, 2, True)
    assert [cookie.host_only for cookie in jar] == [True, False]
    assert "1" not in repr(view)
    del view["a"]
    assert view.get("a", "none") == "none"
    view.clear(domain="example.com", path="/other")
    assert "b" in view
    view.clear()
    assert not view
    with pytest.raises(KeyError):
        view["b"]


def test_names_that_are_not_unique_are_conflicts(view: CookieView) -> None:
    """Without a domain or a path nobody knows which is meant."""
    view.set("a", "1", path="/")
    view.set("a", "2", path="/x")
    with pytest.raises(httpx2.CookieConflict):
        view.get("a")
    assert view.get("a", path="/x") == "2"
    view.delete("a", path="/x")
    assert view["a"] == "1"


@pytest.mark.parametrize("given", [{"a": "1"}, [("a", "1")], httpx2.Cookies({"a": "1"})])
def test_the_view_is_updated_from_what_httpx2_takes(view: CookieView, given: object) -> None:
    """Mappings, pairs and other cookies; another view as well."""
    view.update(given)
    other = CookieView(CookieJar(ManualClock()), "other.example")
    other.update(view)
    assert dict(other) == {"a": "1"}
