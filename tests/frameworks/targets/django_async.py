"""The scene's async Django views."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views import View

from coatcheck import RecipeUserId
from coatcheck.recipes import session
from coatcheck.server.django import verify_session

from .scene import BrokenError, SecondFactorClaim, about, banned, chunks, clock, second_factor


async def open_to_all(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"open": True})


async def advance(_request: HttpRequest, seconds: str) -> HttpResponse:
    clock.advance(float(seconds))
    return JsonResponse({})


async def login(request: HttpRequest, user: str) -> HttpResponse:
    return JsonResponse(about(await session.create_new_session(request, "public", RecipeUserId(user))))


async def ban(request: HttpRequest) -> HttpResponse:
    await session.create_new_session(request, "public", RecipeUserId("mallory"))
    raise banned()


class Me(View):
    async def get(self, request: Any) -> HttpResponse:
        return JsonResponse(about(request.supertokens))

    async def post(self, request: Any) -> HttpResponse:
        return JsonResponse(about(request.supertokens))


@verify_session(session_required=False)
async def optional(request: Any) -> HttpResponse:
    return JsonResponse(about(request.supertokens))


@verify_session(check_database=True)
async def checked(request: Any) -> HttpResponse:
    return JsonResponse(about(request.supertokens))


@verify_session(override_global_claim_validators=second_factor)
async def second(request: Any) -> HttpResponse:
    return JsonResponse(about(request.supertokens))


@verify_session()
async def complete(request: Any) -> HttpResponse:
    await request.supertokens.set_claim_value(SecondFactorClaim, True)
    return HttpResponse("done", headers={"x-own": "yes"})


@verify_session()
def asserting(request: Any) -> HttpResponse:
    request.supertokens.sync_assert_claims([SecondFactorClaim.validators.has_value(True)])
    return JsonResponse(about(request.supertokens))


@verify_session()
async def revoke(request: Any) -> HttpResponse:
    await request.supertokens.revoke_session()
    return JsonResponse({"revoked": True})


@verify_session()
async def fail(request: Any) -> HttpResponse:
    await request.supertokens.merge_into_access_token_payload({"failed": True})
    raise BrokenError


@verify_session()
async def stream(request: Any) -> StreamingHttpResponse:
    await request.supertokens.merge_into_access_token_payload({"streamed": True})

    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    return StreamingHttpResponse(body(), content_type="text/plain")


urlpatterns = [
    path("open", open_to_all),
    path("advance/<seconds>", advance),
    path("login/<user>", login),
    path("ban", ban),
    path("me", verify_session()(Me.as_view())),
    path("optional", optional),
    path("checked", checked),
    path("second", second),
    path("complete", complete),
    path("asserting", asserting),
    path("revoke", revoke),
    path("fail", fail),
    path("stream", stream),
]
