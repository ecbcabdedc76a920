"""Signing keys as clients meet them: the key set, tokens of the application's own, and rotation under a session."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import jwt
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coatcheck import RecipeUserId
from coatcheck.claims import ManualClock
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import TryRefreshTokenError, UnauthorisedError
from coatcheck.recipes.kit.recipe import GeneralErrorResponse
from coatcheck.recipes.session import InputOverrideConfig, SessionContainer
from coatcheck.server.asgi import verify_session

from ...kit import Make, Serve

KEY_SET = "/auth/jwt/jwks.json"
DAY = 86_400


async def me(request: Request) -> Response:
    """Tell whose session it is."""
    found = await verify_session()(request)
    return JSONResponse({"userId": found.get_user_id()})


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"authorization": f"Bearer {token}"}


def new() -> SessionContainer:
    """Create a session of u1 in the current App."""
    return session.sync.create_new_session_without_request_response("public", RecipeUserId("u1"))


def kid_of(token: str) -> str:
    """Return the id of the key that signed a token."""
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def kids(response: httpx.Response) -> list[str]:
    """Return the ids in a key set."""
    return [key["kid"] for key in response.json()["keys"]]


@pytest.mark.parametrize("chain", ["functions", "apis"])
@pytest.mark.parametrize(("validity", "header"), [(1, "max-age=1, must-revalidate"), (None, None)])
def test_the_key_sets_max_age_can_be_overridden(
    make_app: Make, serve: Serve, chain: str, validity: int | None, header: str | None
) -> None:
    """An override of the key set's function or API says how long it may be cached, or nothing; the body is the same."""

    def override(original: Any) -> Any:
        name = "get_jwks" if chain == "functions" else "jwks_get"
        jwks = getattr(original, name)

        async def changed(**kwargs: Any) -> Any:
            return {**await jwks(**kwargs), "validityInSecs": validity}

        setattr(original, name, changed)
        return original

    response = serve(make_app(override=InputOverrideConfig(**{chain: override}))).get(KEY_SET)
    assert response.headers.get("cache-control") == header
    assert set(response.json()) == {"keys"}


def test_a_refusal_of_the_key_set_is_not_cached(make_app: Make, serve: Serve) -> None:
    """A GENERAL_ERROR in place of the keys must not stay in caches as if it were the keys."""

    def apis(original: Any) -> Any:
        async def jwks_get(api_options: Any, user_context: Any) -> GeneralErrorResponse:
            return GeneralErrorResponse("not now")

        original.jwks_get = jwks_get
        return original

    response = serve(make_app(override=InputOverrideConfig(apis=apis))).get(KEY_SET)
    assert response.json() == {"status": "GENERAL_ERROR", "message": "not now"}
    assert "cache-control" not in response.headers


def test_access_tokens_verify_with_the_published_keys(make_app: Make, serve: Serve) -> None:
    """Anyone can verify an access token with the key set alone (docs/protocol.md, rules 3.1 and 12.8)."""
    app = make_app()
    with app.active():
        token = new().get_access_token()
    keys = {key["kid"]: jwt.PyJWK(key) for key in serve(app).get(KEY_SET).json()["keys"]}
    claims = jwt.decode(token, keys[kid_of(token)], algorithms=["RS256"])
    assert claims["sub"] == "u1"
    assert claims["iss"] == "http://localhost:3567/auth"


def test_a_session_survives_the_rotation_of_keys(make_app: Make, serve: Serve, clock: ManualClock) -> None:
    """A new key is published before it signs; tokens of the old one hold to their end (rules 12.3 and 12.5)."""
    app = make_app()
    client = serve(app, [Route("/me", me)])
    with app.active():
        first = new().get_access_token()
        clock.advance(7 * DAY - 599)
        during = new().get_access_token()
        assert kid_of(during) == kid_of(first)
        assert len([kid for kid in kids(client.get(KEY_SET)) if kid.startswith("d-")]) == 2
        clock.advance(601)
        after = new().get_access_token()
        assert kid_of(after) != kid_of(first)
    for token in (during, after):
        assert client.get("/me", headers=bearer(token)).status_code == 200


def test_revoking_keys_asks_everybody_for_a_refresh(make_app: Make, serve: Serve) -> None:
    """When keys are revoked access tokens are refused at once, but no session ends (rules 12.9 and 12.11)."""
    app = make_app()
    client = serve(app, [Route("/me", me)])
    with app.active():
        tokens = new().get_all_session_tokens_dangerously()
    assert client.get("/me", headers=bearer(tokens["accessToken"])).status_code == 200
    app.keys.rotate(revoke=True)
    refused = client.get("/me", headers=bearer(tokens["accessToken"]))
    assert refused.json() == {"message": "try refresh token"}
    refreshed = client.post("/auth/session/refresh", headers=bearer(tokens["refreshToken"]))
    assert refreshed.status_code == 200
    assert client.get("/me", headers=bearer(refreshed.headers["st-access-token"])).status_code == 200


@pytest.mark.parametrize("dynamic", [True, False])
def test_a_clone_needs_the_kind_of_key_that_the_app_uses(make_app: Make, dynamic: bool) -> None:
    """A JWT made from a session's payload is a session where its key is of the configured kind (rule 3.8)."""
    with make_app(use_dynamic_access_token_signing_key=dynamic).active():
        payload = new().get_access_token_payload()
        right = session.sync.create_jwt(payload, use_static_signing_key=not dynamic)
        wrong = session.sync.create_jwt(payload, use_static_signing_key=dynamic)
        assert session.sync.get_session_without_request_response(right)
        with pytest.raises(TryRefreshTokenError, match="use_dynamic_access_token_signing_key setting"):
            session.sync.get_session_without_request_response(wrong)


@pytest.mark.parametrize("name", ["parentRefreshTokenHash1", "antiCsrfToken"])
@pytest.mark.parametrize("value", [None, "", 1, "missing"])
def test_nullable_fields_may_be_anything(make_app: Make, name: str, value: Any) -> None:
    """The two nullable fields of a payload may be missing, null, empty or of another type (rule 3.4)."""
    with make_app().active():
        payload = new().get_access_token_payload()
        payload[name] = value
        if value == "missing":
            del payload[name]
        token = session.sync.create_jwt(payload, use_static_signing_key=False)
        assert session.sync.get_session_without_request_response(token)


@pytest.mark.parametrize(
    "change",
    [{"stt": 1}, {"stt": 2}, {"sub": None}, {"sessionHandle": 1}, {"refreshTokenHash1": None}, {"rsub": 1}, {"tId": 0}],
)
def test_attack_a_jwt_that_is_no_session(make_app: Make, change: dict[str, Any]) -> None:
    """An OAuth2 token, or a JWT that lacks a field, is no session though our key signed it (rules 3.4 and 3.7)."""
    with make_app().active():
        payload = {**new().get_access_token_payload(), **change}
        token = session.sync.create_jwt(payload, use_static_signing_key=False)
        assert session.sync.get_session_without_request_response(token, session_required=False) is None
        with pytest.raises(UnauthorisedError) as caught:
            session.sync.get_session_without_request_response(token)
    assert caught.value.clear_tokens is False


def test_the_discovery_document_can_be_overridden(make_app: Make, serve: Serve) -> None:
    """The discovery document goes through both chains."""

    def functions(original: Any) -> Any:
        discovery = original.get_open_id_discovery_configuration

        async def changed(user_context: Any) -> Any:
            return {**await discovery(user_context), "token_endpoint": "https://elsewhere.example/token"}

        original.get_open_id_discovery_configuration = changed
        return original

    client = serve(make_app(override=InputOverrideConfig(functions=functions)))
    document = client.get("/auth/.well-known/openid-configuration").json()
    assert document["token_endpoint"] == "https://elsewhere.example/token"


@pytest.mark.parametrize("given", ["\ud800", "?", "ü"])
def test_attack_an_anti_csrf_token_that_is_no_text(make_app: Make, given: str) -> None:
    """Half a surrogate pair, given or in the token, is a wrong anti-CSRF token and not a crash (rule 7.4)."""
    with make_app(anti_csrf="VIA_TOKEN").active():
        payload = new().get_access_token_payload()
        for minted in (payload["antiCsrfToken"], "\udc00"):
            token = session.sync.create_jwt({**payload, "antiCsrfToken": minted}, use_static_signing_key=False)
            with pytest.raises(TryRefreshTokenError, match="anti-csrf"):
                session.sync.get_session_without_request_response(token, given)
