"""The scene in FastAPI, with dependencies."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from coatcheck import RecipeUserId
from coatcheck.recipes import session
from coatcheck.recipes.session import SessionContainer
from coatcheck.server.fastapi import get_middleware, verify_session

from .scene import BrokenError, SecondFactorClaim, about, banned, chunks, clock, second_factor

application = FastAPI()
application.add_middleware(get_middleware())

Demanded = Annotated[SessionContainer, Depends(verify_session())]
Welcome = Annotated[SessionContainer | None, Depends(verify_session(session_required=False))]
InDatabase = Annotated[SessionContainer, Depends(verify_session(check_database=True))]
WithSecondFactor = Annotated[SessionContainer, Depends(verify_session(override_global_claim_validators=second_factor))]


@application.get("/open")
async def open_to_all() -> dict[str, Any]:
    return {"open": True}


@application.post("/advance/{seconds}")
async def advance(seconds: float) -> dict[str, Any]:
    clock.advance(seconds)
    return {}


@application.post("/login/{user}")
async def login(request: Request, user: str) -> dict[str, Any]:
    return about(await session.create_new_session(request, "public", RecipeUserId(user)))


@application.post("/ban")
async def ban(request: Request) -> dict[str, Any]:
    await session.create_new_session(request, "public", RecipeUserId("mallory"))
    raise banned()


@application.get("/me")
@application.post("/me")
async def me(found: Demanded) -> dict[str, Any]:
    return about(found)


@application.get("/optional")
async def optional(found: Welcome) -> dict[str, Any]:
    return about(found)


@application.get("/checked")
async def checked(found: InDatabase) -> dict[str, Any]:
    return about(found)


@application.get("/second")
def second(found: WithSecondFactor) -> dict[str, Any]:
    return about(found)


@application.post("/complete")
async def complete(found: Demanded) -> Response:
    await found.set_claim_value(SecondFactorClaim, True)
    return PlainTextResponse("done", headers={"x-own": "yes"})


@application.get("/asserting")
def asserting(found: Demanded) -> dict[str, Any]:
    found.sync_assert_claims([SecondFactorClaim.validators.has_value(True)])
    return about(found)


@application.post("/revoke")
def revoke(found: Demanded) -> dict[str, Any]:
    found.sync_revoke_session()
    return {"revoked": True}


@application.post("/fail")
async def fail(found: Demanded) -> Response:
    await found.merge_into_access_token_payload({"failed": True})
    raise BrokenError


@application.get("/stream")
async def stream(found: Demanded) -> Response:
    await found.merge_into_access_token_payload({"streamed": True})
    return StreamingResponse(chunks(), media_type="text/plain")
