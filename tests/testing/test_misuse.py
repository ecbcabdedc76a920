"""What the real thing refuses, the kit refuses: minted sessions, then misused over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from coatcheck import App
from coatcheck.claims import BooleanClaim
from coatcheck.recipes import emailpassword, session
from coatcheck.server import create_app
from coatcheck.server.fastapi import verify_session
from coatcheck.testing import BrowserClient, SignedIn, assert_session, client, make_app, revoke_session, sign_in

Site = Callable[[App], Starlette]
REFRESH, IN_PUBLIC = "/auth/session/refresh", "/auth/public/session/refresh"


@pytest.fixture
def app() -> Iterator[App]:
    """Yield an App that protects cookies with anti-CSRF tokens."""
    with make_app([session.init(anti_csrf="VIA_TOKEN"), emailpassword.init()]) as app:
        yield app


@pytest.fixture
def ann(app: App) -> SignedIn:
    """Return a session of Ann's."""
    return sign_in(app, "ann@example.com")


@pytest.fixture
def web(app: App, site: Site) -> Iterator[BrowserClient]:
    """Yield a client that adds nothing to its requests but what a test says."""
    with client(site(app)) as web:
        web.automatic_refresh = False
        yield web


def refresh(web: BrowserClient, token: str, *, path: str = REFRESH, **headers: str) -> httpx2.Response:
    """Present a refresh token in a header."""
    return web.copy().post(path, headers={"authorization": f"Bearer {token}", **headers})


def altered(token: str, place: int) -> str:
    """Return a token that differs in one character."""
    other = "A" if token[place] != "A" else "B"
    return token[:place] + other + token[place:][1:]


def in_cookies(signed_in: SignedIn, **headers: str) -> dict[str, str]:
    """Return the headers of a request that carries a session in cookies."""
    cookies = "; ".join(f"{name}={value}" for name, value in signed_in.cookies.items())
    return {"cookie": cookies, "rid": "anti-csrf", **headers}


# Refresh tokens


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "A.B.C.D.E.F", "%C3%A9", "x" * 5_000])
def test_attack_an_unknown_refresh_token(web: BrowserClient, ann: SignedIn, token: str) -> None:
    """Text that is no refresh token refreshes nothing."""
    assert_session(refresh(web, token)).refused(401, "unauthorised")


def test_attack_an_altered_refresh_token(web: BrowserClient, ann: SignedIn) -> None:
    """A token with one character changed, in any of its fields, refreshes nothing; the true one still does."""
    token = ann.refresh_token
    starts = [0] + [place + 1 for place, sign in enumerate(token) if sign == "."]
    for place in {*starts, len(token) // 2, len(token) - 1} - {place for place in starts if token[place] == "."}:
        assert_session(refresh(web, altered(token, place))).refused(401, "unauthorised").cleared()
    assert_session(refresh(web, token)).refreshed()


def test_attack_a_truncated_or_prolonged_refresh_token(web: BrowserClient, ann: SignedIn) -> None:
    """Neither a part of a token nor one with more behind it refreshes anything."""
    for token in (ann.refresh_token[:-1], ann.refresh_token + "A", ann.refresh_token + "=", ann.refresh_token * 2):
        assert_session(refresh(web, token)).refused(401, "unauthorised")


def test_attack_a_spent_refresh_token(web: BrowserClient, app: App, ann: SignedIn) -> None:
    """A token whose successor has been used is theft, and ends the session for the thief and for its owner."""
    owner = client(app, signed_in=ann, mode="header")
    owner.refresh()
    assert_session(owner.refresh()).refreshed()
    assert_session(refresh(web, ann.refresh_token)).refused(401, "token theft detected").cleared()
    assert_session(owner.refresh()).refused(401, "unauthorised").cleared()


def test_attack_the_refresh_token_of_another_tenant(web: BrowserClient, app: App) -> None:
    """Where the path names a tenant, a genuine token of another is refused, and neither cleared nor spent by it."""
    there = sign_in(app, "ann@example.com", tenant="customer")
    in_a_cookie = {**in_cookies(there), "anti-csrf": str(there.anti_csrf_token)}
    for answer in (
        refresh(web, there.refresh_token, path=IN_PUBLIC),
        web.copy().post(IN_PUBLIC, headers=in_a_cookie),
    ):
        assert_session(answer).refused(401, "unauthorised").unchanged()
    assert_session(refresh(web, there.refresh_token)).refreshed().in_tenant("customer")


def test_a_refresh_token_is_good_where_its_own_tenant_or_none_is_named(web: BrowserClient, app: App) -> None:
    """Below the path of its tenant a token refreshes; at the front ends' path, which names none, that of any tenant."""
    here, there = sign_in(app, "ann@example.com"), sign_in(app, "ann@example.com", tenant="customer")
    assert_session(refresh(web, here.refresh_token, path=IN_PUBLIC)).refreshed().in_tenant("public")
    for signed_in in (here, there):
        assert_session(refresh(web, signed_in.refresh_token)).refreshed().in_tenant(signed_in.tenant_id)


def test_a_path_of_a_tenant_that_does_not_exist_refreshes_nothing(web: BrowserClient, app: App) -> None:
    """It is answered 404, be the token of that very tenant, and the token stays good."""
    there = sign_in(app, "ann@example.com", tenant="customer")
    answer = refresh(web, there.refresh_token, path="/auth/customer/session/refresh")
    assert_session(answer).refused(404).unchanged()
    assert_session(refresh(web, there.refresh_token)).refreshed()


def test_attack_a_refresh_token_below_a_tenants_path_through_verify_session() -> None:
    """A route that an application puts in the API's place refreshes at the path without a tenant only."""

    def disable(original: session.APIInterface) -> session.APIInterface:
        original.disable_refresh_post = True
        return original

    async def whose(request: Request) -> Response:
        return PlainTextResponse((await verify_session()(request)).user_id)

    with make_app([session.init(override=session.InputOverrideConfig(apis=disable))]) as app:
        there = sign_in(app, "u1", tenant="customer")
        own = client(create_app(app, [Route(path, whose, methods=["POST"]) for path in (REFRESH, IN_PUBLIC)]))
        assert_session(refresh(own, there.refresh_token, path=IN_PUBLIC)).refused(401, "unauthorised").unchanged()
        assert_session(refresh(own, there.refresh_token)).refreshed()


def test_attack_a_refresh_token_altered_to_name_another_tenant(web: BrowserClient, app: App) -> None:
    """A token whose handle names another tenant than the one it was issued for refreshes nothing, at any path."""
    there = sign_in(app, "ann@example.com", tenant="customer")
    for tenant in ("", "_public", "_intruder"):
        forged = in_tenant(there.refresh_token, tenant)
        for path in (REFRESH, IN_PUBLIC):
            assert_session(refresh(web, forged, path=path)).refused(401, "unauthorised")


def in_tenant(token: str, ending: str) -> str:
    """Return a token whose handle has another ending, where the tenant is named."""
    head, handle, *rest = token.split(".")
    text = base64.urlsafe_b64decode(handle + "=" * (-len(handle) % 4)).decode().replace("_customer", ending)
    return ".".join([head, base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode(), *rest])


def test_attack_the_refresh_token_of_another_app(web: BrowserClient, ann: SignedIn) -> None:
    """A token that another App has issued, at the same moment and for the same address, refreshes nothing."""
    with make_app() as other:
        foreign = sign_in(other, "ann@example.com")
    assert_session(refresh(web, foreign.refresh_token)).refused(401, "unauthorised")


def test_attack_an_access_token_as_refresh_token(web: BrowserClient, ann: SignedIn) -> None:
    """An access token refreshes nothing."""
    assert_session(refresh(web, ann.access_token)).refused(401, "unauthorised")


def test_attack_the_refresh_token_of_a_revoked_session(web: BrowserClient, app: App, ann: SignedIn) -> None:
    """Once a session is revoked, its refresh token is worthless."""
    assert revoke_session(app, ann)
    assert_session(refresh(web, ann.refresh_token)).refused(401, "unauthorised").cleared()


def test_attack_a_refresh_token_that_has_expired(web: BrowserClient, app: App) -> None:
    """After its validity a refresh token is worthless."""
    old = sign_in(app, "ann@example.com", age=timedelta(days=100))
    assert_session(refresh(web, old.refresh_token)).refused(401, "unauthorised").cleared()


# Access tokens


def test_attack_an_altered_access_token(web: BrowserClient, ann: SignedIn) -> None:
    """A token with one character changed, in header, payload or signature, opens nothing."""
    token = ann.access_token
    for place in (5, token.index(".") + 5, token.rindex(".") + 5):
        answer = web.get("/me", headers={"authorization": f"Bearer {altered(token, place)}"})
        assert_session(answer).refused(401)


def test_attack_a_refresh_token_as_access_token(web: BrowserClient, ann: SignedIn) -> None:
    """A refresh token opens nothing."""
    answer = web.get("/me", headers={"authorization": f"Bearer {ann.refresh_token}"})
    assert_session(answer).refused(401, "unauthorised").unchanged()


def test_attack_an_access_token_of_another_app(web: BrowserClient, ann: SignedIn) -> None:
    """A token that another App has issued opens nothing, whether that App still lives or not."""
    with make_app() as other:
        foreign = sign_in(other, "ann@example.com")
        assert_session(web.get("/me", headers=foreign.headers)).refused(401, "try refresh token")
    assert_session(web.get("/me", headers=foreign.headers)).refused(401, "try refresh token")


def test_attack_an_access_token_after_its_hour(web: BrowserClient, app: App) -> None:
    """An expired token opens nothing, be it only one second too old."""
    for age, status in ((timedelta(seconds=3_599), 200), (timedelta(seconds=3_600), 401)):
        assert web.get("/me", headers=sign_in(app, "ann@example.com", age=age).headers).status_code == status


def test_a_revoked_session_is_refused_where_the_database_is_asked(web: BrowserClient, app: App, ann: SignedIn) -> None:
    """Its access token is good until it expires, except where a route looks the session up."""
    revoke_session(app, ann)
    assert_session(web.get("/me", headers=ann.headers)).accepted().unchanged()
    assert_session(web.get("/fresh", headers=ann.headers)).refused(401, "unauthorised").cleared()


def test_no_token_at_all_is_refused(web: BrowserClient) -> None:
    """Without a session nothing opens, and there is nothing to clear."""
    assert_session(web.get("/me")).refused(401, "unauthorised").unchanged()
    assert_session(web.post(REFRESH)).refused(401, "unauthorised")


# Anti-CSRF


def test_attack_a_request_from_another_website(web: BrowserClient, ann: SignedIn) -> None:
    """Cookies without the anti-CSRF token, or with a wrong one, open no route but those that GET."""
    sign = ann.anti_csrf_token
    assert sign is not None
    for headers in ({}, {"anti-csrf": ""}, {"anti-csrf": altered(sign, 0)}, {"anti-csrf": sign[:-1]}):
        assert_session(web.post("/me", headers=in_cookies(ann, **headers))).refused(401, "try refresh token")
        assert web.get("/me", headers=in_cookies(ann, **headers)).status_code == 200
    assert web.post("/me", headers=in_cookies(ann, **{"anti-csrf": sign})).status_code == 200


def test_attack_a_refresh_from_another_website(web: BrowserClient, ann: SignedIn) -> None:
    """Cookies without the anti-CSRF token refresh nothing."""
    sign = ann.anti_csrf_token
    assert sign is not None
    for headers in ({}, {"anti-csrf": altered(sign, 0)}):
        assert_session(web.copy().post(REFRESH, headers=in_cookies(ann, **headers))).refused(401, "unauthorised")
    assert_session(web.post(REFRESH, headers=in_cookies(ann, **{"anti-csrf": sign}))).refreshed().by("cookie")


def test_attack_the_anti_csrf_token_of_another_session(web: BrowserClient, app: App, ann: SignedIn) -> None:
    """An anti-CSRF token protects the session that it came with, and no other of the same user."""
    again = sign_in(app, "ann@example.com")
    assert again.anti_csrf_token not in (None, ann.anti_csrf_token)
    answer = web.post("/me", headers=in_cookies(ann, **{"anti-csrf": str(again.anti_csrf_token)}))
    assert_session(answer).refused(401, "try refresh token")


# Claims


@pytest.mark.parametrize("value", [False, None])
def test_a_missing_claim_is_refused(web: BrowserClient, app: App, second_factor: BooleanClaim, value: Any) -> None:
    """Without the claim, or with a wrong value, the vault stays closed, and the answer says which claim it was."""
    poor = sign_in(app, "ann@example.com", claims={second_factor: value})
    assert_session(web.get("/vault", headers=poor.headers)).refused(403, "invalid claim").failed_claim(second_factor)


def test_a_claim_that_holds_opens(web: BrowserClient, app: App, second_factor: BooleanClaim) -> None:
    """With the claim, the vault opens."""
    rich = sign_in(app, "ann@example.com", claims={second_factor: True})
    assert web.get("/vault", headers=rich.headers).text == "gold"


def test_a_claim_that_is_too_old_is_fetched_again(web: BrowserClient, app: App, second_factor: BooleanClaim) -> None:
    """The vault believes a claim for half an hour; one minted before is fetched anew, and does not hold any more."""
    for minutes, status in ((20, 200), (40, 403)):
        old = sign_in(app, "ann@example.com", claims={second_factor: True}, age=timedelta(minutes=minutes))
        answer = web.get("/vault", headers=old.headers)
        assert answer.status_code == status
    assert_session(answer).failed_claim(second_factor).updated().has_claim(second_factor, False)
