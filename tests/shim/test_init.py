"""`init` under the shim: no core server to connect to, and a second call starts anew."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

import coatcheck
from coatcheck import exceptions
from coatcheck.recipes import session, usermetadata
from coatcheck.recipes.app import default_app

IN_MEMORY = "kept in memory"
NO_CORE = "connection_uri is ignored"


@pytest.fixture
def sdk(shimmed: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the SDK's root module, with no database named by the environment."""
    monkeypatch.delenv("COATCHECK_DATABASE", raising=False)
    return importlib.import_module("supertokens_python")


def start(sdk: Any, uri: str = "", **others: Any) -> None:
    """Initialise the SDK with a core server, or none."""
    recipe = importlib.import_module("supertokens_python.recipe.session")
    arguments: dict[str, Any] = {
        "app_info": sdk.InputAppInfo(
            app_name="Test", api_domain="http://localhost:8000", website_domain="http://localhost:3000"
        ),
        "supertokens_config": sdk.SupertokensConfig(connection_uri=uri, api_key="k"),
        "framework": "fastapi",
        "recipe_list": [recipe.init()],
        "mode": "asgi",
    }
    sdk.init(**{**arguments, **others})


def is_kept_in(file: Path) -> bool:
    """Write something and tell whether it went into a file."""
    usermetadata.sync.update_user_metadata("u1", {"a": 1})
    return file.exists() and not coatcheck.current_app().database.inline


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged as a warning."""
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize(
    "uri", ["http://localhost:3567", "https://core.example:3567/;https://other.example", "core.example:3567"]
)
def test_a_core_server_is_ignored_with_one_warning(sdk: Any, uri: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever names a core server, the database is in memory, and one warning says so."""
    start(sdk, uri)
    assert coatcheck.current_app().database.inline
    (told,) = warnings_of(caplog)
    assert NO_CORE in told
    assert "in memory" in told
    assert "COATCHECK_DATABASE" in told


def test_the_environment_names_the_database_used_instead(
    sdk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """COATCHECK_DATABASE takes the place of the core server, and the one warning names it."""
    file = tmp_path / "users.db"
    monkeypatch.setenv("COATCHECK_DATABASE", f"sqlite:///{file}")
    start(sdk, "http://localhost:3567")
    assert is_kept_in(file)
    assert [str(file) in told for told in warnings_of(caplog)] == [True]


def test_the_warning_hides_passwords(
    sdk: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the password of the database nor one in the address of the core server is logged."""
    monkeypatch.setenv("COATCHECK_DATABASE", "postgresql+psycopg://me:hidden@db.example/users")
    start(sdk, "https://me:hidden@core.example")
    (told,) = warnings_of(caplog)
    assert "db.example" in told
    assert "hidden" not in told


def test_a_database_url_is_used_as_it_is(sdk: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What names no core server means what it means without the shim."""
    file = tmp_path / "users.db"
    start(sdk, f"sqlite:///{file}")
    assert is_kept_in(file)
    assert warnings_of(caplog) == []


def test_without_any_name_everything_is_in_memory(
    sdk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An empty connection_uri leaves it to COATCHECK_DATABASE, and else to memory with the usual warning."""
    start(sdk)
    assert [IN_MEMORY in told for told in warnings_of(caplog)] == [True]
    file = tmp_path / "users.db"
    monkeypatch.setenv("COATCHECK_DATABASE", f"sqlite:///{file}")
    start(sdk)
    assert is_kept_in(file)


def test_outside_the_shim_a_core_server_is_still_refused(sdk: Any) -> None:
    """Installing the shim changes nothing for those who call coatcheck by its own name."""
    with pytest.raises(exceptions.ConfigurationError, match="no core server to connect to"):
        coatcheck.init(
            app_info=coatcheck.InputAppInfo("Test", "http://localhost:8000", website_domain="http://localhost:3000"),
            supertokens_config=coatcheck.SupertokensConfig("http://localhost:3567"),
            recipe_list=[session.init()],
        )


def test_a_second_init_replaces(sdk: Any) -> None:
    """Each call makes a new App with a new database, even with the same arguments."""
    start(sdk)
    first = coatcheck.current_app()
    usermetadata.sync.update_user_metadata("u1", {"a": 1})
    start(sdk)
    assert coatcheck.current_app() is not first
    assert usermetadata.sync.get_user_metadata("u1").metadata == {}
    start(sdk, framework="flask", mode=None)


def test_a_failing_init_leaves_the_app_there_was(sdk: Any) -> None:
    """Only a new App that could be made takes the place of the old one."""
    start(sdk)
    first = coatcheck.current_app()
    with pytest.raises(exceptions.ConfigurationError, match="recipe_list is empty"):
        start(sdk, recipe_list=[])
    assert coatcheck.current_app() is first


def test_plugins_are_refused(sdk: Any) -> None:
    """`experimental` is no option that could be ignored in silence."""
    with pytest.raises(exceptions.ConfigurationError, match="no plugins"):
        start(sdk, experimental=object())


def test_init_takes_its_arguments_in_the_order_of_the_sdk(sdk: Any) -> None:
    """By position: who the application is, the framework, the core server, the recipes."""
    recipe = importlib.import_module("supertokens_python.recipe.session")
    info = sdk.InputAppInfo("Test", "http://localhost:8000", "", "/api", "/login", "http://localhost:3000")
    sdk.init(info, "flask", sdk.SupertokensConfig(""), [recipe.init()])
    assert coatcheck.current_app().info.api_base_path == "/api"
    assert coatcheck.current_app().info.website_base_path == "/login"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("", "Supertokens"),
        (".supertokens", "Supertokens"),
        (".recipe.session", "SessionRecipe"),
        (".recipe.session.recipe", "SessionRecipe"),
        (".recipe.emailpassword", "EmailPasswordRecipe"),
        (".recipe.emailpassword.recipe", "EmailPasswordRecipe"),
        (".recipe.thirdparty", "ThirdPartyRecipe"),
        (".recipe.thirdparty.recipe", "ThirdPartyRecipe"),
        (".recipe.thirdpartyemailpassword.recipe", "ThirdPartyEmailPasswordRecipe"),
        (".recipe.usermetadata.recipe", "UserMetadataRecipe"),
        (".recipe.multitenancy.recipe", "MultitenancyRecipe"),
        (".recipe.accountlinking.recipe", "AccountLinkingRecipe"),
    ],
)
def test_reset_drops_the_app(sdk: Any, module: str, name: str) -> None:
    """`reset` of whatever singleton leaves the process without an App; a second reset does nothing."""
    singleton = getattr(importlib.import_module(f"supertokens_python{module}"), name)
    start(sdk)
    singleton.reset()
    assert default_app() is None
    with pytest.raises(exceptions.NotInitialisedError):
        singleton.get_instance()
    singleton.reset()
    start(sdk)
    assert default_app() is not None


@pytest.mark.parametrize(
    ("recipe_id", "name"),
    [
        ("session", "SessionRecipe"),
        ("emailpassword", "EmailPasswordRecipe"),
        ("thirdparty", "ThirdPartyRecipe"),
        ("thirdpartyemailpassword", "ThirdPartyEmailPasswordRecipe"),
        ("usermetadata", "UserMetadataRecipe"),
        ("multitenancy", "MultitenancyRecipe"),
        ("accountlinking", "AccountLinkingRecipe"),
    ],
)
def test_the_singleton_of_a_recipe_is_the_one_at_work(sdk: Any, recipe_id: str, name: str) -> None:
    """Each initialises its own recipe, as `init` of the package does, and returns the current App's."""
    package = importlib.import_module(f"supertokens_python.recipe.{recipe_id}")
    singleton = getattr(importlib.import_module(f"{package.__name__}.recipe"), name)
    assert singleton.init is package.init
    assert singleton.recipe_id == recipe_id
    sessions = importlib.import_module("supertokens_python.recipe.session")
    start(sdk, recipe_list=[sessions.init(), *([singleton.init()] if recipe_id != "session" else [])])
    assert singleton.get_instance() is coatcheck.current_app().recipe(recipe_id)


def test_singletons_show_the_app(sdk: Any) -> None:
    """What the SDK asks its singletons for is that of the App."""
    start(sdk)
    instance = sdk.Supertokens.get_instance()
    assert instance.app_info.app_name == "Test"
    assert "rid" in instance.get_all_cors_headers() == sdk.get_all_cors_headers()
    assert instance.get_request_from_user_context({}) is None
    recipe = importlib.import_module("supertokens_python.recipe.session").SessionRecipe
    assert recipe.get_instance() is coatcheck.current_app().recipe("session")
    with pytest.raises(exceptions.ConfigurationError, match=r"emailpassword\.init"):
        importlib.import_module("supertokens_python.recipe.emailpassword").EmailPasswordRecipe.get_instance()
    assert sdk.is_recipe_initialized("session")
    assert not sdk.is_recipe_initialized("emailpassword")
    assert sdk.convert_to_recipe_user_id("u1") == sdk.RecipeUserId("u1")


def test_what_needs_more_than_there_is_is_refused(sdk: Any) -> None:
    """Options of recipes whose effect coatcheck does not have are errors that say so."""
    accountlinking = importlib.import_module("supertokens_python.recipe.accountlinking")
    multitenancy = importlib.import_module("supertokens_python.recipe.multitenancy")
    recipe = importlib.import_module("supertokens_python.recipe.session")
    start(sdk, recipe_list=[recipe.init(), accountlinking.init(), multitenancy.init()])
    with pytest.raises(exceptions.ConfigurationError, match="does not link accounts"):
        accountlinking.init(should_do_automatic_account_linking=lambda *_: None)
    with pytest.raises(exceptions.ConfigurationError, match="one tenant"):
        multitenancy.init(get_allowed_domains_for_tenant_id=lambda *_: [])
    with pytest.raises(exceptions.ConfigurationError, match="openid"):
        recipe.InputOverrideConfig(None, None, object())
