"""A second factor in Flask: a user who has signed in must also enter a code before `/private` opens.

Start it with any of these, after pip install 'coatcheck[flask]' flask-cors:

    python examples/flask_app.py                               # on PORT, 3567 by default
    gunicorn --bind=127.0.0.1:3567 examples.flask_app:api      # any WSGI server

    POST /auth/signup, /auth/signin     the first factor, served by the middleware
    POST /second-factor/code            sends a code; here it is printed
    POST /second-factor                 {"code": "123456"}
    GET  /private                       demands both factors
"""

from __future__ import annotations

import os
import secrets
import sys
from typing import Any

import flask
import flask_cors

from coatcheck import InputAppInfo, RecipeUserId, get_all_cors_headers, init, sync
from coatcheck.claims import BooleanClaim, SessionClaimValidator
from coatcheck.recipes import emailpassword, session
from coatcheck.recipes.session import SessionContainer
from coatcheck.server.flask import CoatCheck, verify_session

PORT = int(os.environ.get("PORT", "3567"))
WEBSITE = "http://localhost:3000"

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
        user_context: dict[str, Any],
    ) -> SessionContainer:
        """Add the claim, then call the original."""
        payload = dict(access_token_payload or {})
        payload |= await SecondFactorClaim.build(user_id, recipe_user_id, tenant_id, payload, user_context)
        return await self.original.create_new_session(
            user_id, recipe_user_id, payload, session_data_in_database, disable_anti_csrf, tenant_id, user_context
        )


def with_second_factor(validators: list[SessionClaimValidator], *_: object) -> list[SessionClaimValidator]:
    """Demand the second factor, and what every route demands."""
    return [*validators, SecondFactorClaim.validators.has_value(True)]


init(
    app_info=InputAppInfo(app_name="Two factors", api_domain=f"http://localhost:{PORT}", website_domain=WEBSITE),
    recipe_list=[
        session.init(override=session.InputOverrideConfig(functions=WithSecondFactor)),
        emailpassword.init(),
    ],
    database="sqlite://",  # in memory; sqlite:///two_factors.db would keep the users
)

api = flask.Flask(__name__)
CoatCheck(api)
flask_cors.CORS(
    api,
    origins=[WEBSITE],
    supports_credentials=True,
    allow_headers=["content-type", *get_all_cors_headers()],
)


@api.post("/second-factor/code")
@verify_session()
def send_code() -> dict[str, str]:
    """Draw a code, store it with the session, and send it."""
    found: SessionContainer = flask.g.supertokens
    code = f"{secrets.randbelow(1_000_000):06}"
    found.sync.update_session_data_in_database({"code": code})
    user = sync.get_user(found.get_user_id())
    print(f"to {user.emails[0] if user else 'nobody'}: your code is {code}", file=sys.stderr)  # send a mail here
    return {"status": "OK"}


@api.post("/second-factor")
@verify_session()
def second_factor() -> dict[str, str]:
    """Complete the second factor; after a wrong code the user needs a new one."""
    found: SessionContainer = flask.g.supertokens
    expected = found.sync.get_session_data_from_database().get("code")
    found.sync.update_session_data_in_database({})
    given = flask.request.get_json().get("code")
    if not (expected and isinstance(given, str) and secrets.compare_digest(given.encode(), expected.encode())):
        return {"status": "WRONG_CODE_ERROR"}
    found.sync.set_claim_value(SecondFactorClaim, True)
    return {"status": "OK"}


@api.get("/private")
@verify_session(override_global_claim_validators=with_second_factor)
def private() -> dict[str, str]:
    """Answer users who have completed both factors."""
    return {"user": flask.g.supertokens.get_user_id()}


if __name__ == "__main__":
    api.run(host="127.0.0.1", port=PORT)
