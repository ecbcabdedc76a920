"""Routes of an application with sessions, and what a client sees of their tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2 as httpx
import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from coatcheck import RecipeUserId
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import UnauthorisedError
from coatcheck.recipes.session import SessionContainer
from coatcheck.server.asgi import verify_session

EPOCH = "Expires=Thu, 01 Jan 1970 00:00:00 GMT"


async def create(request: Request) -> Response:
    """Sign somebody in: the user, payload and data come from the query."""
    query = request.query_params
    payload = json.loads(query.get("payload", "null"))
    made = await session.create_new_session(
        request, "public", RecipeUserId(query.get("user", "u1")), payload, json.loads(query.get("data", "null"))
    )
    return JSONResponse({"handle": made.get_handle(), "userId": made.get_user_id()}, headers={"x-app": "yes"})


async def create_and_refuse(request: Request) -> Response:
    """Sign somebody in, and think better of it."""
    await session.create_new_session(request, "public", RecipeUserId("u1"))
    raise UnauthorisedError("banned")


def whoami(**options: Any) -> Callable[[Request], Any]:
    """Return an endpoint that tells whose session it is."""

    async def endpoint(request: Request) -> Response:
        verified: Callable[[Request], Awaitable[SessionContainer | None]] = verify_session(**options)
        found = await verified(request)
        assert request.state.supertokens is found
        return JSONResponse({"userId": found.get_user_id() if found else None})

    return endpoint


async def merge_twice(request: Request) -> Response:
    """Change the payload two times within one request."""
    found = await verify_session()(request)
    await found.merge_into_access_token_payload({"n": 1, "gone": True})
    await found.merge_into_access_token_payload({"n": 2, "gone": None})
    return JSONResponse(found.get_access_token_payload())


async def revoke(request: Request) -> Response:
    """End the session, and answer in the application's own way."""
    found = await verify_session()(request)
    await found.revoke_session()
    return PlainTextResponse("bye")


async def create_and_revoke(request: Request) -> Response:
    """Create a session and end it within one request."""
    made = await session.create_new_session(request, "public", RecipeUserId("u1"))
    await made.revoke_session()
    return PlainTextResponse("bye")


ROUTES = [
    Route("/create", create, methods=["POST"]),
    Route("/create-and-refuse", create_and_refuse, methods=["POST"]),
    Route("/create-and-revoke", create_and_revoke, methods=["POST"]),
    Route("/merge", merge_twice, methods=["POST"]),
    Route("/revoke", revoke, methods=["POST"]),
    Route("/me", whoami(), methods=["GET", "POST"]),
    Route("/checked", whoami(check_database=True), methods=["GET"]),
    Route("/optional", whoami(session_required=False), methods=["GET", "POST"]),
    Route("/optional-checked", whoami(session_required=False, check_database=True), methods=["GET"]),
    Route("/unguarded", whoami(anti_csrf_check=False), methods=["POST"]),
    Route("/guarded", whoami(anti_csrf_check=True), methods=["GET"]),
]


def cookies_set(response: httpx.Response) -> dict[str, str]:
    """Return the Set-Cookie headers by cookie name; each name at most once."""
    headers = response.headers.get_list("set-cookie")
    names = [header.partition("=")[0] for header in headers]
    assert len(names) == len(set(names)), "a cookie is set twice"
    return dict(zip(names, headers, strict=True))


def value_of(set_cookie: str) -> str:
    """Return the value that a Set-Cookie header carries."""
    return set_cookie.partition(";")[0].partition("=")[2]


def front(response: httpx.Response) -> dict[str, Any]:
    """Return what a front token says."""
    decoded: dict[str, Any] = json.loads(base64.b64decode(response.headers["front-token"]))
    return decoded


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"authorization": f"Bearer {token}"}


def jar(**cookies: str) -> dict[str, str]:
    """Return a Cookie header, so that the client's own jar is left out."""
    return {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


class Tokens:
    """The tokens a response carried, whichever way."""

    def __init__(self, response: httpx.Response) -> None:
        cookies = cookies_set(response)
        self.access = response.headers.get("st-access-token") or value_of(cookies.get("sAccessToken", ""))
        self.refresh = response.headers.get("st-refresh-token") or value_of(cookies.get("sRefreshToken", ""))
        self.anti_csrf = response.headers.get("anti-csrf")


def new(client: TestClient, mode: str, path: str = "/create", **headers: str) -> Tokens:
    """Create a session and return its tokens; the client's jar stays empty."""
    tokens = Tokens(client.post(path, headers={"st-auth-mode": mode, **headers}))
    client.cookies.clear()
    return tokens


def assert_cleared(response: httpx.Response) -> None:
    """Check that a response takes every token away, by both methods."""
    assert response.headers["front-token"] == "remove"
    assert response.headers["st-access-token"] == ""
    assert response.headers["st-refresh-token"] == ""
    assert "anti-csrf" not in response.headers
    cookies = cookies_set(response)
    assert {"sAccessToken", "sRefreshToken"} <= set(cookies)
    assert all(value_of(header) == "" and EPOCH in header for header in cookies.values())


SELECTORS = ("any", "header", "cookie")


def front_handle(access_token: str) -> str:
    """Return the session handle in an access token."""
    handle: str = jwt.decode(access_token, options={"verify_signature": False})["sessionHandle"]
    return handle
