"""Sessions over HTTP: how they are created, verified, refreshed and ended."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from coatcheck.claims import ManualClock
from coatcheck.recipes import session

from ...kit import Make, Serve
from .routes import (
    EPOCH,
    ROUTES,
    SELECTORS,
    Tokens,
    assert_cleared,
    bearer,
    cookies_set,
    front,
    front_handle,
    jar,
    new,
    value_of,
)

FOREIGN = jwt.encode({"sub": "somebody"}, "a secret of thirty-two bytes, or more", algorithm="HS256")


# Creation


@pytest.mark.parametrize("mode", [None, "invalid", "header", "HEADER"])
def test_without_the_wish_for_cookies_tokens_travel_in_headers(make_app: Make, serve: Serve, mode: str | None) -> None:
    """Only `st-auth-mode: cookie` makes a cookie session (docs/protocol.md, rule 9.1)."""
    response = serve(make_app(anti_csrf="VIA_TOKEN"), ROUTES).post(
        "/create", headers={} if mode is None else {"st-auth-mode": mode}
    )
    assert cookies_set(response) == {}
    assert "anti-csrf" not in response.headers
    assert response.headers["access-control-expose-headers"] == "front-token, st-access-token, st-refresh-token"
    assert response.headers["st-access-token"]
    assert response.headers["st-refresh-token"]


def test_with_the_wish_for_cookies_tokens_travel_in_cookies(make_app: Make, serve: Serve) -> None:
    """A cookie session gets both cookies, the front token and, via token, an anti-CSRF token (rule 10.2)."""
    response = serve(make_app(anti_csrf="VIA_TOKEN"), ROUTES).post("/create", headers={"st-auth-mode": "cookie"})
    cookies = cookies_set(response)
    assert set(cookies) == {"sAccessToken", "sRefreshToken"}
    assert "st-access-token" not in response.headers
    assert "st-refresh-token" not in response.headers
    assert response.headers["anti-csrf"]
    assert response.headers["access-control-expose-headers"] == "front-token, anti-csrf"
    assert "Path=/;" in cookies["sAccessToken"]
    assert "Path=/auth/session/refresh;" in cookies["sRefreshToken"]
    for header in cookies.values():
        assert "HttpOnly" in header
        assert "SameSite=Lax" in header
        assert "Domain" not in header
        assert "Secure" not in header
    assert response.headers["x-app"] == "yes"


def test_cookies_of_an_https_api_are_secure(make_app: Make, serve: Serve) -> None:
    """Secure follows from the scheme of the API's domain (docs/protocol.md, rule 8.3)."""
    app = make_app(api_domain="https://api.example.com", website_domain="https://example.com")
    client = serve(app, ROUTES, base_url="https://api.example.com")
    for header in cookies_set(client.post("/create", headers={"st-auth-mode": "cookie"})).values():
        assert "; Secure" in header
        assert "SameSite=Lax" in header


def test_cookie_domain_is_used_for_setting_and_clearing(make_app: Make, serve: Serve) -> None:
    """Cookies carry the configured domain when they are set, refreshed and cleared (rule 8.6)."""
    app = make_app(
        api_domain="https://api.example.com", website_domain="https://example.com", cookie_domain=".example.com"
    )
    client = serve(app, ROUTES, base_url="https://api.example.com")
    for path in ("/create", "/create-and-revoke"):
        for header in cookies_set(client.post(path, headers={"st-auth-mode": "cookie"})).values():
            assert "Domain=.example.com" in header


def test_a_header_selector_clears_the_cookies_a_request_came_with(make_app: Make, serve: Serve) -> None:
    """Creating in one transfer method clears a token in the other, even a foreign one (rule 9.4)."""
    app = make_app(get_token_transfer_method=lambda request, creating, context: "header")
    response = serve(app, ROUTES).post("/create", headers=jar(sAccessToken=FOREIGN))
    assert response.headers["st-access-token"]
    assert response.headers["front-token"] != "remove"
    cookies = cookies_set(response)
    assert set(cookies) == {"sAccessToken", "sRefreshToken"}
    assert all(value_of(header) == "" and EPOCH in header for header in cookies.values())


def test_a_cookie_selector_clears_the_header_tokens_a_request_came_with(make_app: Make, serve: Serve) -> None:
    """The other way round: header tokens are emptied and the front token is the new one (rule 9.4)."""
    app = make_app(get_token_transfer_method=lambda request, creating, context: "cookie")
    response = serve(app, ROUTES).post("/create", headers=bearer(FOREIGN))
    assert value_of(cookies_set(response)["sAccessToken"])
    assert response.headers["st-access-token"] == ""
    assert response.headers["st-refresh-token"] == ""
    assert front(response)["uid"] == "u1"


def test_a_selector_may_decide_by_request(make_app: Make, serve: Serve) -> None:
    """The transfer method may follow from the request, such as its origin."""
    app = make_app(
        get_token_transfer_method=lambda request, creating, context: (
            "cookie" if request.headers.get("origin") == "http://localhost:3000" else "header"
        )
    )
    client = serve(app, ROUTES)
    assert cookies_set(client.post("/create", headers={"origin": "http://localhost:3000"}))
    client.cookies.clear()
    assert not cookies_set(client.post("/create", headers={"origin": "http://other.example"}))


def test_a_selector_that_answers_nonsense_is_an_error_that_says_so(make_app: Make, serve: Serve) -> None:
    """A selector must answer cookie, header or any; anything else is a configuration error."""
    app = make_app(get_token_transfer_method=lambda request, creating, context: "pigeon")
    response = serve(app, ROUTES).post("/create")
    assert response.status_code == 500
    assert "get_token_transfer_method" in response.json()["message"]


def test_protected_names_in_a_new_payload_are_dropped(make_app: Make, serve: Serve) -> None:
    """A payload copied from another session makes a session of the new user; custom keys survive (rule 14.1)."""
    client = serve(make_app(), ROUTES)
    payload = json.dumps({"sub": "thief", "sessionHandle": "h", "iss": "elsewhere", "mine": [1, None, {"ü": "€"}]})
    up = front(client.post("/create", params={"payload": payload}))["up"]
    assert up["sub"] == up["rsub"] == "u1"
    assert up["sessionHandle"] != "h"
    assert up["iss"] == "http://localhost:3567/auth"
    assert up["mine"] == [1, None, {"ü": "€"}]


def test_a_session_without_claims_has_ten_fields(make_app: Make, serve: Serve) -> None:
    """The payload of a bare session has ten fields, null ones included (rule 3.2)."""
    up = front(serve(make_app(), ROUTES).post("/create"))["up"]
    assert set(up) == {
        "iat", "exp", "sub", "tId", "rsub", "sessionHandle", "refreshTokenHash1", "parentRefreshTokenHash1",
        "antiCsrfToken", "iss",
    }  # fmt: skip
    assert up["parentRefreshTokenHash1"] is None
    assert up["antiCsrfToken"] is None


def test_the_front_token_mirrors_the_access_token(make_app: Make, serve: Serve) -> None:
    """The front token's payload equals the signed one, key order included (rule 4.2)."""
    response = serve(make_app(), ROUTES).post("/create")
    decoded = front(response)
    signed = base64.urlsafe_b64decode(response.headers["st-access-token"].split(".")[1] + "==")
    assert json.dumps(decoded["up"]) == json.dumps(json.loads(signed))
    assert decoded["uid"] == decoded["up"]["sub"]
    assert decoded["up"]["exp"] == decoded["ate"] // 1000


@pytest.mark.parametrize(("dynamic", "prefix"), [(True, "d-"), (False, "s-")])
def test_the_key_id_tells_the_kind_of_key(make_app: Make, serve: Serve, dynamic: bool, prefix: str) -> None:
    """Access tokens are signed with a dynamic or a static key, as configured; the header's version is the text 5."""
    app = make_app(use_dynamic_access_token_signing_key=dynamic)
    token = serve(app, ROUTES).post("/create").headers["st-access-token"]
    header = jwt.get_unverified_header(token)
    assert header["kid"].startswith(prefix)
    assert header["version"] == "5"
    assert header["alg"] == "RS256"


def test_cookie_sessions_across_sites_over_http_are_refused(make_app: Make, serve: Serve) -> None:
    """SameSite=None without Secure cannot work, so creating such a session is an error (rule 8.4)."""
    app = make_app(api_domain="http://api.example.com", website_domain="http://other.com")
    client = serve(app, ROUTES, base_url="http://api.example.com")
    refused = client.post("/create", headers={"st-auth-mode": "cookie"})
    assert refused.status_code == 500
    assert "please use https on your apiDomain" in refused.json()["message"]
    assert client.post("/create", headers={"st-auth-mode": "header"}).status_code == 200


def test_local_hosts_may_use_cookies_across_sites_over_http(make_app: Make, serve: Serve) -> None:
    """Between localhost and an address of this machine, cookies are let through (rule 8.4)."""
    app = make_app(api_domain="http://localhost:3567", website_domain="https://127.0.0.1:3000")
    response = serve(app, ROUTES).post("/create", headers={"st-auth-mode": "cookie"})
    assert "SameSite=None" in cookies_set(response)["sAccessToken"]


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_creating_and_then_refusing_clears_everything(make_app: Make, serve: Serve, mode: str) -> None:
    """UNAUTHORISED after a session was created leaves no token behind, by either method (rule 10.3)."""
    client = serve(make_app(anti_csrf="VIA_TOKEN"), ROUTES)
    response = client.post("/create-and-refuse", headers={"st-auth-mode": mode})
    assert response.status_code == 401
    assert response.json() == {"message": "unauthorised"}
    assert_cleared(response)


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_a_session_revoked_in_the_request_that_made_it_leaves_no_token(make_app: Make, serve: Serve, mode: str) -> None:
    """The last word on a token wins: revoking after creating clears, in the application's own response (rule 10.4)."""
    response = serve(make_app(), ROUTES).post("/create-and-revoke", headers={"st-auth-mode": mode})
    assert response.text == "bye"
    assert response.headers["front-token"] == "remove"
    tokens = Tokens(response)
    assert tokens.access == tokens.refresh == ""


def test_the_exposed_access_token_is_the_one_in_the_cookie(make_app: Make, serve: Serve) -> None:
    """With the option, cookie sessions show their access token in a header too, never the refresh token."""
    client = serve(make_app(expose_access_token_to_frontend_in_cookie_based_auth=True), ROUTES)
    response = client.post("/create", headers={"st-auth-mode": "cookie"})
    assert response.headers["st-access-token"] == value_of(cookies_set(response)["sAccessToken"])
    assert "st-refresh-token" not in response.headers
    refreshed = client.post("/auth/session/refresh")
    assert refreshed.headers["st-access-token"] == value_of(cookies_set(refreshed)["sAccessToken"])
    assert "st-refresh-token" not in refreshed.headers


def test_expiry_of_the_cookies(make_app: Make, serve: Serve, clock: ManualClock) -> None:
    """The access cookie lives a year, the refresh cookie as long as its token (rule 2.8)."""
    client = serve(make_app(), ROUTES)
    client.post("/create", headers={"st-auth-mode": "cookie"})
    expires = {cookie.name: cookie.expires or 0 for cookie in client.cookies.jar}
    now_s = clock.now_ms() // 1000
    assert expires["sAccessToken"] - now_s == 31_536_000
    assert expires["sRefreshToken"] - now_s == 8_640_000


# Verification


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("in_header", [True, False])
@pytest.mark.parametrize("in_cookie", [True, False])
@pytest.mark.parametrize("expired", [True, False])
def test_which_access_token_is_used(
    make_app: Make,
    serve: Serve,
    clock: ManualClock,
    selector: str,
    required: bool,
    in_header: bool,
    in_cookie: bool,
    expired: bool,
) -> None:
    """The whole table of verification: the header wins over the cookie where both are allowed (rule 9.2)."""
    app = make_app(
        get_token_transfer_method=lambda request, creating, context: (
            request.headers["st-auth-mode"] if creating else selector
        )
    )
    client = serve(app, ROUTES)
    one = Tokens(client.post("/create?user=header", headers={"st-auth-mode": "header"}))
    two = Tokens(client.post("/create?user=cookie", headers={"st-auth-mode": "cookie"}))
    client.cookies.clear()
    if expired:
        clock.advance(3601)
    headers = {**(bearer(one.access) if in_header else {}), **(jar(sAccessToken=two.access) if in_cookie else {})}
    used = "header" if in_header and selector != "cookie" else None
    used = used or ("cookie" if in_cookie and selector != "header" else None)
    response = client.get("/me" if required else "/optional", headers=headers)
    if used is None:
        assert (response.status_code, response.json()) == (
            (401, {"message": "unauthorised"}) if required else (200, {"userId": None})
        )
    elif expired:
        assert (response.status_code, response.json()) == (401, {"message": "try refresh token"})
    else:
        assert (response.status_code, response.json()) == (200, {"userId": used})
    assert "front-token" not in response.headers
    assert cookies_set(response) == {}


def test_a_foreign_bearer_token_does_not_hide_the_cookie(make_app: Make, serve: Serve) -> None:
    """A bearer token that is not ours is as good as absent (rule 9.2)."""
    client = serve(make_app(), ROUTES)
    tokens = new(client, "cookie")
    assert client.get("/me", headers={**bearer(FOREIGN), **jar(sAccessToken=tokens.access)}).status_code == 200
    assert client.get("/me", headers=bearer(FOREIGN)).json() == {"message": "unauthorised"}


def test_a_fresh_session_is_verified_without_a_new_token(make_app: Make, serve: Serve) -> None:
    """Verifying a new session hands out nothing."""
    client = serve(make_app(), ROUTES)
    tokens = new(client, "header")
    response = client.get("/me", headers=bearer(tokens.access))
    assert response.status_code == 200
    assert "front-token" not in response.headers


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_the_first_call_after_a_refresh_gets_another_access_token(make_app: Make, serve: Serve, mode: str) -> None:
    """The first use of a refreshed access token confirms the refresh and hands out a replacement; the next none."""
    client = serve(make_app(anti_csrf="VIA_TOKEN"), ROUTES)
    carry = bearer if mode == "header" else lambda token: jar(sAccessToken=token)
    tokens = new(client, mode)
    extra = {} if mode == "header" else {"anti-csrf": tokens.anti_csrf or ""}
    headers = bearer(tokens.refresh) if mode == "header" else jar(sRefreshToken=tokens.refresh)
    refreshed = Tokens(client.post("/auth/session/refresh", headers={**headers, **extra}))
    client.cookies.clear()
    extra = {} if mode == "header" else {"anti-csrf": refreshed.anti_csrf or ""}
    first = client.get("/me", headers={**carry(refreshed.access), **extra})
    client.cookies.clear()
    replacement = Tokens(first)
    assert replacement.access
    assert replacement.access != refreshed.access
    assert replacement.refresh == ""
    if mode == "cookie":
        assert replacement.anti_csrf == refreshed.anti_csrf
    second = client.get("/me", headers={**carry(replacement.access), **extra})
    assert second.status_code == 200
    assert "front-token" not in second.headers


def test_a_legacy_cookie_asks_for_a_refresh(make_app: Make, serve: Serve) -> None:
    """A cookie of a very old SDK makes the client refresh, before anything else; it is not cleared here (rule 11.4)."""
    client = serve(make_app(), ROUTES)
    tokens = new(client, "cookie")
    for path in ("/me", "/optional"):
        response = client.get(path, headers=jar(sIdRefreshToken="x", sAccessToken=tokens.access))
        assert response.json() == {"message": "try refresh token"}
        assert cookies_set(response) == {}


def test_two_access_cookies_ask_for_a_refresh(make_app: Make, serve: Serve) -> None:
    """An access cookie that came twice is not used, valid or not, optional or not (rule 11.1)."""
    client = serve(make_app(), ROUTES)
    tokens = new(client, "cookie")
    twice = {"cookie": f"sAccessToken={tokens.access}; sAccessToken={tokens.access}"}
    for path in ("/me", "/optional"):
        assert client.get(path, headers=twice).json() == {"message": "try refresh token"}
    other = new(client, "header")
    assert client.get("/me", headers={**twice, **bearer(other.access)}).status_code == 200


def test_a_missing_session_clears_nothing(make_app: Make, serve: Serve) -> None:
    """No token at all is UNAUTHORISED without clearing: another request may just have signed in (rule 17.3)."""
    response = serve(make_app(), ROUTES).get("/me")
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert cookies_set(response) == {}
    assert "front-token" not in response.headers


def test_a_revoked_session_lives_until_its_token_expires_unless_the_database_is_asked(
    make_app: Make, serve: Serve
) -> None:
    """Access tokens prove themselves; `check_database` notices a revocation and clears (rule 6.4)."""
    app = make_app()
    client = serve(app, ROUTES)
    tokens = new(client, "header")
    with app.active():
        assert session.sync.revoke_session(front_handle(tokens.access)) is True
    assert client.get("/me", headers=bearer(tokens.access)).status_code == 200
    for path in ("/checked", "/optional-checked"):
        response = client.get(path, headers=bearer(tokens.access))
        assert response.json() == {"message": "unauthorised"}
        assert_cleared(response)


def test_a_payload_changed_by_handle_is_seen_where_the_database_is_checked(make_app: Make, serve: Serve) -> None:
    """A change by handle reaches tokens with the next refresh, or where the database is checked (rule 6.4)."""
    app = make_app()
    client = serve(app, ROUTES)
    tokens = new(client, "header")
    with app.active():
        assert session.sync.merge_into_access_token_payload(front_handle(tokens.access), {"k": 1})
    assert "front-token" not in client.get("/me", headers=bearer(tokens.access)).headers
    assert front(client.get("/checked", headers=bearer(tokens.access)))["up"]["k"] == 1


@pytest.mark.parametrize("kind", [True, False])
def test_tokens_of_the_other_kind_of_key_ask_for_a_refresh(
    make_app: Make, serve: Serve, tmp_path: Any, kind: bool
) -> None:
    """After switching between dynamic and static keys, old tokens are refreshed into the new kind (rule 3.8)."""
    url = f"sqlite:///{tmp_path / 'k.db'}"
    before = serve(make_app(database=url, use_dynamic_access_token_signing_key=kind), ROUTES)
    after = serve(make_app(database=url, use_dynamic_access_token_signing_key=not kind), ROUTES)
    tokens = new(before, "header")
    assert after.get("/me", headers=bearer(tokens.access)).json() == {"message": "try refresh token"}
    refreshed = Tokens(after.post("/auth/session/refresh", headers=bearer(tokens.refresh)))
    assert jwt.get_unverified_header(refreshed.access)["kid"].startswith("s-" if kind else "d-")
    assert after.get("/me", headers=bearer(refreshed.access)).status_code == 200


# Anti-CSRF


def test_via_token_demands_the_token_unless_the_method_is_get(make_app: Make, serve: Serve) -> None:
    """VIA_TOKEN: the header must carry the session's token for anything but GET, or as the route says (rule 7.4)."""
    client = serve(make_app(anti_csrf="VIA_TOKEN"), ROUTES)
    tokens = new(client, "cookie")
    mine = jar(sAccessToken=tokens.access)
    right = {**mine, "anti-csrf": tokens.anti_csrf or ""}
    refused = {"message": "try refresh token"}
    assert client.get("/me", headers=mine).status_code == 200
    assert client.post("/me", headers=mine).json() == refused
    assert client.post("/me", headers={**mine, "anti-csrf": "wrong"}).json() == refused
    assert client.post("/me", headers=right).status_code == 200
    assert client.post("/unguarded", headers=mine).status_code == 200
    assert client.get("/guarded", headers=mine).json() == refused
    assert client.get("/guarded", headers=right).status_code == 200
    assert client.post("/optional", headers=mine).json() == refused
    assert client.post("/optional").json() == {"userId": None}


def test_via_custom_header_demands_rid(make_app: Make, serve: Serve) -> None:
    """VIA_CUSTOM_HEADER: any `rid` header will do, since other sites cannot send one (rule 7.3)."""
    client = serve(make_app(anti_csrf="VIA_CUSTOM_HEADER"), ROUTES)
    tokens = new(client, "cookie")
    mine = jar(sAccessToken=tokens.access)
    assert client.post("/me", headers=mine).json() == {"message": "try refresh token"}
    assert client.post("/me", headers={**mine, "rid": "whatever"}).status_code == 200
    assert client.post("/unguarded", headers=mine).status_code == 200
    assert client.post("/optional").json() == {"userId": None}
    assert client.get("/me", headers=mine).status_code == 200


def test_without_protection_no_header_is_needed(make_app: Make, serve: Serve) -> None:
    """NONE, the default for one site: nothing is demanded, whatever the route says (rule 7.1)."""
    client = serve(make_app(), ROUTES)
    mine = jar(sAccessToken=new(client, "cookie").access)
    assert client.post("/me", headers=mine).status_code == 200
    assert client.get("/guarded", headers=mine).status_code == 200


def test_header_sessions_need_no_anti_csrf(make_app: Make, serve: Serve) -> None:
    """A header cannot be sent by another site, so header sessions are never checked (rule 7.2)."""
    for mode in ("VIA_TOKEN", "VIA_CUSTOM_HEADER"):
        client = serve(make_app(anti_csrf=mode), ROUTES)
        assert client.post("/me", headers=bearer(new(client, "header").access)).status_code == 200


def test_protection_follows_from_the_sites_request_by_request(make_app: Make, serve: Serve) -> None:
    """Across sites cookies are SameSite=None and `rid` is demanded, without configuration (rule 7.1)."""
    app = make_app(api_domain="https://api.example.com", website_domain="https://other.org")
    client = serve(app, ROUTES, base_url="https://api.example.com")
    response = client.post("/create", headers={"st-auth-mode": "cookie"})
    assert "SameSite=None" in cookies_set(response)["sAccessToken"]
    assert client.post("/me").json() == {"message": "try refresh token"}
    assert client.post("/me", headers={"rid": "anti-csrf"}).status_code == 200


# Refresh


# Theft


# Ending
