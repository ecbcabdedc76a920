"""Sessions over HTTP: how they are created, verified, refreshed and ended."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2 as httpx
import jwt
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from coatcheck import RecipeUserId
from coatcheck.claims import ManualClock
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import UnauthorisedError
from coatcheck.recipes.kit.recipe import GeneralErrorResponse
from coatcheck.recipes.session import SessionContainer
from coatcheck.server.asgi import verify_session

from ...kit import Make, Serve

FOREIGN = jwt.encode({"sub": "somebody"}, "a secret of thirty-two bytes, or more", algorithm="HS256")
EPOCH = "Expires=Thu, 01 Jan 1970 00:00:00 GMT"


async def create(request: Request) -> Response:
    """Sign somebody in: the user, payload and data come from the query."""
    query = request.query_params
    payload = json.loads(query.get("payload", "null"))
    made = await session.create_new_session(
        request, "public", RecipeUserId(query.get("user", "u1")), payload, json.loads(query.get("data", "null"))
    )
    return JSONResponse({"handle": made.get_handle(), "userId": made.get_user_id()}, headers={"x-app": "yes"})


async def create_and_refuse(request: Request) -> Response:
    """Sign somebody in, and think better of it."""
    await session.create_new_session(request, "public", RecipeUserId("u1"))
    raise UnauthorisedError("banned")


def whoami(**options: Any) -> Callable[[Request], Any]:
    """Return an endpoint that tells whose session it is."""

    async def endpoint(request: Request) -> Response:
        verified: Callable[[Request], Awaitable[SessionContainer | None]] = verify_session(**options)
        found = await verified(request)
        assert request.state.supertokens is found
        return JSONResponse({"userId": found.get_user_id() if found else None})

    return endpoint


async def merge_twice(request: Request) -> Response:
    """Change the payload two times within one request."""
    found = await verify_session()(request)
    await found.merge_into_access_token_payload({"n": 1, "gone": True})
    await found.merge_into_access_token_payload({"n": 2, "gone": None})
    return JSONResponse(found.get_access_token_payload())


async def revoke(request: Request) -> Response:
    """End the session, and answer in the application's own way."""
    found = await verify_session()(request)
    await found.revoke_session()
    return PlainTextResponse("bye")


async def create_and_revoke(request: Request) -> Response:
    """Create a session and end it within one request."""
    made = await session.create_new_session(request, "public", RecipeUserId("u1"))
    await made.revoke_session()
    return PlainTextResponse("bye")


ROUTES = [
    Route("/create", create, methods=["POST"]),
    Route("/create-and-refuse", create_and_refuse, methods=["POST"]),
    Route("/create-and-revoke", create_and_revoke, methods=["POST"]),
    Route("/merge", merge_twice, methods=["POST"]),
    Route("/revoke", revoke, methods=["POST"]),
    Route("/me", whoami(), methods=["GET", "POST"]),
    Route("/checked", whoami(check_database=True), methods=["GET"]),
    Route("/optional", whoami(session_required=False), methods=["GET", "POST"]),
    Route("/optional-checked", whoami(session_required=False, check_database=True), methods=["GET"]),
    Route("/unguarded", whoami(anti_csrf_check=False), methods=["POST"]),
    Route("/guarded", whoami(anti_csrf_check=True), methods=["GET"]),
]


def cookies_set(response: httpx.Response) -> dict[str, str]:
    """Return the Set-Cookie headers by cookie name; each name at most once."""
    headers = response.headers.get_list("set-cookie")
    names = [header.partition("=")[0] for header in headers]
    assert len(names) == len(set(names)), "a cookie is set twice"
    return dict(zip(names, headers, strict=True))


def value_of(set_cookie: str) -> str:
    """Return the value that a Set-Cookie header carries."""
    return set_cookie.partition(";")[0].partition("=")[2]


def front(response: httpx.Response) -> dict[str, Any]:
    """Return what a front token says."""
    decoded: dict[str, Any] = json.loads(base64.b64decode(response.headers["front-token"]))
    return decoded


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"authorization": f"Bearer {token}"}


def jar(**cookies: str) -> dict[str, str]:
    """Return a Cookie header, so that the client's own jar is left out."""
    return {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


class Tokens:
    """The tokens a response carried, whichever way."""

    def __init__(self, response: httpx.Response) -> None:
        cookies = cookies_set(response)
        self.access = response.headers.get("st-access-token") or value_of(cookies.get("sAccessToken", ""))
        self.refresh = response.headers.get("st-refresh-token") or value_of(cookies.get("sRefreshToken", ""))
        self.anti_csrf = response.headers.get("anti-csrf")


def new(client: TestClient, mode: str, path: str = "/create", **headers: str) -> Tokens:
    """Create a session and return its tokens; the client's jar stays empty."""
    tokens = Tokens(client.post(path, headers={"st-auth-mode": mode, **headers}))
    client.cookies.clear()
    return tokens


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


def assert_cleared(response: httpx.Response) -> None:
    """Check that a response takes every token away, by both methods."""
    assert response.headers["front-token"] == "remove"
    assert response.headers["st-access-token"] == ""
    assert response.headers["st-refresh-token"] == ""
    assert "anti-csrf" not in response.headers
    cookies = cookies_set(response)
    assert {"sAccessToken", "sRefreshToken"} <= set(cookies)
    assert all(value_of(header) == "" and EPOCH in header for header in cookies.values())


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


SELECTORS = ("any", "header", "cookie")


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


def front_handle(access_token: str) -> str:
    """Return the session handle in an access token."""
    handle: str = jwt.decode(access_token, options={"verify_signature": False})["sessionHandle"]
    return handle


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


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("in_header", [True, False])
@pytest.mark.parametrize("in_cookie", [True, False])
@pytest.mark.parametrize("good", [True, False])
def test_which_refresh_token_is_used(
    make_app: Make, serve: Serve, selector: str, in_header: bool, in_cookie: bool, good: bool
) -> None:
    """The whole table of refreshing: one is used, the other method is cleared, a bad one is not replaced (rule 9.3)."""
    app = make_app(
        get_token_transfer_method=lambda request, creating, context: (
            request.headers["st-auth-mode"] if creating else selector
        )
    )
    client = serve(app, ROUTES)
    one = Tokens(client.post("/create?user=header", headers={"st-auth-mode": "header"})).refresh if good else "asdf"
    two = Tokens(client.post("/create?user=cookie", headers={"st-auth-mode": "cookie"})).refresh if good else "asdf"
    client.cookies.clear()
    headers = {**(bearer(one) if in_header else {}), **(jar(sRefreshToken=two) if in_cookie else {})}
    used = "header" if in_header and selector != "cookie" else None
    used = used or ("cookie" if in_cookie and selector != "header" else None)
    response = client.post("/auth/session/refresh", headers=headers)
    if used is None or not good:
        assert (response.status_code, response.json()) == (401, {"message": "unauthorised"})
        assert_cleared(response)
        return
    assert (response.status_code, response.json()) == (200, {})
    assert front(response)["uid"] == used
    cookies = cookies_set(response)
    if used == "cookie":
        assert value_of(cookies["sAccessToken"])
        assert response.headers.get("st-access-token", "") == ""
        assert ("st-access-token" in response.headers) is in_header
    else:
        assert response.headers["st-access-token"]
        assert ("sAccessToken" in cookies) is in_cookie
        assert all(value_of(header) == "" for header in cookies.values())


def test_an_access_cookie_alone_cannot_be_refreshed(make_app: Make, serve: Serve) -> None:
    """Without a refresh token everything is cleared, whatever access token came."""
    client = serve(make_app(), ROUTES)
    tokens = new(client, "cookie")
    response = client.post("/auth/session/refresh", headers=jar(sAccessToken=tokens.access))
    assert response.status_code == 401
    assert_cleared(response)


def test_a_first_visit_is_told_at_once_that_there_is_no_session(make_app: Make, serve: Serve) -> None:
    """A browser that never signed in gets 401 and `front-token: remove`, and an odd cookie does no harm."""
    response = serve(make_app(), ROUTES).post("/auth/session/refresh", headers={"cookie": 'custom={"a":"b%b"}'})
    assert response.json() == {"message": "unauthorised"}
    assert response.headers["front-token"] == "remove"


def test_duplicate_cookies_without_an_older_domain_are_an_error_that_explains_itself(
    make_app: Make, serve: Serve
) -> None:
    """Two refresh cookies: the server cannot know which is meant, and says what to configure (rule 11.2)."""
    client = serve(make_app(), ROUTES)
    response = client.post("/auth/session/refresh", headers={"cookie": "sRefreshToken=a; sRefreshToken=b"})
    assert response.status_code == 500
    assert response.json()["message"].startswith("The request contains multiple session cookies.")


@pytest.mark.parametrize("older", ["", ".old.example.com"])
def test_duplicate_cookies_are_cleared_on_the_older_domain(make_app: Make, serve: Serve, older: str) -> None:
    """With the older domain configured its cookies are cleared, and the next refresh finds one (rule 11.3)."""
    client = serve(make_app(older_cookie_domain=older), ROUTES)
    twice = {"cookie": "sRefreshToken=a; sRefreshToken=b; sAccessToken=c; sAccessToken=d"}
    response = client.post("/auth/session/refresh", headers=twice)
    assert response.status_code == 200
    assert "front-token" not in response.headers
    cookies = cookies_set(response)
    assert set(cookies) == {"sAccessToken", "sRefreshToken"}
    for header in cookies.values():
        assert value_of(header) == ""
        assert ("Domain=.old.example.com" in header) is bool(older)
        assert ("Domain" in header) is bool(older)


def test_a_header_selector_ignores_duplicate_cookies(make_app: Make, serve: Serve) -> None:
    """Where cookies are never used, two of them do not matter."""
    client = serve(make_app(get_token_transfer_method=lambda request, creating, context: "header"), ROUTES)
    tokens = new(client, "header")
    headers = {**bearer(tokens.refresh), "cookie": "sRefreshToken=a; sRefreshToken=b"}
    assert client.post("/auth/session/refresh", headers=headers).status_code == 200


@pytest.mark.parametrize("token", ["good", "bad", None])
def test_refreshing_clears_the_legacy_cookie(make_app: Make, serve: Serve, token: str | None) -> None:
    """The cookie of a very old SDK is cleared by every refresh, whatever else comes of it (rule 11.4)."""
    client = serve(make_app(), ROUTES)
    cookies = {"sIdRefreshToken": "x"}
    if token is not None:
        cookies["sRefreshToken"] = new(client, "cookie").refresh if token == "good" else "asdf"
    response = client.post("/auth/session/refresh", headers=jar(**cookies))
    assert response.status_code == (200 if token == "good" else 401)
    assert EPOCH in cookies_set(response)["sIdRefreshToken"]


def test_refreshing_via_token_demands_the_anti_csrf_token(make_app: Make, serve: Serve) -> None:
    """VIA_TOKEN: a refresh by cookie needs the anti-CSRF token and gets a new one (rule 7.4)."""
    client = serve(make_app(anti_csrf="VIA_TOKEN"), ROUTES)
    tokens = new(client, "cookie")
    mine = jar(sRefreshToken=tokens.refresh)
    refused = client.post("/auth/session/refresh", headers=mine)
    assert refused.json() == {"message": "unauthorised"}
    assert_cleared(refused)
    response = client.post("/auth/session/refresh", headers={**mine, "anti-csrf": tokens.anti_csrf or ""})
    assert response.status_code == 200
    assert response.headers["anti-csrf"] != tokens.anti_csrf
    assert response.headers["access-control-expose-headers"] == "front-token, anti-csrf"


def test_refreshing_via_custom_header_demands_rid(make_app: Make, serve: Serve) -> None:
    """VIA_CUSTOM_HEADER: a refresh by cookie needs `rid` (rule 7.3)."""
    client = serve(make_app(anti_csrf="VIA_CUSTOM_HEADER"), ROUTES)
    mine = jar(sRefreshToken=new(client, "cookie").refresh)
    assert client.post("/auth/session/refresh", headers=mine).json() == {"message": "unauthorised"}
    assert client.post("/auth/session/refresh", headers={**mine, "rid": "session"}).status_code == 200


def test_a_refresh_keeps_payload_and_data(make_app: Make, serve: Serve) -> None:
    """Custom claims and stored data survive a refresh."""
    app = make_app()
    client = serve(app, ROUTES)
    tokens = Tokens(client.post("/create", params={"payload": '{"k": 1}', "data": '{"d": 2}'}))
    response = client.post("/auth/session/refresh", headers=bearer(tokens.refresh))
    assert front(response)["up"]["k"] == 1
    with app.active():
        found = session.sync.get_session_information(front_handle(tokens.access))
    assert found is not None
    assert found.session_data_in_database == {"d": 2}


def test_an_expired_session_cannot_be_refreshed(make_app: Make, serve: Serve, clock: ManualClock) -> None:
    """A session that was idle for the lifetime of its refresh token has ended."""
    client = serve(make_app(refresh_token_validity_seconds=7200), ROUTES)
    tokens = new(client, "header")
    clock.advance(7201)
    assert client.post("/auth/session/refresh", headers=bearer(tokens.refresh)).json() == {"message": "unauthorised"}


def refresh_override(change: Callable[[SessionContainer], Any]) -> Any:
    """Return an override of the refresh API that does something with the refreshed session."""

    def apis(original: session.APIInterface) -> session.APIInterface:
        refresh_post = original.refresh_post

        async def changed(api_options: Any, user_context: Any) -> SessionContainer:
            refreshed = await refresh_post(api_options, user_context)
            await change(refreshed)
            return refreshed

        original.refresh_post = changed  # type: ignore[method-assign]
        return original

    return session.InputOverrideConfig(apis=apis)


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_an_override_may_end_the_session_it_refreshed(make_app: Make, serve: Serve, mode: str) -> None:
    """Revoking during a refresh answers 200 with the tokens of its method cleared (rule 10.4)."""

    async def end(refreshed: SessionContainer) -> None:
        await refreshed.revoke_session()

    client = serve(make_app(override=refresh_override(end)), ROUTES)
    tokens = new(client, mode)
    headers = bearer(tokens.refresh) if mode == "header" else jar(sRefreshToken=tokens.refresh)
    response = client.post("/auth/session/refresh", headers=headers)
    assert response.status_code == 200
    assert response.headers["front-token"] == "remove"
    assert Tokens(response).access == ""


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_an_override_that_raises_unauthorised_after_a_refresh_clears(make_app: Make, serve: Serve, mode: str) -> None:
    """UNAUTHORISED after a successful refresh clears by both methods."""

    async def refuse(refreshed: SessionContainer) -> None:
        raise UnauthorisedError("no")

    client = serve(make_app(override=refresh_override(refuse)), ROUTES)
    tokens = new(client, mode)
    headers = bearer(tokens.refresh) if mode == "header" else jar(sRefreshToken=tokens.refresh)
    response = client.post("/auth/session/refresh", headers=headers)
    assert response.status_code == 401
    assert_cleared(response)


def test_refresh_paths_follow_the_base_path(make_app: Make, serve: Serve) -> None:
    """With the base path / the refresh API is /session/refresh; a gateway's path is part of the cookie's path."""
    client = serve(make_app(api_base_path="/"), ROUTES)
    assert client.post("/session/refresh").json() == {"message": "unauthorised"}
    app = make_app(api_gateway_path="/gateway")
    response = serve(app, ROUTES).post("/create", headers={"st-auth-mode": "cookie"})
    assert "Path=/gateway/auth/session/refresh;" in cookies_set(response)["sRefreshToken"]
    assert serve(app, ROUTES).post("/auth/session/refresh").json() == {"message": "unauthorised"}


def test_verify_session_on_the_refresh_path_refreshes(make_app: Make, serve: Serve) -> None:
    """An application's own route on the refresh path may use verify_session to refresh (rule 14.6)."""

    def disable(original: session.APIInterface) -> session.APIInterface:
        original.disable_refresh_post = True
        return original

    app = make_app(override=session.InputOverrideConfig(apis=disable))
    tokens = new(serve(app, ROUTES), "header")
    assert serve(app, ROUTES).post("/auth/session/refresh").status_code == 404
    own = serve(app, [Route("/auth/session/refresh", whoami(), methods=["POST"]), *ROUTES])
    response = own.post("/auth/session/refresh", headers=bearer(tokens.refresh))
    assert response.json() == {"userId": "u1"}
    assert response.headers["st-refresh-token"]


# Theft


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_reusing_a_superseded_refresh_token_is_theft(make_app: Make, serve: Serve, mode: str) -> None:
    """Theft is answered with 401, clears everything, and ends the session for everybody (rule 6.6)."""
    client = serve(make_app(), ROUTES)
    carry = bearer if mode == "header" else lambda token: jar(sRefreshToken=token)
    access = bearer if mode == "header" else lambda token: jar(sAccessToken=token)
    tokens = new(client, mode)
    refreshed = Tokens(client.post("/auth/session/refresh", headers=carry(tokens.refresh)))
    client.cookies.clear()
    assert client.get("/me", headers=access(refreshed.access)).status_code == 200
    client.cookies.clear()
    stolen = client.post("/auth/session/refresh", headers=carry(tokens.refresh))
    assert (stolen.status_code, stolen.json()) == (401, {"message": "token theft detected"})
    assert_cleared(stolen)
    owner = client.post("/auth/session/refresh", headers=carry(refreshed.refresh))
    assert owner.json() == {"message": "unauthorised"}


# Ending


def test_signing_out_ends_the_session_and_clears_its_method(make_app: Make, serve: Serve) -> None:
    """Sign-out answers OK, clears exactly the session's own method, and leaves nothing to refresh (rule 14.8)."""
    client = serve(make_app(), ROUTES)
    tokens = new(client, "cookie")
    response = client.post("/auth/signout", headers=jar(sAccessToken=tokens.access))
    assert response.json() == {"status": "OK"}
    assert response.headers["front-token"] == "remove"
    assert response.headers["access-control-expose-headers"] == "front-token"
    assert "st-access-token" not in response.headers
    assert cookies_set(response) == {
        "sAccessToken": f"sAccessToken=; {EPOCH}; HttpOnly; Path=/; SameSite=Lax",
        "sRefreshToken": f"sRefreshToken=; {EPOCH}; HttpOnly; Path=/auth/session/refresh; SameSite=Lax",
    }
    assert client.post("/auth/session/refresh", headers=jar(sRefreshToken=tokens.refresh)).status_code == 401


def test_signing_out_of_a_session_that_has_ended_is_ok(make_app: Make, serve: Serve) -> None:
    """A good access token of a deleted session signs out without an error; without a token it is 401."""
    client = serve(make_app(), ROUTES)
    tokens = new(client, "header")
    for _ in range(2):
        response = client.post("/auth/signout", headers=bearer(tokens.access))
        assert response.json() == {"status": "OK"}
        assert response.headers["st-access-token"] == ""
    missing = client.post("/auth/signout")
    assert (missing.status_code, missing.json()) == (401, {"message": "unauthorised"})
    assert "front-token" not in missing.headers


def test_signing_out_with_an_expired_token_asks_for_a_refresh(make_app: Make, serve: Serve, clock: ManualClock) -> None:
    """An expired access token cannot sign out; nothing is cleared."""
    client = serve(make_app(), ROUTES)
    tokens = new(client, "header")
    clock.advance(3600)
    response = client.post("/auth/signout", headers=bearer(tokens.access))
    assert response.json() == {"message": "try refresh token"}
    assert "front-token" not in response.headers


def test_sign_out_may_answer_with_a_general_error(make_app: Make, serve: Serve) -> None:
    """An override of the API may refuse in its own words, with status 200."""

    def apis(original: session.APIInterface) -> session.APIInterface:
        async def signout_post(found: SessionContainer, api_options: Any, user_context: Any) -> GeneralErrorResponse:
            assert found.get_user_id() == "u1"
            return GeneralErrorResponse("not today")

        original.signout_post = signout_post  # type: ignore[assignment, method-assign]
        return original

    client = serve(make_app(override=session.InputOverrideConfig(apis=apis)), ROUTES)
    response = client.post("/auth/signout", headers=bearer(new(client, "header").access))
    assert (response.status_code, response.json()) == (200, {"status": "GENERAL_ERROR", "message": "not today"})


def test_revoking_in_a_route_clears_the_sessions_method(make_app: Make, serve: Serve) -> None:
    """A session ended inside a route is cleared in whatever the route answers."""
    client = serve(make_app(anti_csrf="VIA_TOKEN"), ROUTES)
    tokens = new(client, "cookie")
    response = client.post("/revoke", headers={**jar(sAccessToken=tokens.access), "anti-csrf": tokens.anti_csrf or ""})
    assert response.text == "bye"
    assert all(EPOCH in header for header in cookies_set(response).values())
    assert "anti-csrf" not in response.headers


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_changing_the_payload_twice_hands_out_one_token(make_app: Make, serve: Serve, mode: str) -> None:
    """Two changes in one request: one access token, one front token, no refresh token (rule 10.2)."""
    client = serve(make_app(), ROUTES)
    tokens = new(client, mode)
    headers = bearer(tokens.access) if mode == "header" else jar(sAccessToken=tokens.access)
    response = client.post("/merge", headers=headers)
    assert response.json()["n"] == 2
    assert "gone" not in response.json()
    assert front(response)["up"] == response.json()
    assert Tokens(response).refresh == ""
    assert response.headers["access-control-expose-headers"].split(", ").count("front-token") == 1
