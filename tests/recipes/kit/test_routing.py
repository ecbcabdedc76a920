"""Which requests are ours, and what is told to a website."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from coatcheck import App, InputAppInfo, get_all_cors_headers
from coatcheck.recipes import emailpassword, multitenancy, session
from coatcheck.recipes.session import InputOverrideConfig

from ...kit import Make, Serve

WEBSITE = {"origin": "http://localhost:3000"}


async def theirs(request: Request) -> Response:
    """Answer as the application."""
    return PlainTextResponse("the application's")


EVERYTHING = Route("/{path:path}", theirs, methods=["GET", "POST"])


@pytest.mark.parametrize(
    ("method", "path", "ours"),
    [
        ("GET", "/auth/jwt/jwks.json", True),
        ("GET", "/auth/jwt/jwks.json/", True),
        ("GET", "/auth/public/jwt/jwks.json", True),
        ("POST", "/auth/jwt/jwks.json", False),
        ("GET", "/auth/JWT/jwks.json", False),
        ("GET", "/auth2/jwt/jwks.json", False),
        ("GET", "/jwt/jwks.json", False),
        ("GET", "/auth", False),
        ("GET", "/auth/", False),
        ("GET", "/auth/nonsense", False),
        ("GET", "/auth/loginmethods", True),
        ("GET", "/auth/.well-known/openid-configuration", True),
        ("GET", "/auth/signin", False),
    ],
)
def test_what_is_not_ours_is_the_applications(make_app: Make, serve: Serve, method: str, path: str, ours: bool) -> None:
    """Method and path decide, letter case matters, a trailing slash does not (docs/protocol.md, rule 18.1)."""
    response = serve(make_app(), [EVERYTHING]).request(method, path)
    assert response.status_code == 200
    assert (response.text != "the application's") is ours


def test_an_unknown_tenant_is_not_found(make_app: Make, serve: Serve) -> None:
    """A tenant nobody made is 404, told with its name (rule 25.1)."""
    response = serve(make_app(), [EVERYTHING]).get("/auth/t1/loginmethods")
    assert (response.status_code, response.json()) == (404, {"message": "there is no tenant 't1'"})


def test_the_tenant_may_come_from_elsewhere(make_app: Make, serve: Serve) -> None:
    """An override of get_tenant_id decides which tenant a request belongs to (rule 25.2)."""
    seen: list[str] = []

    def functions(original: Any) -> Any:
        async def get_tenant_id(tenant_id_from_frontend: str, user_context: Any) -> str:
            seen.append(tenant_id_from_frontend)
            assert user_context["_default"]["request"].url.path.endswith("/loginmethods")
            return "public"

        original.get_tenant_id = get_tenant_id
        return original

    app = make_app(recipes=[multitenancy.init(InputOverrideConfig(functions=functions))])
    client = serve(app)
    assert client.get("/auth/acme/loginmethods").status_code == 200
    assert client.get("/auth/loginmethods").status_code == 200
    assert seen == ["acme", "public"]


def test_login_methods(make_app: Make, serve: Serve) -> None:
    """How one can sign in, in the shape the front ends read (rule 25.3)."""
    body = serve(make_app()).get("/auth/loginmethods").json()
    assert body == {
        "status": "OK",
        "emailPassword": {"enabled": True},
        "thirdParty": {"enabled": False, "providers": []},
        "passwordless": {"enabled": False},
        "webauthn": {"enabled": False},
        "firstFactors": ["emailpassword"],
    }
    none = serve(make_app(recipes=[])).get("/auth/loginmethods").json()
    assert none["firstFactors"] == []
    assert none["emailPassword"] == {"enabled": False}


@pytest.mark.parametrize("rid", [None, "session", "emailpassword", "anti-csrf", "thirdpartyemailpassword", "unknown"])
def test_rid_is_a_hint_and_never_a_reason_to_refuse(make_app: Make, serve: Serve, rid: str | None) -> None:
    """Whatever `rid` says, a path that some recipe serves is served (rule 18.3)."""
    headers = {} if rid is None else {"rid": rid}
    client = serve(make_app())
    assert client.get("/auth/emailpassword/email/exists?email=a@b.co", headers=headers).json()["status"] == "OK"
    assert client.get("/auth/jwt/jwks.json", headers=headers).status_code == 200


@pytest.mark.parametrize("by_none", [True, False])
@pytest.mark.parametrize(
    ("recipe", "api", "method", "path"),
    [
        ("session", "signout_post", "POST", "/auth/signout"),
        ("session", "refresh_post", "POST", "/auth/session/refresh"),
        ("session", "jwks_get", "GET", "/auth/jwt/jwks.json"),
        ("session", "open_id_discovery_configuration_get", "GET", "/auth/.well-known/openid-configuration"),
        ("emailpassword", "sign_up_post", "POST", "/auth/signup"),
        ("emailpassword", "sign_in_post", "POST", "/auth/signin"),
        ("emailpassword", "email_exists_get", "GET", "/auth/signup/email/exists"),
        ("emailpassword", "email_exists_get", "GET", "/auth/emailpassword/email/exists"),
        ("emailpassword", "password_reset_post", "POST", "/auth/user/password/reset"),
        ("emailpassword", "generate_password_reset_token_post", "POST", "/auth/user/password/reset/token"),
        ("multitenancy", "login_methods_get", "GET", "/auth/loginmethods"),
    ],
)
def test_a_disabled_api_is_the_applications(
    make_app: Make, serve: Serve, recipe: str, api: str, method: str, path: str, by_none: bool
) -> None:
    """An API disabled by its flag or by None is not served at all (rule 18.2)."""

    def apis(original: Any) -> Any:
        if by_none:
            setattr(original, api, None)
        else:
            setattr(original, f"disable_{api}", True)
        return original

    override = InputOverrideConfig(apis=apis)
    options = {"override": override} if recipe == "session" else {}
    recipes = [
        emailpassword.init(override=override if recipe == "emailpassword" else None),
        multitenancy.init(override if recipe == "multitenancy" else None),
    ]
    app = make_app(recipes=recipes, **options)
    assert serve(app).request(method, path).status_code == 404
    assert serve(app, [EVERYTHING]).request(method, path).text == "the application's"


# Keys for everybody


def test_the_key_set_is_public(make_app: Make, serve: Serve) -> None:
    """The key set has only public members, may be cached for five minutes, and is open to every website (rule 12.8)."""
    response = serve(make_app()).get("/auth/jwt/jwks.json")
    assert response.headers["cache-control"] == "max-age=300, must-revalidate"
    assert response.headers["access-control-allow-origin"] == "*"
    keys = response.json()["keys"]
    assert keys
    for key in keys:
        assert set(key) == {"kty", "kid", "n", "e", "alg", "use"}
        assert (key["kty"], key["alg"], key["use"], key["e"]) == ("RSA", "RS256", "sig", "AQAB")
    assert set(response.json()) == {"keys"}


def test_discovery_lists_what_is_served(make_app: Make, serve: Serve) -> None:
    """The discovery document names issuer and key set, and no endpoint that does not exist."""
    response = serve(make_app()).get("/auth/.well-known/openid-configuration")
    issuer = "http://localhost:3567/auth"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.json() == {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/jwt/jwks.json",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "id_token token"],
    }


# CORS


def test_the_headers_that_browser_sdks_send() -> None:
    """They are what rule 2.1 lists, and Content-Type is not among them: a configuration adds it."""
    assert get_all_cors_headers() == ["rid", "fdi-version", "anti-csrf", "authorization", "st-auth-mode"]


def test_preflight_of_the_website(make_app: Make, serve: Serve) -> None:
    """The website's browser may send every header the SDKs use, with credentials (rule 18.5)."""
    sent = ["content-type", *get_all_cors_headers()]
    headers = {
        **WEBSITE,
        "access-control-request-method": "POST",
        "access-control-request-headers": ", ".join(sent),
    }
    response = serve(make_app()).options("/auth/signin", headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == WEBSITE["origin"]
    assert response.headers["access-control-allow-credentials"] == "true"
    allowed = response.headers["access-control-allow-headers"].lower().split(", ")
    assert set(sent) <= set(allowed)


def test_preflight_of_another_site_is_refused(make_app: Make, serve: Serve) -> None:
    """Another site's browser is told nothing."""
    headers = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    response = serve(make_app()).options("/auth/signin", headers=headers)
    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/auth/session/refresh", 401),
        ("GET", "/nowhere", 404),
        ("POST", "/auth/signin", 400),
        ("GET", "/healthz", 200),
        ("GET", "/auth/t1/loginmethods", 404),
    ],
)
def test_every_answer_can_be_read_by_the_website(
    make_app: Make, serve: Serve, method: str, path: str, status: int
) -> None:
    """Errors carry CORS headers too, or a browser would show a network error instead (rule 18.5)."""
    client = serve(make_app())
    response = client.request(method, path, headers=WEBSITE)
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == WEBSITE["origin"]
    other = client.request(method, path, headers={"origin": "http://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_the_origin_may_depend_on_the_request(serve: Serve) -> None:
    """With an origin function, each website is allowed on its own requests only."""

    def origin(request: Request | None, user_context: Any) -> str:
        return "http://localhost:3000" if request is None else request.headers["x-site"]

    app = App(
        app_info=InputAppInfo(app_name="Test", api_domain="http://localhost:3567", origin=origin),
        recipe_list=[session.init()],
        database="sqlite://",
    )
    client = serve(app)
    for host in ("http://localhost:3000", "http://localhost:4000"):
        response = client.get("/healthz", headers={"origin": host, "x-site": host})
        assert response.headers["access-control-allow-origin"] == host
    response = client.get("/healthz", headers={"origin": "http://a.example", "x-site": "http://localhost:1"})
    assert "access-control-allow-origin" not in response.headers
    app.close()
