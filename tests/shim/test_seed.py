"""The document the project began with, verbatim: its Python blocks run under the shim, and do what they say."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastapi
import flask
import jwt
import pytest
from starlette.testclient import TestClient

import coatcheck
from coatcheck.claims import BooleanClaim
from coatcheck.recipes.app import default_app

from ..kit import ROOT, python

VERBATIM = Path(__file__).parents[1] / "seed" / "verbatim"
SHA256 = {
    "init_django": "015b1190a93bd87d0e0d3653c1ea83cf8cf40f11addb3f475048deaa4351b6e0",
    "init_fastapi": "031128df51942f3068c90e8b040e91b17b79094e195c0a584793cacb2f5cbc16",
    "init_flask": "b94d8e95f01eac2cbdb766caa05c7dac757577512380fc8db5cba4e1655dfaee",
    "second_factor_claim": "bf92f27828f59c045d3071e5d06a49f2829d1aecddd13c36f22847ea507d65a1",
}
"""Of each block as it stands on the page."""

FILLED = {
    "<YOUR_APP_NAME>": "Seed",
    "<YOUR_API_DOMAIN>": "http://localhost:8000",
    "<YOUR_WEBSITE_DOMAIN>": "http://localhost:3000",
}
"""What a reader puts in place of the page's placeholders; nothing else of its text is touched."""


def run(name: str) -> dict[str, Any]:
    """Run a block of the page, placeholders filled, and return what it defines."""
    text = (VERBATIM / f"{name}.py").read_text()
    for placeholder, value in FILLED.items():
        text = text.replace(placeholder, value)
    page: dict[str, Any] = {"__name__": name}
    exec(compile(text, name, "exec"), page)
    return page


def form(email: str = "ann@example.com", password: str = "correct horse 1") -> dict[str, Any]:
    """Return the form of a sign-up or sign-in."""
    return {"formFields": [{"id": "email", "value": email}, {"id": "password", "value": password}]}


def test_the_blocks_are_the_pages_own_text() -> None:
    """Not one byte of them has changed since they were compared with the page; all its placeholders are in them."""
    assert {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in VERBATIM.glob("*.py")} == SHA256
    assert all(placeholder in (VERBATIM / "init_flask.py").read_text() for placeholder in FILLED)


def test_the_override_block_runs_before_any_init(shimmed: None) -> None:
    """The page calls `session.init` for the sake of showing it: no App comes of it, and nothing complains."""
    page = run("second_factor_claim")
    assert default_app() is None
    assert isinstance(page["SecondFactorClaim"], BooleanClaim)


@pytest.mark.parametrize("framework", ["fastapi", "flask", "django"])
def test_an_init_block_makes_the_app(shimmed: None, framework: str) -> None:
    """Each of the three makes the default App with the recipes it lists; a second run replaces it."""
    run(f"init_{framework}")
    first = coatcheck.current_app()
    assert first.info.app_name == "Seed"
    for recipe in ("session", "usermetadata", "thirdparty", "emailpassword", "thirdpartyemailpassword"):
        assert first.has_recipe(recipe)
    run(f"init_{framework}")
    assert coatcheck.current_app() is not first


# From the page to an access token


def start_with_the_override(framework: str) -> Any:
    """Initialise as the page does, then hand its override to `session.init`, which the page leaves to the reader."""
    run(f"init_{framework}")
    page = run("second_factor_claim")
    sdk = importlib.import_module("supertokens_python")
    session, metadata, combined = (
        importlib.import_module(f"supertokens_python.recipe.{name}")
        for name in ("session", "usermetadata", "thirdpartyemailpassword")
    )
    override = session.InputOverrideConfig(functions=page["override_session_functions"])
    sdk.init(
        app_info=sdk.InputAppInfo(
            app_name="Seed", api_domain="http://localhost:8000", website_domain="http://localhost:3000"
        ),
        supertokens_config=sdk.SupertokensConfig(connection_uri="", api_key=""),
        framework=framework,
        recipe_list=[session.init(override=override), metadata.init(), combined.init()],
    )
    return page["SecondFactorClaim"]


def in_fastapi() -> Callable[..., Any]:
    """Return what posts to a FastAPI application set up as the SDK's documents say."""
    app = fastapi.FastAPI()
    app.add_middleware(importlib.import_module("supertokens_python.framework.fastapi").get_middleware())
    client = TestClient(app, base_url="http://localhost:8000")
    return lambda path: client.post(path, json=form(), headers={"st-auth-mode": "header"}).headers


def in_flask() -> Callable[..., Any]:
    """Return what posts to a Flask application set up as the SDK's documents say."""
    app = flask.Flask("seed")
    importlib.import_module("supertokens_python.framework.flask").Middleware(app)
    client = app.test_client()
    return lambda path: client.post(path, json=form(), headers={"st-auth-mode": "header"}).headers


def claim_of(token: str) -> dict[str, Any]:
    """Verify an access token with the published keys and return its claim."""
    keys = importlib.import_module("supertokens_python.recipe.jwt.syncio").get_jwks().keys
    kid = jwt.get_unverified_header(token)["kid"]
    (key,) = [jwt.PyJWK({"kty": k.kty, "n": k.n, "e": k.e, "alg": k.alg}) for k in keys if k.kid == kid]
    claim: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"])["2fa-completed"]
    return claim


@pytest.mark.parametrize(("framework", "serve"), [("fastapi", in_fastapi), ("flask", in_flask)])
def test_a_sign_in_over_http_carries_the_claim(
    shimmed: None, framework: str, serve: Callable[[], Callable[..., Any]]
) -> None:
    """The access token of a sign-in verifies with the published keys and has "2fa-completed" with the value false."""
    claim = start_with_the_override(framework)
    post = serve()
    post("/auth/signup")
    headers = post("/auth/signin")
    found = claim_of(headers["st-access-token"])
    assert found == {"v": False, "t": found["t"]}
    assert claim.get_value_from_payload({"2fa-completed": found}) is False
    assert json.loads(base64.b64decode(headers["front-token"]))["up"]["2fa-completed"]["v"] is False


DJANGO_PROJECT = """
import asyncio, importlib, json, sys

import django
from django.conf import settings
from django.http import JsonResponse
from django.urls import path

this_test = importlib.import_module(sys.argv[1])

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["localhost"],
    SECRET_KEY="x",
    MIDDLEWARE=["supertokens_python.framework.django.django_middleware.middleware"],
)
django.setup()

from django.test import AsyncClient, Client
from supertokens_python.recipe.session.framework.django import asyncio as awaitable, syncio as plain
from supertokens_python.recipe.session.syncio import get_session


@plain.verify_session()
def sync_view(request):
    same = get_session(request)
    return JsonResponse({"sync": same.get_handle() == request.supertokens.get_handle()})


@awaitable.verify_session()
async def async_view(request):
    return JsonResponse({"async": request.supertokens.get_user_id() != ""})


urlpatterns = [path("sync", sync_view), path("async", async_view)]

this_test.start_with_the_override("django")
client = Client(headers={"host": "localhost:8000", "st-auth-mode": "header"})
for api in ("signup", "signin"):
    signed_in = client.post(f"/auth/{api}", json.dumps(this_test.form()), "application/json")
token = signed_in.headers["st-access-token"]
bearer = {"host": "localhost:8000", "authorization": f"Bearer {token}"}
print(json.dumps([
    this_test.claim_of(token)["v"],
    client.get("/sync", headers=bearer).json(),
    asyncio.run(AsyncClient().get("/async", headers=bearer)).json(),
    Client().get("/sync", headers={"host": "localhost:8000"}).status_code,
]))
"""


@pytest.mark.slow
def test_a_sign_in_over_http_carries_the_claim_in_django(tmp_path: Path) -> None:
    """The same in a Django project with the SDK's middleware, whose views are protected by the SDK's decorators."""
    project = tmp_path / "project.py"
    project.write_text(DJANGO_PROJECT)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
    result = python("-W", "error", "-m", "coatcheck.shim", project, "tests.shim.test_seed", env=environment)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [False, {"sync": True}, {"async": True}, 401]
