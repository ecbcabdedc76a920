"""Providers and e-mail/password as one recipe: as in the seed, with one override for both halves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from coatcheck.recipes import thirdpartyemailpassword, usermetadata
from coatcheck.recipes.exceptions import OverrideError
from coatcheck.recipes.thirdpartyemailpassword import InputOverrideConfig, InputSignUpFeature
from coatcheck.recipes.thirdpartyemailpassword.recipe import API_ORDERS, APIS, FUNCTION_ORDERS, FUNCTIONS
from coatcheck.server.stub import stub

from ..kit import Journey, Make, Serve

RID = {"rid": "thirdpartyemailpassword"}
ANN = [("email", "ann@example.com"), ("password", "correct horse 1")]


def form(*fields: tuple[str, str]) -> dict[str, Any]:
    """Return the body of a form."""
    return {"formFields": [{"id": name, "value": value} for name, value in fields]}


class Stage:
    """An App with the combined recipe, a client, and a way to its provider."""

    def __init__(self, make_app: Make, serve: Serve, **options: Any) -> None:
        google = stub("google")
        self.app = make_app(recipes=[usermetadata.init(), thirdpartyemailpassword.init(providers=[google], **options)])
        self.client = serve(self.app)
        self.trip = Journey(self.client, google)

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """Send a request as the older front ends do."""
        return self.client.post(f"/auth{path}", json=body, headers={**RID, **headers})


@pytest.fixture
def stage(make_app: Make, serve: Serve) -> Callable[..., Stage]:
    """Set the stage with these options of `init`."""
    return lambda **options: Stage(make_app, serve, **options)


def test_both_halves_sign_in(stage: Any) -> None:
    """One init gives all routes of both halves, under the older recipe id (rule 27.17)."""
    it = stage()
    signed_up = it.post("/signup", form(*ANN)).json()
    assert it.post("/signin", form(*ANN)).json() == signed_up
    third = it.trip.sign_in(headers=RID).json()
    assert third["user"]["thirdParty"] == [{"id": "google", "userId": "1001"}]
    exists = it.client.get("/auth/signup/email/exists?email=ann@example.com", headers=RID)
    assert exists.json() == {"status": "OK", "exists": True}
    methods = it.client.get("/auth/loginmethods").json()
    assert methods["firstFactors"] == ["thirdparty", "emailpassword"]
    assert methods["thirdParty"]["providers"] == [{"id": "google", "name": "Google"}]


def test_without_any_option(make_app: Make, serve: Serve) -> None:
    """The seed's call has no arguments: there are no providers, and passwords work."""
    client = serve(make_app(recipes=[usermetadata.init(), thirdpartyemailpassword.init()]))
    assert client.post("/auth/signup", json=form(*ANN), headers=RID).json()["status"] == "OK"


def test_older_clients_get_the_older_bodies(stage: Any) -> None:
    """Before FDI 3.0 users are told flat by both halves (rule 18.4)."""
    it = stage()
    old = {**RID, "fdi-version": "2.0"}
    assert it.post("/signup", form(*ANN), **{"fdi-version": "2.0"}).json()["user"].keys() == {
        "id",
        "email",
        "timeJoined",
    }
    body = it.trip.sign_in(headers=old).json()
    assert body["createdNewUser"] is True
    assert body["user"]["thirdParty"] == {"id": "google", "userId": "1001"}
    assert it.trip.sign_in(headers=old).json()["createdNewUser"] is False


# One override for both


def test_functions_written_for_this_recipe(stage: Any) -> None:
    """Overrides with the parameters of the time see the sign-ins of both halves, over HTTP, and may change them."""
    seen: list[Any] = []

    def override(original: Any) -> Any:
        sign_up, sign_in_up = original.emailpassword_sign_up, original.thirdparty_sign_in_up

        async def emailpassword_sign_up(email: str, password: str, tenant_id: str, user_context: dict[str, Any]) -> Any:
            seen.append(email)
            return await sign_up(f"new-{email}", password, tenant_id, user_context)

        async def thirdparty_sign_in_up(
            third_party_id: str,
            third_party_user_id: str,
            email: str,
            oauth_tokens: dict[str, Any],
            raw_user_info_from_provider: Any,
            tenant_id: str,
            user_context: dict[str, Any],
        ) -> Any:
            seen.append((third_party_id, third_party_user_id))
            return await sign_in_up(
                third_party_id,
                third_party_user_id,
                email,
                oauth_tokens,
                raw_user_info_from_provider,
                tenant_id,
                user_context,
            )

        original.emailpassword_sign_up = emailpassword_sign_up
        original.thirdparty_sign_in_up = thirdparty_sign_in_up
        return original

    it = stage(override=InputOverrideConfig(functions=override))
    assert it.post("/signup", form(*ANN)).json()["user"]["emails"] == ["new-ann@example.com"]
    user = it.trip.sign_in().json()["user"]
    assert user["loginMethods"][0]["verified"] is True
    assert seen == ["ann@example.com", ("google", "1001")]


def test_every_function_is_one_operation(stage: Any) -> None:
    """What a half does itself goes through the override of the combined recipe, and through it once."""
    seen: list[str] = []

    def override(original: Any) -> Any:
        for name in [name for names in FUNCTIONS.values() for name in names.values()]:
            setattr(original, name, recorded(name, getattr(original, name)))
        return original

    def recorded(name: str, below: Any) -> Any:
        async def layer(**arguments: Any) -> Any:
            seen.append(name)
            return await below(**arguments)

        return layer

    it = stage(override=InputOverrideConfig(functions=override))
    it.trip.sign_in()
    # The provider was asked for twice: for its address, and to sign in.
    assert seen == ["thirdparty_get_provider"] * 2 + [
        "thirdparty_sign_in_up",
        "thirdparty_manually_create_or_update_user",
    ]
    seen.clear()
    it.post("/signup", form(*ANN))
    it.post("/signin", form(*ANN))
    assert seen == ["emailpassword_sign_up", "emailpassword_sign_in"]


def test_apis_written_for_this_recipe(stage: Any) -> None:
    """Overrides of APIs with the parameters of the time are called over HTTP."""
    seen: list[str] = []

    def override(original: Any) -> Any:
        third, sign_in = original.thirdparty_sign_in_up_post, original.emailpassword_sign_in_post

        async def thirdparty_sign_in_up_post(
            provider: Any,
            redirect_uri_info: Any,
            oauth_tokens: Any,
            tenant_id: str,
            api_options: Any,
            user_context: Any,
        ) -> Any:
            seen.append(provider.id)
            return await third(provider, redirect_uri_info, oauth_tokens, tenant_id, api_options, user_context)

        async def emailpassword_sign_in_post(
            form_fields: Any, tenant_id: str, api_options: Any, user_context: Any
        ) -> Any:
            seen.append(form_fields[0].value)
            return await sign_in(form_fields, tenant_id, api_options, user_context)

        original.thirdparty_sign_in_up_post = thirdparty_sign_in_up_post
        original.emailpassword_sign_in_post = emailpassword_sign_in_post
        return original

    it = stage(override=InputOverrideConfig(apis=override))
    it.post("/signup", form(*ANN))
    assert it.post("/signin", form(*ANN)).json()["status"] == "OK"
    assert it.trip.sign_in().json()["status"] == "OK"
    assert seen == ["ann@example.com", "google"]


@pytest.mark.parametrize(
    ("api", "method", "path"),
    [
        ("emailpassword_sign_up_post", "POST", "/signup"),
        ("emailpassword_sign_in_post", "POST", "/signin"),
        ("emailpassword_email_exists_get", "GET", "/emailpassword/email/exists"),
        ("generate_password_reset_token_post", "POST", "/user/password/reset/token"),
        ("password_reset_post", "POST", "/user/password/reset"),
        ("thirdparty_sign_in_up_post", "POST", "/signinup"),
        ("authorisation_url_get", "GET", "/authorisationurl"),
        ("apple_redirect_handler_post", "POST", "/callback/apple"),
    ],
)
@pytest.mark.parametrize("how", ["flag", "None"])
def test_a_disabled_api_is_not_served(stage: Any, api: str, method: str, path: str, how: str) -> None:
    """Switching an API off in the combined recipe switches it off in its half (rule 15.10)."""

    def disable(original: Any) -> Any:
        setattr(original, f"disable_{api}" if how == "flag" else api, True if how == "flag" else None)
        return original

    client = stage(override=InputOverrideConfig(apis=disable)).client
    assert client.request(method, f"/auth{path}", headers=RID).status_code == 404
    assert client.post("/auth/signup" if path != "/signup" else "/auth/signin", json={}).status_code == 400


# Resetting


def reset_token(it: Any) -> str:
    """Ask for a reset link and return the token in it."""
    fields = [("email", "ann@example.com")]
    assert it.post("/user/password/reset/token", form(*fields)).json() == {"status": "OK"}
    link: str = it.app.outbox.last().links[0]
    return parse_qs(urlsplit(link).query)["token"][0]


def test_resetting_over_http_is_a_function(stage: Any) -> None:
    """The function `reset_password_using_token` is what the reset page's request calls, so an override sees it."""
    seen: list[str] = []

    def override(original: Any) -> Any:
        below = original.reset_password_using_token

        async def reset_password_using_token(
            token: str, new_password: str, tenant_id: str, user_context: dict[str, Any]
        ) -> Any:
            result = await below(token, new_password, tenant_id, user_context)
            seen.append(result.status)
            return result

        original.reset_password_using_token = reset_password_using_token
        return original

    it = stage(override=InputOverrideConfig(functions=override))
    it.post("/signup", form(*ANN))
    body = {"method": "token", "token": reset_token(it), **form(("password", "other horse 2"))}
    assert it.post("/user/password/reset", body).json() == {"status": "OK"}
    assert it.post("/user/password/reset", body).json() == {"status": "RESET_PASSWORD_INVALID_TOKEN_ERROR"}
    assert seen == ["OK", "RESET_PASSWORD_INVALID_TOKEN_ERROR"]
    new = form(("email", "ann@example.com"), ("password", "other horse 2"))
    assert it.post("/signin", new).json()["status"] == "OK"


def test_a_bad_password_leaves_the_token_good(stage: Any) -> None:
    """The policy is asked before the token is spent."""
    it = stage()
    it.post("/signup", form(*ANN))
    token = reset_token(it)
    with it.app.active():
        reset = thirdpartyemailpassword.sync.reset_password_using_token
        assert reset("public", token, "short").status == "PASSWORD_POLICY_VIOLATED_ERROR"
        assert reset("public", token, "other horse 2").status == "OK"
        assert reset("public", token, "other horse 2").status == "RESET_PASSWORD_INVALID_TOKEN_ERROR"


def test_the_form_is_the_sign_up_features(stage: Any) -> None:
    """`sign_up_feature` reaches the half that has the form."""
    extra = thirdpartyemailpassword.InputFormField("name")
    it = stage(sign_up_feature=InputSignUpFeature([extra]))
    assert it.post("/signup", form(*ANN)).json()["status"] == "FIELD_ERROR"


# Functions


def test_functions(stage: Any) -> None:
    """Users of both halves are made and found under the names of the combined recipe."""
    recipe = thirdpartyemailpassword.sync
    with stage().app.active():
        signed_up: Any = recipe.emailpassword_sign_up("public", "ann@example.com", "correct horse 1")
        made: Any = recipe.thirdparty_manually_create_or_update_user("public", "google", "5", "ann@example.com", True)
        assert recipe.emailpassword_sign_in("public", "ann@example.com", "correct horse 1").status == "OK"
        assert recipe.get_user_by_id(made.user.id) == made.user
        assert recipe.get_user_by_third_party_info("public", "google", "5") == made.user
        assert recipe.get_user_by_third_party_info("public", "google", "6") is None
        assert {user.id for user in recipe.get_users_by_email("public", "ann@example.com")} == {
            signed_up.user.id,
            made.user.id,
        }
        provider = recipe.thirdparty_get_provider("public", "google")
        assert provider is not None
        changed = recipe.update_email_or_password(signed_up.recipe_user_id, password="other horse 2")
        assert changed.status == "OK"


def test_the_halves_and_the_whole_have_the_same_parameters(stage: Any) -> None:
    """An operation has the same parameters under both names: what is passed on is passed on whole."""
    app = stage().app
    whole = app.recipe("thirdpartyemailpassword").chains
    for kind, table in [("functions", FUNCTIONS), ("apis", APIS)]:
        for recipe_id, names in table.items():
            half = app.recipe(recipe_id).chains[kind]
            for name, combined in names.items():
                assert half.operations[name].names == whole[kind].operations[combined].names
    assert set(FUNCTION_ORDERS) <= set(whole["functions"].operations)
    assert set(API_ORDERS) <= set(whole["apis"].operations)


def test_the_chain_can_be_explained(stage: Any) -> None:
    """`explain` names the layers of the combined recipe."""

    def override(original: Any) -> Any:
        below = original.emailpassword_sign_in

        async def emailpassword_sign_in(**arguments: Any) -> Any:
            return await below(**arguments)

        original.emailpassword_sign_in = emailpassword_sign_in
        return original

    app = stage(override=InputOverrideConfig(functions=override)).app
    text = app.explain("thirdpartyemailpassword.emailpassword_sign_in")
    assert "1 layer over the implementation" in text
    assert "test_thirdpartyemailpassword.py" in text


def test_errors_name_the_operation_of_the_combined_recipe(stage: Any) -> None:
    """A layer with impossible parameters is told the name that the operation has here, not that of the half."""

    def functions(original_implementation: Any) -> Any:
        original_implementation.emailpassword_sign_up = lambda nonsense, more: None
        return original_implementation

    with pytest.raises(OverrideError, match="cannot be a layer of emailpassword_sign_up"):
        stage(override=InputOverrideConfig(functions=functions))
