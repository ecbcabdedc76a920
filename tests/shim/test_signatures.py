"""Functions under the shim take the arguments of the seed's time and those of the newest SDK."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

import coatcheck
from coatcheck import App, RecipeUserId, exceptions, shim
from coatcheck.claims import BooleanClaim
from coatcheck.recipes import emailpassword, session, thirdparty
from coatcheck.recipes.kit.services import set_default_services

EMAIL, PASSWORD = "ann@example.com", "correct horse 1"
TenantClaim = BooleanClaim("seen", lambda _user, tenant, _context: tenant == "public")


def demanding(original: Any) -> Any:
    """Demand a claim of every session."""
    original.get_global_claim_validators = lambda tenant_id, user_id, claim_validators_added_by_other_recipes, ctx: [
        *claim_validators_added_by_other_recipes,
        TenantClaim.validators.has_value(True),
    ]
    return original


@pytest.fixture
def app(shimmed: None, make_app: Callable[..., App]) -> App:
    """Make an App the default, with the recipes these functions are of."""
    made = make_app(recipes=[emailpassword.init(), thirdparty.init()])
    set_default_services(made)
    return made


def sdk(path: str) -> Any:
    """Import a module of the SDK."""
    return importlib.import_module(f"supertokens_python.{path}")


def test_sessions_are_created_for_a_login_method_or_for_a_user_id(app: App) -> None:
    """Newest applications pass a RecipeUserId, those of the seed's time a text, by position or as `user_id`."""
    create = sdk("recipe.session.syncio").create_new_session_without_request_response
    ways = [
        create("public", RecipeUserId("u1"), {"a": 1}, {"b": 2}, True, {}),
        create("public", "u1", {"a": 1}, {"b": 2}, True, {}),
        create(tenant_id="public", recipe_user_id=RecipeUserId("u1"), access_token_payload={"a": 1}),
        create(tenant_id="public", user_id="u1", access_token_payload={"a": 1}),
    ]
    assert [(s.get_user_id(), s.get_recipe_user_id().get_as_string()) for s in ways] == [("u1", "u1")] * 4
    assert {s.get_access_token_payload()["a"] for s in ways} == {1}
    assert ways[0].sync_get_session_data_from_database() == ways[1].sync_get_session_data_from_database() == {"b": 2}
    for arguments in ({}, {"user_id": "u1", "recipe_user_id": "u1"}):
        with pytest.raises(TypeError, match="recipe_user_id"):
            create(tenant_id="public", **arguments)


def test_sessions_of_a_user_in_both_orders(app: App) -> None:
    """The tenant stood second in the seed's time, where the flag for linked accounts is now."""
    functions = sdk("recipe.session.syncio")
    handle = functions.create_new_session_without_request_response("public", "u1").get_handle()
    every = functions.get_all_session_handles_for_user
    old = [every("u1", "public"), every("u1", None), every("u1", "public", {}), every("u1", None, {})]
    new = [every("u1"), every("u1", True), every("u1", False, "public"), every("u1", True, "public", {})]
    named = [every("u1", tenant_id="public"), every(user_id="u1", fetch_sessions_for_linked_accounts=True)]
    assert [*old, *new, *named] == [[handle]] * 10
    assert every("u1", "other") == every("u1", True, "other") == []
    assert functions.revoke_all_sessions_for_user("u1", "other", {}) == []
    assert functions.revoke_all_sessions_for_user("u1", "public", {}) == [handle]
    assert functions.revoke_all_sessions_for_user("u1", True, None, {}) == []


def test_a_bare_payload_can_be_validated(shimmed: None, make_app: Callable[..., App]) -> None:
    """Nothing is fetched; an override of the validators is given the user id in place of a session."""
    set_default_services(make_app(override=session.InputOverrideConfig(functions=demanding)))
    validate = sdk("recipe.session.syncio").validate_claims_in_jwt_payload
    (failure,) = validate("public", "u1", {}).invalid_claims
    assert failure.to_json()["id"] == "seen"
    assert validate("public", "u1", TenantClaim.add_to_payload_({}, True)).invalid_claims == []
    given: list[Any] = []

    def none(validators: list[Any], user_id: str, user_context: Any) -> list[Any]:
        given.append((len(validators), user_id, user_context))
        return []

    assert validate("public", "u1", {}, none).invalid_claims == []
    assert given == [(1, "u1", {})]


def test_signing_in_and_up_in_both_orders(app: App) -> None:
    """The user context stood behind the password in the seed's time, where the session is now."""
    functions = sdk("recipe.emailpassword.syncio")
    first = functions.sign_up("public", EMAIL, PASSWORD, {"seed": True})
    second = functions.sign_up("public", "eve@example.com", PASSWORD, None, {"newest": True})
    assert first.status == second.status == "OK"
    ways: list[tuple[Any, ...]] = [({},), (None, {}), ()]
    for arguments in ways:
        assert functions.sign_in("public", EMAIL, PASSWORD, *arguments).user.id == first.user.id
    assert functions.get_user_by_id(first.user.id).emails == [EMAIL]
    assert functions.get_user_by_email("public", "Ann@Example.com").id == first.user.id
    assert functions.get_user_by_email("public", "nobody@example.com") is None


def test_resetting_a_password_with_and_without_the_address(app: App) -> None:
    """In the seed's time the address was looked up, and the user context stood third."""
    functions = sdk("recipe.emailpassword.syncio")
    user_id = functions.sign_up("public", EMAIL, PASSWORD).user.id
    ways: list[tuple[Any, ...]] = [(EMAIL, {}), (EMAIL,), ({},), ()]
    for arguments in ways:
        assert functions.create_reset_password_token("public", user_id, *arguments).status == "OK"
        assert "token=" in functions.create_reset_password_link("public", user_id, *arguments)
        assert functions.send_reset_password_email("public", user_id, *arguments) == "OK"
    assert [mail.to for mail in app.outbox.mails] == [EMAIL] * 4
    assert functions.create_reset_password_token("public", "nobody").status == "UNKNOWN_USER_ID_ERROR"


def test_changing_a_login_method_or_a_user(app: App) -> None:
    """`update_email_or_password` takes a RecipeUserId, a text, or the keyword of the seed's time."""
    functions = sdk("recipe.emailpassword.syncio")
    user = functions.sign_up("public", EMAIL, PASSWORD).user
    change = functions.update_email_or_password
    ways = [
        change(RecipeUserId(user.id), "a@example.com"),
        change(user.id, "b@example.com"),
        change(user_id=user.id, email="c@example.com"),
    ]
    assert [one.status for one in ways] == ["OK"] * 3
    assert functions.get_user_by_id(user.id).emails == ["c@example.com"]


def test_users_of_providers_in_both_orders(app: App) -> None:
    """Whether the address is verified stands where the seed's time had the user context."""
    functions = sdk("recipe.thirdparty.syncio")
    create = functions.manually_create_or_update_user
    old = create("public", "google", "g1", EMAIL, {})
    new = create("public", "google", "g1", EMAIL, True, None, {})
    assert (old.created_new_recipe_user, new.created_new_recipe_user) == (True, False)
    assert functions.get_user_by_third_party_info("public", "google", "g1").id == old.user.id
    assert functions.get_user_by_third_party_info("public", "google", "g2") is None
    sdk("recipe.emailpassword.syncio").sign_up("public", EMAIL, PASSWORD)
    assert [user.id for user in functions.get_users_by_email("public", EMAIL)] == [old.user.id]


def test_the_functions_of_the_combined_recipe(shimmed: None, make_app: Callable[..., App]) -> None:
    """Those of both halves under one roof, with the arguments of its time."""
    combined = sdk("recipe.thirdpartyemailpassword")
    set_default_services(make_app(recipes=[combined.init()]))
    functions = sdk("recipe.thirdpartyemailpassword.syncio")
    created = functions.thirdparty_manually_create_or_update_user("public", "google", "g1", EMAIL, {})
    signed_up = functions.emailpassword_sign_up("public", EMAIL, PASSWORD, {})
    assert functions.emailpassword_sign_in("public", EMAIL, PASSWORD, {}).user.id == signed_up.user.id
    assert {one.id for one in functions.get_users_by_email("public", EMAIL)} == {created.user.id, signed_up.user.id}
    assert functions.update_email_or_password(user_id=signed_up.user.id, password="battery staple 2").status == "OK"


def test_a_provider_takes_its_override_in_either_place(shimmed: None) -> None:
    """What is a function is the override, what is a flag the flag."""
    package = sdk("recipe.thirdparty")
    config = package.ProviderConfig(third_party_id="google")

    def override(provider: Any) -> Any:
        return provider

    for arguments in ((override, True), (True, override)):
        given = package.ProviderInput(config, *arguments)
        assert (given.override, given.include_in_non_public_tenants_by_default) == (override, True)
    plain = package.ProviderInput(config=config)
    assert (plain.override, plain.include_in_non_public_tenants_by_default) == (None, False)
    assert isinstance(plain, thirdparty.ProviderInput)


def test_users_are_deleted_in_both_orders(app: App) -> None:
    """The user context stood second in the seed's time."""
    functions = sdk("syncio")
    ways: list[tuple[Any, ...]] = [({},), (True, {}), ()]
    for arguments in ways:
        user_id = sdk("recipe.emailpassword.syncio").sign_up("public", EMAIL, PASSWORD).user.id
        functions.delete_user(user_id, *arguments)
        assert functions.get_user(user_id) is None
    assert functions.get_user_count() == 0
    assert functions.get_available_first_factors("public") == ["emailpassword", "thirdparty"]
    with pytest.raises(exceptions.UnknownTenantError):
        functions.get_available_first_factors("other")


def test_tokens_and_keys_come_as_results(app: App) -> None:
    """`create_jwt` answers with an object that holds the token, from the session recipe as from the one for JWTs."""
    result_class = sdk("recipe.jwt.interfaces").CreateJwtOkResult
    for recipe in ("session", "jwt", "openid"):
        functions = sdk(f"recipe.{recipe}.syncio")
        created = functions.create_jwt({"a": 1}, 60, False)
        assert isinstance(created, result_class)
        assert created.jwt.count(".") == 2
        assert {key.kty for key in functions.get_jwks().keys} == {"RSA"}
    document = sdk("recipe.openid.syncio").get_open_id_discovery_configuration()
    assert document.jwks_uri == f"{document.issuer}/jwt/jwks.json"


def test_errors_are_raised_by_functions(app: App) -> None:
    """Each of the SDK's raising functions raises the error that coatcheck has for it."""
    general, own = sdk("exceptions"), sdk("recipe.session.exceptions")
    cases: list[tuple[Callable[[], Any], type[Exception]]] = [
        (lambda: general.raise_general_exception("x"), general.GeneralError),
        (lambda: general.raise_general_exception(exceptions.DatabaseError("x")), exceptions.DatabaseError),
        (lambda: general.raise_bad_input_exception("x"), general.BadInputError),
        (lambda: own.raise_unauthorised_exception("x", False), own.UnauthorisedError),
        (lambda: own.raise_try_refresh_token_exception("x"), own.TryRefreshTokenError),
        (lambda: own.raise_try_refresh_token_exception(ValueError("x")), own.TryRefreshTokenError),
        (lambda: own.raise_try_refresh_token_exception(own.UnauthorisedError("x")), own.UnauthorisedError),
        (lambda: own.raise_token_theft_exception("u1", "h1"), own.TokenTheftError),
        (lambda: own.raise_token_theft_exception("u1", RecipeUserId("r1"), "h1"), own.TokenTheftError),
        (lambda: own.raise_invalid_claims_exception("x", []), own.InvalidClaimsError),
        (
            lambda: own.raise_clear_duplicate_session_cookies_exception("x", []),
            own.ClearDuplicateSessionCookiesError,
        ),
        (lambda: own.raise_unauthorised_exception("x", True, [print]), coatcheck.exceptions.ConfigurationError),
    ]
    for raises, kind in cases:
        with pytest.raises(kind) as caught:
            raises()
        assert type(caught.value) is kind
        assert isinstance(caught.value, general.SuperTokensError)
        if isinstance(caught.value, exceptions.TokenTheftError):
            assert caught.value.session_handle == "h1"


# Overrides of the seed's time


def test_an_override_with_the_parameters_of_its_time(
    shimmed: None, make_app: Callable[..., App], serve: Callable[..., TestClient]
) -> None:
    """Functions and APIs without sessions, passed on by position, whose results are read as they were then."""
    recipe, interfaces = sdk("recipe.emailpassword"), sdk("recipe.emailpassword.interfaces")
    told: list[Any] = []

    def functions(original: Any) -> Any:
        original_sign_up = original.sign_up
        original_create_token = original.create_reset_password_token

        async def sign_up(email: str, password: str, tenant_id: str, user_context: dict[str, Any]) -> Any:
            result = await original_sign_up(email, password, tenant_id, user_context)
            assert isinstance(result, interfaces.SignUpOkResult)
            told.append((result.user.user_id == result.user.id, result.user.email))
            return result

        async def create_reset_password_token(user_id: str, tenant_id: str, user_context: dict[str, Any]) -> Any:
            return await original_create_token(user_id, tenant_id, user_context)

        original.sign_up, original.create_reset_password_token = sign_up, create_reset_password_token
        return original

    def apis(original: Any) -> Any:
        original_sign_up_post = original.sign_up_post

        async def sign_up_post(form_fields: Any, tenant_id: str, api_options: Any, user_context: dict[str, Any]) -> Any:
            result = await original_sign_up_post(form_fields, tenant_id, api_options, user_context)
            told.append(result.session.get_user_id() == result.user.user_id)
            return result

        original.sign_up_post = sign_up_post
        return original

    override = recipe.InputOverrideConfig(functions=functions, apis=apis)
    app = make_app(recipes=[recipe.init(override=override)])
    set_default_services(app)
    fields = [{"id": "email", "value": EMAIL}, {"id": "password", "value": PASSWORD}]
    signed_up = serve(app).post("/auth/signup", json={"formFields": fields})
    assert signed_up.json()["status"] == "OK"
    assert told == [(True, EMAIL), True]
    user_id = signed_up.json()["user"]["id"]
    assert sdk("recipe.emailpassword.syncio").create_reset_password_token("public", user_id).status == "OK"


def test_attributes_of_the_seeds_time_are_there_under_the_shim_only(app: App) -> None:
    """What a user and the result of a provider had then can be read, until `uninstall`."""
    result = sdk("recipe.thirdparty.syncio").manually_create_or_update_user("public", "google", "g1", EMAIL)
    assert (result.created_new_user, result.user.user_id, result.user.email) == (True, result.user.id, EMAIL)
    assert result.user.third_party_info.user_id == "g1"
    shim.uninstall()
    for owner, name in ((result, "created_new_user"), (result.user, "user_id"), (result.user, "email")):
        assert not hasattr(owner, name)
