"""Flask: how the extension is set up, and what is said when it is missing."""

from __future__ import annotations

import asyncio
import importlib.metadata
from typing import TYPE_CHECKING, Any, Literal

import flask
import pytest
from packaging.requirements import Requirement
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from coatcheck import RecipeUserId
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.server.flask import CoatCheck, verify_session

from ...kit import Make
from .signing_in import login

if TYPE_CHECKING:
    pass


def test_an_application_mounted_below_a_path(app: flask.Flask) -> None:
    """Where a dispatcher mounts the application, the base path is looked for in the whole path."""
    mounted = Client(DispatcherMiddleware(flask.Flask(__name__), {"/auth": app}))
    assert mounted.post("/auth/signin", json={}).status_code == 400
    assert mounted.get("/auth/open").text == "None"


def test_two_apps_in_one_process(make_app: Make) -> None:
    """Two Flask applications with an App each know nothing of each other's sessions."""
    clients = []
    for _ in range(2):
        application = flask.Flask(__name__)
        CoatCheck(application, make_app())

        @application.post("/login")
        def login() -> str:
            session.sync.create_new_session(flask.request, "public", RecipeUserId("ann"))
            return ""

        @application.get("/handles")
        @verify_session()
        def handles() -> str:
            return str(len(session.sync.get_all_session_handles_for_user("ann")))

        clients.append(application.test_client())
    first, second = clients
    tokens = first.post("/login", headers={"st-auth-mode": "header"}).headers
    bearer = {"authorization": f"Bearer {tokens['st-access-token']}"}
    assert first.get("/handles", headers=bearer).text == "1"
    assert second.get("/handles", headers=bearer).status_code == 401


def test_an_extension_that_is_added_later(make_app: Make) -> None:
    """The extension follows the application-factory pattern."""
    coatcheck = CoatCheck(coatcheck=make_app())
    application = flask.Flask(__name__)
    coatcheck.init_app(application)
    assert application.test_client().post("/auth/signin", json={}).status_code == 400


def test_an_extension_added_twice_is_refused(app: flask.Flask, make_app: Make) -> None:
    """A second extension would serve every request twice."""
    with pytest.raises(ConfigurationError, match="already added"):
        CoatCheck(app, make_app())


def test_a_protected_view_without_the_extension_says_what_is_missing(make_app: Make) -> None:
    """Nothing could send the tokens, so the mistake is named at the first request."""
    application = flask.Flask(__name__)
    application.testing = True

    @application.get("/")
    @verify_session()
    def view() -> str:
        return "never"

    with make_app().active(), pytest.raises(ConfigurationError, match=r"add CoatCheck\(app\)"):
        application.test_client().get("/")


def test_errors_of_the_application_propagate_in_tests(app: flask.Flask) -> None:
    """With `TESTING` an error of a view reaches the test, as it does in any Flask application."""
    app.testing = True

    @app.get("/boom")
    @verify_session(session_required=False)
    def boom() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        app.test_client().get("/boom")


def test_a_body_read_earlier_is_not_missed(make_app: Make) -> None:
    """The auth API is served before the application's hooks, earlier ones too: none can read its body first."""
    application = flask.Flask(__name__)

    @application.before_request
    def greedy() -> None:
        flask.request.get_data()

    CoatCheck(application, make_app())
    fields = [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]
    response = application.test_client().post("/auth/signup", json={"formFields": fields})
    assert response.json is not None
    assert response.json["status"] == "OK"


def test_the_guard_of_an_async_view_is_awaited(make_app: Make) -> None:
    """Overrides that run for an async view may wait for what its event loop does."""
    waited: list[str] = []

    def waiting(original: session.RecipeInterface) -> session.RecipeInterface:
        inner = original.get_session

        async def get_session(**arguments: Any) -> Any:
            await asyncio.sleep(0)
            waited.append(flask.request.path)
            return await inner(**arguments)

        original.get_session = get_session  # type: ignore[assignment, method-assign]
        return original

    application = flask.Flask(__name__)
    CoatCheck(application, make_app(override=session.InputOverrideConfig(functions=waiting)))

    @application.get("/me")
    @verify_session()
    async def me() -> str:
        await asyncio.sleep(0)
        found: str = flask.g.supertokens.get_user_id()
        return found

    @application.post("/login/<user>")
    def sign_in(user: str) -> str:
        session.sync.create_new_session(flask.request, "public", RecipeUserId(user))
        return user

    client = application.test_client()
    assert client.get("/me").status_code == 401
    login(client)
    assert client.get("/me").text == "ann"
    assert waited == ["/me", "/me"]


@pytest.mark.parametrize("form", ["sync", "async"])
@pytest.mark.parametrize("method", ["cookie", "header"])
def test_a_session_made_elsewhere_is_attached_to_a_request(
    app: flask.Flask, form: str, method: Literal["cookie", "header"]
) -> None:
    """A session that was made without a request becomes that of Flask's request, which sends its tokens."""

    @app.post("/sync")
    def attach() -> str:
        made = session.sync.create_new_session_without_request_response("public", RecipeUserId("ann"))
        made.sync_attach_to_request_response(flask.request, method)
        return str(flask.g.supertokens.get_handle() == made.get_handle())

    @app.post("/async")
    async def attach_async() -> str:
        made = await session.create_new_session_without_request_response("public", RecipeUserId("ann"))
        await made.attach_to_request_response(flask.request, method)
        return str(flask.g.supertokens.get_handle() == made.get_handle())

    client = app.test_client()
    attached = client.post(f"/{form}")
    assert attached.text == "True"
    names = [line.partition("=")[0] for line in attached.headers.getlist("set-cookie")]
    assert names == (["sAccessToken", "sRefreshToken"] if method == "cookie" else [])
    token = attached.headers.get("st-access-token")
    assert (token is not None) is (method == "header")
    assert client.get("/me", headers={"authorization": f"Bearer {token}"} if token else {}).text == "ann"


def test_async_views_need_no_more_than_the_extra() -> None:
    """`coatcheck[flask]` installs Flask with what it runs async views with."""
    extra = {"extra": "flask"}
    wanted = [Requirement(text) for text in importlib.metadata.requires("coatcheck") or ()]
    (found,) = [needed for needed in wanted if needed.marker is not None and needed.marker.evaluate(extra)]
    assert (found.name, found.extras) == ("flask", {"async"})
    assert "async" in importlib.metadata.metadata("flask").get_all("provides-extra", [])
