"""The scene in Django REST framework: its requests are wrapped ones."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from django.urls import path
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from coatcheck import RecipeUserId
from coatcheck.recipes import session
from coatcheck.server.django import verify_session
from coatcheck.server.drf import CoatCheckAuthentication

from .scene import BrokenError, SecondFactorClaim, about, banned, chunks, clock, second_factor


@api_view(["GET"])
def open_to_all(_request: Request) -> Response:
    return Response({"open": True})


@api_view(["POST"])
def advance(_request: Request, seconds: str) -> Response:
    clock.advance(float(seconds))
    return Response({})


@api_view(["POST"])
def login(request: Request, user: str) -> Response:
    return Response(about(session.sync.create_new_session(request, "public", RecipeUserId(user))))


@api_view(["POST"])
def ban(request: Request) -> Response:
    session.sync.create_new_session(request, "public", RecipeUserId("mallory"))
    raise banned()


class Demanding(CoatCheckAuthentication):
    """Demands a session."""

    session_required = True


class Me(APIView):
    authentication_classes = [Demanding]  # noqa: RUF012

    def get(self, request: Any) -> Response:
        assert request.user.is_authenticated
        return Response(about(request.auth))

    def post(self, request: Any) -> Response:
        return Response(about(request.auth))


class Optional(APIView):
    authentication_classes = [CoatCheckAuthentication]  # noqa: RUF012

    def get(self, request: Any) -> Response:
        return Response(about(request.auth))


@api_view(["GET"])
@verify_session(check_database=True)
def checked(request: Any) -> Response:
    return Response(about(request.supertokens))


@verify_session(override_global_claim_validators=second_factor)
@api_view(["GET"])
def second(request: Any) -> Response:
    return Response(about(request.supertokens))


@api_view(["POST"])
@verify_session()
def complete(request: Any) -> Response:
    request.supertokens.sync_set_claim_value(SecondFactorClaim, True)
    return Response("done", headers={"x-own": "yes"})


@api_view(["GET"])
@verify_session()
def asserting(request: Any) -> Response:
    request.supertokens.sync_assert_claims([SecondFactorClaim.validators.has_value(True)])
    return Response(about(request.supertokens))


class Revoke(APIView):
    authentication_classes = [Demanding]  # noqa: RUF012

    def post(self, request: Any) -> Response:
        request.auth.sync_revoke_session()
        return Response({"revoked": True})


class Fail(APIView):
    authentication_classes = [Demanding]  # noqa: RUF012

    def post(self, request: Any) -> Response:
        request.auth.sync_merge_into_access_token_payload({"failed": True})
        raise BrokenError


@api_view(["GET"])
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
    path("optional", Optional.as_view()),
    path("checked", checked),
    path("second", second),
    path("complete", complete),
    path("asserting", asserting),
    path("revoke", Revoke.as_view()),
    path("fail", Fail.as_view()),
    path("stream", stream),
]
