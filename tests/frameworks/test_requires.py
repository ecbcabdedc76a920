"""The decorator `requires` on every kind of endpoint Starlette has."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import pytest
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.testclient import TestClient

from coatcheck import App
from coatcheck.claims import BooleanClaim
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.server.asgi import requires

from ..kit import Make
from .asgi_site import served

SecondFactor = BooleanClaim("2fa-completed", lambda *_: False)


@requires()
async def awaited(request: Request) -> Response:
    """Tell who is there."""
    return PlainTextResponse(request.state.supertokens.get_user_id())


@requires()
def plain(request: Request) -> Response:
    """Tell who is there, on a thread of its own."""
    return PlainTextResponse(request.state.supertokens.get_user_id())


class Resource(HTTPEndpoint):
    """Two methods, the second of which demands more."""

    @requires()
    async def get(self, request: Request) -> Response:
        """Tell who is there."""
        return PlainTextResponse(request.state.supertokens.get_user_id())

    @requires(override_global_claim_validators=lambda *_: [SecondFactor.validators.is_true()])
    def post(self, request: Request) -> Response:
        """Never be reached."""
        raise AssertionError


@requires(session_required=False)
async def welcome(request: Request) -> Response:
    """Tell whether anybody is there."""
    found = request.state.supertokens
    return JSONResponse({"userId": found and found.get_user_id()})


def greeting(text: str, request: Request) -> Response:
    """Greet, with what the route was made with."""
    return PlainTextResponse(f"{text} {request.state.supertokens.get_user_id()}")


ROUTES: list[BaseRoute] = [
    Route("/awaited", awaited),
    Route("/plain", plain),
    Route("/resource", Resource),
    Route("/welcome", welcome),
    Route("/partial", partial(requires()(greeting), "hello")),
]


def visit(app: App, path: str, method: str = "GET") -> tuple[Any, Any]:
    """Call a route without a session and with one."""
    client = TestClient(served(app, ROUTES))
    token = client.post("/create").headers["st-access-token"]
    answers = [client.request(method, path, headers=headers) for headers in ({}, {"authorization": f"Bearer {token}"})]
    return answers[0], answers[1]


@pytest.mark.parametrize("path", ["/awaited", "/plain", "/resource"])
def test_endpoints_of_every_kind(make_app: Make, path: str) -> None:
    """Async and plain functions and methods of classes run only where there is a session, which they find."""
    without, with_session = visit(make_app(), path)
    assert (without.status_code, without.json()) == (401, {"message": "unauthorised"})
    assert with_session.text == "u1"


def test_each_method_of_a_resource_has_demands_of_its_own(make_app: Make) -> None:
    """A method may demand a claim that its neighbour does not."""
    _without, with_session = visit(make_app(claims=[SecondFactor]), "/resource", "POST")
    assert with_session.status_code == 403


def test_an_optional_session(make_app: Make) -> None:
    """Where the session is optional, the endpoint runs in any case, and finds None."""
    without, with_session = visit(make_app(), "/welcome")
    assert without.json() == {"userId": None}
    assert with_session.json() == {"userId": "u1"}


def test_an_endpoint_of_more_parameters(make_app: Make) -> None:
    """The request is found by its name, wherever it stands."""
    without, with_session = visit(make_app(), "/partial")
    assert without.status_code == 401
    assert with_session.text == "hello u1"


def test_an_endpoint_without_a_request_is_told_so() -> None:
    """A function that gets no connection cannot be guarded, which is said when it is decorated."""
    with pytest.raises(ConfigurationError, match="no parameter named request or websocket"):

        @requires()
        async def endpoint() -> None:
            """Get nothing."""


def test_what_is_decorated_keeps_its_name_and_signature() -> None:
    """Frameworks that look at a function see the original."""
    assert awaited.__name__ == "awaited"
    assert list(inspect.signature(plain).parameters) == ["request"]
    assert inspect.iscoroutinefunction(awaited)
    assert not inspect.iscoroutinefunction(plain)
