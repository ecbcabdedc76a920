"""The document the project began with: its Python code runs, and does what it says."""

from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from coatcheck import App, RecipeUserId, current_app
from coatcheck.recipes import emailpassword, session, thirdpartyemailpassword, usermetadata
from coatcheck.recipes.app import default_app
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.server.asgi import verify_session
from coatcheck.server.stub import PERSONAS, stub

SEED = Path(__file__).parents[1] / "seed"


def run(name: str) -> ModuleType:
    """Run a file of the seed document as a module."""
    spec = importlib.util.spec_from_file_location(name, SEED / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def no_default_app() -> Iterator[None]:
    """Leave the process without a default App, before and after."""
    set_default_services(None)
    yield
    left = default_app()
    if left is not None:
        left.close()
    set_default_services(None)


def credentials() -> dict[str, Any]:
    """Return the sign-up form of one user."""
    fields = {"email": "ann@example.com", "password": "correct horse 1"}
    return {"formFields": [{"id": name, "value": value} for name, value in fields.items()]}


def payload_of(front_token: str) -> dict[str, Any]:
    """Return the access-token payload that a front token mirrors."""
    payload: dict[str, Any] = json.loads(base64.b64decode(front_token))["up"]
    return payload


def test_the_override_page_runs_without_an_app(no_default_app: None) -> None:
    """Loading the page's override code has no side effect and needs no initialisation."""
    run("second_factor_claim")
    assert default_app() is None


@pytest.mark.parametrize("framework", ["fastapi", "flask", "django"])
def test_the_init_page_runs(no_default_app: None, caplog: pytest.LogCaptureFixture, framework: str) -> None:
    """Each of the page's three calls of init makes the default App, kept in memory, which is said once."""
    run(f"init_{framework}")
    assert current_app().info.app_name == "Seed"
    assert {"session", "usermetadata", "thirdparty", "emailpassword"} <= {
        one.recipe_id for one in current_app().recipes
    }
    assert len([record for record in caplog.records if "in memory" in record.getMessage()]) == 1


def test_a_second_run_of_the_init_page_is_the_same_app(no_default_app: None) -> None:
    """Calling init again with identical arguments returns the App that exists."""
    run("init_fastapi")
    first = current_app()
    run("init_fastapi")
    assert current_app() is first


@pytest.fixture
def seeded(make_app: Callable[..., App], serve: Callable[..., TestClient]) -> tuple[TestClient, Any]:
    """Return a client on an App with the page's override and two routes, and the page's claim."""
    page = run("second_factor_claim")
    app = make_app(override=session.InputOverrideConfig(functions=page.override_session_functions))
    demand = verify_session(
        override_global_claim_validators=lambda validators, _session, _context: [
            *validators,
            page.SecondFactorClaim.validators.has_value(True),
        ]
    )

    async def private(request: Request) -> Response:
        found = await demand(request)
        return JSONResponse({"userId": found.get_user_id()})

    async def second_factor(request: Request) -> Response:
        found = await verify_session()(request)
        await found.set_claim_value(page.SecondFactorClaim, True)
        return JSONResponse({})

    routes = [Route("/private", private), Route("/second-factor", second_factor, methods=["POST"])]
    return serve(app, routes), page.SecondFactorClaim


def test_the_legacy_two_factor_flow(seeded: tuple[TestClient, Any]) -> None:
    """Sign up, be refused, complete the second factor, be let in, refresh, sign out: the page's whole story."""
    client, _claim = seeded
    mode = {"st-auth-mode": "cookie"}
    signed_up = client.post("/auth/signup", json=credentials(), headers=mode)
    assert signed_up.json()["status"] == "OK"
    claim = payload_of(signed_up.headers["front-token"])["2fa-completed"]
    assert claim == {"v": False, "t": claim["t"]}
    assert isinstance(claim["t"], int)

    refused = client.get("/private")
    assert refused.status_code == 403
    assert refused.json() == {
        "message": "invalid claim",
        "claimValidationErrors": [
            {
                "id": "2fa-completed",
                "reason": {"message": "wrong value", "expectedValue": True, "actualValue": False},
            }
        ],
    }

    completed = client.post("/second-factor")
    assert payload_of(completed.headers["front-token"])["2fa-completed"]["v"] is True
    assert client.get("/private").json() == {"userId": signed_up.json()["user"]["id"]}

    refreshed = client.post("/auth/session/refresh", headers={"rid": "session"})
    assert refreshed.status_code == 200
    assert payload_of(refreshed.headers["front-token"])["2fa-completed"]["v"] is True

    assert client.post("/auth/signout").json() == {"status": "OK"}
    assert client.get("/private").status_code == 401


def test_a_new_sign_in_starts_with_the_claim_false(seeded: tuple[TestClient, Any]) -> None:
    """A second factor is completed for one session only."""
    client, _claim = seeded
    client.post("/auth/signup", json=credentials(), headers={"st-auth-mode": "cookie"})
    client.post("/second-factor")
    again = client.post("/auth/signin", json=credentials(), headers={"st-auth-mode": "cookie"})
    assert payload_of(again.headers["front-token"])["2fa-completed"]["v"] is False
    assert client.get("/private").status_code == 403


def test_a_layer_on_top_of_the_pages_override_keeps_the_claim(
    make_app: Callable[..., App], serve: Callable[..., TestClient]
) -> None:
    """An override composed of the page's and another keeps what both do."""
    page = run("second_factor_claim")

    def both(original: session.RecipeInterface) -> session.RecipeInterface:
        inner = page.override_session_functions(original)
        create = inner.create_new_session

        async def create_new_session(**arguments: Any) -> session.SessionContainer:
            payload = {**(arguments["access_token_payload"] or {}), "audited": True}
            return cast("session.SessionContainer", await create(**{**arguments, "access_token_payload": payload}))

        inner.create_new_session = create_new_session
        return cast("session.RecipeInterface", inner)

    app = make_app(override=session.InputOverrideConfig(functions=both), recipes=[emailpassword.init()])
    signed_up = serve(app).post("/auth/signup", json=credentials())
    payload = payload_of(signed_up.headers["front-token"])
    assert payload["audited"] is True
    assert payload["2fa-completed"]["v"] is False


def test_a_provider_is_a_first_factor_too(make_app: Callable[..., App], serve: Callable[..., TestClient]) -> None:
    """The page's combined recipe and override: a sign-in with a stubbed Google carries the claim, twice one user."""
    page = run("second_factor_claim")
    app = make_app(
        override=session.InputOverrideConfig(functions=page.override_session_functions),
        recipes=[usermetadata.init(), thirdpartyemailpassword.init(providers=[stub("google")])],
    )
    client = serve(app)
    client.follow_redirects = False
    landing = "http://localhost:3000/auth/callback/google"
    users = []
    for created in (True, False):
        asked = {"thirdPartyId": "google", "redirectURIOnProviderDashboard": landing}
        left = client.get("/auth/authorisationurl", params=asked).json()
        where = urlsplit(left["urlWithQueryParams"])
        page_shown = client.get(f"{where.path}?{where.query}&state=s")
        assert page_shown.status_code == 200
        chosen = client.post(f"{where.path}?{where.query}&state=s", data={"persona": PERSONAS[0].user_id})
        assert chosen.status_code == 303
        told = dict(parse_qsl(urlsplit(chosen.headers["location"]).query))
        info = {"redirectURIOnProviderDashboard": landing, "redirectURIQueryParams": told}
        if "pkceCodeVerifier" in left:
            info["pkceCodeVerifier"] = left["pkceCodeVerifier"]
        body = {"thirdPartyId": "google", "redirectURIInfo": info}
        signed_in = client.post("/auth/signinup", json=body)
        assert signed_in.json()["createdNewRecipeUser"] is created
        assert payload_of(signed_in.headers["front-token"])["2fa-completed"]["v"] is False
        users.append(signed_in.json()["user"])
    assert users[0] == users[1]
    assert users[0]["thirdParty"] == [{"id": "google", "userId": PERSONAS[0].user_id}]
    by_password = client.post("/auth/signup", json=credentials(), headers={"rid": "thirdpartyemailpassword"})
    assert payload_of(by_password.headers["front-token"])["2fa-completed"]["v"] is False


def test_an_override_that_returns_the_session_at_hand_prevents_a_second_one(
    make_app: Callable[..., App],
) -> None:
    """The page's way of keeping the first factor's session: create_new_session may return one that exists."""

    def keep(original: session.RecipeInterface) -> session.RecipeInterface:
        create = original.create_new_session

        async def create_new_session(**arguments: Any) -> session.SessionContainer:
            known = arguments["user_context"].get("session")
            return cast("session.SessionContainer", known) if known else await create(**arguments)

        original.create_new_session = create_new_session  # type: ignore[assignment, method-assign]
        return original

    app = make_app(override=session.InputOverrideConfig(functions=keep))
    with app.active():
        first = session.sync.create_new_session_without_request_response("public", RecipeUserId("u1"))
        second = session.sync.create_new_session_without_request_response(
            "public", RecipeUserId("u1"), user_context={"session": first}
        )
        assert second is first
        assert session.sync.get_all_session_handles_for_user("u1") == [first.get_handle()]
