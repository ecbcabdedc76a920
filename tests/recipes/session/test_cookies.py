"""Cookies as text, read and written."""

from __future__ import annotations

import time
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, strategies as st
from starlette.requests import Request

from coatcheck.recipes.session.response import SetCookie, cookies_of, http_date, key_of, parse_cookies


def cookie(**changes: Any) -> SetCookie:
    """Make an ordinary access cookie with some fields changed."""
    fields: dict[str, Any] = {
        "name": "sAccessToken",
        "value": "aaa.bbb-ccc_ddd",
        "path": "/",
        "domain": None,
        "expires_ms": 1_700_000_000_000,
        "secure": False,
        "same_site": "lax",
    }
    return SetCookie(**{**fields, **changes})


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", []),
        (";", []),
        ("; ;;", []),
        ("a=1", [("a", "1")]),
        ("a=1; b=2", [("a", "1"), ("b", "2")]),
        ("a=1;b=2;", [("a", "1"), ("b", "2")]),
        ("  a = 1 ;\tb=2", [("a", "1"), ("b", "2")]),
        ("a=1; a=2", [("a", "1"), ("a", "2")]),
        ("a=", [("a", "")]),
        ("a=b=c==", [("a", "b=c==")]),
        ("a; b=2", [("b", "2")]),
        ("=x", [("", "x")]),
        ('a="quoted"; b="', [("a", "quoted"), ("b", '"')]),
        ('custom={"a":"b%b"}; a=1', [("custom", '{"a":"b%b"}'), ("a", "1")]),
        ("a=%7Bx%7D%20%C3%AB", [("a", "{x} ë")]),
        ("sAccess%54oken=1", [("sAccessToken", "1")]),
        ("a=%ff%; b=%E0%A4%A", [("a", "\ufffd%"), ("b", "\ufffd%A")]),
        ("a=1, b=2", [("a", "1, b=2")]),
    ],
)
def test_cookies_are_read_tolerantly(header: str, cookies: list[tuple[str, str]]) -> None:
    """What can be read is read in order, duplicates included; the rest is skipped or left as it is."""
    assert parse_cookies(header) == cookies


@given(st.text() | st.text(alphabet='sAccessToken=%;, \t"0fFé\x00'))
def test_no_cookie_header_raises(header: str) -> None:
    """A header that anyone can send never makes a request fail."""
    for name, value in parse_cookies(header):
        assert isinstance(name, str)
        assert isinstance(value, str)


@given(st.binary())
def test_no_bytes_in_a_request_raise(header: bytes) -> None:
    """Bytes that are no text are read as Latin-1, as HTTP has it."""
    assert isinstance(cookies_of(Request({"type": "http", "headers": [(b"cookie", header)]})), list)


def test_a_split_cookie_header_is_one() -> None:
    """HTTP/2 may send each cookie in a header of its own (RFC 9113, section 8.2.3)."""
    request = Request({"type": "http", "headers": [(b"cookie", b"a=1"), (b"cookie", b"b=2; a=3")]})
    assert cookies_of(request) == [("a", "1"), ("b", "2"), ("a", "3")]


@pytest.mark.parametrize(
    ("written", "header"),
    [
        (
            cookie(),
            "sAccessToken=aaa.bbb-ccc_ddd; Expires=Tue, 14 Nov 2023 22:13:20 GMT; HttpOnly; Path=/; SameSite=Lax",
        ),
        (
            cookie(domain=".example.com", secure=True, same_site="none", path="/api"),
            "sAccessToken=aaa.bbb-ccc_ddd; Domain=.example.com; Expires=Tue, 14 Nov 2023 22:13:20 GMT; HttpOnly; "
            "Path=/api; SameSite=None; Secure",
        ),
        (
            cookie(value="", expires_ms=0, same_site="strict"),
            "sAccessToken=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Path=/; SameSite=Strict",
        ),
        (
            cookie(domain="", value="a b;ë"),
            "sAccessToken=a%20b%3B%C3%AB; Expires=Tue, 14 Nov 2023 22:13:20 GMT; HttpOnly; Path=/; SameSite=Lax",
        ),
    ],
)
def test_a_cookie_is_written_in_one_form(written: SetCookie, header: str) -> None:
    """Always HttpOnly and Expires, never Max-Age; Domain and Secure only where configured."""
    assert written.header() == header


@given(
    st.text(min_size=1).filter(lambda text: text.isprintable()),
    st.sampled_from(["lax", "strict", "none"]),
    st.sampled_from([None, "example.com", ".example.com"]),
)
def test_what_is_written_can_be_read(value: str, same_site: str, domain: str | None) -> None:
    """Any value comes back from a browser as it was, and a strict parser agrees on every attribute."""
    written = cookie(value=value, same_site=same_site, domain=domain, secure=True)
    morsel = SimpleCookie(written.header())["sAccessToken"]
    assert unquote(morsel.value) == value
    assert morsel["samesite"].lower() == same_site
    assert (morsel["domain"], morsel["path"], morsel["secure"], morsel["httponly"]) == (domain or "", "/", True, True)
    assert parse_cookies(written.header().partition(";")[0]) == [("sAccessToken", value)]
    assert key_of(written.header()) == written.key


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("a=1", ("a", "", "")),
        ("a=1; path=/x; DOMAIN=.Example.com", ("a", "example.com", "/x")),
        (" a = 1 ; Path = / ; HttpOnly", ("a", "", "/")),
        ("garbage", ("garbage", "", "")),
        ("", ("", "", "")),
        ("a=1; Path; Domain=", ("a", "", "")),
    ],
)
def test_the_key_of_anyones_cookie(header: str, key: tuple[str, str, str]) -> None:
    """Name, domain and path identify a cookie; a leading dot makes no difference (RFC 6265, section 5.2.3)."""
    assert key_of(header) == key


@given(st.text())
def test_no_set_cookie_header_raises(header: str) -> None:
    """An application's own cookies, however odd, never break a response."""
    assert len(key_of(header)) == 3


@pytest.mark.parametrize(
    ("ms", "date"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (999, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (-5, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (1_700_000_000_999, "Tue, 14 Nov 2023 22:13:20 GMT"),
        (10**18, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ],
)
def test_dates_are_in_gmt(ms: int, date: str) -> None:
    """Dates are HTTP dates whatever the machine's locale and zone, and absurd lifetimes end with the year 9999."""
    assert http_date(ms) == date


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati"])
def test_cookies_expire_in_gmt_in_every_time_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """The time zone of the process moves no expiry."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert time.timezone != 0
        assert "Expires=Tue, 14 Nov 2023 22:13:20 GMT" in cookie().header()
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_token_does_not_show_in_a_cookies_repr() -> None:
    """Tokens are secrets, and what is printed ends in a log."""
    assert "aaa.bbb" not in repr(cookie())
