"""What clients are told when a session does not hold, and how an application changes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from coatcheck import RecipeUserId
from coatcheck.claims import BooleanClaim, ClaimValidationError, ClaimValidationResult, SessionClaimValidator
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import (
    BadInputError,
    InvalidClaimsError,
    SessionError,
    TokenTheftError,
    TryRefreshTokenError,
    UnauthorisedError,
)
from coatcheck.recipes.session import InputErrorHandlers, InputOverrideConfig, SessionContainer
from coatcheck.server.asgi import AuthMiddleware, session_exception_handler, verify_session
from coatcheck.sessions.exceptions import DatabaseError

from ...kit import Make, Serve

TrueClaim = BooleanClaim("st-true", lambda *_: True)
NoneClaim = BooleanClaim("st-none", lambda *_: None)


class Fixed(SessionClaimValidator):
    """A validator whose answer is fixed."""

    def __init__(self, result: ClaimValidationResult, id_: str = "fixed") -> None:
        super().__init__(id_)
        self.result = result

    async def validate(self, payload: dict[str, Any], user_context: dict[str, Any]) -> ClaimValidationResult:
        """Answer."""
        return self.result


async def create(request: Request) -> Response:
    """Sign u1 in."""
    await session.create_new_session(request, "public", RecipeUserId("u1"))
    return PlainTextResponse("in")


def guarded(**options: Any) -> Callable[[Request], Any]:
    """Return an endpoint behind verify_session."""

    async def endpoint(request: Request) -> Response:
        found = await cast("Callable[[Request], Awaitable[SessionContainer]]", verify_session(**options))(request)
        return JSONResponse({"handle": found.get_handle()})

    return endpoint


def globally(*validators: SessionClaimValidator) -> InputOverrideConfig:
    """Return an override that makes these the App's global validators."""

    def functions(original: Any) -> Any:
        original.get_global_claim_validators = lambda **kwargs: [
            *kwargs["claim_validators_added_by_other_recipes"],
            *validators,
        ]
        return original

    return InputOverrideConfig(functions=functions)


def visit(client: TestClient, path: str = "/guarded") -> Any:
    """Sign in by cookie and call a route."""
    client.post("/create", headers={"st-auth-mode": "cookie"})
    return client.get(path)


def routes(**options: Any) -> list[Route]:
    """Return a route to sign in, and one behind verify_session."""
    return [Route("/create", create, methods=["POST"]), Route("/guarded", guarded(**options))]


# Claims


def test_no_validators(make_app: Make, serve: Serve) -> None:
    """Without validators a session is enough; its handle is a UUID."""
    response = visit(serve(make_app(), routes()))
    assert response.status_code == 200
    assert response.json()["handle"].count("-") == 4


def test_a_missing_claim_is_fetched(make_app: Make, serve: Serve) -> None:
    """A global validator's claim that is not in the token is fetched, and the new token handed out."""
    response = visit(serve(make_app(override=globally(TrueClaim.validators.has_value(True))), routes()))
    assert response.status_code == 200
    assert "front-token" in response.headers


def test_a_claim_without_a_value_is_refused(make_app: Make, serve: Serve) -> None:
    """The 403 names the validator and the reason (docs/protocol.md, rule 17.5)."""
    response = visit(serve(make_app(override=globally(NoneClaim.validators.has_value(True))), routes()))
    assert response.status_code == 403
    assert response.json() == {
        "message": "invalid claim",
        "claimValidationErrors": [
            {
                "id": "st-none",
                "reason": {"message": "value does not exist", "expectedValue": True, "actualValue": None},
            }
        ],
    }


@pytest.mark.parametrize(
    ("result", "failures"),
    [
        (ClaimValidationResult(True), None),
        (ClaimValidationResult(False), [{"id": "fixed"}]),
        (ClaimValidationResult(False, {"message": "foo"}), [{"id": "fixed", "reason": {"message": "foo"}}]),
    ],
)
def test_custom_validators(make_app: Make, serve: Serve, result: ClaimValidationResult, failures: Any) -> None:
    """A validator of the application's own decides; a missing reason is left out."""
    response = visit(serve(make_app(override=globally(Fixed(result))), routes()))
    assert response.status_code == (200 if failures is None else 403)
    assert response.json().get("claimValidationErrors") == failures


@pytest.mark.parametrize(
    ("replacement", "failures"),
    [
        ([], None),
        ([TrueClaim.validators.has_value(True)], None),
        (
            [TrueClaim.validators.has_value(False)],
            [
                {
                    "id": "st-true",
                    "reason": {"message": "wrong value", "expectedValue": False, "actualValue": True},
                }
            ],
        ),
        (
            [Fixed(ClaimValidationResult(False, {"message": "test_reason"}), "test_id")],
            [{"id": "test_id", "reason": {"message": "test_reason"}}],
        ),
        ([Fixed(ClaimValidationResult(True))], None),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
def test_a_route_may_replace_the_global_validators(
    make_app: Make, serve: Serve, replacement: Any, failures: Any, is_async: bool
) -> None:
    """What a route's override returns replaces the global list; it may be plain or async (rule 14.11)."""

    async def awaited(*_: Any) -> Any:
        return replacement

    override = awaited if is_async else lambda *_: replacement
    app = make_app(override=globally(NoneClaim.validators.has_value(True)))
    response = visit(serve(app, routes(override_global_claim_validators=override)))
    assert response.status_code == (200 if failures is None else 403)
    assert response.json().get("claimValidationErrors") == failures


def test_a_403_carries_what_was_refetched(make_app: Make, serve: Serve) -> None:
    """Tokens renewed on the way to a 403 reach the client with it (rule 14.12)."""
    app = make_app(override=globally(TrueClaim.validators.has_value(False)))
    response = visit(serve(app, routes()))
    assert response.status_code == 403
    assert "sAccessToken" in response.headers["set-cookie"]
    assert response.headers["front-token"]


def test_an_application_may_refuse_in_the_same_form(make_app: Make, serve: Serve) -> None:
    """InvalidClaimsError raised by a route is the standard 403."""

    async def endpoint(request: Request) -> Response:
        raise InvalidClaimsError("no", [ClaimValidationError("mine", {"message": "no"})])

    response = serve(make_app(), [Route("/", endpoint)]).get("/")
    assert response.status_code == 403
    assert response.json()["claimValidationErrors"] == [{"id": "mine", "reason": {"message": "no"}}]


# Status codes and handlers


def raising(error: Exception) -> list[Route]:
    """Return a route that raises."""

    async def endpoint(request: Request) -> Response:
        raise error

    return [Route("/", endpoint)]


THEFT = TokenTheftError("u1", RecipeUserId("r1"), "handle")


@pytest.mark.parametrize(
    ("error", "status", "body", "clears"),
    [
        (UnauthorisedError("x"), 440, {"message": "unauthorised"}, True),
        (UnauthorisedError("x", clear_tokens=False), 440, {"message": "unauthorised"}, False),
        (TryRefreshTokenError("x"), 440, {"message": "try refresh token"}, False),
        (THEFT, 440, {"message": "token theft detected"}, True),
        (InvalidClaimsError("x", []), 441, {"message": "invalid claim", "claimValidationErrors": []}, False),
        (BadInputError("what was wrong"), 400, {"message": "what was wrong"}, False),
    ],
)
def test_answers_to_errors(
    make_app: Make, serve: Serve, error: Exception, status: int, body: Any, clears: bool
) -> None:
    """Each error has one status, one body, and clears tokens or does not (rule 17.2)."""
    app = make_app(session_expired_status_code=440, invalid_claim_status_code=441)
    response = serve(app, raising(error)).get("/")
    assert (response.status_code, response.json()) == (status, body)
    assert (response.headers.get("front-token") == "remove") is clears
    assert response.headers["content-type"] == "application/json; charset=utf-8"


def test_default_theft_handling_revokes(make_app: Make, serve: Serve) -> None:
    """Without a handler of the application's own, theft ends the session before it is answered (rule 6.6)."""
    app = make_app()
    with app.active():
        made = session.sync.create_new_session_without_request_response("public", RecipeUserId("u1"))
        theft = TokenTheftError("u1", RecipeUserId("u1"), made.get_handle())
        serve(app, raising(theft)).get("/")
        assert session.sync.get_session_information(made.get_handle()) is None


def test_a_theft_that_cannot_be_answered_can_be_shown_again(make_app: Make, serve: Serve) -> None:
    """Where the database is down the session goes on, so the token that shows the theft is not cleared (rule 17.2)."""

    def functions(original: Any) -> Any:
        async def revoke_session(session_handle: str, user_context: Any) -> bool:
            raise DatabaseError("database: down")

        original.revoke_session = revoke_session
        return original

    app = make_app(override=InputOverrideConfig(functions=functions))
    response = serve(app, raising(THEFT)).get("/")
    assert response.status_code == 503
    assert "front-token" not in response.headers
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    ("error", "handler", "expected"),
    [
        (UnauthorisedError("why"), "on_unauthorised", ["why"]),
        (TryRefreshTokenError("why"), "on_try_refresh_token", ["why"]),
        (THEFT, "on_token_theft_detected", ["handle", "u1", RecipeUserId("r1")]),
        (InvalidClaimsError("why", []), "on_invalid_claim", [[]]),
    ],
)
def test_error_handlers(
    make_app: Make, serve: Serve, is_async: bool, error: SessionError, handler: str, expected: Any
) -> None:
    """Each answer can be replaced by a plain or async handler, which gets the details; tokens are cleared."""
    seen: list[Any] = []

    def answer(request: Request, *details: Any) -> Response:
        seen.extend(details[:-1])
        assert isinstance(details[-1], Response)
        return PlainTextResponse("mine", 418)

    async def answer_later(request: Request, *details: Any) -> Response:
        return answer(request, *details)

    handlers = InputErrorHandlers(**{handler: answer_later if is_async else answer})
    response = serve(make_app(error_handlers=handlers), raising(error)).get("/")
    assert (response.status_code, response.text) == (418, "mine")
    assert seen == expected
    assert (response.headers.get("front-token") == "remove") is isinstance(error, UnauthorisedError | TokenTheftError)


def test_a_handler_may_change_the_default_answer(make_app: Make, serve: Serve) -> None:
    """A handler may return the default answer with another status or header."""

    def answer(request: Request, message: str, response: Response) -> Response:
        response.status_code = 499
        response.headers["x-why"] = message
        return response

    app = make_app(error_handlers=InputErrorHandlers(on_unauthorised=answer))
    response = serve(app, raising(UnauthorisedError("because"))).get("/")
    assert response.status_code == 499
    assert response.headers["x-why"] == "because"
    assert response.json() == {"message": "unauthorised"}


def test_a_handler_that_returns_nothing_is_told_so(make_app: Make, serve: Serve) -> None:
    """A handler must return the response to send."""
    app = make_app(error_handlers=InputErrorHandlers(on_unauthorised=lambda *_: None))
    assert serve(app, raising(UnauthorisedError("x"))).get("/").status_code == 500


def test_a_handler_that_raises_reaches_the_framework(make_app: Make) -> None:
    """What a handler raises is the framework's to answer."""

    def answer(*_: Any) -> Response:
        raise LookupError("from the handler")

    app = make_app(error_handlers=InputErrorHandlers(on_unauthorised=answer))
    asgi = Starlette(routes=raising(UnauthorisedError("x")), middleware=[Middleware(AuthMiddleware, coatcheck=app)])
    with TestClient(asgi) as client, pytest.raises(LookupError, match="from the handler"):
        client.get("/")


def test_other_errors_pass_through(make_app: Make, serve: Serve) -> None:
    """An error that is not ours is the framework's: 500 with CORS headers, and no detail."""
    client = serve(make_app(), raising(RuntimeError("secret detail")))
    response = client.get("/", headers={"origin": "http://localhost:3000"})
    assert response.status_code == 500
    assert response.json() == {"message": "internal server error"}
    assert response.headers["access-control-allow-origin"] == "http://localhost:3000"


# Frameworks


def test_without_the_middleware_the_exception_handler_answers(make_app: Make) -> None:
    """An application without the middleware gets the same answers from the handler, tokens cleared (rule 17.6)."""
    with make_app().active():
        app = Starlette(
            routes=[*raising(UnauthorisedError("x")), Route("/guarded", guarded())],
            exception_handlers={SessionError: session_exception_handler},
        )
        with TestClient(app) as client:
            response = client.get("/")
            assert (response.status_code, response.json()) == (401, {"message": "unauthorised"})
            assert response.headers["front-token"] == "remove"
            assert len(response.headers.get_list("set-cookie")) == 2
            assert client.get("/guarded").json() == {"message": "unauthorised"}


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_methods_without_sessions(make_app: Make, serve: Serve, method: str) -> None:
    """OPTIONS and TRACE are never checked: no session, and an error where one is required (rule 14.6)."""
    optional = Route("/optional", guarded_or_none, methods=["OPTIONS", "TRACE"])
    client = serve(make_app(), [optional, Route("/required", guarded(), methods=["OPTIONS", "TRACE"])])
    assert client.request(method, "/optional").json() == {"session": None}
    assert client.request(method, "/required").status_code == 500


async def guarded_or_none(request: Request) -> Response:
    """Tell whether there is a session."""
    found = await verify_session(session_required=False)(request)
    return JSONResponse({"session": found and found.get_handle()})


def test_tokens_travel_with_any_response(make_app: Make, serve: Serve) -> None:
    """A streaming response of the application's own carries the tokens; its body is untouched (rule 10.1)."""

    async def endpoint(request: Request) -> Response:
        await session.create_new_session(request, "public", RecipeUserId("u1"))
        return StreamingResponse(iter([b"a", b"b", b"c"]))

    response = serve(make_app(), [Route("/", endpoint)]).get("/")
    assert response.text == "abc"
    assert response.headers["st-access-token"]


def test_an_error_after_a_token_change_still_hands_the_tokens_out(make_app: Make, serve: Serve) -> None:
    """A 500 of the application's after a session was created carries the tokens: the session exists."""

    async def endpoint(request: Request) -> Response:
        await session.create_new_session(request, "public", RecipeUserId("u1"))
        return PlainTextResponse("broken", 500)

    response = serve(make_app(), [Route("/", endpoint)]).get("/")
    assert response.status_code == 500
    assert response.headers["st-access-token"]
