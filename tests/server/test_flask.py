"""Flask: what the extension adds to an application, and what it leaves alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import flask
import flask_cors
import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from coatcheck import App, RecipeUserId, get_all_cors_headers
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.server.flask import CoatCheck, user_context, verify_session
from coatcheck.sessions.exceptions import SessionError, UnauthorisedError

Make = Callable[..., App]
WEBSITE = "http://localhost:3000"
COOKIES = {"st-auth-mode": "cookie"}


@pytest.fixture
def app(make_app: Make) -> flask.Flask:
    """Return a Flask application with the extension, a way to sign in, and a protected view."""
    application = flask.Flask(__name__)
    CoatCheck(application, make_app())

    @application.post("/login/<user>")
    def login(user: str) -> str:
        session.sync.create_new_session(flask.request, "public", RecipeUserId(user))
        return user

    @application.get("/me")
    @verify_session()
    def me() -> str:
        found: str = flask.g.supertokens.get_user_id()
        return found

    @application.get("/open")
    def open_to_all() -> str:
        return str(flask.g.supertokens)

    return application


def login(client: Any, user: str = "ann") -> TestResponse:
    """Sign a user in with cookies."""
    response: TestResponse = client.post(f"/login/{user}", headers=COOKIES)
    return response


def payload(response: TestResponse) -> dict[str, Any]:
    """Return the access-token payload that a response's front token mirrors."""
    found: dict[str, Any] = json.loads(base64.b64decode(response.headers["front-token"]))["up"]
    return found


def test_an_application_context_pushed_once_two_users_never_see_each_others_tokens(app: flask.Flask) -> None:
    """Requests that share an application context, hence `g`, do not inherit the session of the one before."""
    ann, bob, nobody = app.test_client(), app.test_client(), app.test_client()
    with app.app_context():
        for client, user in ((ann, "ann"), (bob, "bob")):
            login(client, user)
        for client, user in ((ann, "ann"), (bob, "bob"), (ann, "ann")):
            assert client.get("/me").text == user
            response = nobody.get("/open")
            assert response.text == "None"
            assert "set-cookie" not in response.headers
        assert nobody.get("/me").status_code == 401


def test_the_user_context_is_shared_between_the_hooks_before_and_after_a_request(make_app: Make) -> None:
    """What a hook before the view puts into the user context is there for overrides and for hooks after it."""
    seen: list[Any] = []

    def noting(original: session.RecipeInterface) -> session.RecipeInterface:
        inner = original.get_session

        async def get_session(**arguments: Any) -> Any:
            seen.append(arguments["user_context"].get("trace"))
            arguments["user_context"]["found"] = True
            return await inner(**arguments)

        original.get_session = get_session  # type: ignore[assignment, method-assign]
        return original

    application = flask.Flask(__name__)
    CoatCheck(application, make_app(override=session.InputOverrideConfig(functions=noting)))

    @application.before_request
    def before() -> None:
        user_context()["trace"] = flask.request.args["trace"]

    @application.after_request
    def after(response: flask.Response) -> flask.Response:
        seen.append((user_context()["trace"], user_context().get("found")))
        return response

    @application.get("/")
    @verify_session(session_required=False, user_context={"given": 1})
    def view() -> str:
        return str(user_context()["given"])

    assert application.test_client().get("/?trace=one").text == "1"
    assert application.test_client().get("/?trace=two").text == "1"
    assert seen == ["one", ("one", True), "two", ("two", True)]


@pytest.mark.parametrize("signed_in", [False, True])
def test_an_optional_session_in_a_before_request_hook_does_not_swallow_the_route(
    app: flask.Flask, signed_in: bool
) -> None:
    """The decorator on a hook returns what the hook returns: None, so that the view runs."""

    @app.before_request
    @verify_session(session_required=False)
    def before() -> None:
        flask.g.visitor = None if flask.g.supertokens is None else flask.g.supertokens.get_user_id()

    @app.get("/visitor")
    def visitor() -> str:
        return str(flask.g.visitor)

    client = app.test_client()
    if signed_in:
        login(client)
    assert client.get("/visitor").text == ("ann" if signed_in else "None")


def test_a_required_session_in_a_blueprints_hook(app: flask.Flask) -> None:
    """A hook protects a whole blueprint, and answers 401 in its place; other routes stay open."""
    private = flask.Blueprint("private", __name__, url_prefix="/private")

    @private.before_request
    @verify_session()
    def before() -> None:
        return None

    @private.get("/")
    def view() -> str:
        found: str = flask.g.supertokens.get_user_id()
        return found

    app.register_blueprint(private)
    client = app.test_client()
    refused = client.get("/private/")
    assert (refused.status_code, refused.json) == (401, {"message": "unauthorised"})
    assert client.get("/open").status_code == 200
    login(client)
    assert client.get("/private/").text == "ann"


def test_an_application_that_handles_every_exception_still_gets_401(app: flask.Flask) -> None:
    """A catch-all error handler, even a blueprint's, does not stand between a client and its refresh."""
    blueprint = flask.Blueprint("all", __name__)

    @blueprint.errorhandler(Exception)
    def anything(_error: Exception) -> tuple[str, int]:
        return "caught", 500

    @blueprint.get("/caught")
    @verify_session()
    def view() -> str:
        return "never"

    app.register_error_handler(Exception, anything)
    app.register_blueprint(blueprint)
    assert app.test_client().get("/caught").status_code == 401


def test_an_application_may_handle_session_errors_of_its_views_itself(app: flask.Flask) -> None:
    """An error raised inside a view goes the way of Flask: the most special handler answers."""

    @app.errorhandler(SessionError)
    def ours(error: SessionError) -> tuple[str, int]:
        return str(error), 418

    @app.get("/raise")
    def view() -> str:
        raise UnauthorisedError("mine")

    response = app.test_client().get("/raise")
    assert (response.status_code, response.text) == (418, "mine")


def test_teardown_sees_the_session_and_runs_once(app: flask.Flask) -> None:
    """Teardown functions run for the auth API and for views, refused ones too."""
    seen: list[str | None] = []

    @app.teardown_request
    def teardown(_error: BaseException | None) -> None:
        found = flask.g.supertokens
        seen.append(None if found is None else found.get_user_id())

    client = app.test_client()
    login(client)
    client.get("/me")
    app.test_client().get("/me")
    client.post("/auth/signout")
    assert seen == ["ann", "ann", None, "ann"]


def test_a_stream_with_the_requests_context_uses_the_session(app: flask.Flask) -> None:
    """A generator that runs after the view has returned still has the session, and its App."""

    @app.get("/stream")
    @verify_session()
    def stream() -> flask.Response:
        def rows() -> Iterator[str]:
            yield flask.g.supertokens.get_user_id()
            yield str(len(session.sync.get_all_session_handles_for_user("ann")))

        flask.g.supertokens.sync_merge_into_access_token_payload({"streamed": True})
        return flask.Response(flask.stream_with_context(rows()))

    client = app.test_client()
    login(client)
    response = client.get("/stream")
    assert response.text == "ann1"
    assert payload(response)["streamed"] is True


def test_cookies_of_the_application_and_of_flask_stay(app: flask.Flask) -> None:
    """Flask's own session cookie, and others, stand beside ours in one response."""
    app.secret_key = "for tests"

    @app.post("/both/<user>")
    def both(user: str) -> flask.Response:
        session.sync.create_new_session(flask.request, "public", RecipeUserId(user))
        flask.session["basket"] = 3
        response = flask.make_response("own", 202)
        response.set_cookie("sAccessToken", "theirs", path="/elsewhere")
        response.set_cookie("sAccessToken", "stale")
        return response

    client = app.test_client()
    response = client.post("/both/ann", headers=COOKIES)
    lines = response.headers.getlist("set-cookie")
    assert response.status_code == 202
    assert [line.partition("=")[0] for line in lines] == ["sAccessToken", "session", "sAccessToken", "sRefreshToken"]
    assert not any("stale" in line for line in lines)
    assert client.get("/me").text == "ann"


def test_preflight_requests_of_flask_cors_are_answered(app: flask.Flask) -> None:
    """With flask-cors the website may call the auth API and read what it answers, and protected views, and a 401."""
    flask_cors.CORS(
        app,
        origins=[WEBSITE],
        supports_credentials=True,
        allow_headers=["content-type", *get_all_cors_headers()],
    )
    client = app.test_client()
    asked = {
        "origin": WEBSITE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "rid,st-auth-mode",
    }
    for path in ("/auth/signin", "/auth/public/signin", "/login/ann"):
        preflight = client.options(path, headers=asked)
        assert preflight.status_code in (200, 204)
        assert preflight.headers["access-control-allow-origin"] == WEBSITE
        assert preflight.headers["access-control-allow-credentials"] == "true"
        assert "st-auth-mode" in preflight.headers["access-control-allow-headers"]
    for answered in (
        client.post("/auth/signin", json={}, headers={"origin": WEBSITE}),
        client.get("/me", headers={"origin": WEBSITE}),
    ):
        assert answered.status_code in (400, 401)
        assert answered.headers["access-control-allow-origin"] == WEBSITE
    created = client.post("/login/ann", headers={"origin": WEBSITE, **COOKIES})
    assert "front-token" in created.headers["access-control-expose-headers"]


def test_preflight_requests_of_other_paths_are_the_applications(app: flask.Flask) -> None:
    """Only paths of the auth API are answered."""
    client = app.test_client()
    assert client.options("/auth/unknown").status_code == 404
    assert client.options("/open").headers["allow"]
    assert client.options("/auth/signin").headers["allow"] == "POST, OPTIONS"


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


def test_a_body_read_earlier_is_not_missed(app: flask.Flask) -> None:
    """The auth API is served before the application's hooks, so that none of them can read its body first."""

    @app.before_request
    def greedy() -> None:
        flask.request.get_data()

    fields = [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]
    response = app.test_client().post("/auth/signup", json={"formFields": fields})
    assert response.json is not None
    assert response.json["status"] == "OK"
