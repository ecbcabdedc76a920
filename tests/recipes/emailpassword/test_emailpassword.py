"""E-mail and password: signing up, signing in, resetting, over HTTP and by function."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from coatcheck import App, InputAppInfo
from coatcheck.claims import ManualClock
from coatcheck.recipes import emailpassword, session
from coatcheck.recipes.chain.chain import InputOverrideConfig
from coatcheck.recipes.emailpassword import InputFormField, InputSignUpFeature
from coatcheck.recipes.emailpassword.interface import (
    WrongCredentialsError,
)
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.recipes.kit.recipe import GeneralErrorResponse

from ...kit import Make, Serve, form
from .steps import ANN, CREDENTIALS, field_error, sign_in, sign_up

LINK = "shouldTryLinkingWithSessionUser"


# Signing up and in


def test_signing_up(client: TestClient, clock: ManualClock) -> None:
    """A sign-up answers with the user and hands out a session (docs/protocol.md, rule 19.1)."""
    answer = sign_up(client, email=" Ann@Example.com ")
    user = answer.json()["user"]
    assert answer.json() == {"status": "OK", "user": user}
    assert user == {
        "id": user["id"],
        "isPrimaryUser": False,
        "tenantIds": ["public"],
        "emails": ["ann@example.com"],
        "phoneNumbers": [],
        "thirdParty": [],
        "webauthn": {"credentialIds": []},
        "timeJoined": clock.now_ms(),
        "loginMethods": [
            {
                "recipeId": "emailpassword",
                "recipeUserId": user["id"],
                "tenantIds": ["public"],
                "timeJoined": clock.now_ms(),
                "verified": False,
                "email": "ann@example.com",
            }
        ],
    }
    assert answer.headers["st-access-token"]
    assert answer.headers["front-token"]


@pytest.mark.parametrize("path", ["/auth/signup", "/auth/public/signup"])
def test_the_tenant_may_be_in_the_path(client: TestClient, path: str) -> None:
    """Both path forms sign up to the default tenant (rule 18.1)."""
    assert sign_up(client, path).json()["status"] == "OK"


@pytest.mark.parametrize("email", ["ann@example.com", " ANN@example.COM "])
def test_an_address_signs_up_once(client: TestClient, email: str) -> None:
    """An address that is taken, in any letter case, is an error of the field (rule 20.7)."""
    sign_up(client)
    assert field_error(sign_up(client, email=email)) == {"email": "This email already exists. Please sign in instead."}


def test_weak_passwords_and_odd_addresses_are_refused(client: TestClient) -> None:
    """All errors of a form are told together, in the order of the fields (rule 20.6)."""
    answer = sign_up(client, email="nonsense", password="short")
    assert [error["id"] for error in answer.json()["formFields"]] == ["email", "password"]
    assert field_error(answer) == {
        "email": "Email is not valid",
        "password": "Password must contain at least 8 characters, including a number",
    }


def test_signing_in(client: TestClient) -> None:
    """The right password signs in, whatever the letter case of the address; any other does not."""
    user = sign_up(client).json()["user"]
    answer = sign_in(client, email="ANN@example.com")
    assert answer.json() == {"status": "OK", "user": user}
    assert answer.headers["st-access-token"]


def test_an_unknown_address_and_a_wrong_password_look_the_same(client: TestClient) -> None:
    """Which of the two was wrong cannot be told from the answer (rule 20.11)."""
    sign_up(client)
    wrong, unknown = sign_in(client, password="wrong"), sign_in(client, email="bob@example.com")
    assert wrong.json() == unknown.json() == {"status": "WRONG_CREDENTIALS_ERROR"}
    assert wrong.status_code == unknown.status_code == 200
    assert dict(wrong.headers) == dict(unknown.headers)
    assert "front-token" not in wrong.headers


def test_an_unknown_address_costs_one_hash_like_a_wrong_password(make_app: Make) -> None:
    """Real hashes: both take about as long, within a factor that noise does not reach (rule 22.4)."""
    app = make_app()
    app = App(
        app_info=_info(app),
        recipe_list=[session.init(), emailpassword.init()],
        database="sqlite://",
    )
    with app.active():
        emailpassword.sync.sign_up("public", *CREDENTIALS)
        wrong, unknown = [], []
        for _ in range(5):
            wrong.append(_seconds(lambda: emailpassword.sync.sign_in("public", ANN["email"], "wrong")))
            unknown.append(_seconds(lambda: emailpassword.sync.sign_in("public", "bob@example.com", "wrong")))
    assert 0.4 < min(wrong) / min(unknown) < 2.5
    app.close()


def _info(app: App) -> Any:
    return InputAppInfo(app_name="Test", api_domain=app.info.api_domain, website_domain=app.info.website_domain)


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    assert isinstance(call(), WrongCredentialsError)
    return time.perf_counter() - began


@pytest.mark.parametrize("domain", ["x.fakeemail.com", "stfakeemail.supertokens.com"])
def test_placeholder_addresses_are_no_first_factor(client: TestClient, domain: str) -> None:
    """An address that stands for a missing one neither signs up nor in."""
    email = f"someone@{domain}"
    assert "email" in field_error(sign_up(client, email=email))
    assert sign_in(client, email=email).json() == {"status": "WRONG_CREDENTIALS_ERROR"}


def test_two_simultaneous_sign_ups_of_one_address_make_one_user(client: TestClient) -> None:
    """Of simultaneous sign-ups exactly one wins; the others are told that the address is taken (rule 19.4)."""
    answers: list[str] = []
    barrier = threading.Barrier(4)

    def attempt() -> None:
        barrier.wait()
        answers.append(sign_up(client).json()["status"])

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["FIELD_ERROR"] * 3 + ["OK"]


# Forms


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Please provide a JSON body"),
        (b"{", "Please provide a JSON body"),
        (b"[]", "Please provide a JSON body"),
        (b"\xff", "Please provide a JSON body"),
        (b"{}", "Missing input param: formFields"),
        (b'{"formFields": 1}', "formFields must be an array"),
        (b'{"formFields": [1]}', "All elements of formFields must be an object"),
        (b'{"formFields": [{"id": "email"}]}', "All elements of formFields must contain an 'id' and 'value' field"),
        (b'{"formFields": [{"id": "email", "value": 1}]}', "email value must be a string"),
        (b'{"formFields": [{"id": "password", "value": null}]}', "password value must be a string"),
    ],
)
@pytest.mark.parametrize("path", ["/auth/signup", "/auth/signin", "/auth/user/password/reset/token"])
def test_malformed_bodies_are_told_what_is_wrong(client: TestClient, path: str, content: bytes, message: str) -> None:
    """What is malformed is 400 with a message, in a fixed order of checks (rule 20.5)."""
    answer = client.post(path, content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, {"message": message})


def test_a_huge_body_is_refused(client: TestClient) -> None:
    """A body of more than a mebibyte is not read to its end."""
    answer = client.post("/auth/signin", content=b" " * 2_000_000)
    assert answer.status_code == 400


def test_too_many_fields(client: TestClient) -> None:
    """More fields than the form has are refused."""
    assert sign_up(client, extra="x").json() == {"message": "Are you sending too many formFields?"}


def test_custom_fields(make_app: Make, serve: Serve) -> None:
    """Custom fields are required unless optional, validated by plain or async functions, and reach the API."""
    seen: list[Any] = []

    async def old_enough(value: Any, tenant_id: str) -> str | None:
        return None if value >= 18 else f"too young for {tenant_id}"

    def apis(original: Any) -> Any:
        sign_up_post = original.sign_up_post

        async def changed(form_fields: Any, *rest: Any) -> Any:
            seen.extend((field.id, field.value) for field in form_fields)
            return await sign_up_post(form_fields, *rest)

        original.sign_up_post = changed
        return original

    feature = InputSignUpFeature(
        form_fields=[InputFormField("age", old_enough), InputFormField("name"), InputFormField("nick", optional=True)]
    )
    client = serve(
        make_app(recipes=[emailpassword.init(sign_up_feature=feature, override=InputOverrideConfig(apis=apis))])
    )
    assert field_error(sign_up(client, age=5)) == {"age": "too young for public", "name": "Field is not optional"}
    assert sign_up(client, age=20, name="Ann").json()["status"] == "OK"
    assert ("age", 20) in seen
    assert ("email", ANN["email"]) in seen


def test_a_sign_in_does_not_apply_the_password_policy(client: TestClient, app: App) -> None:
    """A password from before the policy still signs in."""
    emailpassword.sync.sign_up("public", "old@example.com", "x")
    assert sign_in(client, email="old@example.com", password="x").json()["status"] == "OK"
    assert "password" in field_error(sign_in(client, password=""))


def test_misconfigured_forms_are_found_at_init() -> None:
    """A form with a field twice, or a feature of a wrong type, is an error of init."""
    with pytest.raises(ConfigurationError, match="several form fields"):
        emailpassword.init(InputSignUpFeature([InputFormField("a"), InputFormField("a")]))
    with pytest.raises(ConfigurationError, match="sign_up_feature"):
        emailpassword.init({"form_fields": []})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="override"):
        emailpassword.init(override=lambda original: original)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="email_delivery"):
        emailpassword.init(email_delivery=object())  # type: ignore[arg-type]


# Versions of the front-end interface


@pytest.mark.parametrize(
    ("version", "is_new"),
    [
        (None, True), ("1.16", False), ("1.17", False), ("1.18", True), ("1.19", True), ("2.0", False),
        ("2.9", False), ("3.0", True), ("3.1,4.0,4.1", True), ("1.16,3.0", True), ("nonsense", True), ("1.16,x", False),
    ],
)  # fmt: skip
def test_the_user_object_depends_on_the_version(client: TestClient, version: str | None, is_new: bool) -> None:
    """Older clients get the older user object; without a version a client counts as the newest (rule 18.4)."""
    headers = {} if version is None else {"fdi-version": version}
    for path in ("/auth/signup", "/auth/signin"):
        user = client.post(path, json=form(**ANN), headers=headers).json()["user"]
        assert ("loginMethods" in user) is is_new
        if not is_new:
            assert set(user) == {"id", "email", "timeJoined"}


def test_the_linking_flag(client: TestClient) -> None:
    """With the flag a session is required; linking itself is refused, since nothing decides about it (rule 20.8)."""
    flagged = {**form(**ANN), LINK: True}
    assert client.post("/auth/signup", json=flagged).status_code == 401
    token = sign_up(client).headers["st-access-token"]
    mine = {"authorization": f"Bearer {token}"}
    refused = client.post("/auth/signin", json=flagged, headers=mine)
    assert refused.status_code == 500
    assert "linking accounts is not supported yet" in refused.json()["message"]
    plain = client.post("/auth/signin", json={**form(**ANN), LINK: False}, headers=mine)
    assert plain.json()["status"] == "OK"
    assert client.post("/auth/signin", json={**form(**ANN), LINK: "yes"}).status_code == 400


def test_old_clients_keep_the_session_of_the_same_user(client: TestClient) -> None:
    """Before the flag existed, signing in again with one's own session kept it (rule 20.8)."""
    token = sign_up(client).headers["st-access-token"]
    headers = {"authorization": f"Bearer {token}", "fdi-version": "3.0"}
    assert "st-access-token" not in client.post("/auth/signin", json=form(**ANN), headers=headers).headers
    sign_up(client, email="bob@example.com")
    other = client.post("/auth/signin", json=form(**{**ANN, "email": "bob@example.com"}), headers=headers)
    assert other.headers["st-access-token"]


# Whether an address exists


@pytest.mark.parametrize(
    "path",
    ["/auth/signup/email/exists", "/auth/emailpassword/email/exists", "/auth/public/emailpassword/email/exists"],
)
def test_email_exists(client: TestClient, path: str) -> None:
    """All paths tell whether an address is taken, for any text; without one it is 400 (rule 20.12)."""
    sign_up(client)
    for email, exists in (
        (ANN["email"], True),
        (" ANN@example.com", True),
        ("bob@example.com", False),
        ("x\0y", False),
    ):
        assert client.get(path, params={"email": email}).json() == {"status": "OK", "exists": exists}
    missing = client.get(path)
    assert (missing.status_code, missing.json()) == (400, {"message": "Please provide the email as a GET param"})


# Overrides


def test_the_user_context_is_one_object_from_api_to_session(make_app: Make, serve: Serve) -> None:
    """What an override of sign_up puts into the user context, create_new_session finds (rule 16.1)."""
    contexts: list[int] = []

    def functions(original: Any) -> Any:
        inner = original.sign_up

        async def changed(email, password, tenant_id, session, should_try_linking_with_session_user, user_context):  # type: ignore[no-untyped-def]
            user_context["isSignUp"] = True
            contexts.append(id(user_context))
            return await inner(email, password, tenant_id, session, should_try_linking_with_session_user, user_context)

        original.sign_up = changed
        return original

    def sessions(original: Any) -> Any:
        create = original.create_new_session

        async def create_new_session(**kwargs: Any) -> Any:
            contexts.append(id(kwargs["user_context"]))
            payload = {**kwargs["access_token_payload"], "new": kwargs["user_context"].get("isSignUp", False)}
            return await create(**{**kwargs, "access_token_payload": payload})

        original.create_new_session = create_new_session
        return original

    app = make_app(
        recipes=[emailpassword.init(override=InputOverrideConfig(functions=functions))],
        override=InputOverrideConfig(functions=sessions),
    )
    client = serve(app)
    assert payload_of(sign_up(client))["new"] is True
    assert len(contexts) == 2
    assert contexts[0] == contexts[1]
    assert payload_of(sign_in(client))["new"] is False


def payload_of(answer: Any) -> dict[str, Any]:
    """Return the payload in a front token."""
    payload: dict[str, Any] = json.loads(base64.b64decode(answer.headers["front-token"]))["up"]
    return payload


def test_an_api_may_answer_with_a_general_error(make_app: Make, serve: Serve) -> None:
    """Any API may be refused in the application's own words (rule 17.4)."""

    def apis(original: Any) -> Any:
        async def refuse(**_: Any) -> GeneralErrorResponse:
            return GeneralErrorResponse("closed")

        for name in ("sign_up_post", "sign_in_post", "email_exists_get", "generate_password_reset_token_post"):
            setattr(original, name, refuse)
        return original

    client = serve(make_app(recipes=[emailpassword.init(override=InputOverrideConfig(apis=apis))]))
    refusal = {"status": "GENERAL_ERROR", "message": "closed"}
    assert sign_up(client).json() == sign_in(client).json() == refusal
    assert client.get("/auth/signup/email/exists?email=a").json() == refusal
    assert client.post("/auth/user/password/reset/token", json=form(email=ANN["email"])).json() == refusal


def test_passwords_and_tokens_are_masked_in_traces_and_absent_from_logs(
    app: App, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a trace nor a log shows a password or a token."""
    with caplog.at_level(logging.DEBUG), app.trace() as trace:
        answer = sign_up(client)
        client.post("/auth/session/refresh", headers={"authorization": f"Bearer {answer.headers['st-refresh-token']}"})
        sign_in(client, password="another secret 2")
    shown = str(trace) + caplog.text
    assert "emailpassword.sign_up" in shown
    for secret in (ANN["password"], "another secret 2", answer.headers["st-access-token"]):
        assert secret not in shown
    assert answer.headers["st-refresh-token"] not in shown


# Resetting a password


# By function
