"""What the log of token mutations makes of a response."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http.cookies import SimpleCookie

import pytest
from hypothesis import given, strategies as st
from starlette.datastructures import MutableHeaders

from coatcheck.recipes.session.config import TransferMethod
from coatcheck.recipes.session.response import (
    ClearLegacyCookie,
    ClearOlderCookies,
    ClearTokens,
    CookieSettings,
    Mutation,
    ResponseLog,
    SetTokens,
    key_of,
)

NOW = 1_700_000_000_000  # Tue, 14 Nov 2023 22:13:20 GMT
SETTINGS = CookieSettings(domain=None, secure=False, same_site="lax", refresh_path="/auth/session/refresh")
EPOCH = "Expires=Thu, 01 Jan 1970 00:00:00 GMT"
CLEARED = [
    f"sAccessToken=; {EPOCH}; HttpOnly; Path=/; SameSite=Lax",
    f"sRefreshToken=; {EPOCH}; HttpOnly; Path=/auth/session/refresh; SameSite=Lax",
]


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token of the shape the engine hands out."""

    token: str = "RT"
    expiry: int = NOW + 8_640_000_000


def created(
    method: TransferMethod = "cookie", *, settings: CookieSettings = SETTINGS, number: str = "", csrf: str | None = None
) -> SetTokens:
    """Make the entry of a sign-in or a refresh."""
    return SetTokens(
        method,
        f"AT{number}",
        f"FT{number}",
        settings,
        NOW,
        refresh_token=RefreshToken(f"RT{number}"),
        anti_csrf_token=csrf,
    )


def renewed(method: TransferMethod = "cookie", *, settings: CookieSettings = SETTINGS, number: str = "") -> SetTokens:
    """Make the entry of a renewed access token."""
    return SetTokens(method, f"AT{number}", f"FT{number}", settings, NOW)


def applied(*entries: Mutation, to: dict[str, str] | None = None) -> MutableHeaders:
    """Apply entries to a response that has the headers `to`."""
    headers = MutableHeaders(to or {})
    log = ResponseLog()
    log.add(*entries)
    log.apply(headers)
    return headers


def cleared(headers: MutableHeaders) -> list[str]:
    """Return the names of the cookies that a response lets expire."""
    return sorted(morsel.partition("=")[0] for morsel in headers.getlist("set-cookie") if EPOCH in morsel)


# The worked examples


def test_a_sign_in_with_cookies() -> None:
    """Two cookies and the front token, nothing else."""
    headers = applied(created())
    assert headers.items() == [
        ("set-cookie", "sAccessToken=AT; Expires=Wed, 13 Nov 2024 22:13:20 GMT; HttpOnly; Path=/; SameSite=Lax"),
        (
            "set-cookie",
            "sRefreshToken=RT; Expires=Thu, 22 Feb 2024 22:13:20 GMT; HttpOnly; Path=/auth/session/refresh; "
            "SameSite=Lax",
        ),
        ("front-token", "FT"),
        ("access-control-expose-headers", "front-token"),
        ("cache-control", "no-store"),
    ]


def test_a_sign_in_with_headers() -> None:
    """Three headers, all exposed, and no cookie."""
    assert applied(created("header", csrf="never")).items() == [
        ("front-token", "FT"),
        ("st-access-token", "AT"),
        ("st-refresh-token", "RT"),
        ("access-control-expose-headers", "front-token, st-access-token, st-refresh-token"),
        ("cache-control", "no-store"),
    ]


def test_a_request_that_changes_no_token() -> None:
    """An expired access token is answered without touching any header."""
    assert applied(to={"content-type": "application/json"}).items() == [("content-type", "application/json")]


def test_the_first_call_after_a_refresh_with_cookies() -> None:
    """A renewed access token comes with its front token and without a refresh token."""
    headers = applied(renewed())
    assert [name for name, _ in headers.items()] == [
        "set-cookie",
        "front-token",
        "access-control-expose-headers",
        "cache-control",
    ]
    assert headers["set-cookie"].startswith("sAccessToken=AT; Expires=Wed, 13 Nov 2024")


def test_the_first_call_after_a_refresh_with_headers() -> None:
    """The same with headers."""
    assert applied(renewed("header")).items() == [
        ("front-token", "FT"),
        ("st-access-token", "AT"),
        ("access-control-expose-headers", "front-token, st-access-token"),
        ("cache-control", "no-store"),
    ]


def test_a_sign_out_with_cookies() -> None:
    """Both cookies expire and the front token is removed."""
    assert applied(ClearTokens("cookie", SETTINGS)).items() == [
        ("set-cookie", CLEARED[0]),
        ("set-cookie", CLEARED[1]),
        ("front-token", "remove"),
        ("access-control-expose-headers", "front-token"),
    ]


def test_a_sign_out_with_headers() -> None:
    """Both headers are there and empty; no cookie is touched."""
    assert applied(ClearTokens("header", SETTINGS)).items() == [
        ("front-token", "remove"),
        ("st-access-token", ""),
        ("st-refresh-token", ""),
        ("access-control-expose-headers", "front-token, st-access-token, st-refresh-token"),
    ]


def test_an_unauthorised_refresh_clears_both_methods() -> None:
    """Both forms in one response, with one front token."""
    headers = applied(ClearTokens("cookie", SETTINGS), ClearTokens("header", SETTINGS))
    assert headers.getlist("set-cookie") == CLEARED
    assert headers.getlist("front-token") == ["remove"]
    assert (headers["st-access-token"], headers["st-refresh-token"]) == ("", "")
    assert headers["access-control-expose-headers"] == "front-token, st-access-token, st-refresh-token"


# Settings


def test_cookies_follow_the_settings() -> None:
    """Domain, paths, Secure and SameSite are the same for setting and clearing."""
    settings = CookieSettings(
        domain=".example.com",
        secure=True,
        same_site="none",
        refresh_path="/gw/auth/session/refresh",
        access_path="/api",
    )
    for entry in (created(settings=settings), ClearTokens("cookie", settings)):
        access, refresh = applied(entry).getlist("set-cookie")
        assert "; Domain=.example.com; " in access
        assert access.endswith("; HttpOnly; Path=/api; SameSite=None; Secure")
        assert refresh.endswith("; HttpOnly; Path=/gw/auth/session/refresh; SameSite=None; Secure")


def test_an_exposed_access_token_travels_twice() -> None:
    """In cookie mode the access token can also be a header; the refresh token never is."""
    settings = replace(SETTINGS, expose_access_token=True)
    for entry in (created(settings=settings, csrf="t"), renewed(settings=settings)):
        headers = applied(entry)
        cookies = SimpleCookie(headers.getlist("set-cookie")[0])
        assert headers["st-access-token"] == cookies["sAccessToken"].value == "AT"
        assert "st-refresh-token" not in headers
    assert applied(created(settings=settings, csrf="t"))["access-control-expose-headers"] == (
        "front-token, st-access-token, anti-csrf"
    )


def test_an_exposed_access_token_is_cleared_too() -> None:
    """A revoke after a create leaves no token in any header."""
    settings = replace(SETTINGS, expose_access_token=True)
    headers = applied(created(settings=settings), ClearTokens("cookie", settings))
    assert headers["st-access-token"] == ""
    assert "AT" not in str(headers)


# Order


@pytest.mark.parametrize("method", ["cookie", "header"])
def test_a_revoke_after_a_create_clears(method: TransferMethod) -> None:
    """The last mutation wins: no token leaves, and no anti-CSRF token either."""
    headers = applied(created(method, csrf="t"), ClearTokens(method, SETTINGS))
    assert headers == applied(ClearTokens(method, SETTINGS))
    assert "anti-csrf" not in headers
    assert "cache-control" not in headers


@pytest.mark.parametrize("method", ["cookie", "header"])
def test_an_unauthorised_error_after_a_create_clears_everything(method: TransferMethod) -> None:
    """A user banned while signing in gets no token, by whichever method it was meant to travel."""
    headers = applied(created(method, csrf="t"), ClearTokens("cookie", SETTINGS), ClearTokens("header", SETTINGS))
    assert cleared(headers) == ["sAccessToken", "sRefreshToken"]
    assert (headers["st-access-token"], headers["st-refresh-token"]) == ("", "")
    assert headers["front-token"] == "remove"
    assert "anti-csrf" not in headers


def test_the_other_method_is_cleared_before_tokens_are_set_in_headers() -> None:
    """Cookies expire while the new session's headers are there, front token included."""
    headers = applied(ClearTokens("cookie", SETTINGS), created("header"))
    assert headers.getlist("set-cookie") == CLEARED
    assert (headers["front-token"], headers["st-access-token"], headers["st-refresh-token"]) == ("FT", "AT", "RT")


def test_the_other_method_is_cleared_before_tokens_are_set_in_cookies() -> None:
    """The headers are empty while the new session's cookies are there, anti-CSRF and front token included."""
    headers = applied(ClearTokens("header", SETTINGS), created(csrf="t"))
    assert cleared(headers) == []
    assert (headers["st-access-token"], headers["st-refresh-token"]) == ("", "")
    assert (headers["front-token"], headers["anti-csrf"]) == ("FT", "t")


def test_a_payload_merged_twice_sends_one_token() -> None:
    """One access cookie with the last token; refresh and anti-CSRF token of the sign-in stay."""
    headers = applied(created(csrf="t"), renewed(number="2"), renewed(number="3"))
    access, refresh = headers.getlist("set-cookie")
    assert access.startswith("sAccessToken=AT3;")
    assert refresh.startswith("sRefreshToken=RT;")
    assert headers.getlist("front-token") == ["FT3"]
    assert headers.getlist("anti-csrf") == ["t"]
    assert headers["access-control-expose-headers"] == "front-token, anti-csrf"


def test_a_session_created_after_a_revoke_is_sent() -> None:
    """Revoke and create in one request is a new session."""
    headers = applied(ClearTokens("cookie", SETTINGS), created(number="2", csrf="t2"))
    assert headers == applied(created(number="2", csrf="t2"))


# The application's own headers


def test_the_applications_headers_stay() -> None:
    """Its own exposed names come first, its own cookies and Cache-Control are left alone."""
    own = {
        "access-control-expose-headers": "customValue",
        "cache-control": "private",
        "set-cookie": "theme=dark",
        "x-a": "1",
    }
    headers = applied(created(csrf="t"), to=own)
    assert headers["access-control-expose-headers"] == "customValue, front-token, anti-csrf"
    assert (headers["cache-control"], headers["x-a"]) == ("private", "1")
    assert headers.getlist("set-cookie")[0] == "theme=dark"
    assert len(headers.getlist("set-cookie")) == 3


@pytest.mark.parametrize(
    ("own", "exposed"),
    [
        (["Front-Token"], "Front-Token, anti-csrf"),
        (["x-a,anti-csrf , front-token"], "x-a,anti-csrf , front-token"),
        (["x-a", "x-b"], "x-a, x-b, front-token, anti-csrf"),
        (["x-front-token"], "x-front-token, front-token, anti-csrf"),
        ([""], "front-token, anti-csrf"),
    ],
)
def test_no_name_is_exposed_twice(own: list[str], exposed: str) -> None:
    """Names are compared whole and in any case, over several headers too."""
    headers = MutableHeaders(raw=[(b"access-control-expose-headers", value.encode()) for value in own])
    log = ResponseLog()
    log.add(created(csrf="t"))
    log.apply(headers)
    assert ", ".join(headers.getlist("access-control-expose-headers")) == exposed


def test_earlier_session_headers_are_replaced() -> None:
    """What another layer wrote for the same cookie or header gives way, whatever its case or leading dot."""
    settings = replace(SETTINGS, domain=".example.com")
    headers = MutableHeaders(
        raw=[
            (b"set-cookie", b"sAccessToken=old; path=/; domain=EXAMPLE.com"),
            (b"set-cookie", b"sAccessToken=elsewhere; path=/admin; domain=example.com"),
            (b"front-token", b"old"),
            (b"front-token", b"older"),
        ]
    )
    log = ResponseLog()
    log.add(created(settings=settings))
    log.apply(headers)
    assert [value.partition(";")[0] for value in headers.getlist("set-cookie")] == [
        "sAccessToken=elsewhere",
        "sAccessToken=AT",
        "sRefreshToken=RT",
    ]
    assert headers.getlist("front-token") == ["FT"]


def test_an_anti_csrf_header_of_the_application_goes_with_the_session() -> None:
    """Clearing takes the anti-CSRF header away, whoever wrote it."""
    assert "anti-csrf" not in applied(ClearTokens("header", SETTINGS), to={"anti-csrf": "t"})


# Legacy and duplicated cookies


def test_a_legacy_cookie_is_cleared_beside_the_tokens() -> None:
    """Only the old cookie is touched."""
    headers = applied(ClearLegacyCookie(replace(SETTINGS, domain="example.com")), created())
    assert headers.getlist("set-cookie")[0] == (
        f"sIdRefreshToken=; Domain=example.com; {EPOCH}; HttpOnly; Path=/; SameSite=Lax"
    )
    assert (len(headers.getlist("set-cookie")), headers["front-token"]) == (3, "FT")


@pytest.mark.parametrize(("older", "attribute"), [(".old.com", " Domain=.old.com;"), ("", "")])
def test_duplicates_are_cleared_on_the_older_domain(older: str, attribute: str) -> None:
    """The named cookies expire there, each on its path, and nothing else happens."""
    settings = replace(SETTINGS, domain=".new.com", older_domain=older)
    headers = applied(ClearOlderCookies(("sAccessToken", "sRefreshToken"), settings))
    assert headers.items() == [
        ("set-cookie", f"sAccessToken=;{attribute} {EPOCH}; HttpOnly; Path=/; SameSite=Lax"),
        ("set-cookie", f"sRefreshToken=;{attribute} {EPOCH}; HttpOnly; Path=/auth/session/refresh; SameSite=Lax"),
    ]
    assert len(applied(ClearOlderCookies(("sRefreshToken",), settings)).getlist("set-cookie")) == 1


def test_duplicates_need_an_older_domain() -> None:
    """Without it there is no telling which of the two would be cleared."""
    with pytest.raises(ValueError, match="older_cookie_domain is not configured"):
        ClearOlderCookies(("sAccessToken",), SETTINGS)


# The log itself


OLDER = replace(SETTINGS, domain="new.com", older_domain="old.com")
ENTRIES: list[Mutation] = [
    created(csrf="t"),
    created("header"),
    created(settings=replace(SETTINGS, expose_access_token=True), number="2"),
    renewed(number="3"),
    renewed("header", number="4"),
    ClearTokens("cookie", SETTINGS),
    ClearTokens("header", SETTINGS),
    ClearLegacyCookie(SETTINGS),
    ClearOlderCookies(("sAccessToken",), OLDER),
]


@given(st.lists(st.sampled_from(ENTRIES), max_size=6))
def test_any_log_leaves_one_value_of_each_item(entries: list[Mutation]) -> None:
    """Whatever happened: one cookie per key, one value per header, each exposed once, and twice is once."""
    headers = applied(*entries, to={"set-cookie": "theme=dark", "access-control-expose-headers": "x-a"})
    again = MutableHeaders(raw=list(headers.raw))
    log = ResponseLog()
    log.add(*entries)
    log.apply(again)
    assert {name: again.getlist(name) for name in again} == {name: headers.getlist(name) for name in headers}
    keys = [key_of(value) for value in headers.getlist("set-cookie")]
    assert len(keys) == len(set(keys))
    names = [name for name in headers if name != "set-cookie"]
    assert len(names) == len(set(names))
    exposed = headers["access-control-expose-headers"].split(", ")
    assert len(exposed) == len(set(exposed))
    assert set(exposed) == {"x-a"} | {n for n in names if n.startswith("st-") or n in ("front-token", "anti-csrf")}


@given(st.lists(st.sampled_from(ENTRIES), max_size=6))
def test_clearing_everything_leaves_no_token(entries: list[Mutation]) -> None:
    """After a log that ends by clearing both methods, no response holds a token."""
    expose = replace(SETTINGS, expose_access_token=True)
    headers = applied(*entries, ClearTokens("cookie", expose), ClearTokens("header", expose))
    text = str(headers)
    assert not any(token in text for token in ("AT", "RT", "FT", "'t'"))


def test_a_log_can_be_read() -> None:
    """Entries are kept in order, and printing them shows no token."""
    log = ResponseLog()
    assert (len(log), log.entries) == (0, ())
    first, second = replace(created(), access_token="secret", front_token="secret"), ClearTokens("cookie", SETTINGS)
    log.add(first, second)
    assert (len(log), log.entries) == (2, (first, second))
    assert "secret" not in repr(log)
    assert "RT" not in repr(log)
