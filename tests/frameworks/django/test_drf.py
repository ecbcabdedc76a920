"""Django REST framework: authentication by session, and requests that it has wrapped."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coatcheck import RecipeUserId
from coatcheck.recipes import session

from ...django_project import COOKIES, HEADERS, OURS, Project, cookies, payload
from .rest_views import URLS, SecondFactorClaim, counted

# isort: split
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.cache import cache_page
from rest_framework.request import Request

from coatcheck.server.drf import CoatCheckAuthentication, SessionUser

from ...kit import python

Open = Callable[..., Project]
CACHE = ("django.middleware.cache.UpdateCacheMiddleware", OURS, "django.middleware.cache.FetchFromCacheMiddleware")
REFRESH = {"message": "try refresh token"}


def test_a_wrapped_request_keeps_new_tokens(project: Open) -> None:
    """Sessions created and changed through the framework's own request reach the client."""
    ann = project(claims=[SecondFactorClaim]).serve(*URLS)(**COOKIES)
    created = ann.post("/sign_in/ann")
    assert created.json() == {"user": "ann"}
    assert cookies(created) == ["sAccessToken", "sRefreshToken"]
    changed = ann.post("/complete")
    assert changed.json() == {"same": True}
    assert payload(changed)["2fa-completed"]["v"] is True
    assert ann.get("/secret").json() == {"user": "member ann"}


def test_without_tokens_others_decide(project: Open) -> None:
    """Whoever has no session may be known to another class, or be let in by the permissions, or get 401."""
    client = project().serve(*URLS)
    nobody, robot, ann = client(), client(authorization="Bearer theirs"), client(**COOKIES)
    ann.post("/login/ann")
    for url, expected in (("/who", None), ("/members", 401)):
        answer = nobody.get(url)
        assert answer.status_code == (expected or 200)
        assert robot.get(url).json() == {"user": "robot"}
        assert ann.get(url).json() == {"user": "ann"}
    assert nobody.get("/who").json() == {"user": None}
    assert nobody.get("/members").headers["www-authenticate"] == "Bearer"


def test_tokens_that_do_not_hold_are_answered_as_everywhere(project: Open) -> None:
    """An expired token is 401 for the client to refresh, even where a session is optional; a claim is 403."""
    opened = project(claims=[SecondFactorClaim])
    ann = opened.serve(*URLS)(**COOKIES)
    ann.post("/login/ann")
    refused = ann.get("/secret")
    assert (refused.status_code, refused.json()["message"]) == (403, "invalid claim")
    opened.app.clock.advance(3601)  # type: ignore[attr-defined]
    for url in ("/who", "/secret", "/inside"):
        expired = ann.get(url)
        assert (expired.status_code, expired.json()) == (401, REFRESH)
    assert ann.post("/auth/session/refresh", headers={"rid": "session"}).status_code == 200
    assert ann.get("/who").json() == {"user": "ann"}


def test_a_session_may_be_demanded(project: Open) -> None:
    """With `session_required` nobody else is asked; OPTIONS, which carries no session, is left to the permissions."""
    nobody = project().serve(*URLS)()
    refused = nobody.get("/secret")
    assert (refused.status_code, refused.json()) == (401, {"message": "unauthorised"})
    assert nobody.options("/secret").json()["name"] == "Secret"


def test_the_anti_csrf_check_stands_in_for_djangos(project: Open) -> None:
    """Views of the framework are exempt from Django's check; everything but GET needs our token."""
    opened = project(anti_csrf="VIA_TOKEN")
    opened.settings(MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", OURS])
    ann = opened.serve(*URLS)(**COOKIES)
    token = ann.post("/sign_in/ann").headers["anti-csrf"]
    assert ann.get("/who").json() == {"user": "ann"}
    assert (ann.post("/who").status_code, ann.post("/who").json()) == (401, REFRESH)
    assert ann.post("/who", headers={"anti-csrf": token}).json() == {"user": "ann"}


@pytest.mark.parametrize("kind", ["attach", "attach_async"])
def test_a_session_made_without_the_request_is_attached_to_a_wrapped_one(project: Open, kind: str) -> None:
    """`attach_to_request_response` takes the framework's request: the session is that of the request it wraps."""
    ann = project().serve(*URLS)(**COOKIES)
    attached = ann.post(f"/{kind}/ann")
    assert (attached.json(), cookies(attached)) == ({"same": True}, ["sAccessToken", "sRefreshToken"])
    assert ann.get("/who").json() == {"user": "ann"}


@pytest.mark.parametrize("by", ["middleware", "cache_page", "cache_page_inside"])
def test_attack_a_page_of_another_out_of_the_cache(project: Open, by: str) -> None:
    """A view that authenticates says in time that it depends on the session, where it finds none as well.

    Around a method, which is run after that, a cache has to be told beside it.
    """
    opened = project()
    if by == "middleware":
        opened.settings(MIDDLEWARE=CACHE)
    client = opened.serve(*URLS)
    ann, bob, nobody = client(**COOKIES), client(**COOKIES), client()
    ann.post("/login/ann")
    bob.post("/login/bob")
    before = len(counted)
    url = {"middleware": "/counted", "cache_page": "/cached", "cache_page_inside": "/inner"}[by]
    for _ in range(2):
        assert nobody.get(url).json() == {"user": None}
        assert ann.get(url).json() == {"user": "ann"}
        assert bob.get(url).json() == {"user": "bob"}
    assert counted[before:] == [None, "ann", "bob"]
    assert set(ann.get(url).headers["vary"].split(", ")) == {"Accept", "Cookie", "Authorization"}


def test_attack_a_page_of_another_for_which_a_view_authenticated_by_hand(project: Open) -> None:
    """Where no view of the framework's is there to say it, Django's cache keeps nothing."""

    def page(request: HttpRequest) -> HttpResponse:
        found = CoatCheckAuthentication().authenticate(Request(request))
        return HttpResponse("nobody" if found is None else str(found[0]))

    client = project().serve(*URLS, path("page", cache_page(60)(page)))
    ann, nobody = client(**COOKIES), client()
    ann.post("/login/ann")
    assert [one.get("/page").text for one in (nobody, ann, nobody)] == ["nobody", "ann", "nobody"]


def test_verify_session_goes_around_and_inside_its_views(project: Open) -> None:
    """Functions, classes, and the actions of view sets, above and below the framework's own decorators."""
    client = project().serve(*URLS)
    nobody, ann = client(), client(**HEADERS)
    ann.headers["authorization"] = f"Bearer {ann.post('/login/ann').headers['st-access-token']}"
    for url in ("/inside", "/outside", "/orders/inner/", "/orders/outer/"):
        assert (url, nobody.get(url).status_code) == (url, 401)
        assert (url, ann.get(url).json()) == (url, {"user": "ann"})
    assert nobody.get("/whole").status_code == 401
    assert ann.get("/whole").status_code == 200
    assert ann.get("/orders/").json() == {"user": "ann"}


def test_a_user_of_a_session_is_known_to_permissions_and_throttles(project: Open) -> None:
    """A session makes nobody an administrator; a throttle counts by user."""
    client = project().serve(*URLS)
    ann, bob = client(**COOKIES), client(**COOKIES)
    ann.post("/login/ann")
    bob.post("/login/bob")
    assert ann.get("/admin").status_code == 403
    assert [ann.get("/throttled").status_code for _ in range(3)] == [200, 200, 429]
    assert bob.get("/throttled").status_code == 200


def test_users_of_one_id_are_equal(project: Open) -> None:
    """A SessionUser is its id, and has no permission of Django's."""
    app = project().app
    with app.active():
        ann, same, bob = (
            SessionUser(session.sync.create_new_session_without_request_response("public", RecipeUserId(user)))
            for user in ("ann", "ann", "bob")
        )
    assert len({ann, same, bob}) == 2
    assert ann != "ann"
    assert {str(ann), ann.id, ann.pk, ann.username, ann.get_username()} == {"ann"}
    assert [ann.has_perm("shop.add_order"), ann.has_perms(["shop.add_order"]), ann.has_module_perms("shop")] == [
        False
    ] * 3


@pytest.mark.slow
def test_without_the_framework_the_error_says_what_to_install() -> None:
    """Importing the module names the package."""
    code = "import sys; sys.modules['rest_framework'] = None; import coatcheck.server.drf"
    result = python("-c", code)
    assert "pip install 'coatcheck[django]' djangorestframework" in result.stderr
