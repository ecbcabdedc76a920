"""Assertions about the session in a response: what they accept, what they refuse, and how they explain it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse

from coatcheck import App, RecipeUserId
from coatcheck.claims import BooleanClaim, PrimitiveClaim
from coatcheck.recipes import emailpassword, session
from coatcheck.testing import BrowserClient, SessionAssertion, assert_session, client, make_app, sign_in

FORM = {"formFields": [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]}


@pytest.fixture
def app(second_factor: BooleanClaim) -> Iterator[App]:
    """Yield an App whose sessions claim a second factor, and whose cookies are protected by a token."""
    with make_app([session.init(claims=[second_factor], anti_csrf="VIA_TOKEN"), emailpassword.init()]) as app:
        yield app


@pytest.fixture
def web(app: App, site: Callable[[App], Starlette]) -> Iterator[BrowserClient]:
    """Yield a browser."""
    with client(site(app)) as web:
        web.automatic_refresh = False
        yield web


def why(assertion: Callable[[], object]) -> str:
    """Return what an assertion that fails says."""
    with pytest.raises(AssertionError) as caught:
        assertion()
    return str(caught.value)


# What they accept


def test_the_life_of_a_session(web: BrowserClient, second_factor: BooleanClaim) -> None:
    """Each step is known for what it does to the session."""
    signed_up = web.post("/auth/signup", json=FORM)
    assert_session(signed_up).accepted().created().by("cookie").has_claim(second_factor, False)
    assert_session(signed_up).expires_in(timedelta(hours=1)).in_tenant("public")
    assert_session(signed_up).for_user(signed_up.json()["user"]["id"])
    assert_session(web.get("/me")).accepted().unchanged()
    assert_session(web.get("/vault")).refused(403, "invalid claim").failed_claim(second_factor).unchanged()
    assert_session(web.refresh()).refreshed().by("cookie").has_claim(second_factor)
    assert_session(web.get("/me")).updated()
    assert_session(web.post("/merge")).updated().has_claim("colour", "red").lacks_claim("size")
    assert_session(web.sign_out()).cleared()
    assert_session(web.get("/me")).refused().unchanged()


def test_a_session_in_headers(app: App) -> None:
    """Tokens in headers are seen like tokens in cookies."""
    web = client(app, mode="header")
    assert_session(web.post("/auth/signup", json=FORM)).created().by("header")
    assert_session(web.refresh()).refreshed().by("header")
    assert_session(web.sign_out()).cleared()


def test_users_may_be_given_in_any_form(app: App, web: BrowserClient) -> None:
    """A User, a minted session, a login method and a primary id are compared with what the token says."""
    known = emailpassword.sync.sign_up("public", "ann@example.com", "correct horse 1")
    assert isinstance(known, emailpassword.SignUpOkResult)
    seen = assert_session(web.post("/auth/signin", json=FORM))
    seen.for_user(known.user).for_user(known.user.id).for_user(known.recipe_user_id).for_user(sign_in(app, known.user))
    assert "expected a session for nobody, but it is for" in why(lambda: seen.for_user(RecipeUserId("nobody")))


def test_tokens_taken_back_in_the_same_answer(app: App) -> None:
    """Headers that are cleared along with cookies that are set make a session created, by cookie."""
    bearer = {"authorization": "Bearer x", "st-auth-mode": "cookie"}
    assert_session(client(app).post("/auth/signup", json=FORM, headers=bearer)).created().by("cookie")


def test_an_access_token_exposed_to_scripts_travels_by_cookie() -> None:
    """A token in a cookie, which is in a header as well, counts as one in a cookie."""
    with make_app(
        [session.init(expose_access_token_to_frontend_in_cookie_based_auth=True), emailpassword.init()]
    ) as app:
        assert_session(client(app).post("/auth/signup", json=FORM)).created().by("cookie")


def test_cookies_of_an_older_domain_are_no_sign_out() -> None:
    """What rids the browser of older cookies is neither a cleared nor an unchanged session (rule 11.3)."""
    with make_app([session.init(older_cookie_domain="")]) as app:
        signed_in = sign_in(app, "u1")
        twice = "; ".join(f"sRefreshToken={signed_in.refresh_token}" for _ in range(2))
        answer = assert_session(client(app).post("/auth/session/refresh", headers={"cookie": twice}))
        assert "the session was rid of older cookies" in why(answer.cleared)
        assert "the session was rid of older cookies" in why(answer.unchanged)


# What they refuse, and say


FAILURES: dict[str, tuple[Callable[[SessionAssertion], object], str]] = {
    "refreshed": (lambda seen: seen.refreshed(), "expected the session to be refreshed, but the session was created"),
    "updated": (lambda seen: seen.updated(), "expected the access token to be renewed, but the session was created"),
    "cleared": (lambda seen: seen.cleared(), "expected the session to be cleared, but the session was created"),
    "unchanged": (lambda seen: seen.unchanged(), "expected the session to be left unchanged, but the session was"),
    "by": (lambda seen: seen.by("header"), "expected tokens to travel by header, but they travel by cookie"),
    "refused": (lambda seen: seen.refused(), "expected the request to be refused with 401 or 403, but the status is 2"),
    "refused with": (lambda seen: seen.refused(401), "expected the request to be refused with 401, but the status is"),
    "message": (lambda seen: seen.refused(200, "no"), "expected the message 'no', but it is None"),
    "failed claim": (lambda seen: seen.failed_claim("x"), "the claim 'x' to have failed, but those that failed are: n"),
    "has claim": (lambda seen: seen.has_claim("x"), "expected the access token to have the claim 'x', but it has no"),
    "for user": (lambda seen: seen.for_user("bob"), "expected a session for bob, but it is for "),
    "in tenant": (lambda seen: seen.in_tenant("other"), "expected a session in the tenant 'other', but it is in 'pub"),
    "expires in": (lambda seen: seen.expires_in(timedelta(1)), "expire in 1 day, 0:00:00, but it expires in 1:00:00"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_says_what_happened_instead(web: BrowserClient, name: str) -> None:
    """The first line says what was expected and what was there, the others what the response did."""
    assertion, expected = FAILURES[name]
    answer = web.post("/auth/signup", json=FORM)
    said = why(lambda: assertion(assert_session(answer)))
    assert expected in said.splitlines()[0]
    user = answer.json()["user"]["id"]
    for pattern in (
        r"status   200",
        r'body     \{"status":"OK"',
        r"session  created",
        r"cookies  sAccessToken set, \d+ characters \(.*HttpOnly.*\); sRefreshToken set, \d+ characters",
        r"headers  .*front-token set, \d+ characters",
        rf"user     {user}, session [0-9a-f-]+$",
        r"claims   .*'2fa-completed': \{'v': False",
    ):
        assert re.search(pattern, said, re.MULTILINE), f"{pattern} is not in\n{said}"


def test_a_refusal_says_why(web: BrowserClient, second_factor: BooleanClaim) -> None:
    """What was refused, and which claims failed, is part of every explanation."""
    web.post("/auth/signup", json=FORM)
    said = why(lambda: assert_session(web.get("/vault")).accepted())
    assert "expected the request to be accepted" in said
    assert "status   403" in said
    assert re.search(r"body     invalid claim; failed claims: .*2fa-completed.*wrong value", said)
    assert "cookies  none set or cleared" in said
    said = why(lambda: assert_session(web.get("/vault")).failed_claim("other"))
    assert "the claim 'other' to have failed, but those that failed are: 2fa-completed" in said
    said = why(lambda: assert_session(web.get("/vault")).failed_claim(second_factor, {"message": "old"}))
    assert "to have failed because of {'message': 'old'}, but it was {'message': 'wrong value'" in said


def test_a_claim_with_another_value_is_told(web: BrowserClient, second_factor: BooleanClaim) -> None:
    """Values are compared with their types, so that 0 is not False."""
    seen = assert_session(web.post("/auth/signup", json=FORM))
    said = why(lambda: seen.has_claim(second_factor, True))
    assert said.startswith("expected the claim '2fa-completed' to be True, but it is False")
    assert "to be 0, but it is False" in why(lambda: seen.has_claim(second_factor, 0))
    assert "to lack the claim '2fa-completed', but it is False" in why(lambda: seen.lacks_claim(second_factor))
    assert "it has no such claim" in why(lambda: seen.has_claim(PrimitiveClaim("role", lambda *_: None)))


@pytest.mark.parametrize(
    "assertion",
    [
        lambda seen: seen.created(),
        lambda seen: seen.has_claim("x"),
        lambda seen: seen.lacks_claim("x"),
        lambda seen: seen.for_user("ann"),
        lambda seen: seen.expires_in(timedelta(hours=1)),
        lambda seen: seen.in_tenant("public"),
        lambda seen: seen.by("cookie"),
    ],
)
def test_without_tokens_nothing_holds_of_them(web: BrowserClient, assertion: Any) -> None:
    """Where no token was handed out, an assertion about one fails, whatever it is."""
    said = why(lambda: assertion(assert_session(web.get("/me"))))
    assert "left unchanged" in said
    assert "user" not in said.partition("session")[2]


def test_no_token_is_ever_told(web: BrowserClient) -> None:
    """Neither the tokens nor long pieces of them are in what a failed assertion says."""
    for answer in (web.post("/auth/signup", json=FORM), web.refresh()):
        said = why(lambda answer=answer: assert_session(answer).cleared().created())  # type: ignore[misc]
        texts = [*answer.headers.get_list("set-cookie"), answer.headers["front-token"], answer.headers["anti-csrf"]]
        tokens = [piece for text in texts for piece in re.findall(r"[\w.+/=-]{30,}", text)]
        assert len(tokens) == 4
        for token in tokens:
            for place in range(0, len(token) - 16, 8):
                assert token[place : place + 16] not in said


def test_a_token_in_a_body_is_masked() -> None:
    """What looks like a token in a body is not told either."""
    said = why(lambda: assert_session(Response("the token is abcDEF0123456789abcDEF0123456789")).created())
    assert "the token is ***" in said


def test_a_long_body_is_cut() -> None:
    """An error page does not bury what matters."""
    said = why(lambda: assert_session(Response("so much " * 1_000)).created())
    assert len(said) < 700


def test_a_front_token_has_to_mirror_the_access_token(app: App, web: BrowserClient) -> None:
    """Tokens that contradict each other make no session."""
    answer = web.post("/auth/signup", json=FORM)
    other = client(app).post("/auth/signin", json=FORM)
    answer.headers["front-token"] = other.headers["front-token"]
    assert "a front token that mirrors it" in why(assert_session(answer).created)
    del answer.headers["front-token"]
    assert "a front token that mirrors it" in why(assert_session(answer).created)


# Whatever is a response


def test_responses_without_a_body_to_read() -> None:
    """A response that streams, or is empty, can be asserted about."""
    unread = httpx2.Response(200, stream=httpx2.ByteStream(b"unread"))
    for response in (Response(), StreamingResponse(iter(["never read"])), unread):
        assert_session(response).unchanged()
        assert "body     empty" in why(assert_session(response).created)


def test_what_is_no_response_is_refused() -> None:
    """Something without a status is a mistake, not a failed assertion."""
    with pytest.raises(TypeError, match="'text' is not a response"):
        assert_session("text")


def test_what_is_no_user_or_claim_is_refused(web: BrowserClient) -> None:
    """It is a mistake in the test, which a failed assertion would hide."""
    response: Any = web.post("/auth/signup", json=FORM)
    nobody: Any = None
    with pytest.raises(TypeError, match="for_user takes a user"):
        assert_session(response).for_user(nobody)
    with pytest.raises(TypeError, match="a claim is a SessionClaim"):
        assert_session(response).has_claim(nobody)
    with pytest.raises(TypeError, match="a claim is a SessionClaim"):
        assert_session(response).failed_claim(nobody)


def test_an_anti_csrf_token_in_a_body_is_not_shown(web: BrowserClient) -> None:
    """What an application answers with may hold it; the report does not."""
    token = web.post("/auth/signup", json=FORM).headers["anti-csrf"]
    told = httpx2.Response(200, headers={"anti-csrf": token}, json={"antiCsrfToken": token})
    assert token not in why(assert_session(told).created)


def test_the_page_lists_every_assertion() -> None:
    """Whoever reads docs/testing.md finds each assertion, by its name."""
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
    names = [name for name in vars(SessionAssertion) if not name.startswith("_")]
    assert "created" in names
    assert [name for name in names if f"`{name}(" not in page] == []


def test_a_failed_assertion_points_at_the_test(web: BrowserClient) -> None:
    """Pytest leaves the kit's own frames out of the traceback."""
    with pytest.raises(AssertionError) as caught:
        assert_session(web.get("/me")).created()
    assert [str(entry.path) for entry in caught.traceback if not entry.ishidden(caught)] == [__file__]
