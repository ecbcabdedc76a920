"""Views of Django REST framework, with every way to protect them."""

from __future__ import annotations

from typing import Any

from ...django_project import LOGIN

# isort: split
# The framework reads settings when it is imported; the project makes them.
from django.http import JsonResponse
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_page
from django.views.decorators.vary import vary_on_headers
from rest_framework import viewsets
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import action, api_view, authentication_classes, permission_classes, throttle_classes
from rest_framework.permissions import AllowAny, IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from coatcheck import RecipeUserId
from coatcheck.claims import BooleanClaim, SessionClaimValidator
from coatcheck.recipes import session
from coatcheck.recipes.session import SessionContainer
from coatcheck.server.django import verify_session
from coatcheck.server.drf import CoatCheckAuthentication

SecondFactorClaim = BooleanClaim("2fa-completed", lambda *_: False)


class Bearer(BaseAuthentication):
    """Another authentication class of the project's, by a header that is not ours."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        known = request.headers.get("authorization") == "Bearer theirs"
        return (type("Robot", (), {"is_authenticated": True, "pk": "robot"})(), None) if known else None


class Demanding(CoatCheckAuthentication):
    """Demands a session and the second factor."""

    session_required = True

    def override_global_claim_validators(
        self, validators: list[SessionClaimValidator], session: SessionContainer, user_context: Any
    ) -> list[SessionClaimValidator]:
        return [*validators, SecondFactorClaim.validators.has_value(True)]

    def user_of(self, session: SessionContainer) -> Any:
        return type("Member", (), {"is_authenticated": True, "pk": f"member {session.get_user_id()}"})()


class Twice(UserRateThrottle):
    """Lets a user in twice a day."""

    rate = "2/day"
    THROTTLE_RATES = {}  # noqa: RUF012


class Who(APIView):
    """Tells whose session it is, to anybody."""

    authentication_classes = [CoatCheckAuthentication, Bearer]  # noqa: RUF012
    permission_classes = [AllowAny]  # noqa: RUF012

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.pk})

    def post(self, request: Request) -> Response:
        return Response({"user": request.user.pk})


counted: list[str | None] = []


class Counted(Who):
    """Notes each time that it is run, for caches to keep it from that."""

    def get(self, request: Request) -> Response:
        counted.append(request.user.pk)
        return super().get(request)


@method_decorator(cache_page(60), name="dispatch")
class Cached(Counted):
    """Kept by the cache that goes around it."""


class Inner(Counted):
    """Kept by a cache that goes around its method, hence inside of its authentication."""

    @method_decorator(cache_page(60))
    @method_decorator(vary_on_headers("Cookie", "Authorization"))
    def get(self, request: Request) -> Response:
        return super().get(request)


class Members(Who):
    """Demands that somebody be there, whoever has said so."""

    permission_classes = [IsAuthenticated]  # noqa: RUF012


class Secret(Who):
    """Demands the second factor."""

    authentication_classes = [Demanding]  # noqa: RUF012


@verify_session()
class Whole(Who):
    """Protected as a whole."""

    authentication_classes = []  # noqa: RUF012


class Orders(viewsets.ViewSet):
    """A view set whose actions are protected one by one."""

    authentication_classes = [CoatCheckAuthentication]  # noqa: RUF012

    def list(self, request: Request) -> Response:
        return Response({"user": request.user.pk})

    @action(detail=False)
    @verify_session()
    def inner(self, request: Any) -> Response:
        return Response({"user": request.supertokens.get_user_id()})

    @verify_session()
    @action(detail=False)
    def outer(self, request: Any) -> Response:
        return Response({"user": request.supertokens.get_user_id()})


@api_view(["GET"])
@authentication_classes([CoatCheckAuthentication])
@permission_classes([IsAdminUser])
def admin(request: Request) -> Response:
    return Response({})


@api_view(["GET"])
@authentication_classes([CoatCheckAuthentication])
@throttle_classes([Twice])
def throttled(request: Request) -> Response:
    return Response({})


@api_view(["POST"])
@authentication_classes([])
def sign_in(request: Request, user: str) -> Response:
    created = session.sync.create_new_session(request, "public", RecipeUserId(user))
    return Response({"user": created.get_user_id()})


@api_view(["POST"])
@authentication_classes([CoatCheckAuthentication])
def complete(request: Any) -> Response:
    request.auth.sync_set_claim_value(SecondFactorClaim, True)
    return Response({"same": request.auth is request.supertokens})


@api_view(["POST"])
@authentication_classes([])
def attach(request: Any, user: str) -> Response:
    made = session.sync.create_new_session_without_request_response("public", RecipeUserId(user))
    made.sync_attach_to_request_response(request, "cookie")
    return Response({"same": request.supertokens is made})


async def attach_async(request: Any, user: str) -> JsonResponse:
    made = await session.create_new_session_without_request_response("public", RecipeUserId(user))
    await made.attach_to_request_response(Request(request), "cookie")
    return JsonResponse({"same": request.supertokens is made})


@api_view(["GET"])
@verify_session()
def inside(request: Any) -> Response:
    return Response({"user": request.supertokens.get_user_id()})


@verify_session()
@api_view(["GET"])
def outside(request: Any) -> Response:
    return Response({"user": request.supertokens.get_user_id()})


router = SimpleRouter()
router.register("orders", Orders, basename="orders")
URLS = (
    LOGIN,
    path("who", Who.as_view()),
    path("counted", Counted.as_view()),
    path("cached", Cached.as_view()),
    path("inner", Inner.as_view()),
    path("members", Members.as_view()),
    path("secret", Secret.as_view()),
    path("whole", Whole.as_view()),
    path("admin", admin),
    path("throttled", throttled),
    path("sign_in/<user>", sign_in),
    path("attach/<user>", attach),
    path("attach_async/<user>", attach_async),
    path("complete", complete),
    path("inside", inside),
    path("outside", outside),
    path("", include(router.urls)),
)
