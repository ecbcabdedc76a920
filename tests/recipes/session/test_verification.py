"""Sessions over HTTP, in the corners: methods, switches, overrides and the application's own routes."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2 as httpx
import jwt
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coatcheck import RecipeUserId
from coatcheck.claims import BooleanClaim, ManualClock
from coatcheck.recipes import session
from coatcheck.recipes.session import InputErrorHandlers, InputOverrideConfig, SessionContainer
from coatcheck.server.asgi import verify_session

from ...kit import Make, Serve

TrueClaim = BooleanClaim("st-true", lambda *_: True)
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


async def create(request: Request) -> Response:
    """Sign u1 in."""
    await session.create_new_session(request, "public", RecipeUserId("u1"))
    return JSONResponse({}, headers={"access-control-expose-headers": "x-mine", "set-cookie": "theirs=1; Path=/"})


async def me(request: Request) -> Response:
    """Tell whose session it is."""
    found = await verify_session()(request)
    return JSONResponse({"userId": found.get_user_id()})


async def merge(request: Request) -> Response:
    """Change the payload of the session."""
    found = await verify_session()(request)
    await found.merge_into_access_token_payload({"k": 1})
    return JSONResponse({})


async def refresh_and_refuse(request: Request) -> Response:
    """Refresh in a route of the application's own, and answer 401 for a reason of its own."""
    await session.refresh_session(request)
    return JSONResponse({"message": "still not"}, 401)


async def crash(request: Request) -> Response:
    """Create a session, then fail for a reason that is not ours."""
    await session.create_new_session(request, "public", RecipeUserId("u1"))
    raise RuntimeError("secret detail")


ROUTES = [
    Route("/create", create, methods=["POST"]),
    Route("/me", me, methods=METHODS),
    Route("/merge", merge, methods=["POST"]),
    Route("/refresh-and-refuse", refresh_and_refuse, methods=["POST"]),
    Route("/crash", crash, methods=["POST"]),
]


def cookie(response: httpx.Response, name: str) -> str:
    """Return the value of a cookie that a response sets, empty where it sets none."""
    found = [header for header in response.headers.get_list("set-cookie") if header.startswith(f"{name}=")]
    assert len(found) <= 1
    return found[0].partition(";")[0].partition("=")[2] if found else ""


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"authorization": f"Bearer {token}"}


def payload_of(token: str) -> dict[str, Any]:
    """Return what an access token says."""
    payload: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return payload


def front(response: httpx.Response) -> dict[str, Any]:
    """Return what a front token says."""
    decoded: dict[str, Any] = json.loads(base64.b64decode(response.headers["front-token"]))
    return decoded


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", ["VIA_TOKEN", "VIA_CUSTOM_HEADER"])
def test_every_method_but_get_is_checked(make_app: Make, serve: Serve, method: str, mode: str) -> None:
    """By default only GET goes without the anti-CSRF check (docs/protocol.md, rule 7.5)."""
    client = serve(make_app(anti_csrf=mode), ROUTES)
    client.post("/create", headers={"st-auth-mode": "cookie"})
    assert client.request(method, "/me").status_code == (200 if method == "GET" else 401)


def test_the_applications_headers_stay_beside_ours(make_app: Make, serve: Serve) -> None:
    """What the application exposes comes first, and its cookies are kept (rules 2.6 and 10.3)."""
    response = serve(make_app(anti_csrf="VIA_TOKEN"), ROUTES).post("/create", headers={"st-auth-mode": "cookie"})
    assert response.headers["access-control-expose-headers"] == "x-mine, front-token, anti-csrf"
    assert cookie(response, "theirs") == "1"
    assert cookie(response, "sAccessToken")


def test_an_exposed_access_token_follows_every_change(make_app: Make, serve: Serve) -> None:
    """With the option, the header equals the cookie at creation, refresh, promotion and merge (rule 10.2)."""
    client = serve(make_app(expose_access_token_to_frontend_in_cookie_based_auth=True), ROUTES)
    answers = [client.post("/create", headers={"st-auth-mode": "cookie"})]
    answers += [
        client.request(*call) for call in (("POST", "/auth/session/refresh"), ("GET", "/me"), ("POST", "/merge"))
    ]
    tokens = [response.headers["st-access-token"] for response in answers]
    assert tokens == [cookie(response, "sAccessToken") for response in answers]
    assert len(set(tokens)) == 4
    assert all("st-refresh-token" not in response.headers for response in answers)


def test_after_a_switch_of_key_kinds_the_second_call_is_quiet_again(
    make_app: Make, serve: Serve, tmp_path: Any
) -> None:
    """The replacement after a switch is of the new kind, and verifies without news (rules 3.8 and 6.11)."""
    url = f"sqlite:///{tmp_path / 'kinds.db'}"
    before = serve(make_app(database=url), ROUTES)
    after = serve(make_app(database=url, use_dynamic_access_token_signing_key=False), ROUTES)
    refresh_token = before.post("/create").headers["st-refresh-token"]
    refreshed = after.post("/auth/session/refresh", headers=bearer(refresh_token)).headers["st-access-token"]
    replacement = after.get("/me", headers=bearer(refreshed)).headers["st-access-token"]
    assert jwt.get_unverified_header(replacement)["kid"].startswith("s-")
    assert payload_of(replacement)["parentRefreshTokenHash1"] is None
    assert "st-access-token" not in after.get("/me", headers=bearer(replacement)).headers


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_a_refusal_of_the_applications_own_keeps_the_tokens(make_app: Make, serve: Serve, mode: str) -> None:
    """A route that refreshed and answers 401 by itself still hands the new tokens out (rule 10.1)."""
    client = serve(make_app(), ROUTES)
    made = client.post("/create", headers={"st-auth-mode": mode})
    refresh_token = made.headers.get("st-refresh-token") or cookie(made, "sRefreshToken")
    client.cookies.clear()
    headers = bearer(refresh_token) if mode == "header" else {"cookie": f"sRefreshToken={refresh_token}"}
    response = client.post("/refresh-and-refuse", headers=headers)
    assert response.status_code == 401
    assert front(response)["uid"] == "u1"
    assert response.headers.get("st-refresh-token") or cookie(response, "sRefreshToken")


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_an_exception_after_a_token_change_does_not_undo_it(make_app: Make, serve: Serve, mode: str) -> None:
    """A session made before a route crashed exists, so the complete application's 500 hands it out (rule 10.1)."""
    response = serve(make_app(), ROUTES).post(
        "/crash", headers={"st-auth-mode": mode, "origin": "http://localhost:3000"}
    )
    assert (response.status_code, response.json()) == (500, {"message": "internal server error"})
    assert response.headers.get("st-access-token") or cookie(response, "sAccessToken")
    assert "front-token" in response.headers["access-control-expose-headers"]


@pytest.mark.parametrize("name", ["on_unauthorised", "on_token_theft_detected"])
def test_clearing_happens_even_if_the_handler_raises(make_app: Make, serve: Serve, name: str) -> None:
    """Tokens are cleared whatever becomes of the answer (rule 17.7)."""

    def broken(*_: Any) -> Response:
        raise LookupError("from the handler")

    client = serve(make_app(error_handlers=InputErrorHandlers(**{name: broken})), ROUTES)
    refresh_token = client.post("/create").headers["st-refresh-token"]
    if name == "on_token_theft_detected":
        newer = client.post("/auth/session/refresh", headers=bearer(refresh_token)).headers
        client.get("/me", headers=bearer(newer["st-access-token"]))
    else:
        refresh_token = "asdf"
    response = client.post("/auth/session/refresh", headers=bearer(refresh_token))
    assert response.status_code == 500
    assert response.headers["front-token"] == "remove"
    assert response.headers["st-refresh-token"] == ""


@pytest.mark.parametrize("is_async", [True, False])
def test_the_answer_to_duplicate_cookies_can_be_replaced(make_app: Make, serve: Serve, is_async: bool) -> None:
    """The handler answers in place of the 200; the older cookies are cleared all the same (rules 11.3 and 17.7)."""
    seen: list[str] = []

    def answer(request: Request, message: str, response: Response) -> Response:
        seen.append(message)
        assert response.status_code == 200
        return JSONResponse({"message": "twice"}, 409)

    async def later(request: Request, message: str, response: Response) -> Response:
        return answer(request, message, response)

    handlers = InputErrorHandlers(on_clear_duplicate_session_cookies=later if is_async else answer)
    client = serve(make_app(older_cookie_domain="", error_handlers=handlers))
    response = client.post("/auth/session/refresh", headers={"cookie": "sRefreshToken=a; sRefreshToken=b"})
    assert (response.status_code, response.json()) == (409, {"message": "twice"})
    assert "multiple session cookies" in seen[0]
    assert response.headers["set-cookie"].startswith("sRefreshToken=;")


def test_behind_a_gateway_verify_session_refreshes_too(make_app: Make, serve: Serve) -> None:
    """The refresh path of a request behind a gateway lacks the gateway's path (rules 8.5 and 14.6)."""

    def disable(original: Any) -> Any:
        original.disable_refresh_post = True
        return original

    app = make_app(api_gateway_path="/gateway", override=InputOverrideConfig(apis=disable))
    client = serve(app, [*ROUTES, Route("/auth/session/refresh", me, methods=["POST"])])
    refresh_token = client.post("/create").headers["st-refresh-token"]
    response = client.post("/auth/session/refresh", headers=bearer(refresh_token))
    assert response.json() == {"userId": "u1"}
    assert response.headers["st-refresh-token"]


def test_a_session_keeps_its_method(make_app: Make, serve: Serve) -> None:
    """A client that changes its mind keeps its cookie session until it signs in again (rule 9.5)."""
    client = serve(make_app(), ROUTES)
    client.post("/create", headers={"st-auth-mode": "cookie"})
    wish = {"st-auth-mode": "header"}
    assert client.get("/me", headers=wish).status_code == 200
    refreshed = client.post("/auth/session/refresh", headers=wish)
    assert cookie(refreshed, "sRefreshToken")
    assert "st-access-token" not in refreshed.headers
    again = client.post("/create", headers=wish)
    assert again.headers["st-access-token"]
    assert cookie(again, "sAccessToken") == ""


def test_a_refreshed_front_token_has_new_times(make_app: Make, serve: Serve, clock: ManualClock) -> None:
    """A refresh begins a new lifetime, and the front token says so in both of its times (rules 3.10 and 4.4)."""
    client = serve(make_app(access_token_validity_seconds=10), ROUTES)
    made = client.post("/create")
    clock.advance(11)
    refreshed = front(client.post("/auth/session/refresh", headers=bearer(made.headers["st-refresh-token"])))
    now_s = clock.now_ms() // 1000
    assert (refreshed["up"]["iat"], refreshed["up"]["exp"]) == (now_s, now_s + 10)
    assert refreshed["ate"] == (now_s + 10) * 1000


def test_a_stored_payload_with_a_protected_field_ends_at_the_refresh(make_app: Make, serve: Serve) -> None:
    """A session that an older version stored with a field the server owns is unauthorised, and cleared (rule 6.5)."""
    app = make_app()
    client = serve(app, ROUTES)
    client.post("/create", headers={"st-auth-mode": "cookie"})
    older = """UPDATE coatcheck_sessions SET payload = '{"sub": "somebody else"}'"""
    app.database.write(lambda connection: connection.exec_driver_sql(older))
    response = client.post("/auth/session/refresh")
    assert (response.status_code, response.json()) == (401, {"message": "unauthorised"})
    assert response.headers["front-token"] == "remove"
    assert cookie(response, "sAccessToken") == ""


def test_a_protected_field_added_by_an_override_answers_500(make_app: Make, serve: Serve) -> None:
    """An override that adds a field the server owns makes no session and hands out nothing (rule 14.3)."""

    def functions(original: Any) -> Any:
        make = original.create_new_session

        async def create_new_session(**kwargs: Any) -> SessionContainer:
            made: SessionContainer = await make(**{**kwargs, "access_token_payload": {"sub": "somebody else"}})
            return made

        original.create_new_session = create_new_session
        return original

    form = {"formFields": [{"id": "email", "value": "a@b.co"}, {"id": "password", "value": "password 1"}]}
    response = serve(make_app(override=InputOverrideConfig(functions=functions))).post("/auth/signup", json=form)
    assert response.status_code == 500
    assert response.json() == {"message": "The user payload contains protected field: sub"}
    assert "front-token" not in response.headers
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_twelve_rounds_of_refresh_and_use_are_no_theft(make_app: Make, serve: Serve, mode: str) -> None:
    """A client may refresh as often as it likes, each time with what it got last (rule 6.1)."""
    client = serve(make_app(), ROUTES)
    made = client.post("/create", headers={"st-auth-mode": mode})
    for _ in range(12):
        headers = bearer(made.headers["st-refresh-token"]) if mode == "header" else {}
        made = client.post("/auth/session/refresh", headers=headers)
        assert made.status_code == 200
        assert client.get("/me", headers=bearer(made.headers["st-access-token"]) if mode == "header" else {}).is_success


def test_a_guarded_call_validates_once(make_app: Make, serve: Serve) -> None:
    """One guarded call asks for the validators once and validates once, with the session's ids (rule 14.11)."""
    seen: list[dict[str, Any]] = []
    validator = TrueClaim.validators.is_true()

    def functions(original: Any) -> Any:
        validate_claims = original.validate_claims

        def validators(**kwargs: Any) -> Any:
            seen.append(kwargs)
            return [validator]

        async def noted(**kwargs: Any) -> Any:
            seen.append(kwargs)
            return await validate_claims(**kwargs)

        original.get_global_claim_validators = validators
        original.validate_claims = noted
        return original

    client = serve(make_app(claims=[TrueClaim], override=InputOverrideConfig(functions=functions)), ROUTES)
    made = client.post("/create")
    response = client.get("/me", headers=bearer(made.headers["st-access-token"]))
    assert response.status_code == 200
    assert "front-token" not in response.headers
    asked, validated = seen
    assert (asked["tenant_id"], asked["claim_validators_added_by_other_recipes"]) == ("public", [])
    assert validated["claim_validators"] == [validator]
    assert validated["access_token_payload"] == front(made)["up"]
    for arguments in seen:
        assert (arguments["user_id"], arguments["recipe_user_id"]) == ("u1", RecipeUserId("u1"))
        assert arguments["user_context"]["_default"]["request"].url.path == "/me"
