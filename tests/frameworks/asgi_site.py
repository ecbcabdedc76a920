"""A small Starlette application behind the middleware: one signs in, asks who one is, and changes something."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from coatcheck import App, RecipeUserId
from coatcheck.recipes import session
from coatcheck.server.asgi import AuthMiddleware, verify_session

from ..kit import Wire

demand = verify_session()


async def create(request: Request) -> Response:
    """Sign u1 in."""
    made = await session.create_new_session(request, "public", RecipeUserId("u1"))
    return JSONResponse({"userId": made.get_user_id()})


async def me(request: Request) -> Response:
    """Tell who is signed in."""
    return JSONResponse({"userId": (await demand(request)).get_user_id()})


async def change(request: Request) -> Response:
    """Change the payload, which makes a new access token; answer with a response made before."""
    response = PlainTextResponse("done", headers={"x-own": "yes"})
    await (await demand(request)).merge_into_access_token_payload({"changed": True})
    return response


ROUTES = [
    Route("/create", create, methods=["POST"]),
    Route("/me", me),
    Route("/change", change, methods=["POST"]),
]


def served(app: App, routes: list[BaseRoute], *, outside: Any = (), inside: Any = ()) -> Starlette:
    """Return an application with the middleware, and with others around it and within."""
    middleware = [*outside, Middleware(AuthMiddleware, coatcheck=app), *inside]
    return Starlette(routes=[*ROUTES, *routes], middleware=middleware)


async def signed_in(asgi: ASGIApp) -> dict[str, str]:
    """Sign in and return the header that says so."""
    answer = await Wire("/create", method="POST").run(asgi)
    return {"authorization": f"Bearer {answer.response_headers['st-access-token']}"}
