"""The scene in Starlette."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from coatcheck import RecipeUserId
from coatcheck.recipes import session
from coatcheck.recipes.session import SessionContainer
from coatcheck.server.asgi import AuthMiddleware, verify_session

from .scene import BrokenError, SecondFactorClaim, about, banned, chunks, clock, second_factor

demand = verify_session()
welcome = verify_session(session_required=False)
demand_second_factor = verify_session(override_global_claim_validators=second_factor)
demand_in_database = verify_session(check_database=True)


async def open_to_all(_request: Request) -> Response:
    return JSONResponse({"open": True})


async def advance(request: Request) -> Response:
    clock.advance(float(request.path_params["seconds"]))
    return JSONResponse({})


async def login(request: Request) -> Response:
    created = await session.create_new_session(request, "public", RecipeUserId(request.path_params["user"]))
    return JSONResponse(about(created))


async def ban(request: Request) -> Response:
    await session.create_new_session(request, "public", RecipeUserId("mallory"))
    raise banned()


async def me(request: Request) -> Response:
    return JSONResponse(about(await demand(request)))


async def optional(request: Request) -> Response:
    return JSONResponse(about(await welcome(request)))


async def checked(request: Request) -> Response:
    return JSONResponse(about(await demand_in_database(request)))


async def second(request: Request) -> Response:
    return JSONResponse(about(await demand_second_factor(request)))


async def complete(request: Request) -> Response:
    found = await demand(request)
    await found.set_claim_value(SecondFactorClaim, True)
    return PlainTextResponse("done", headers={"x-own": "yes"})


async def asserting(request: Request) -> Response:
    found: SessionContainer = await demand(request)
    await found.assert_claims([SecondFactorClaim.validators.has_value(True)])
    return JSONResponse(about(found))


async def revoke(request: Request) -> Response:
    found = await demand(request)
    await found.revoke_session()
    return JSONResponse({"revoked": True})


async def fail(request: Request) -> Response:
    found = await demand(request)
    await found.merge_into_access_token_payload({"failed": True})
    raise BrokenError


async def stream(request: Request) -> Response:
    found = await demand(request)
    await found.merge_into_access_token_payload({"streamed": True})
    return StreamingResponse(chunks(), media_type="text/plain")


application = Starlette(
    routes=[
        Route("/open", open_to_all),
        Route("/advance/{seconds}", advance, methods=["POST"]),
        Route("/login/{user}", login, methods=["POST"]),
        Route("/ban", ban, methods=["POST"]),
        Route("/me", me, methods=["GET", "POST"]),
        Route("/optional", optional),
        Route("/checked", checked),
        Route("/second", second),
        Route("/complete", complete, methods=["POST"]),
        Route("/asserting", asserting),
        Route("/revoke", revoke, methods=["POST"]),
        Route("/fail", fail, methods=["POST"]),
        Route("/stream", stream),
    ]
)
application.add_middleware(AuthMiddleware)
