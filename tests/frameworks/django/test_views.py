"""`verify_session` around everything that Django calls a view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET

from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.server.django import verify_session

from ...django_project import COOKIES, LOGIN, Project, me_async

Open = Callable[..., Project]


def who(request: Any) -> HttpResponse:
    """Tell whose session it is."""
    return HttpResponse(request.supertokens.get_user_id())


@method_decorator(verify_session(), name="dispatch")
class Dispatch(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


@method_decorator(verify_session(), name="dispatch")
class AsyncDispatch(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


@method_decorator(verify_session(), name="get")
class Method(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


@method_decorator(verify_session(), name="get")
class AsyncMethod(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


class Inside(View):
    @verify_session()
    def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


class AsyncInside(View):
    @verify_session()
    async def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


@verify_session()
class Whole(View):
    """Says who it is."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


@verify_session()
class Protected(View):
    """Protects what derives from it, sync or async."""


class Derived(Protected):
    def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


class AsyncDerived(Protected):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


class Plain(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


class AsyncPlain(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


@require_GET
@verify_session()
def below(request: HttpRequest) -> HttpResponse:
    return who(request)


@verify_session()
@require_GET
def above(request: HttpRequest) -> HttpResponse:
    return who(request)


FORMS: dict[str, Callable[..., Any]] = {
    **{
        kind.__name__: kind.as_view()
        for kind in (Dispatch, AsyncDispatch, Method, AsyncMethod, Inside, AsyncInside, Whole, Derived, AsyncDerived)
    },
    "as_view": verify_session()(Plain.as_view()),
    "async as_view": verify_session()(AsyncPlain.as_view()),
    "below": below,
    "above": above,
}


def test_every_form_of_a_view_is_protected(project: Open) -> None:
    """Without a session the answer is 401 and the view is not run; with one it finds the session."""
    client = project().serve(LOGIN, *(path(f"view/{name}", view) for name, view in FORMS.items()))
    nobody, ann = client(), client(**COOKIES)
    ann.post("/login/ann")
    for name in FORMS:
        refused = nobody.get(f"/view/{name}")
        assert (name, refused.status_code, refused.json()) == (name, 401, {"message": "unauthorised"})
        assert (name, ann.get(f"/view/{name}").text) == (name, "ann")


def test_a_method_that_is_not_allowed_is_told_to_whoever_has_a_session(project: Open) -> None:
    """Class-based views go on answering methods they do not have, sync and async ones alike."""
    views = (path("sync", Whole.as_view()), path("async", AsyncDerived.as_view()))
    ann = project().serve(LOGIN, *views)(**COOKIES)
    ann.post("/login/ann")
    assert [ann.put(f"/{kind}").status_code for kind in ("sync", "async")] == [405, 405]


def test_a_decorated_view_is_still_itself() -> None:
    """Names, documentation and what other decorators have noted stay."""
    assert Whole.as_view().__doc__ == "Says who it is."
    assert Whole.__name__ == "Whole"
    assert above.__name__ == "above"
    assert vars(verify_session()(csrf_exempt(below)))["csrf_exempt"] is True


def test_what_is_no_view_is_refused() -> None:
    """A class without `dispatch` is refused where it is decorated, a call without a request where it is made."""
    with pytest.raises(ConfigurationError, match="has no dispatch method"):
        verify_session()(type("Thing", (), {}))
    with pytest.raises(ConfigurationError, match="called without a request"):
        verify_session()(who)("a string")


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_no_session_can_be_demanded_of_options_and_trace(project: Open, method: str) -> None:
    """A view that demands one does not have these methods (docs/protocol.md, rule 14.6), however it is protected."""
    views = (path("whole", Whole.as_view()), path("above", above), path("async", me_async))
    client = project().serve(LOGIN, *views, path("get", Inside.as_view()))
    ann, nobody = client(**COOKIES), client()
    ann.post("/login/ann")
    for one in (ann, nobody):
        for url in ("/whole", "/above", "/async"):
            refused = one.request(method, url)
            assert (url, refused.status_code) == (url, 405)
            assert refused.json() == {"message": f"verify_session cannot be used with {method} method"}
    assert nobody.options("/get").headers["allow"] == "GET, HEAD, OPTIONS"


def test_a_view_that_demands_no_session_has_every_method(project: Open) -> None:
    """Where a session is optional, OPTIONS reaches the view without one."""
    optional = verify_session(session_required=False)(lambda request: HttpResponse(str(request.supertokens)))
    asked = project().serve(path("view", optional))().options("/view")
    assert (asked.status_code, asked.text) == (200, "None")
