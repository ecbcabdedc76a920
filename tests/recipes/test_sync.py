"""The synchronous API is complete: what can be awaited can be called without, under the same name and signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import coatcheck
from coatcheck import App, RecipeUserId
from coatcheck.recipes import (
    accountlinking,
    emailpassword,
    multitenancy,
    session,
    thirdparty,
    thirdpartyemailpassword,
    usermetadata,
)
from coatcheck.recipes.session_container import PlainSession, SessionContainer

Functions = dict[str, Callable[..., Any]]
RECIPES = (accountlinking, emailpassword, multitenancy, session, thirdparty, thirdpartyemailpassword, usermetadata)


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


def test_every_method_of_a_session_has_a_plain_form() -> None:
    """`session.sync.<method>` and `session.sync_<method>` exist for every async method of a session."""
    methods = awaitable(SessionContainer)
    same(methods, plain(PlainSession))
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


def test_users_are_found_without_awaiting(make_app: Callable[..., App]) -> None:
    """`coatcheck.sync` reads the users of the current App."""
    with make_app().active():
        signed_up = emailpassword.sync.sign_up("public", "ann@example.com", "correct horse 1")
        assert isinstance(signed_up, emailpassword.SignUpOkResult)
        assert coatcheck.sync.get_user(signed_up.user.id) == signed_up.user
        assert coatcheck.sync.get_user_count() == 1
