"""Tenants over HTTP: which one a request belongs to, and how one can sign in to it."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.recipes import emailpassword, multitenancy
from coatcheck.recipes.kit.recipe import ThirdPartyProvider
from coatcheck.recipes.multitenancy import InputOverrideConfig, LoginMethodsGetOkResult

from ..kit import Make, Serve, form

ANN = {"email": "ann@example.com", "password": "correct horse 1"}
ROUTES = [
    ("POST", "signup"),
    ("POST", "signin"),
    ("POST", "user/password/reset/token"),
    ("POST", "user/password/reset"),
    ("GET", "emailpassword/email/exists"),
    ("GET", "signup/email/exists"),
    ("GET", "loginmethods"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("tenant_id", ["t1", "PUBLIC", "public-", "0"])
def test_no_route_serves_an_unknown_tenant(
    make_app: Make, serve: Serve, method: str, path: str, tenant_id: str
) -> None:
    """Every route of a tenant nobody made is 404, before the body is looked at (docs/protocol.md, rule 25.1)."""
    answer = serve(make_app()).request(method, f"/auth/{tenant_id}/{path}")
    assert (answer.status_code, answer.json()) == (404, {"message": f"there is no tenant '{tenant_id}'"})


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_serves_public(make_app: Make, serve: Serve, method: str, path: str) -> None:
    """With `public` in the path or without, the answer is the same (rules 18.1 and 25.1)."""
    client = serve(make_app())
    there, without = client.request(method, f"/auth/public/{path}"), client.request(method, f"/auth/{path}")
    assert (there.status_code, there.json()) == (without.status_code, without.json())
    assert there.status_code in (200, 400)


@pytest.mark.parametrize("tenant_id", ["a_b", "a.b", "a%20b", "%00", "\u00e9", "a/b", ""])
def test_what_cannot_be_a_tenant_is_no_route(make_app: Make, serve: Serve, tenant_id: str) -> None:
    """Other characters make it a path of the application's (rule 18.1)."""
    answer = serve(make_app()).get(f"/auth/{tenant_id}/loginmethods")
    assert answer.status_code == 404
    assert "tenant" not in answer.text


def test_a_mapped_tenant_serves_every_route(make_app: Make, serve: Serve) -> None:
    """An override of get_tenant_id decides for sign-up and sign-in too; what it answers must exist (rule 25.2)."""
    seen: list[str] = []

    def functions(original: Any) -> Any:
        inner = original.get_tenant_id

        async def get_tenant_id(tenant_id_from_frontend: str, user_context: Any) -> Any:
            seen.append(tenant_id_from_frontend)
            host = user_context["_default"]["request"].headers["x-tenant"]
            return await inner(host, user_context)

        original.get_tenant_id = get_tenant_id
        return original

    app = make_app(recipes=[emailpassword.init(), multitenancy.init(InputOverrideConfig(functions=functions))])
    client = serve(app)
    answer = client.post("/auth/acme/signup", json=form(**ANN), headers={"x-tenant": "public"})
    assert answer.json()["user"]["tenantIds"] == ["public"]
    assert client.post("/auth/signin", json=form(**ANN), headers={"x-tenant": "public"}).json()["status"] == "OK"
    lost = client.post("/auth/signin", json=form(**ANN), headers={"x-tenant": "acme"})
    assert (lost.status_code, lost.json()) == (404, {"message": "there is no tenant 'acme'"})
    assert seen == ["acme", "public", "public"]


def test_the_link_of_a_reset_names_the_tenant(make_app: Make, serve: Serve) -> None:
    """The link carries the tenant that the request belongs to (rule 21.5)."""
    app = make_app()
    client = serve(app)
    client.post("/auth/public/signup", json=form(**ANN))
    client.post("/auth/public/user/password/reset/token", json=form(email=ANN["email"]))
    assert app.outbox.last().link.endswith("&tenantId=public")


# How one can sign in


def test_login_methods_need_no_session(make_app: Make, serve: Serve) -> None:
    """The list is the same with a session, with a broken one and without (rule 25.3)."""
    client = serve(make_app())
    token = client.post("/auth/signup", json=form(**ANN)).headers["st-access-token"]
    expected = client.get("/auth/loginmethods").json()
    assert expected["firstFactors"] == ["emailpassword"]
    for given in (token, token[:-4] + "AAAA", "nonsense"):
        answer = client.get("/auth/loginmethods?clientType=web", headers={"authorization": f"Bearer {given}"})
        assert (answer.status_code, answer.json()) == (200, expected)


@pytest.mark.parametrize("factor", ["otp-email", "otp-phone", "link-email", "link-phone"])
def test_the_flags_follow_from_the_factors(make_app: Make, serve: Serve, factor: str) -> None:
    """An override answers with factors and providers; the flags that older front ends read follow (rule 25.3)."""
    seen: list[Any] = []

    class Apis(multitenancy.APIsLayer):
        async def login_methods_get(
            self, tenant_id: str, client_type: str | None, api_options: Any, user_context: Any
        ) -> LoginMethodsGetOkResult:
            seen.append((tenant_id, client_type, api_options.recipe_id))
            return LoginMethodsGetOkResult([factor, "thirdparty"], [ThirdPartyProvider("google", "Google")])

    client = serve(make_app(recipes=[emailpassword.init(), multitenancy.init(InputOverrideConfig(apis=Apis))]))
    assert client.get("/auth/loginmethods?clientType=ios").json() == {
        "status": "OK",
        "emailPassword": {"enabled": False},
        "thirdParty": {"enabled": True, "providers": [{"id": "google", "name": "Google"}]},
        "passwordless": {"enabled": True},
        "webauthn": {"enabled": False},
        "firstFactors": [factor, "thirdparty"],
    }
    assert seen == [("public", "ios", "multitenancy")]


def test_login_methods_may_be_refused(make_app: Make, serve: Serve) -> None:
    """This API, too, may answer with a general error (rule 17.4)."""

    def apis(original: Any) -> Any:
        async def login_methods_get(**_: Any) -> Any:
            return multitenancy.GeneralErrorResponse("not today")

        original.login_methods_get = login_methods_get
        return original

    client = serve(make_app(recipes=[multitenancy.init(InputOverrideConfig(apis=apis))]))
    assert client.get("/auth/loginmethods").json() == {"status": "GENERAL_ERROR", "message": "not today"}
