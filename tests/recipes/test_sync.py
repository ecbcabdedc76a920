"""The synchronous API is complete: what can be awaited can be called without, under the same name and signature."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest
from starlette.testclient import TestClient

import coatcheck
from coatcheck import App, RecipeUserId, recipes as package
from coatcheck.recipes import emailpassword, multitenancy, session, thirdparty, usermetadata
from coatcheck.recipes.kit.recipe import RecipeSpecification
from coatcheck.recipes.session.container import PlainSession, SessionContainer
from coatcheck.recipes.thirdparty import RedirectUriInfo, SignInAndUpFeature, UserInfo, UserInfoEmail
from coatcheck.recipes.thirdparty.provider import PlainProvider, Provider
from coatcheck.server.stub import stub

from ..kit import Journey

Functions = dict[str, Callable[..., Any]]
MODULES = [import_module(found.name) for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]


def returned_by(function: Any) -> Any:
    """Return the annotation of what a function returns; a name may be one that only type checkers import."""
    known = {name: value for module in MODULES for name, value in vars(module).items() if isinstance(value, type)}
    return get_type_hints(function, {**known, **function.__globals__})["return"] if function else None


RECIPES = [module for module in MODULES if returned_by(getattr(module, "init", None)) is RecipeSpecification]
PLAIN_FORMS: dict[type, type] = {SessionContainer: PlainSession, Provider: PlainProvider}
"""What functions hand out that has something to be awaited, and what gives it to code that cannot await."""


def awaitable(owner: Any) -> Functions:
    """Return the public async functions of a recipe, or methods of a class."""
    names = getattr(owner, "__all__", None) or [name for name in vars(owner) if not name.startswith("_")]
    return {name: value for name in names if inspect.iscoroutinefunction(value := getattr(owner, name))}


def plain(owner: Any) -> Functions:
    """Return what a sync namespace offers."""
    return {name: getattr(owner, name) for name in vars(owner) if not name.startswith("_")}


def same(functions: Functions, plain_forms: Functions) -> None:
    """Compare async functions with their plain forms by name and signature."""
    assert functions.keys() == plain_forms.keys()
    for name, function in functions.items():
        assert inspect.signature(function) == inspect.signature(plain_forms[name]), name
        assert not inspect.iscoroutinefunction(plain_forms[name])


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.__name__.rpartition(".")[2])
def test_every_function_of_a_recipe_has_a_plain_form(recipe: ModuleType) -> None:
    """`<recipe>.sync.<function>` exists for every public async function, with its signature and its docstring."""
    functions = awaitable(recipe)
    assert functions or recipe is multitenancy
    offered = plain(recipe.sync) if functions else {}
    same(functions, offered)
    assert all(function.__doc__ == offered[name].__doc__ for name, function in functions.items())


def test_every_function_of_the_front_door_has_a_plain_form() -> None:
    """`coatcheck.sync.<function>` exists for what `from coatcheck import ...` gives to be awaited."""
    same({name: found for name, found in awaitable(coatcheck).items() if name != "blocking"}, plain(coatcheck.sync))


def handed_out(annotation: Any) -> Iterator[type]:
    """Yield the classes of what a function may return."""
    if isinstance(annotation, type):
        yield annotation
    for part in get_args(annotation):
        yield from handed_out(part)


def test_everything_that_functions_hand_out_has_plain_forms() -> None:
    """What a recipe's function returns has nothing to be awaited, or it has `sync`."""
    functions = [function for recipe in RECIPES for function in awaitable(recipe).values()]
    classes = {found for function in functions for found in handed_out(returned_by(function))}
    assert {found for found in classes if awaitable(found)} == PLAIN_FORMS.keys()


@pytest.mark.parametrize(("given", "plain_form"), PLAIN_FORMS.items(), ids=lambda found: found.__name__)
def test_every_method_of_what_is_handed_out_has_a_plain_form(given: type, plain_form: type) -> None:
    """`<object>.sync.<method>` exists for every async method, with its signature and its docstring."""
    methods, offered = awaitable(given), plain(plain_form)
    same(methods, offered)
    assert all(method.__doc__ == offered[name].__doc__ for name, method in methods.items())


def test_every_method_of_a_session_has_a_plain_name() -> None:
    """`session.sync_<method>` exists for every async method of a session."""
    methods = awaitable(SessionContainer)
    prefixed = {name: found for name, found in vars(SessionContainer).items() if name.startswith("sync_")}
    same({f"sync_{name}": found for name, found in methods.items()}, prefixed)


def test_the_plain_form_of_a_session_is_the_same_session(make_app: Callable[..., App]) -> None:
    """What is done through `session.sync` is done to the session it was asked of."""
    with make_app().active():
        made = session.sync.create_new_session_without_request_response("public", RecipeUserId("u1"))
        before = made.get_access_token()
        made.sync.merge_into_access_token_payload({"k": 1})
        assert made.get_access_token_payload()["k"] == 1
        assert made.get_access_token() != before
        made.sync.update_session_data_in_database({"d": 2})
        assert made.sync.get_session_data_from_database() == {"d": 2}
        made.sync.revoke_session()
        assert session.sync.get_session_information(made.get_handle()) is None


def test_a_provider_works_without_awaiting(make_app: Callable[..., App], serve: Callable[..., TestClient]) -> None:
    """Who cannot await sends a browser to a provider, redeems its code and asks who it is; overrides take part."""

    def override(provider: Provider) -> Provider:
        ask = provider.get_user_info

        async def get_user_info(oauth_tokens: Mapping[str, Any], user_context: dict[str, Any]) -> UserInfo:
            return replace(await ask(oauth_tokens, user_context), third_party_user_id="mine")

        provider.get_user_info = get_user_info  # type: ignore[method-assign]
        return provider

    google = replace(stub("google"), override=override)
    app = make_app(recipes=[thirdparty.init(SignInAndUpFeature([google])), usermetadata.init()])
    trip = Journey(serve(app), google)
    with app.active():
        provider = thirdparty.sync.get_provider("public", "google")
        assert provider is not None
        assert provider.sync.get_config_for_client_type(None, {}).client_id == provider.config.client_id
        there = provider.sync.get_authorisation_redirect_url(trip.landing, {})
        params = trip.come_back(there.url_with_query_params)
        back = RedirectUriInfo(trip.landing, params, there.pkce_code_verifier)
        tokens = provider.sync.exchange_auth_code_for_oauth_tokens(back, {})
        found = provider.sync.get_user_info(tokens, user_context={})
    assert (found.third_party_user_id, found.email) == ("mine", UserInfoEmail("ada@example.com", True))


def test_users_are_found_without_awaiting(make_app: Callable[..., App]) -> None:
    """`coatcheck.sync` reads the users of the current App."""
    with make_app().active():
        signed_up = emailpassword.sync.sign_up("public", "ann@example.com", "correct horse 1")
        assert isinstance(signed_up, emailpassword.SignUpOkResult)
        assert coatcheck.sync.get_user(signed_up.user.id) == signed_up.user
        assert coatcheck.sync.get_user_count() == 1
