"""The scene's sync Django views."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from coatcheck import RecipeUserId
from coatcheck.recipes import session
from coatcheck.server.django import verify_session

from .scene import BrokenError, SecondFactorClaim, about, banned, chunks, clock, second_factor


def open_to_all(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"open": True})


def advance(_request: HttpRequest, seconds: str) -> HttpResponse:
    clock.advance(float(seconds))
    return JsonResponse({})


def login(request: HttpRequest, user: str) -> HttpResponse:
    return JsonResponse(about(session.sync.create_new_session(request, "public", RecipeUserId(user))))


def ban(request: HttpRequest) -> HttpResponse:
    session.sync.create_new_session(request, "public", RecipeUserId("mallory"))
    raise banned()


@method_decorator(verify_session(), name="dispatch")
class Me(View):
    def get(self, request: Any) -> HttpResponse:
        return JsonResponse(about(request.supertokens))

    def post(self, request: Any) -> HttpResponse:
        return JsonResponse(about(request.supertokens))


@verify_session(session_required=False)
def optional(request: Any) -> HttpResponse:
    return JsonResponse(about(request.supertokens))


@verify_session(check_database=True)
def checked(request: Any) -> HttpResponse:
    return JsonResponse(about(request.supertokens))


@verify_session(override_global_claim_validators=second_factor)
def second(request: Any) -> HttpResponse:
    return JsonResponse(about(request.supertokens))


@verify_session()
def complete(request: Any) -> HttpResponse:
    request.supertokens.sync_set_claim_value(SecondFactorClaim, True)
    return HttpResponse("done", headers={"x-own": "yes"})


@verify_session()
def asserting(request: Any) -> HttpResponse:
    request.supertokens.sync_assert_claims([SecondFactorClaim.validators.has_value(True)])
    return JsonResponse(about(request.supertokens))


@verify_session()
def revoke(request: Any) -> HttpResponse:
    request.supertokens.sync_revoke_session()
    return JsonResponse({"revoked": True})


@verify_session()
def fail(request: Any) -> HttpResponse:
    request.supertokens.sync_merge_into_access_token_payload({"failed": True})
    raise BrokenError


@verify_session()
def stream(request: Any) -> StreamingHttpResponse:
    request.supertokens.sync_merge_into_access_token_payload({"streamed": True})
    return StreamingHttpResponse(chunks(), content_type="text/plain")


urlpatterns = [
    path("open", open_to_all),
    path("advance/<seconds>", advance),
    path("login/<user>", login),
    path("ban", ban),
    path("me", Me.as_view()),
    path("optional", optional),
    path("checked", checked),
    path("second", second),
    path("complete", complete),
    path("asserting", asserting),
    path("revoke", revoke),
    path("fail", fail),
    path("stream", stream),
]
