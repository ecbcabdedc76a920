"""Refreshing and signing out over HTTP, and changes of the payload in a route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.routing import Route

from coatcheck.claims import ManualClock
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import UnauthorisedError
from coatcheck.recipes.kit.recipe import GeneralErrorResponse
from coatcheck.recipes.session import SessionContainer

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
    whoami,
)


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
