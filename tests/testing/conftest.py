"""A site with protected routes, for sessions that the kit has minted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coatcheck import App
from coatcheck.claims import BooleanClaim
from coatcheck.recipes import session
from coatcheck.server import create_app

SecondFactorClaim = BooleanClaim("2fa-completed", lambda *_: False)


async def me(request: Request) -> Response:
    """Tell whose session it is."""
    found = await session.get_session(request)
    assert found is not None
    return JSONResponse({"user": found.user_id, "tenant": found.tenant_id})


async def fresh(request: Request) -> Response:
    """Ask the database whether the session still lives."""
    await session.get_session(request, check_database=True)
    return Response()


async def vault(request: Request) -> Response:
    """Let in only who has completed the second factor within half an hour."""
    needed = SecondFactorClaim.validators.is_true(max_age=1800)
    await session.get_session(request, override_global_claim_validators=lambda *_: [needed])
    return Response("gold")


async def merge(request: Request) -> Response:
    """Put something into the access token."""
    found = await session.get_session(request)
    assert found is not None
    await found.merge_into_access_token_payload({"colour": "red"})
    return Response()


ROUTES = [
    Route("/me", me, methods=["GET", "POST"]),
    Route("/fresh", fresh),
    Route("/vault", vault),
    Route("/merge", merge, methods=["POST"]),
]


@pytest.fixture
def second_factor() -> BooleanClaim:
    """Return the claim that the vault asks for."""
    return SecondFactorClaim


@pytest.fixture
def site() -> Callable[[App], Starlette]:
    """Return a function that serves an App with the protected routes `/me`, `/fresh`, `/vault` and `/merge`."""
    return lambda app: create_app(app, ROUTES)
