"""Apps for tests: fresh, complete, and strangers to one another."""

from __future__ import annotations

import asyncio
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from coatcheck import App, InputAppInfo, RecipeUserId, current_app
from coatcheck.claims import Clock, ManualClock
from coatcheck.claims.clock import current_clock
from coatcheck.recipes import emailpassword, session, thirdparty
from coatcheck.recipes.app import default_app
from coatcheck.recipes.emailpassword.recipe import EmailPasswordRecipe
from coatcheck.recipes.exceptions import ConfigurationError, NotInitialisedError, TryRefreshTokenError
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.recipes.thirdparty import SignInAndUpFeature
from coatcheck.server.stub import provider_of, stub
from coatcheck.testing import APP_INFO, client, make_app, sign_in

FORM = {"formFields": [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]}


def test_an_app_is_current_for_as_long_as_the_block_runs() -> None:
    """Within the block everything finds the App and its clock; outside nothing is left behind, the default included."""
    with make_app() as app:
        assert current_app() is app
        assert current_clock.get() is app.clock
        assert default_app() is None
    assert current_clock.get() is not app.clock
    with pytest.raises(NotInitialisedError):
        current_app()


def test_calls_without_a_context_belong_to_the_app_of_the_test() -> None:
    """Threads of the application's own find the App of the test, not the one that it has made at import."""

    def elsewhere() -> App:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(current_app).result()

    made = App(app_info=APP_INFO, recipe_list=[session.init()], unsafe_for_tests=True)
    set_default_services(made)
    try:
        with make_app() as app:
            assert elsewhere() is app
            with make_app(), pytest.raises(NotInitialisedError, match="several Apps are open in tests"):
                elsewhere()
            assert elsewhere() is app
        assert elsewhere() is made
    finally:
        set_default_services(None)
        made.close()


def test_an_app_stands_at_the_present_second() -> None:
    """The clock is a ManualClock that starts now, at a whole second."""
    before = Clock().now_ms() // 1000 * 1000
    with make_app() as app:
        assert isinstance(app.clock, ManualClock)
        assert before <= app.clock.now_ms() <= Clock().now_ms()
        assert app.clock.now_ms() % 1000 == 0


def test_an_app_has_the_recipes_of_a_small_service() -> None:
    """Without a list of its own, an App has sessions, e-mail and password, and user metadata."""
    with make_app() as app:
        assert {"session", "emailpassword", "usermetadata"} <= {recipe.recipe_id for recipe in app.recipes}
        assert not app.has_recipe("thirdparty")


def test_passwords_cost_nothing_in_an_app_for_tests() -> None:
    """Whatever else is configured, an App of the kit hashes fast."""
    for recipes in (None, [session.init(), emailpassword.init()]):
        with make_app(recipes) as app:
            assert EmailPasswordRecipe.of(app).hasher.is_fast


def test_recipes_and_configuration_can_be_those_of_the_application() -> None:
    """A recipe list, and every keyword of App, replace what the kit would take."""
    info = InputAppInfo("Mine", "https://api.example.com", website_domain="https://example.com")
    clock = ManualClock(0)
    with make_app([session.init()], app_info=info, clock=clock, sync_overrides="loop") as app:
        assert app.info.app_name == "Mine"
        assert app.clock is clock
        assert not app.has_recipe("emailpassword")


def test_an_app_for_tests_is_always_marked_as_one() -> None:
    """`unsafe_for_tests` is not for the caller to choose."""
    options: dict[str, Any] = {"unsafe_for_tests": False}
    with pytest.raises(TypeError, match="unsafe_for_tests"), make_app(**options):
        raise AssertionError("unreachable")


def test_a_wrong_configuration_is_said_at_once() -> None:
    """The kit hides none of the errors that an App makes of its configuration."""
    with pytest.raises(ConfigurationError, match="recipe_list is empty"), make_app([]):
        raise AssertionError("unreachable")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recipe_list": [emailpassword.init()]}, r"add session.init\(\) to recipe_list"),
        ({"recipe_list": session.init()}, r"recipe_list must be a list, such as \[session.init\(\)\]"),
        ({"unsafe_for_tests": "false"}, "unsafe_for_tests must be True or False, not 'false'"),
        ({"database": ""}, "database is empty"),
    ],
)
def test_what_would_go_wrong_later_is_said_when_an_app_is_made(options: dict[str, Any], said: str) -> None:
    """Half a configuration is found before anybody signs up, and no variable that is unset loses data."""
    with pytest.raises(ConfigurationError, match=said):
        App(**{"app_info": APP_INFO, "recipe_list": [session.init()], **options})


def test_an_app_writes_no_warning_about_its_memory(caplog: pytest.LogCaptureFixture) -> None:
    """That sessions are kept in memory goes without saying in a test."""
    with make_app():
        assert caplog.records == []


def test_an_error_closes_the_app() -> None:
    """However the block ends, the App is no longer the current one, and its database is gone."""
    apps: list[App] = []
    with pytest.raises(KeyError), make_app() as app:
        apps.append(app)
        sign_in(app, "u1")
        raise KeyError
    with apps[0].active():
        assert session.sync.get_all_session_handles_for_user("u1") == []
    with pytest.raises(NotInitialisedError):
        current_app()


def test_users_and_sessions_belong_to_one_app() -> None:
    """What one App knows, another has never heard of, made before, after or within its time."""
    with make_app() as one:
        signed_in = sign_in(one, "ann@example.com")
        with make_app() as other:
            assert other.users is not one.users
            assert client(other).post("/auth/signin", json=FORM).json()["status"] == "WRONG_CREDENTIALS_ERROR"
            assert session.sync.get_session_information(signed_in.session_handle) is None
        assert session.sync.get_session_information(signed_in.session_handle) is not None
    with make_app():
        assert session.sync.get_session_information(signed_in.session_handle) is None


def test_outbox_and_clock_belong_to_one_app() -> None:
    """Mails reach, and time passes in, the App in which a test makes them."""
    with make_app(clock=ManualClock(0)) as one, make_app(clock=ManualClock(0)) as other:
        browser = client(one)
        browser.post("/auth/signup", json=FORM)
        browser.post("/auth/user/password/reset/token", json={"formFields": FORM["formFields"][:1]})
        assert [len(app.outbox) for app in (one, other)] == [1, 0]
        assert isinstance(one.clock, ManualClock)
        one.clock.advance(5)
        assert [app.clock.now_ms() for app in (one, other)] == [5_000, 0]


def test_a_verified_token_is_remembered_by_one_app_only() -> None:
    """What one App has verified is unknown to another at the same moment, and to the next one with the same RSA key."""
    clock = ManualClock()
    with make_app(clock=clock) as one:
        token = sign_in(one, RecipeUserId("u1")).access_token
        assert session.sync.get_session_without_request_response(token)
        with make_app(clock=clock) as other, pytest.raises(TryRefreshTokenError):
            sign_in(other, RecipeUserId("u1"))
            session.sync.get_session_without_request_response(token)
        modulus = one.keys.jwks()[0]["n"]
        with make_app(clock=clock) as other:
            assert other.keys.jwks()[0]["n"] != modulus
    with make_app(clock=clock) as later:
        assert later.keys.jwks()[0]["n"] == modulus
        with pytest.raises(TryRefreshTokenError):
            session.sync.get_session_without_request_response(token)


def test_what_a_stub_was_told_ends_with_the_app() -> None:
    """A plan that a test did not use is not there for the next App, though the stub is the same object."""
    google = stub("google")
    recipes = [session.init(), thirdparty.init(SignInAndUpFeature([google]))]
    script = provider_of(google).script
    with make_app(recipes):
        script.next_error("server_error")
    with make_app(recipes):
        assert script.take_error(["server_error"]) is None


def test_a_coroutine_finds_the_app() -> None:
    """An asynchronous test that starts within the block works on the App."""

    async def name() -> str:
        await asyncio.sleep(0)
        return current_app().info.app_name

    with make_app():
        assert asyncio.run(name()) == APP_INFO.app_name


def test_unittest_needs_no_plugin() -> None:
    """A TestCase enters an App as a context, and has it in every method, asynchronous ones included."""

    class Case(unittest.IsolatedAsyncioTestCase):
        app: App

        def setUp(self) -> None:
            self.app = self.enterContext(make_app())

        def test_plain(self) -> None:
            """What cannot await finds the App."""
            assert current_app() is self.app
            assert emailpassword.sync.sign_up("public", "ann@example.com", "correct horse 1")

        async def test_async(self) -> None:
            """So does a coroutine, and a client in it."""
            assert current_app() is self.app
            await emailpassword.sign_up("public", "ann@example.com", "correct horse 1")
            assert client(self.app).post("/auth/signin", json=FORM).json()["status"] == "OK"

    result = unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(unittest.TestResult())
    assert (result.testsRun, result.failures, result.errors) == (2, [], [])
