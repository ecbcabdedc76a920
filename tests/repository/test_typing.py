"""What type checkers know: each `assert_type` here is checked by mypy and by pyright, and the code runs, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, assert_type

from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from coatcheck import RecipeUserId, get_user, sync
from coatcheck.claims import BooleanClaim, PrimitiveClaim
from coatcheck.recipes import emailpassword, session
from coatcheck.recipes.session import SessionContainer
from coatcheck.recipes.users.user import User
from coatcheck.server import asgi
from coatcheck.server.fastapi import SessionDependency, get_middleware, verify_session

from ..kit import Make

SecondFactorClaim = BooleanClaim("2fa-completed", lambda *_: False)
RoleClaim = PrimitiveClaim[str]("role", lambda *_: "reader")


def a_session() -> SessionContainer:
    """Make a session in the current App."""
    return session.sync.create_new_session_without_request_response("public", RecipeUserId("u1"))


def test_dependencies_give_sessions(make_app: Make) -> None:
    """`Depends(verify_session())` gives a session, and where it is optional perhaps None, in either style."""
    assert_type(verify_session(), SessionDependency[SessionContainer])
    assert_type(verify_session(session_required=True), SessionDependency[SessionContainer])
    assert_type(verify_session(session_required=False), SessionDependency[SessionContainer | None])
    assert_type(verify_session(None, True), SessionDependency[SessionContainer])
    assert_type(verify_session(None, False), SessionDependency[SessionContainer | None])
    app = FastAPI()
    # As a default, a dependency is Any to type checkers: the annotation stands.
    by_default = Depends(verify_session())
    maybe_by_default = Depends(verify_session(session_required=False))

    @app.get("/annotated")
    async def annotated(
        found: Annotated[SessionContainer, Depends(verify_session())],
        perhaps: Annotated[SessionContainer | None, Depends(verify_session(session_required=False))],
    ) -> dict[str, bool | None]:
        assert_type(found, SessionContainer)
        assert_type(perhaps, SessionContainer | None)
        return {"second factor": await found.get_claim_value(SecondFactorClaim)}

    @app.get("/defaults")
    def defaults(
        found: SessionContainer = by_default, perhaps: SessionContainer | None = maybe_by_default
    ) -> dict[str, bool | None]:
        assert_type(found, SessionContainer)
        assert_type(perhaps, SessionContainer | None)
        return {"second factor": found.sync.get_claim_value(SecondFactorClaim)}

    coatcheck = make_app(claims=[SecondFactorClaim])
    app.add_middleware(get_middleware(), coatcheck=coatcheck)
    with coatcheck.active():
        headers = {"authorization": f"Bearer {a_session().get_access_token()}"}
    client = TestClient(app)
    for path in ("/annotated", "/defaults"):
        assert client.get(path, headers=headers).json() == {"second factor": False}


def test_guards_and_dependencies_may_be_awaited(make_app: Make, serve: Callable[..., TestClient]) -> None:
    """What a guard gives when it is awaited is typed as precisely, and a guarded endpoint keeps its type."""

    @asgi.requires(session_required=False)
    async def endpoint(request: Request) -> Response:
        assert_type(await asgi.verify_session(session_required=False)(request), SessionContainer | None)
        assert_type(await verify_session(session_required=False)(request), SessionContainer | None)
        assert_type(await asgi.verify_session(None, False)(request), SessionContainer | None)
        assert_type(await verify_session(None, False, True)(request), SessionContainer | None)
        if request.state.supertokens is None:
            return JSONResponse({})
        assert_type(await verify_session()(request), SessionContainer)
        assert_type(await asgi.verify_session(check_database=True)(request), SessionContainer)
        return JSONResponse({})

    async def direct(request: Request) -> Response:
        answer = await endpoint(request)
        assert_type(answer, Response)
        return answer

    assert serve(make_app(), [Route("/direct", direct)]).get("/direct").json() == {}


def test_claims_keep_their_types(make_app: Make) -> None:
    """The value of a claim has the claim's type, whichever way it is asked for."""

    async def awaited(found: SessionContainer) -> None:
        assert_type(await found.get_claim_value(SecondFactorClaim), bool | None)

    app = make_app(claims=[SecondFactorClaim, RoleClaim])
    with app.active():
        found = a_session()
        assert_type(found.sync_get_claim_value(SecondFactorClaim), bool | None)
        assert_type(found.sync.get_claim_value(SecondFactorClaim), bool | None)
        assert_type(found.sync.get_claim_value(claim=RoleClaim, user_context={}), str | None)
        assert_type(found.sync.get_expiry(), int)
        assert_type(found.sync.get_session_data_from_database(), dict[str, Any])
        found.sync.set_claim_value(SecondFactorClaim, True)
        assert found.sync_get_claim_value(SecondFactorClaim) is True
        app.driver(awaited(found))


def test_plain_functions_keep_their_types(make_app: Make) -> None:
    """The plain form of a function returns what awaiting the function gives."""

    async def awaited(user_id: str) -> None:
        assert_type(await get_user(user_id), User | None)

    app = make_app()
    with app.active():
        signed_up = emailpassword.sync.sign_up("public", "ann@example.com", "correct horse 1")
        assert isinstance(signed_up, emailpassword.SignUpOkResult)
        assert_type(sync.get_user(signed_up.user.id), User | None)
        assert_type(session.sync.revoke_session("handle"), bool)
        app.driver(awaited(signed_up.user.id))
