"""Flask: what the extension adds to an application, and what it leaves alone."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper

import flask
import flask_cors
import pytest
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from coatcheck import RecipeUserId, get_all_cors_headers
from coatcheck.recipes import session
from coatcheck.server.flask import CoatCheck, user_context, verify_session
from coatcheck.sessions.exceptions import SessionError, UnauthorisedError

from ...kit import WEBSITE, Make
from .signing_in import COOKIES, login

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


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
    """A hook, sync or async, protects a whole blueprint and answers 401 in its place; preflights pass it unseen."""
    flask_cors.CORS(app, origins=[WEBSITE], supports_credentials=True)
    visitors: list[str] = []

    @verify_session()
    def before() -> None:
        visitors.append(flask.g.supertokens.get_user_id())

    @verify_session()
    async def before_async() -> None:
        visitors.append(flask.g.supertokens.get_user_id())

    def view() -> str:
        found: str = flask.g.supertokens.get_user_id()
        return found

    for name, hook in (("sync", before), ("async", before_async)):
        private = flask.Blueprint(name, __name__, url_prefix=f"/{name}")
        private.before_request(hook)
        private.add_url_rule("/", view_func=view, methods=["PUT"])
        app.register_blueprint(private)
    browser, client = app.test_client(), app.test_client()
    login(client)
    asked = {"origin": WEBSITE, "access-control-request-method": "PUT", "access-control-request-headers": "anti-csrf"}
    for name in ("sync", "async"):
        preflight = browser.options(f"/{name}/", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == WEBSITE
        assert "PUT" in preflight.headers["access-control-allow-methods"]
        refused = browser.put(f"/{name}/", headers={"origin": WEBSITE})
        assert (refused.status_code, refused.json) == (401, {"message": "unauthorised"})
        assert refused.headers["access-control-allow-origin"] == WEBSITE
        assert client.put(f"/{name}/").text == "ann"
    assert visitors == ["ann", "ann"]
    assert browser.get("/open").status_code == 200


def test_options_of_an_unknown_path_pass_a_hook_of_the_application(app: flask.Flask) -> None:
    """A hook that demands a session of everything leaves it to Flask to say that there is no such path."""
    app.before_request(verify_session()(lambda: None))
    client = app.test_client()
    assert (client.options("/unknown").status_code, client.get("/unknown").status_code) == (404, 401)


@pytest.mark.parametrize("signed_in", [False, True])
def test_a_view_that_declares_options_is_never_reached(app: flask.Flask, signed_in: bool) -> None:
    """OPTIONS has no session (docs/protocol.md, rule 14.6): to demand one, by hook or decorator, is an error."""
    reached: list[str] = []

    def view() -> str:
        reached.append(flask.request.path)
        return "never"

    async def view_async() -> str:
        return view()

    hooked = flask.Blueprint("hooked", __name__)
    hooked.before_request(verify_session()(lambda: None))
    hooked.add_url_rule("/hooked", view_func=view, methods=["OPTIONS"])
    app.register_blueprint(hooked)
    app.add_url_rule("/sync", "sync", verify_session()(view), methods=["OPTIONS"])
    app.add_url_rule("/async", "async", verify_session()(view_async), methods=["OPTIONS"])
    app.url_map.add(Rule("/mapped", endpoint="sync"))
    client = app.test_client()
    if signed_in:
        login(client)
    for path in ("/hooked", "/sync", "/async", "/mapped"):
        refused = client.options(path)
        assert (refused.status_code, refused.json) == (
            500,
            {"message": "verify_session cannot be used with OPTIONS method"},
        )
    assert reached == []


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


@pytest.mark.parametrize("changed", [False, True])
def test_a_stream_is_sent_while_it_is_produced(app: flask.Flask, changed: bool) -> None:
    """A chunk is produced when the server asks for it, not earlier, also where tokens have changed."""
    produced: list[str] = []

    def rows() -> Iterator[str]:
        for row in ("one", "two", "three"):
            produced.append(row)
            yield row

    @app.get("/rows")
    @verify_session()
    def view() -> flask.Response:
        if changed:
            flask.g.supertokens.sync_merge_into_access_token_payload({"streamed": True})
        return flask.Response(rows())

    client = app.test_client()
    login(client)
    response = client.get("/rows")
    assert ("front-token" in response.headers) is changed
    chunks = response.iter_encoded()
    for count, row in enumerate((b"one", b"two", b"three"), start=1):
        assert next(chunks) == row
        assert produced == ["one", "two", "three"][:count]


def test_a_file_reaches_the_server_in_its_own_wrapper(app: flask.Flask) -> None:
    """What `send_file` returns is sent by the server in a way of its own, with the tokens of the response."""
    bodies: list[object] = []
    inner = app.wsgi_app

    def noting(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = inner(environ, start_response)
        bodies.append(body)
        return body

    app.wsgi_app = noting  # type: ignore[method-assign]

    @app.get("/file")
    @verify_session()
    def file() -> flask.Response:
        flask.g.supertokens.sync_merge_into_access_token_payload({"file": True})
        return flask.send_file(io.BytesIO(b"content"), "text/plain")

    client = app.test_client()
    login(client)
    response = client.get("/file", environ_overrides={"wsgi.file_wrapper": FileWrapper})
    assert response.data == b"content"
    assert payload(response)["file"] is True
    assert type(bodies[-1]) is FileWrapper


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
