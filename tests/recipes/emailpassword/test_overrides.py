"""Overriding the e-mail/password recipe: every function and API, fed by position or by name, and its user context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from coatcheck import App, RecipeUserId
from coatcheck.recipes import accountlinking, emailpassword, multitenancy, session
from coatcheck.recipes.delivery import EmailDeliveryConfig
from coatcheck.recipes.emailpassword import InputOverrideConfig

from ...kit import Make, Serve, form

ANN = {"email": "ann@example.com", "password": "correct horse 1"}
WITH_SESSION = ("tenant_id", "session", "should_try_linking_with_session_user")
FUNCTIONS = {
    "sign_up": ("email", "password", *WITH_SESSION),
    "create_new_recipe_user": ("email", "password", "tenant_id"),
    "sign_in": ("email", "password", *WITH_SESSION),
    "verify_credentials": ("email", "password", "tenant_id"),
    "create_reset_password_token": ("user_id", "email", "tenant_id"),
    "consume_password_reset_token": ("token", "tenant_id"),
    "update_email_or_password": (
        "recipe_user_id",
        "email",
        "password",
        "apply_password_policy",
        "tenant_id_for_password_policy",
    ),
}
APIS = {
    "sign_up_post": ("form_fields", *WITH_SESSION, "api_options"),
    "sign_in_post": ("form_fields", *WITH_SESSION, "api_options"),
    "email_exists_get": ("email", "tenant_id", "api_options"),
    "generate_password_reset_token_post": ("form_fields", "tenant_id", "api_options"),
    "password_reset_post": ("form_fields", "token", "tenant_id", "api_options"),
}
"""The parameters in the order in which applications written for the reference pass them; the user context follows."""


def tour(app: App, client: TestClient) -> list[str]:
    """Do everything the recipe can do over HTTP, and return the status of each answer."""
    answers = [client.post("/auth/signup", json=form(**ANN)), client.post("/auth/signin", json=form(**ANN))]
    answers.append(client.get("/auth/emailpassword/email/exists", params={"email": ANN["email"]}))
    answers.append(client.post("/auth/user/password/reset/token", json=form(email=ANN["email"])))
    token = app.outbox.last().link.partition("token=")[2].partition("&")[0]
    body = {"method": "token", "token": token, **form(password="a new password 2")}
    answers.append(client.post("/auth/user/password/reset", json=body))
    return [answer.json()["status"] for answer in answers]


def positional(names: tuple[str, ...], seen: set[str], name: str) -> Callable[[Any], Any]:
    """Return a layer written with exactly these parameters, which passes them on by position."""
    parameters = ", ".join((*names, "user_context"))
    source = f"async def {name}({parameters}):\n    seen.add({name!r})\n    return await inner({parameters})\n"

    def layer(inner: Any) -> Any:
        namespace: dict[str, Any] = {"seen": seen, "inner": inner}
        exec(source, namespace)
        return namespace[name]

    return layer


def by_name(names: tuple[str, ...], seen: set[str], name: str) -> Callable[[Any], Any]:
    """Return a layer that takes everything by name, checks which names there are, and passes them on by name."""

    def layer(inner: Any) -> Any:
        async def changed(**given: Any) -> Any:
            assert set(given) == {*names, "user_context"}
            seen.add(name)
            return await inner(**given)

        return changed

    return layer


@pytest.mark.parametrize("style", [positional, by_name])
@pytest.mark.parametrize("kind", ["functions", "apis"])
def test_everything_can_be_overridden(make_app: Make, serve: Serve, style: Any, kind: str) -> None:
    """Each function and API may be wrapped with the parameters of the reference, in its order or by name, and every
    one of them is used over HTTP (docs/protocol.md, rules 15.4 and 15.8).
    """
    contract, seen = {"functions": FUNCTIONS, "apis": APIS}[kind], set[str]()

    def override(original: Any) -> Any:
        for name, names in contract.items():
            setattr(original, name, style(names, seen, name)(getattr(original, name)))
        return original

    app = make_app(recipes=[emailpassword.init(override=InputOverrideConfig(**{kind: override}))])
    assert tour(app, serve(app)) == ["OK"] * 5
    assert seen == set(contract)


def test_layers_as_classes(make_app: Make, serve: Serve) -> None:
    """A class overrides one method and reaches the rest with `super()`."""

    class Functions(emailpassword.FunctionsLayer):
        async def sign_up(self, *args: Any, **kwargs: Any) -> Any:
            kwargs_or_args = (*args, *kwargs.values())
            calls.append(("sign_up", len(kwargs_or_args)))
            return await super().sign_up(*args, **kwargs)  # type: ignore[safe-super]

    class Apis(emailpassword.APIsLayer):
        async def sign_in_post(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(("sign_in_post", len(args) + len(kwargs)))
            return await super().sign_in_post(*args, **kwargs)  # type: ignore[safe-super]

    calls: list[tuple[str, int]] = []
    app = make_app(recipes=[emailpassword.init(override=InputOverrideConfig(functions=Functions, apis=Apis))])
    assert tour(app, serve(app)) == ["OK"] * 5
    assert calls == [("sign_up", 6), ("sign_in_post", 6)]


def test_one_user_context_from_the_tenant_to_the_mail(make_app: Make, serve: Serve) -> None:
    """One request has one user context: the same object in the choice of the tenant, API, function, users, session
    creation and delivery, and another in the next request (rules 16.1 and 16.2).
    """
    seen: list[tuple[str, dict[str, Any]]] = []

    def watching(*names: str) -> Callable[[Any], Any]:
        def override(original: Any) -> Any:
            for name in names:
                setattr(original, name, watched(name, getattr(original, name)))
            return original

        return override

    def watched(name: str, inner: Any) -> Any:
        async def changed(**given: Any) -> Any:
            seen.append((name, given["user_context"]))
            return await inner(**given)

        return changed

    delivery = EmailDeliveryConfig(override=watching("send_email"))
    recipes = [
        emailpassword.init(
            override=InputOverrideConfig(functions=watching(*FUNCTIONS), apis=watching(*APIS)),
            email_delivery=delivery,
        ),
        multitenancy.init(InputOverrideConfig(functions=watching("get_tenant_id"))),
        accountlinking.init(InputOverrideConfig(functions=watching("list_users_by_account_info", "get_user"))),
    ]
    app = make_app(recipes=recipes, override=InputOverrideConfig(functions=watching("create_new_session")))
    tour(app, serve(app))
    requests: dict[int, list[str]] = {}
    for name, context in seen:
        requests.setdefault(id(context), []).append(name)
        assert context["_default"]["request"].url.path.startswith("/auth/")
    update = "update_email_or_password"
    assert list(requests.values()) == [
        ["get_tenant_id", "sign_up_post", "sign_up", "create_new_recipe_user", "create_new_session"],
        ["get_tenant_id", "sign_in_post", "sign_in", "verify_credentials", "create_new_session"],
        ["get_tenant_id", "email_exists_get", "list_users_by_account_info"],
        ["get_tenant_id", "generate_password_reset_token_post", "list_users_by_account_info",
         "create_reset_password_token", "send_email"],
        ["get_tenant_id", "password_reset_post", "consume_password_reset_token", "get_user", update],
    ]  # fmt: skip


@pytest.mark.parametrize("api", sorted(APIS))
def test_every_api_may_answer_with_a_general_error(make_app: Make, serve: Serve, api: str) -> None:
    """An application refuses in its own words, with status 200 (rule 17.4)."""

    def apis(original: Any) -> Any:
        async def refuse(**_: Any) -> Any:
            return emailpassword.GeneralErrorResponse("closed on Sundays \u2603")

        setattr(original, api, refuse)
        return original

    client = serve(make_app(recipes=[emailpassword.init(override=InputOverrideConfig(apis=apis))]))
    reset = {"token": "t", **form(password=ANN["password"])}
    answer = {
        "sign_up_post": lambda: client.post("/auth/signup", json=form(**ANN)),
        "sign_in_post": lambda: client.post("/auth/signin", json=form(**ANN)),
        "email_exists_get": lambda: client.get("/auth/signup/email/exists?email=x"),
        "generate_password_reset_token_post": lambda: client.post(
            "/auth/user/password/reset/token", json=form(email=ANN["email"])
        ),
        "password_reset_post": lambda: client.post("/auth/user/password/reset", json=reset),
    }[api]()
    assert answer.status_code == 200
    assert answer.json() == {"status": "GENERAL_ERROR", "message": "closed on Sundays \u2603"}


@pytest.mark.parametrize("path", ["/auth/signup", "/auth/signin"])
@pytest.mark.parametrize(
    ("reason", "offset"),
    [
        ("EMAIL_VERIFICATION_REQUIRED", 0),
        ("RECIPE_USER_ID_ALREADY_LINKED_WITH_ANOTHER_PRIMARY_USER_ID_ERROR", 1),
        ("ACCOUNT_INFO_ALREADY_ASSOCIATED_WITH_ANOTHER_PRIMARY_USER_ID_ERROR", 2),
        ("SESSION_USER_ACCOUNT_INFO_ALREADY_ASSOCIATED_WITH_ANOTHER_PRIMARY_USER_ID_ERROR", 3),
    ],
)
def test_linking_failures_have_support_codes(make_app: Make, serve: Serve, path: str, reason: str, offset: int) -> None:
    """Where an override reports that linking failed, the user is shown a text with a code (rule 20.9)."""

    def functions(original: Any) -> Any:
        async def fail(**_: Any) -> Any:
            return emailpassword.LinkingToSessionUserFailedError(reason)

        original.sign_up = original.sign_in = fail
        return original

    client = serve(make_app(recipes=[emailpassword.init(override=InputOverrideConfig(functions=functions))]))
    status, code = ("SIGN_UP_NOT_ALLOWED", 13) if path == "/auth/signup" else ("SIGN_IN_NOT_ALLOWED", 9)
    answer = client.post(path, json=form(**ANN))
    assert answer.json() == {
        "status": status,
        "reason": f"Cannot sign in / up due to security reasons. Please contact support. (ERR_CODE_{code + offset:03})",
    }
    assert "front-token" not in answer.headers


def test_not_allowed_in_the_applications_words(make_app: Make, serve: Serve) -> None:
    """An API override may refuse to sign in or up for a reason that the user is shown."""

    def apis(original: Any) -> Any:
        async def no_sign_up(**_: Any) -> Any:
            return emailpassword.SignUpPostNotAllowedResponse("by invitation only")

        async def no_sign_in(**_: Any) -> Any:
            return emailpassword.SignInPostNotAllowedResponse("banned")

        original.sign_up_post, original.sign_in_post = no_sign_up, no_sign_in
        return original

    client = serve(make_app(recipes=[emailpassword.init(override=InputOverrideConfig(apis=apis))]))
    sign_up, sign_in = (client.post(path, json=form(**ANN)).json() for path in ("/auth/signup", "/auth/signin"))
    assert sign_up == {"status": "SIGN_UP_NOT_ALLOWED", "reason": "by invitation only"}
    assert sign_in == {"status": "SIGN_IN_NOT_ALLOWED", "reason": "banned"}


def test_an_error_of_an_override_is_not_swallowed(make_app: Make, serve: Serve) -> None:
    """An exception from an override is the framework's affair: 500, and no session."""

    def functions(original: Any) -> Any:
        async def sign_in(**_: Any) -> Any:
            raise LookupError("no such thing")

        original.sign_in = sign_in
        return original

    client = serve(make_app(recipes=[emailpassword.init(override=InputOverrideConfig(functions=functions))]))
    answer = client.post("/auth/signin", json=form(**ANN))
    assert answer.status_code == 500
    assert "no such thing" not in answer.text
    assert "front-token" not in answer.headers


def test_a_sign_in_may_keep_a_session_that_is_there(make_app: Make, serve: Serve) -> None:
    """An override of create_new_session may return a session that was made before: it is the one in the answer."""
    kept: list[Any] = []

    def sessions(original: Any) -> Any:
        create = original.create_new_session

        async def create_new_session(**given: Any) -> Any:
            return kept[0] if kept else await create(**given)

        original.create_new_session = create_new_session
        return original

    app = make_app(override=InputOverrideConfig(functions=sessions))
    client = serve(app)
    with app.active():
        kept.append(session.sync.create_new_session_without_request_response("public", RecipeUserId("somebody")))
        assert client.post("/auth/signup", json=form(**ANN)).json()["status"] == "OK"
        assert session.sync.get_all_session_handles_for_user("somebody") == [kept[0].get_handle()]
        user = emailpassword.sync.sign_in("public", ANN["email"], ANN["password"])
        assert isinstance(user, emailpassword.SignInOkResult)
        assert session.sync.get_all_session_handles_for_user(user.user.id) == []


def test_what_an_override_changes_is_what_happens(make_app: Make, serve: Serve) -> None:
    """A layer may sign somebody else in, or store another address: what it passes on counts."""

    def functions(original: Any) -> Any:
        inner = original.create_new_recipe_user

        async def create_new_recipe_user(email: str, password: str, tenant_id: str, user_context: Any) -> Any:
            return await inner(email.replace("+tag", ""), password, tenant_id, user_context)

        original.create_new_recipe_user = create_new_recipe_user
        return original

    client = serve(make_app(recipes=[emailpassword.init(override=InputOverrideConfig(functions=functions))]))
    answer = client.post("/auth/signup", json=form(email="ann+tag@example.com", password=ANN["password"]))
    assert answer.json()["user"]["emails"] == ["ann@example.com"]
    again = client.post("/auth/signup", json=form(**ANN))
    assert again.json()["status"] == "FIELD_ERROR"


def test_the_result_of_a_function_is_no_answer_of_an_api(make_app: Make, serve: Serve) -> None:
    """An API override that returns what a function returns is an error, not a sign-in without a session."""

    def apis(original_implementation: Any) -> Any:
        async def sign_in_post(form_fields: Any, tenant_id: str, api_options: Any, user_context: Any) -> Any:
            values = {field.id: field.value for field in form_fields}
            functions = api_options.recipe_implementation
            return await functions.sign_in(values["email"], values["password"], tenant_id, None, False, user_context)

        original_implementation.sign_in_post = sign_in_post
        return original_implementation

    recipe = emailpassword.init(override=InputOverrideConfig(apis=apis))
    client = serve(make_app(recipes=[recipe]))
    assert client.post("/auth/signup", json=form(**ANN)).json()["status"] == "OK"
    assert client.post("/auth/signin", json=form(**ANN)).status_code == 500
