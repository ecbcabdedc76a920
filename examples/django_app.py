"""A second factor in Django: a user who has signed in must also enter a code before `/private` opens.

Start it with any of these:

    python examples/django_app.py runserver --noreload 3567    # Django's own server
    waitress-serve --port=3567 examples.django_app:wsgi        # any WSGI server
    uvicorn --port=3567 examples.django_app:asgi               # any ASGI server

    POST /auth/signup, /auth/signin     the first factor, served by the middleware
    POST /second-factor/code            sends a code; here it is printed
    POST /second-factor                 {"code": "123456"}
    GET  /private                       demands both factors
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

from coatcheck import InputAppInfo, RecipeUserId, get_user, init
from coatcheck.claims import BooleanClaim, SessionClaimValidator
from coatcheck.recipes import emailpassword, session
from coatcheck.recipes.session import SessionContainer
from coatcheck.server.django import SessionRequest, verify_session

Context = dict[str, Any]

SecondFactorClaim = BooleanClaim(key="2fa-completed", fetch_value=lambda *_: False)


class WithSecondFactor(session.FunctionsLayer):
    """Puts {"2fa-completed": false} into the payload of every new session."""

    async def create_new_session(
        self,
        user_id: str,
        recipe_user_id: RecipeUserId,
        access_token_payload: dict[str, Any] | None,
        session_data_in_database: dict[str, Any] | None,
        disable_anti_csrf: bool | None,
        tenant_id: str,
        user_context: Context,
    ) -> SessionContainer:
        """Add the claim, then call the original."""
        payload = dict(access_token_payload or {})
        payload |= await SecondFactorClaim.build(user_id, recipe_user_id, tenant_id, payload, user_context)
        return await self.original.create_new_session(
            user_id, recipe_user_id, payload, session_data_in_database, disable_anti_csrf, tenant_id, user_context
        )


def with_second_factor(
    validators: list[SessionClaimValidator], _session: object, _user_context: Context
) -> list[SessionClaimValidator]:
    """Demand the second factor, and what every view demands."""
    return [*validators, SecondFactorClaim.validators.has_value(True)]


@require_POST
@verify_session()
async def send_code(request: SessionRequest) -> JsonResponse:
    """Draw a code, store it with the session, and send it."""
    code = os.environ.get("SECOND_FACTOR_CODE") or f"{secrets.randbelow(1_000_000):06}"
    await request.supertokens.update_session_data_in_database({"code": code})
    user = await get_user(request.supertokens.get_user_id())
    print(f"to {user.emails[0] if user else 'nobody'}: your code is {code}", file=sys.stderr)  # send a mail here
    return JsonResponse({"status": "OK"})


@require_POST
@verify_session()
def second_factor(request: SessionRequest) -> JsonResponse:
    """Complete the second factor; after a wrong code the user needs a new one."""
    expected = request.supertokens.sync.get_session_data_from_database().get("code")
    request.supertokens.sync.update_session_data_in_database({})
    given = json.loads(request.body).get("code")
    if not (expected and isinstance(given, str) and secrets.compare_digest(given.encode(), expected.encode())):
        return JsonResponse({"status": "WRONG_CODE_ERROR"})
    request.supertokens.sync.set_claim_value(SecondFactorClaim, True)
    return JsonResponse({"status": "OK"})


@verify_session(override_global_claim_validators=with_second_factor)
def private(request: SessionRequest) -> JsonResponse:
    """Answer users who have completed both factors."""
    return JsonResponse({"user": request.supertokens.get_user_id()})


urlpatterns = [
    path("second-factor/code", send_code),
    path("second-factor", second_factor),
    path("private", private),
]

init(
    app_info=InputAppInfo(
        app_name="Two factors", api_domain="http://localhost:3567", website_domain="http://localhost:3000"
    ),
    recipe_list=[
        session.init(override=session.InputOverrideConfig(functions=WithSecondFactor)),
        emailpassword.init(),
    ],
    database=os.environ.get("COATCHECK_DATABASE", "sqlite://"),
)

settings.configure(
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY") or secrets.token_urlsafe(),
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    INSTALLED_APPS=["coatcheck.server.django"],
    # If the website has another origin, put corsheaders.middleware.CorsMiddleware between the two.
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "coatcheck.server.django.Middleware"],
    ROOT_URLCONF=__name__,
)
wsgi = get_wsgi_application()
asgi = get_asgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
