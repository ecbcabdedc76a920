"""FastAPI: the dependency on routes, routers and websockets, and what the description of the API says of it."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, cast

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request, WebSocket
from starlette.testclient import TestClient, WebSocketDenialResponse

from coatcheck import RecipeUserId
from coatcheck.claims import BooleanClaim, SessionClaimValidator
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import ConfigurationError, SessionError
from coatcheck.recipes.session import InputOverrideConfig, SessionContainer
from coatcheck.server.fastapi import (
    SESSION_RESPONSES,
    get_middleware,
    session_exception_handler,
    user_context,
    verify_session,
)

from ..kit import API, Make

SecondFactor = BooleanClaim("2fa-completed", lambda *_: False)
Signed = Annotated[SessionContainer, Depends(verify_session())]
Maybe = Annotated[SessionContainer | None, Depends(verify_session(session_required=False))]


def second_factor(validators: list[SessionClaimValidator], *_: Any) -> list[SessionClaimValidator]:
    """Demand the second factor."""
    return [*validators, SecondFactor.validators.is_true()]


def application(**options: Any) -> FastAPI:
    """Return an application with routes of every kind, the middleware not yet in place."""
    app = FastAPI(**options)

    @app.post("/create")
    async def create(request: Request) -> dict[str, str]:
        made = await session.create_new_session(request, "public", RecipeUserId("u1"))
        return {"userId": made.get_user_id()}

    @app.get("/me")
    async def me(found: Signed) -> dict[str, str]:
        return {"userId": found.get_user_id()}

    @app.get("/default")
    async def default(found: SessionContainer = Depends(verify_session())) -> dict[str, str]:  # noqa: B008
        return {"userId": found.get_user_id()}

    @app.get("/maybe")
    async def maybe(found: Maybe) -> dict[str, Any]:
        return {"userId": found and found.get_user_id()}

    @app.get("/plain")
    def plain(found: Signed) -> dict[str, str]:
        found.sync.merge_into_access_token_payload({"k": 1})
        return {"userId": found.get_user_id()}

    @app.get("/second", dependencies=[Depends(verify_session(override_global_claim_validators=second_factor))])
    async def second(request: Request) -> dict[str, str]:
        return {"userId": request.state.supertokens.get_user_id()}

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, found: Signed) -> None:
        await websocket.accept()
        await websocket.send_json({"userId": found.get_user_id()})
        await websocket.close()

    @app.get("/open")
    async def open_to_all() -> dict[str, str]:
        return {}

    return app


@pytest.fixture
def client(make_app: Make) -> TestClient:
    """Return a client on the application, which keeps cookies."""
    app = application()
    app.add_middleware(get_middleware(), coatcheck=make_app(claims=[SecondFactor]))
    return TestClient(app, base_url=API)


def sign_in(client: TestClient) -> None:
    """Sign u1 in, by cookie."""
    assert client.post("/create", headers={"st-auth-mode": "cookie"}).json() == {"userId": "u1"}


@pytest.mark.parametrize("path", ["/me", "/default", "/plain", "/second"])
def test_a_route_without_a_session_is_refused(client: TestClient, path: str) -> None:
    """The middleware gives the standard answer, whichever way the dependency is declared."""
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (401, {"message": "unauthorised"})


def test_routes_get_the_session(client: TestClient) -> None:
    """A route gets the session, or None where it is optional and there is none; plain functions work, too."""
    assert client.get("/maybe").json() == {"userId": None}
    sign_in(client)
    for path in ("/me", "/default", "/maybe"):
        assert client.get(path).json() == {"userId": "u1"}
    assert client.get("/plain").headers["front-token"]


def test_claims_are_demanded_by_a_dependency_of_the_route(client: TestClient) -> None:
    """A dependency in `dependencies=[...]` guards a route that wants nothing from it."""
    sign_in(client)
    answer = client.get("/second")
    assert answer.status_code == 403
    assert answer.json()["claimValidationErrors"][0]["id"] == "2fa-completed"


def test_a_websocket_depends_on_a_session(client: TestClient) -> None:
    """The handshake of a websocket is refused with a status, or the endpoint gets the session."""
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/ws"):
        pass
    assert denied.value.status_code == 401
    token = client.post("/create").headers["st-access-token"]
    with client.websocket_connect("/ws", headers={"authorization": f"Bearer {token}"}) as opened:
        assert opened.receive_json() == {"userId": "u1"}


def test_a_router_and_its_route_check_once(make_app: Make) -> None:
    """Dependencies with the same options are the same: what a router demands is not checked again by its route."""
    checks: list[Any] = []

    def counting(original: Any) -> Any:
        verify = original.get_session

        async def get_session(**given: Any) -> Any:
            checks.append(given["check_database"])
            return await verify(**given)

        original.get_session = get_session
        return original

    router = APIRouter(prefix="/inside", dependencies=[Depends(verify_session())])

    @router.get("/me")
    async def me(found: Signed) -> dict[str, str]:
        return {"userId": found.get_user_id()}

    @router.get("/strict")
    async def strict(found: Annotated[SessionContainer, Depends(verify_session(check_database=True))]) -> None:
        """Demand more than the router."""

    app = application()
    app.include_router(router)
    app.add_middleware(get_middleware(), coatcheck=make_app(override=InputOverrideConfig(functions=counting)))
    client = TestClient(app, base_url=API)
    assert client.get("/inside/me").status_code == 401
    sign_in(client)
    checks.clear()
    assert client.get("/inside/me").json() == {"userId": "u1"}
    assert checks == [False]
    checks.clear()
    assert client.get("/inside/strict").status_code == 200
    assert checks == [False, True]


def test_attack_a_dependency_that_was_never_called(make_app: Make) -> None:
    """`Depends(verify_session)` without parentheses opens no route; the answer says what to write."""
    api = FastAPI()
    api.add_middleware(get_middleware(), coatcheck=make_app())

    @api.get("/secret", dependencies=[Depends(verify_session)])
    async def secret() -> dict[str, int]:
        return {"secret": 1}

    with TestClient(api) as client:
        answer = client.get("/secret")
    assert answer.status_code == 500
    assert "write Depends(verify_session()), with parentheses" in answer.json()["message"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"anti_csrf_check": lambda: None}, "with parentheses"),
        ({"anti_csrf_check": "no"}, "anti_csrf_check must be True or False"),
        ({"session_required": None}, "session_required must be True or False"),
        ({"check_database": 1}, "check_database must be True or False"),
        ({"override_global_claim_validators": []}, "must be a function"),
    ],
)
def test_wrong_options_are_refused_where_they_are_given(options: dict[str, Any], said: str) -> None:
    """What would let nobody in, or somebody too many, is an error before any request."""
    with pytest.raises(ConfigurationError, match=said):
        verify_session(**options)


def test_dependencies_are_equal_by_their_options() -> None:
    """Two dependencies are one if all their options are."""
    assert verify_session() == verify_session()
    assert hash(verify_session()) == hash(verify_session())
    others = [
        verify_session(anti_csrf_check=False),
        verify_session(session_required=False),
        verify_session(check_database=True),
        verify_session(override_global_claim_validators=second_factor),
        verify_session(user_context={"k": 1}),
    ]
    assert all(other != verify_session() for other in others)
    assert verify_session(user_context={"k": 1}) == verify_session(user_context={"k": 1})


def test_dependencies_keep_the_context_they_were_made_with() -> None:
    """What becomes of a dict that was passed as user context concerns nobody who has passed an equal one."""
    mine, theirs = {"k": 1}, {"k": 1}
    first, second = verify_session(user_context=mine), verify_session(user_context=theirs)
    mine["k"] = theirs["k"] = 2
    assert first.guard.user_context == second.guard.user_context == {"k": 1}


def test_threads_may_make_dependencies_at_once() -> None:
    """Threads that make dependencies at the same time get them, the same ones for the same options."""

    def make(_: int) -> list[Any]:
        return [verify_session(user_context={"k": number}) for number in range(100)]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            first, *others = pool.map(make, range(4))
    finally:
        sys.setswitchinterval(interval)
    assert all(other == first for other in others)


def test_a_test_may_replace_the_dependency(client: TestClient) -> None:
    """FastAPI's `dependency_overrides` find the dependency by its options."""
    app: Any = client.app
    app.dependency_overrides[verify_session(session_required=False)] = lambda: None
    sign_in(client)
    assert client.get("/maybe").json() == {"userId": None}
    assert client.get("/me").json() == {"userId": "u1"}


def test_a_mounted_fastapi_application(make_app: Make) -> None:
    """The middleware of an outer application answers for an inner one that has none."""
    outer = FastAPI()
    outer.mount("/inner", application())
    outer.add_middleware(get_middleware(), coatcheck=make_app())
    client = TestClient(outer, base_url=API)
    assert client.get("/inner/me").json() == {"message": "unauthorised"}
    token = client.post("/inner/create").headers["st-access-token"]
    assert client.get("/inner/me", headers={"authorization": f"Bearer {token}"}).json() == {"userId": "u1"}


def test_background_tasks_of_fastapi(make_app: Make) -> None:
    """Tasks that a protected route leaves run, with the session it had."""
    done: list[str] = []
    app = FastAPI()

    @app.post("/later")
    async def later(found: Signed, tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(lambda: done.append(found.get_user_id()))
        return {}

    coatcheck = make_app()
    app.add_middleware(get_middleware(), coatcheck=coatcheck)
    with coatcheck.active():
        made = session.sync.create_new_session_without_request_response("public", RecipeUserId("u1"))
    TestClient(app).post("/later", headers={"authorization": f"Bearer {made.get_access_token()}"})
    assert done == ["u1"]


def test_without_the_middleware_the_exception_handler_answers(make_app: Make) -> None:
    """An application without the middleware registers the handler, and gets the same answers."""
    app = application()
    app.add_exception_handler(SessionError, session_exception_handler)
    with make_app().active():
        answer = TestClient(app).get("/me")
    assert (answer.status_code, answer.json()) == (401, {"message": "unauthorised"})


def test_the_api_is_described(client: TestClient) -> None:
    """The description names both ways in which an access token travels, on routes that demand one only."""
    described = client.get("/openapi.json").json()
    schemes = described["components"]["securitySchemes"]
    assert {name: (scheme["type"], scheme["scheme"]) for name, scheme in schemes.items()} == {
        "access-token": ("http", "bearer")
    }
    assert "cookie sAccessToken" in schemes["access-token"]["description"]
    for path in ("/me", "/default", "/plain", "/second"):
        operation = described["paths"][path]["get"]
        assert operation["security"] == [{"access-token": []}]
        assert operation.get("parameters", []) == []
    for path in ("/maybe", "/open"):  # whoever has no session may call them, too
        assert "security" not in described["paths"][path]["get"]
    assert client.get("/docs").status_code == 200


def test_refusals_may_be_described(make_app: Make) -> None:
    """`responses=SESSION_RESPONSES` of a router adds what its clients are told where the session does not hold."""
    router = APIRouter(dependencies=[Depends(verify_session())], responses=SESSION_RESPONSES)

    @router.get("/private")
    async def private() -> dict[str, str]:
        return {}

    app = application()
    app.include_router(router)
    app.add_middleware(get_middleware(), coatcheck=make_app())
    client = TestClient(app, base_url=API)
    described = client.get("/openapi.json").json()["paths"]
    assert described["/private"]["get"]["responses"].keys() == {"200", "401", "403"}
    assert described["/open"]["get"]["responses"].keys() == {"200"}
    assert client.get("/private").status_code == 401
    assert client.get("/open").status_code == 200


def test_a_session_is_attached_to_a_request(client: TestClient) -> None:
    """A session made without a request becomes the request's, and its tokens travel with the response."""
    app = cast("FastAPI", client.app)
    make = session.create_new_session_without_request_response
    make_now = session.sync.create_new_session_without_request_response

    @app.post("/attach/async")
    async def attach(request: Request) -> dict[str, str]:
        await (await make("public", RecipeUserId("ann"))).attach_to_request_response(request, "cookie")
        return {"userId": request.state.supertokens.get_user_id()}

    @app.post("/attach/plain")
    def attach_now(request: Request) -> dict[str, str]:
        made = make_now("public", RecipeUserId("bob"))
        made.sync.attach_to_request_response(request, "cookie")
        made.sync.merge_into_access_token_payload({"attached": True})
        return {"userId": request.state.supertokens.get_user_id()}

    for path, user in (("/attach/async", "ann"), ("/attach/plain", "bob")):
        attached = client.post(path)
        assert attached.json() == {"userId": user}
        assert attached.headers["front-token"]
        assert "st-access-token" not in attached.headers
        assert client.get("/me").json() == {"userId": user}


def test_the_user_context_is_shared(make_app: Make) -> None:
    """A middleware, what the dependency calls and the route have one user context, the request's own."""
    seen: list[Any] = []

    def noting(original: Any) -> Any:
        verify = original.get_session

        async def get_session(**given: Any) -> Any:
            seen.append((given["user_context"]["from"], given["user_context"]["of the route"]))
            given["user_context"]["verified"] = True
            return await verify(**given)

        original.get_session = get_session
        return original

    app = FastAPI()
    guard = Depends(verify_session(session_required=False, user_context={"of the route": 1}))

    @app.get("/", dependencies=[guard])
    def endpoint(request: Request) -> dict[str, Any]:
        context = user_context(request)
        return {name: context[name] for name in ("from", "verified", "of the route")}

    @app.middleware("http")
    async def outside(request: Request, call_next: Any) -> Any:
        user_context(request)["from"] = request.headers["x-name"]
        return await call_next(request)

    app.add_middleware(get_middleware(), coatcheck=make_app(override=InputOverrideConfig(functions=noting)))
    client = TestClient(app, base_url=API)
    for name in ("ann", "bob"):
        answer = client.get("/", headers={"x-name": name})
        assert answer.json() == {"from": name, "verified": True, "of the route": 1}
    assert seen == [("ann", 1), ("bob", 1)]
