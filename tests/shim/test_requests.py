"""Requests and responses under the shim: overrides and handlers meet what the SDK gave them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from coatcheck import current_app, exceptions
from coatcheck.server import create_app
from coatcheck.server.fastapi import verify_session

PASSWORD = "correct horse 1"


def sdk(path: str = "") -> Any:
    """Import a module of the SDK."""
    return importlib.import_module(f"supertokens_python{path}")


@pytest.fixture
def serve_sdk(shimmed: None) -> Iterator[Callable[..., TestClient]]:
    """Serve an application of the SDK: keywords go to `session.init`, `apis` overrides those of e-mail/password."""
    clients: list[TestClient] = []

    def serve(apis: Any = None, origin: Any = None, **options: Any) -> TestClient:
        session, emailpassword = sdk(".recipe.session"), sdk(".recipe.emailpassword")
        override = None if apis is None else emailpassword.InputOverrideConfig(apis=apis)
        sdk().init(
            app_info=sdk().InputAppInfo(
                "Test", "http://localhost:8000", website_domain="http://localhost:3000", origin=origin
            ),
            framework="fastapi",
            supertokens_config=sdk().SupertokensConfig("sqlite://"),
            recipe_list=[session.init(**options), emailpassword.init(override=override)],
        )

        async def private(request: Request) -> Response:
            return JSONResponse((await verify_session()(request)).get_user_id())

        routes = [Route("/private", private)]
        clients.append(TestClient(create_app(current_app(), routes), base_url="http://localhost:8000"))
        return clients[-1]

    yield serve
    for client in clients:
        client.close()


def sign_up(client: Any, **options: Any) -> Any:
    """Sign somebody up."""
    fields = [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": PASSWORD}]
    return client.post("/auth/signup?from=page", json={"formFields": fields}, **options)


def overriding_sign_up(layer: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return an override of the sign-up API by `layer(original, **arguments)`."""

    def apis(original: Any) -> Any:
        original_sign_up_post = original.sign_up_post

        async def sign_up_post(
            form_fields: Any, tenant_id: Any, session: Any, should_try_linking: Any, api_options: Any, user_context: Any
        ) -> Any:
            async def go_on() -> Any:
                return await original_sign_up_post(
                    form_fields, tenant_id, session, should_try_linking, api_options, user_context
                )

            return await layer(go_on, api_options, user_context)

        original.sign_up_post = sign_up_post
        return original

    return apis


def test_an_override_asks_the_request_in_the_words_of_the_sdk(serve_sdk: Callable[..., TestClient]) -> None:
    """Path, query, headers, cookies, body and session can be asked for, and Starlette's own words still work."""
    seen: dict[str, Any] = {}

    async def layer(go_on: Any, options: Any, user_context: Any) -> Any:
        request = options.request
        assert isinstance(request, sdk(".framework").BaseRequest)
        assert sdk().get_request_from_user_context(user_context) is request
        seen.update(
            path=request.get_path(),
            url=request.get_original_url(),
            method=(request.method(), request.method == "POST"),
            query=(request.get_query_param("from"), request.get_query_param("x", "y"), request.get_query_params()),
            header=(request.get_header("x-one"), request.headers["x-one"], request.get_header("x-two")),
            cookie=request.get_cookie("taste"),
            body=(await request.json())["formFields"][0]["id"],
            same=await request.get_json_or_form_data() == await request.json(),
            session=request.get_session(),
            wrapper=(request.wrapper_used, request.request is request),
        )
        return await go_on()

    answer = sign_up(serve_sdk(overriding_sign_up(layer)), headers={"x-one": "1", "cookie": "taste=sweet"})
    assert answer.json()["status"] == "OK"
    assert seen == {
        "path": "/auth/signup",
        "url": "http://localhost:8000/auth/signup?from=page",
        "method": ("POST", True),
        "query": ("page", "y", {"from": "page"}),
        "header": ("1", "1", None),
        "cookie": "sweet",
        "body": "email",
        "same": True,
        "session": None,
        "wrapper": (True, True),
    }


def test_an_override_adds_headers_and_cookies_to_the_answer(serve_sdk: Callable[..., TestClient]) -> None:
    """What is set on `api_options.response` leaves with the answer, beside the session's own."""

    async def layer(go_on: Any, options: Any, _context: Any) -> Any:
        options.response.set_header("x-welcome", "yes")
        options.response.set_header("x-not", "this")
        options.response.remove_header("x-not")
        assert options.response.get_header("x-welcome") == "yes"
        options.response.set_cookie("taste", "sweet", 4_102_444_800_000, path="/auth", httponly=True)
        return await go_on()

    answer = sign_up(serve_sdk(overriding_sign_up(layer)), headers={"st-auth-mode": "cookie"})
    assert answer.headers["x-welcome"] == "yes"
    assert "x-not" not in answer.headers
    assert set(answer.cookies) == {"taste", "sAccessToken", "sRefreshToken"}
    (taste,) = [one for one in answer.headers.get_list("set-cookie") if one.startswith("taste=")]
    assert "Path=/auth" in taste
    assert "01 Jan 2100" in taste


def test_status_and_body_are_what_the_api_returns(serve_sdk: Callable[..., TestClient]) -> None:
    """An override that writes them is told what to do instead; nothing is dropped in silence."""

    async def layer(go_on: Any, options: Any, _context: Any) -> Any:
        options.response.set_status_code(418)
        return await go_on()

    client = serve_sdk(overriding_sign_up(layer))
    answer = sign_up(client)
    assert answer.status_code == 500
    assert "return the answer instead" in answer.json()["message"]


@pytest.mark.parametrize(("writes", "said"), [(True, "return the answer instead"), (False, "returned nothing")])
def test_an_api_that_returns_nothing_is_told(serve_sdk: Callable[..., TestClient], writes: bool, said: str) -> None:
    """A forgotten return says so, whether or not the override has written a response."""

    async def layer(_go_on: Any, options: Any, _context: Any) -> Any:
        if writes:
            options.response.set_json_content({"t": 1})

    answer = sign_up(serve_sdk(overriding_sign_up(layer)))
    assert answer.status_code == 500
    assert said in answer.json()["message"]


def test_apis_that_are_not_overridden_get_no_layer(serve_sdk: Callable[..., TestClient]) -> None:
    """The shim's own layer goes only over what the application has replaced; a disabled API stays disabled."""

    def apis(original: Any) -> Any:
        original.email_exists_get = None
        return overriding_sign_up(lambda go_on, _options, _context: go_on())(original)

    client = serve_sdk(apis)
    app = current_app()
    assert len(app.recipe("emailpassword").chains["apis"].layers("sign_up_post")) == 3
    assert len(app.recipe("emailpassword").chains["apis"].layers("sign_in_post")) == 1
    assert client.get("/auth/emailpassword/email/exists?email=a@example.com").status_code == 404


def test_a_forgotten_return_is_still_found_at_init(serve_sdk: Callable[..., TestClient]) -> None:
    """What coatcheck says about wrong overrides, it says under the shim."""
    with pytest.raises(exceptions.OverrideError, match="did you forget"):
        serve_sdk(lambda original: None)


def test_error_handlers_write_their_answer(serve_sdk: Callable[..., TestClient]) -> None:
    """Handlers get request and response as the SDK has them; of status and body the first that is set stays."""

    def on_unauthorised(request: Any, message: str, response: Any) -> Any:
        response.set_status_code(418)
        response.set_status_code(500)
        response.set_json_content({"path": request.get_path(), "told": message[:22]})
        response.set_html_content("too late")
        response.set_header("x-handler", "ran")
        return response

    handlers = sdk(".recipe.session").InputErrorHandlers(on_unauthorised=on_unauthorised)
    client = serve_sdk(error_handlers=handlers)
    answer = client.get("/private")
    assert (answer.status_code, answer.headers["x-handler"]) == (418, "ran")
    assert answer.json() == {"path": "/private", "told": "Session does not exist"}


def test_a_handler_may_be_async_and_redirect(serve_sdk: Callable[..., TestClient]) -> None:
    """Both forms of handlers are settled; an HTML page and a redirection can be sent."""

    async def on_unauthorised(_request: Any, _message: str, response: Any) -> Any:
        response.set_html_content("<p>away</p>")
        return response.redirect("http://localhost:3000/login")

    client = serve_sdk(error_handlers=sdk(".recipe.session").InputErrorHandlers(on_unauthorised=on_unauthorised))
    answer = client.get("/private", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "http://localhost:3000/login")
    assert answer.text == "<p>away</p>"


@pytest.mark.parametrize("names", ["request handle user_id response", "request handle user_id recipe_user_id response"])
def test_thefts_are_told_in_both_signatures(serve_sdk: Callable[..., TestClient], names: str) -> None:
    """The handler of the seed's time took no recipe user id."""
    told: list[Any] = []
    handler = eval(f"lambda {', '.join(names.split())}: told.append(user_id) or response", {"told": told})
    client = serve_sdk(error_handlers=sdk(".recipe.session").InputErrorHandlers(on_token_theft_detected=handler))
    signed_up = sign_up(client, headers={"st-auth-mode": "header"})
    first = {"authorization": f"Bearer {signed_up.headers['st-refresh-token']}"}
    second = {
        "authorization": f"Bearer {client.post('/auth/session/refresh', headers=first).headers['st-refresh-token']}"
    }
    assert client.post("/auth/session/refresh", headers=second).status_code == 200
    assert client.post("/auth/session/refresh", headers=first).status_code == 401
    assert told == [signed_up.json()["user"]["id"]]


def test_selectors_and_origins_get_the_request(serve_sdk: Callable[..., TestClient]) -> None:
    """The functions that choose the transfer method and the website see a request as the SDK has it."""

    def method(request: Any, _new: bool, _context: Any) -> str:
        return "header" if request.get_header("x-app") else "cookie"

    def origin(request: Any, _context: Any) -> str:
        return (
            "http://localhost:3001" if request is None else f"http://localhost:{request.get_header('x-port') or 3000}"
        )

    client = serve_sdk(origin=origin, get_token_transfer_method=method)
    by_header = sign_up(client, headers={"x-app": "1", "x-port": "3002"})
    assert "st-access-token" in by_header.headers
    fields = [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": PASSWORD}]
    assert "sAccessToken" in client.post("/auth/signin", json={"formFields": fields}).cookies


class OddRequest(Request):
    """A request of an application's own class, as middlewares and route classes make them."""

    odd = True


def test_a_request_of_another_class_stays_what_it_is(shimmed: None) -> None:
    """The object is the same, keeps its class among its classes, and its session can be set."""
    from coatcheck.shim.frameworks import as_sdk_request

    scope: dict[str, Any] = {"type": "http", "method": "PUT", "path": "/x", "headers": [], "query_string": b""}
    given = OddRequest(scope)
    request = as_sdk_request(given)
    assert request is given is as_sdk_request(request)
    assert isinstance(request, OddRequest)
    assert (request.method(), given.odd) == ("PUT", True)
    request.set_session("s")
    assert request.get_session() == "s"
    request.set_session_as_none()
    assert request.get_session() is None
    assert sdk().get_request_from_user_context({}) is None


def test_delivery_classes_take_a_type_in_brackets(shimmed: None) -> None:
    """`EmailDeliveryConfig[Vars]` and the like can be written in annotations and as base classes."""
    types, emailpassword = sdk(".ingredients.emaildelivery.types"), sdk(".recipe.emailpassword")
    for name in ("EmailDeliveryConfig", "EmailDeliveryInterface", "SMTPServiceInterface"):
        assert getattr(types, name)[emailpassword.EmailTemplateVars] is not None
    assert types.EmailDeliveryConfig is emailpassword.EmailDeliveryConfig
    emailpassword.init(email_delivery=types.EmailDeliveryConfig(override=lambda original: original))


def test_a_result_is_an_api_response(shimmed: None) -> None:
    """APIResponse can be asked for, and subclassed by an application's own answers."""
    types = sdk(".types")

    class Mine(types.APIResponse):  # type: ignore[misc, name-defined]
        def to_json(self) -> dict[str, Any]:
            return {"status": "MINE"}

    assert Mine().to_json() == {"status": "MINE"}
    assert isinstance(types.GeneralErrorResponse("x"), types.APIResponse)


def test_a_flask_view_is_protected_and_asks_for_its_session(serve_sdk: Callable[..., TestClient]) -> None:
    """The SDK's middleware and decorator for Flask, and its plain functions with Flask's own request."""
    serve_sdk()
    app = flask.Flask("sdk")
    sdk(".framework.flask").Middleware(app)

    def login() -> Any:
        created = sdk(".recipe.session.syncio").create_new_session(flask.request, "public", "u1", {"a": 1})
        return {"a": created.get_access_token_payload()["a"]}

    def private() -> Any:
        found = sdk(".recipe.session.syncio").get_session(flask.request)
        assert found.get_handle() == flask.g.supertokens.get_handle()
        return {"user": found.get_user_id()}

    verify_session = sdk(".recipe.session.framework.flask").verify_session
    app.add_url_rule("/login", view_func=login, methods=["POST"])
    app.add_url_rule("/private", view_func=verify_session()(private))
    client = app.test_client()
    assert client.get("/private").status_code == 401
    logged_in = client.post("/login", headers={"st-auth-mode": "header"})
    assert logged_in.json == {"a": 1}
    bearer = {"authorization": f"Bearer {logged_in.headers['st-access-token']}"}
    assert client.get("/private", headers=bearer).json == {"user": "u1"}


def test_an_api_that_returns_nothing_answers_with_the_response(shimmed: None) -> None:
    """Apple's callback is such an API: its override reads the form and writes the response itself."""
    session, thirdparty = sdk(".recipe.session"), sdk(".recipe.thirdparty")

    def apis(original: Any) -> Any:
        async def apple_redirect_handler_post(form_post_info: Any, api_options: Any, user_context: Any) -> None:
            sent = await api_options.request.get_json_or_form_data()
            assert sent == form_post_info == {"state": "s"}
            api_options.response.set_html_content("<p>signed in</p>")

        original.apple_redirect_handler_post = apple_redirect_handler_post
        return original

    sdk().init(
        app_info=sdk().InputAppInfo("Test", "http://localhost:8000", website_domain="http://localhost:3000"),
        framework="fastapi",
        supertokens_config=sdk().SupertokensConfig("sqlite://"),
        recipe_list=[session.init(), thirdparty.init(override=thirdparty.InputOverrideConfig(apis=apis))],
    )
    with TestClient(create_app(current_app()), base_url="http://localhost:8000") as client:
        answer = client.post("/auth/callback/apple", data={"state": "s"})
    assert (answer.text, answer.headers["content-type"]) == ("<p>signed in</p>", "text/html; charset=utf-8")
