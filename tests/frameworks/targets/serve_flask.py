"""The scene in Flask, with plain and async views."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, g, request

from coatcheck import RecipeUserId
from coatcheck.recipes import session
from coatcheck.server.flask import CoatCheck, verify_session

from .scene import BrokenError, SecondFactorClaim, about, banned, chunks, clock, second_factor

application = Flask(__name__)
CoatCheck(application)


@application.get("/open")
def open_to_all() -> dict[str, Any]:
    return {"open": True}


@application.post("/advance/<seconds>")
def advance(seconds: str) -> dict[str, Any]:
    clock.advance(float(seconds))
    return {}


@application.post("/login/<user>")
def login(user: str) -> dict[str, Any]:
    return about(session.sync.create_new_session(request, "public", RecipeUserId(user)))


@application.post("/ban")
def ban() -> dict[str, Any]:
    session.sync.create_new_session(request, "public", RecipeUserId("mallory"))
    raise banned()


@application.route("/me", methods=["GET", "POST"])
@verify_session()
def me() -> dict[str, Any]:
    return about(g.supertokens)


@application.get("/optional")
@verify_session(session_required=False)
def optional() -> dict[str, Any]:
    return about(g.supertokens)


@application.get("/checked")
@verify_session(check_database=True)
async def checked() -> dict[str, Any]:
    return about(g.supertokens)


@application.get("/second")
@verify_session(override_global_claim_validators=second_factor)
def second() -> dict[str, Any]:
    return about(g.supertokens)


@application.post("/complete")
@verify_session()
def complete() -> Response:
    g.supertokens.sync_set_claim_value(SecondFactorClaim, True)
    return Response("done", headers={"x-own": "yes"})


@application.get("/asserting")
@verify_session()
async def asserting() -> dict[str, Any]:
    await g.supertokens.assert_claims([SecondFactorClaim.validators.has_value(True)])
    return about(g.supertokens)


@application.post("/revoke")
@verify_session()
async def revoke() -> dict[str, Any]:
    await g.supertokens.revoke_session()
    return {"revoked": True}


@application.post("/fail")
@verify_session()
def fail() -> Response:
    g.supertokens.sync_merge_into_access_token_payload({"failed": True})
    raise BrokenError


@application.get("/stream")
@verify_session()
def stream() -> Response:
    g.supertokens.sync_merge_into_access_token_payload({"streamed": True})
    return Response(chunks(), mimetype="text/plain")
