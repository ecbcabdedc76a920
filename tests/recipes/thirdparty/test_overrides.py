"""Overriding sign-in with a provider, and signing in by function."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck import App
from coatcheck.recipes import accountlinking, thirdparty
from coatcheck.recipes.exceptions import BadInputError
from coatcheck.recipes.kit.recipe import GeneralErrorResponse
from coatcheck.recipes.thirdparty import (
    ProviderClientConfig,
    ProviderConfig,
    ProviderInput,
    RawUserInfoFromProvider,
    UserInfo,
    UserInfoEmail,
)
from coatcheck.server.stub import Persona, stub

from ...kit import Journey, Make, Serve, together
from .recipes import CALLBACK, recipes


def test_functions_and_apis_can_be_overridden(make_app: Make, serve: Serve, google: ProviderInput) -> None:
    """The API sees tokens and raw info of the sign-in, the function may refuse, and the context is one object."""
    seen: list[Any] = []

    def apis(original: thirdparty.APIInterface) -> thirdparty.APIInterface:
        below = original.sign_in_up_post

        async def sign_in_up_post(**arguments: Any) -> Any:
            arguments["user_context"]["from the api"] = True
            result = await below(**arguments)
            seen.append(result)
            return result

        original.sign_in_up_post = sign_in_up_post  # type: ignore[assignment, method-assign]
        return original

    def functions(original: thirdparty.RecipeInterface) -> thirdparty.RecipeInterface:
        below = original.sign_in_up

        async def sign_in_up(**arguments: Any) -> Any:
            assert arguments["user_context"]["from the api"] is True
            if arguments["email"] == "banned@example.com":
                return thirdparty.SignInUpNotAllowed("banned")
            return await below(**arguments)

        original.sign_in_up = sign_in_up  # type: ignore[assignment, method-assign]
        return original

    override = thirdparty.InputOverrideConfig(functions=functions, apis=apis)
    trip = Journey(serve(make_app(recipes=recipes(google, override=override))), google)
    assert trip.sign_in().json()["status"] == "OK"
    assert seen[0].oauth_tokens["access_token"]
    assert seen[0].raw_user_info_from_provider.from_id_token_payload["sub"] == "1001"
    assert seen[0].raw_user_info_from_provider.from_user_info_api["email"] == "ada@example.com"
    refused = trip.sign_in(Persona("2", "banned@example.com")).json()
    assert refused == {"status": "SIGN_IN_UP_NOT_ALLOWED", "reason": "banned"}


def test_older_overrides_still_work(make_app: Make, serve: Serve, google: ProviderInput) -> None:
    """A layer with the parameters of older versions passes on what it does not know (rules 15.5 and 15.6)."""

    def functions(original: Any) -> Any:
        below = original.sign_in_up

        async def sign_in_up(
            third_party_id: str,
            third_party_user_id: str,
            email: str,
            oauth_tokens: dict[str, Any],
            raw_user_info_from_provider: Any,
            tenant_id: str,
            user_context: dict[str, Any],
        ) -> Any:
            raw = raw_user_info_from_provider
            return await below(
                third_party_id, third_party_user_id, f"x{email}", oauth_tokens, raw, tenant_id, user_context
            )

        original.sign_in_up = sign_in_up
        return original

    override = thirdparty.InputOverrideConfig(functions=functions)
    user = Journey(serve(make_app(recipes=recipes(google, override=override))), google).sign_in().json()["user"]
    assert user["emails"] == ["xada@example.com"]
    assert user["loginMethods"][0]["verified"] is True


def test_an_api_may_answer_with_a_general_error(make_app: Make, serve: Serve, google: ProviderInput) -> None:
    """A GeneralErrorResponse is answered with status 200, from the Apple callback as well."""

    class Closed(thirdparty.APIsLayer):
        async def authorisation_url_get(self, *args: Any, **keywords: Any) -> Any:
            return GeneralErrorResponse("closed")

        async def apple_redirect_handler_post(self, *args: Any, **keywords: Any) -> Any:
            return GeneralErrorResponse("closed")

    client = serve(make_app(recipes=recipes(google, override=thirdparty.InputOverrideConfig(apis=Closed))))
    query = {"thirdPartyId": "google", "redirectURIOnProviderDashboard": CALLBACK}
    closed = {"status": "GENERAL_ERROR", "message": "closed"}
    assert client.get("/auth/authorisationurl", params=query).json() == closed
    assert client.post("/auth/callback/apple", data={"code": "c"}).json() == closed


@pytest.mark.parametrize(
    ("api", "method", "path"),
    [
        ("authorisation_url_get", "GET", "/auth/authorisationurl"),
        ("sign_in_up_post", "POST", "/auth/signinup"),
        ("apple_redirect_handler_post", "POST", "/auth/callback/apple"),
    ],
)
def test_a_disabled_api_is_not_served(make_app: Make, serve: Serve, api: str, method: str, path: str) -> None:
    """An API that is switched off is the application's business (rule 15.10)."""

    def disable(original: Any) -> Any:
        setattr(original, f"disable_{api}", True)
        return original

    override = thirdparty.InputOverrideConfig(apis=disable)
    client = serve(make_app(recipes=recipes(override=override)))
    assert client.request(method, path).status_code == 404


def test_a_provider_of_the_applications_own_making(make_app: Make, serve: Serve) -> None:
    """An override may replace the exchange and the user info altogether, so that nothing is asked anywhere."""

    def override(provider: thirdparty.Provider) -> thirdparty.Provider:
        async def exchange(redirect_uri_info: Any, user_context: dict[str, Any]) -> dict[str, Any]:
            return dict(redirect_uri_info.redirect_uri_query_params)

        async def get_user_info(oauth_tokens: Any, user_context: dict[str, Any]) -> UserInfo:
            return UserInfo(oauth_tokens["userId"], UserInfoEmail("x@example.com", True), RawUserInfoFromProvider())

        provider.exchange_auth_code_for_oauth_tokens = exchange  # type: ignore[method-assign]
        provider.get_user_info = get_user_info  # type: ignore[method-assign]
        return provider

    config = ProviderConfig("mine", clients=[ProviderClientConfig("c")], authorization_endpoint="https://example.com/a")
    client = serve(make_app(recipes=recipes(ProviderInput(config, override=override))))
    info = {"redirectURIOnProviderDashboard": "x://y", "redirectURIQueryParams": {"userId": "42"}}
    answer = client.post("/auth/signinup", json={"thirdPartyId": "mine", "redirectURIInfo": info})
    assert answer.json()["user"]["thirdParty"] == [{"id": "mine", "userId": "42"}]


def test_an_override_may_change_the_configuration(make_app: Make, serve: Serve) -> None:
    """`get_config_for_client_type` is asked for every request, and what it returns counts."""

    def override(provider: thirdparty.Provider) -> thirdparty.Provider:
        below = provider.get_config_for_client_type

        async def get_config(client_type: str | None, user_context: dict[str, Any]) -> Any:
            config = await below(client_type, user_context)
            config.scope = [*config.scope, "calendar"]
            return config

        provider.get_config_for_client_type = get_config  # type: ignore[method-assign]
        return provider

    google = stub("google")
    changed = ProviderInput(google.config, False, override, google.transport, google.browser_endpoint)
    left = Journey(serve(make_app(recipes=recipes(changed))), changed).leave()
    assert "scope=openid+email+calendar&" in left["urlWithQueryParams"]


def test_a_trace_shows_no_tokens(app: App, trip: Any) -> None:
    """A trace masks codes, verifiers and tokens of a sign-in (rule 15.12)."""
    left = trip.leave()
    params = trip.come_back(left["urlWithQueryParams"])
    with app.trace() as trace:
        trip.hand_in(params, left["pkceCodeVerifier"])
    shown = str(trace)
    assert "thirdparty.sign_in_up" in shown
    assert params["code"] not in shown
    assert left["pkceCodeVerifier"] not in shown


def test_creating_a_user_by_function(app: App) -> None:
    """A login method can be made and changed without asking the provider."""
    with app.active():
        made: Any = thirdparty.sync.manually_create_or_update_user("public", "google", "5", " X@Example.com ", False)
        assert (made.created_new_recipe_user, made.user.emails) == (True, ["x@example.com"])
        again: Any = thirdparty.sync.manually_create_or_update_user("public", "google", "5", "y@example.com", True)
        assert (again.created_new_recipe_user, again.user.emails) == (False, ["y@example.com"])
        assert again.recipe_user_id == made.recipe_user_id
        assert again.user.login_methods[0].verified is True


@pytest.mark.parametrize("arguments", [("", "5"), ("google", ""), ("google", "\0"), ("google", "x" * 2000)])
def test_an_identity_that_cannot_be_stored(app: App, arguments: tuple[str, str]) -> None:
    """A provider and a user id are needed, and have to be storable (rule 19.5)."""
    with app.active(), pytest.raises(BadInputError):
        thirdparty.sync.manually_create_or_update_user("public", *arguments, "x@example.com", False)


def test_getting_a_provider(app: App) -> None:
    """A provider comes with the configuration of its client, and without any request."""
    with app.active():
        provider = thirdparty.sync.get_provider("public", "google")
        assert provider is not None
        assert (provider.id, provider.config.client_id, provider.config.name) == (
            "google",
            "stub-google-client",
            "Google",
        )
        assert thirdparty.sync.get_provider("public", "nobody") is None


@pytest.mark.parametrize("kind", ["file", "postgres"])
def test_simultaneous_first_sign_ins_make_one_user(
    make_app: Make, tmp_path: Any, request: pytest.FixtureRequest, kind: str
) -> None:
    """Of sign-ins at the same moment one creates the user, and all get the same one (rule 27.15)."""
    url = f"sqlite:///{tmp_path / 'users.db'}" if kind == "file" else request.getfixturevalue("postgres_url")
    app = make_app(recipes=recipes(stub("google")), database=url)

    def sign_in() -> Any:
        with app.active():
            return thirdparty.sync.manually_create_or_update_user("public", "google", "5", "x@example.com", True)

    results = together(*[sign_in] * 6)
    assert len({result.user.id for result in results}) == 1
    assert sum(result.created_new_recipe_user for result in results) == 1
    with app.active():
        assert accountlinking.sync.get_user_count() == 1


def test_deleting_the_user_frees_the_identity(app: App) -> None:
    """Whoever was deleted can sign up again, as somebody new."""
    with app.active():
        first: Any = thirdparty.sync.manually_create_or_update_user("public", "google", "5", "x@example.com", True)
        accountlinking.sync.delete_user(first.user.id)
        second: Any = thirdparty.sync.manually_create_or_update_user("public", "google", "5", "x@example.com", True)
        assert second.created_new_recipe_user is True
        assert second.user.id != first.user.id
