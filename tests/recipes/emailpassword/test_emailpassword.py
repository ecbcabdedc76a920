"""E-mail and password: signing up, signing in, resetting, over HTTP and by function."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import bcrypt
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from starlette.testclient import TestClient

from coatcheck import App, InputAppInfo, RecipeUserId
from coatcheck.claims import ManualClock
from coatcheck.recipes import accountlinking, emailpassword, session, usermetadata
from coatcheck.recipes.chain.chain import InputOverrideConfig
from coatcheck.recipes.delivery import EmailDeliveryConfig
from coatcheck.recipes.emailpassword import InputFormField, InputSignUpFeature
from coatcheck.recipes.emailpassword.interface import (
    EmailAlreadyExistsError,
    PasswordPolicyViolationError,
    PasswordResetTokenInvalidError,
    SignInOkResult,
    SignUpOkResult,
    UnknownUserIdError,
    UpdateEmailOrPasswordOkResult,
    WrongCredentialsError,
)
from coatcheck.recipes.emailpassword.passwords import ImportRefusedError
from coatcheck.recipes.exceptions import BadInputError, ConfigurationError
from coatcheck.recipes.kit.recipe import GeneralErrorResponse
from coatcheck.recipes.users.user import AccountInfo
from coatcheck.server.asgi import AuthMiddleware

from ...kit import Make, Serve, form

ANN = {"email": "ann@example.com", "password": "correct horse 1"}
CREDENTIALS = (ANN["email"], ANN["password"])
LINK = "shouldTryLinkingWithSessionUser"


@pytest.fixture
def app(make_app: Make) -> Iterator[App]:
    """Return an App with the recipe as it is, made current."""
    made = make_app()
    with made.active():
        yield made


@pytest.fixture
def client(app: App, serve: Serve) -> TestClient:
    """Return a client on that App."""
    return serve(app)


def sign_up(client: TestClient, path: str = "/auth/signup", **fields: Any) -> Any:
    """Sign somebody up, by default Ann."""
    return client.post(path, json=form(**{**ANN, **fields}))


def sign_in(client: TestClient, **fields: Any) -> Any:
    """Sign somebody in, by default Ann."""
    return client.post("/auth/signin", json=form(**{**ANN, **fields}))


def field_error(answer: Any) -> dict[str, str]:
    """Return the errors of a FIELD_ERROR answer by field."""
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "FIELD_ERROR", body
    return {error["id"]: error["error"] for error in body["formFields"]}


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


def request_reset(client: TestClient, email: str = ANN["email"]) -> Any:
    """Ask for a reset link."""
    return client.post("/auth/user/password/reset/token", json=form(email=email))


def reset(client: TestClient, token: Any, password: str = "a new password 2") -> Any:
    """Set a new password with a token."""
    return client.post("/auth/user/password/reset", json={"method": "token", "token": token, **form(password=password)})


def token_in(link: str) -> str:
    """Return the token in a reset link."""
    return parse_qs(urlsplit(link).query)["token"][0]


def test_resetting_a_password(app: App, client: TestClient) -> None:
    """A link reaches the address, and its token sets a new password once (rules 21.1 to 21.5)."""
    user_id = sign_up(client).json()["user"]["id"]
    assert request_reset(client).json() == {"status": "OK"}
    mail = app.outbox.last(ANN["email"])
    link = urlsplit(mail.link)
    assert (link.scheme, link.netloc, link.path) == ("http", "localhost:3000", "/auth/reset-password")
    assert parse_qs(link.query) == {"token": [token_in(mail.link)], "tenantId": ["public"]}
    assert mail.template_vars.user.id == user_id  # type: ignore[attr-defined]
    assert reset(client, token_in(mail.link)).json() == {"status": "OK"}
    assert sign_in(client).json()["status"] == "WRONG_CREDENTIALS_ERROR"
    assert sign_in(client, password="a new password 2").json()["status"] == "OK"
    assert reset(client, token_in(mail.link)).json() == {"status": "RESET_PASSWORD_INVALID_TOKEN_ERROR"}


def test_an_unknown_address_gets_the_same_answer_and_no_mail(app: App, client: TestClient) -> None:
    """Known and unknown addresses cannot be told apart by the answer (rule 21.7)."""
    sign_up(client)
    known, unknown = request_reset(client), request_reset(client, "bob@example.com")
    assert known.json() == unknown.json() == {"status": "OK"}
    assert dict(known.headers) == dict(unknown.headers)
    assert [mail.to for mail in app.outbox.mails] == [ANN["email"]]


def test_everything_about_a_reset_happens_after_the_answer(make_app: Make, serve: Serve) -> None:
    """The token is made and the mail handed over once the answer has left; a failure is logged only (rule 21.7)."""
    order: list[str] = []

    class Broken(emailpassword.EmailDeliveryInterface):
        async def send_email(self, template_vars: Any, user_context: Any) -> None:
            order.append("mail")
            raise OSError("the mail server is away")

    app = make_app(recipes=[emailpassword.init(email_delivery=EmailDeliveryConfig(service=Broken()))])

    async def recording(scope: Any, receive: Any, send: Any) -> None:
        async def noted(message: Any) -> None:
            if message["type"] == "http.response.body":
                order.append("answer")
            await send(message)

        await AuthMiddleware(_nothing, app)(scope, receive, noted)

    client = TestClient(recording, base_url="http://localhost:3567")
    sign_up(client)
    order.clear()
    assert request_reset(client).json() == {"status": "OK"}
    assert order == ["answer", "mail"]
    with app.active(), pytest.raises(OSError, match="away"):
        emailpassword.sync.send_reset_password_email("public", _ann_id(app), ANN["email"])


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no request should get here")


def _ann_id(app: App) -> str:
    users = accountlinking.sync.list_users_by_account_info("public", AccountInfo(email=ANN["email"]))
    return users[0].id


def test_a_token_expires_after_an_hour(app: App, client: TestClient, clock: ManualClock) -> None:
    """A token is good for an hour, not longer."""
    sign_up(client)
    request_reset(client)
    token = token_in(app.outbox.last().link)
    clock.advance(3600)
    assert reset(client, token).json()["status"] == "RESET_PASSWORD_INVALID_TOKEN_ERROR"


def test_one_reset_voids_the_other_tokens(app: App, client: TestClient) -> None:
    """Several tokens may be out; using one voids the rest, and so does changing the password (rule 21.2)."""
    sign_up(client)
    for _ in range(2):
        request_reset(client)
    first, second = (token_in(mail.link) for mail in app.outbox.mails)
    assert reset(client, second).json() == {"status": "OK"}
    assert reset(client, first).json()["status"] == "RESET_PASSWORD_INVALID_TOKEN_ERROR"
    request_reset(client)
    emailpassword.sync.update_email_or_password(RecipeUserId(_ann_id(app)), password="another one 3")
    assert reset(client, token_in(app.outbox.last().link)).json()["status"] == "RESET_PASSWORD_INVALID_TOKEN_ERROR"


def test_a_weak_password_leaves_the_token_good(app: App, client: TestClient) -> None:
    """The form is checked before the token is spent."""
    sign_up(client)
    request_reset(client)
    token = token_in(app.outbox.last().link)
    assert "password" in field_error(reset(client, token, "short"))
    assert emailpassword.sync.reset_password_using_token("public", token, "short") == PasswordPolicyViolationError(
        "Password must contain at least 8 characters, including a number"
    )
    assert reset(client, token).json() == {"status": "OK"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (form(password="good enough 1"), "Please provide the password reset token"),
        ({"token": 1, **form(password="good enough 1")}, "The password reset token must be a string"),
    ],
)
def test_malformed_resets(client: TestClient, body: Any, message: str) -> None:
    """A reset without a token, or with one that is no text, is 400."""
    answer = client.post("/auth/user/password/reset", json=body)
    assert (answer.status_code, answer.json()) == (400, {"message": message})


@pytest.mark.parametrize("token", ["", "unknown", "\udcff", "\0", "x" * 100_000])
def test_unknown_reset_tokens(client: TestClient, token: str) -> None:
    """Any text may be tried as a token, and none works."""
    content = json.dumps({"token": token, **form(password="good enough 1")})
    answer = client.post("/auth/user/password/reset", content=content)
    assert answer.json() == {"status": "RESET_PASSWORD_INVALID_TOKEN_ERROR"}


def test_a_reset_keeps_sessions_and_an_override_may_end_them(make_app: Make, serve: Serve) -> None:
    """Sessions outlive a reset unless an override, which is told the user, ends them."""

    def apis(original: Any) -> Any:
        inner = original.password_reset_post

        async def changed(form_fields: Any, token: str, tenant_id: str, api_options: Any, user_context: Any) -> Any:
            result = await inner(form_fields, token, tenant_id, api_options, user_context)
            await session.revoke_all_sessions_for_user(result.user.id)
            return result

        original.password_reset_post = changed
        return original

    for override, left in ((None, 1), (InputOverrideConfig(apis=apis), 0)):
        app = make_app(recipes=[emailpassword.init(override=override)])
        client = serve(app)
        user_id = sign_up(client).json()["user"]["id"]
        request_reset(client)
        reset(client, token_in(app.outbox.last().link))
        with app.active():
            assert len(session.sync.get_all_session_handles_for_user(user_id)) == left


def test_the_mail_can_be_changed_by_an_override(make_app: Make, serve: Serve) -> None:
    """An override of the delivery service gets the variables and the request's user context, and is in the chain."""

    def delivery(original: Any) -> Any:
        send_email = original.send_email

        async def changed(template_vars: Any, user_context: Any) -> None:
            assert user_context["_default"]["request"].url.path == "/auth/user/password/reset/token"
            template_vars.password_reset_link += "&extra=1"
            await send_email(template_vars, user_context)

        original.send_email = changed
        return original

    app = make_app(recipes=[emailpassword.init(email_delivery=EmailDeliveryConfig(override=delivery))])
    client = serve(app)
    sign_up(client)
    request_reset(client)
    assert app.outbox.last().link.endswith("&extra=1")
    assert "changed" in app.explain("emailpassword.send_email")


# By function


def test_functions(app: App) -> None:
    """Sign up, sign in and verify by function; nothing of it makes a session."""
    made = emailpassword.sync.sign_up("public", *CREDENTIALS)
    assert isinstance(made, SignUpOkResult)
    assert emailpassword.sync.sign_up("public", " ANN@example.com", "x") == EmailAlreadyExistsError()
    found = emailpassword.sync.sign_in("public", *CREDENTIALS)
    assert isinstance(found, SignInOkResult)
    assert found.user == made.user
    assert emailpassword.sync.verify_credentials("public", ANN["email"], "no") == WrongCredentialsError()
    assert session.sync.get_all_session_handles_for_user(made.user.id) == []
    with pytest.raises(BadInputError, match="empty"):
        emailpassword.sync.sign_up("public", "bob@example.com", "")


def test_tenants_have_users_of_their_own(app: App) -> None:
    """One address may sign up in each tenant, with a password each."""
    one = emailpassword.sync.sign_up("t1", ANN["email"], "one")
    two = emailpassword.sync.sign_up("t2", ANN["email"], "two")
    assert isinstance(one, SignUpOkResult)
    assert isinstance(two, SignUpOkResult)
    assert one.user.id != two.user.id
    assert emailpassword.sync.sign_in("t1", ANN["email"], "two") == WrongCredentialsError()


def test_updating(app: App) -> None:
    """Address and password change together or not at all; the policy applies unless it is switched off (rule 20.10)."""
    update = emailpassword.sync.update_email_or_password
    ann, bob = (emailpassword.sync.sign_up("public", f"{name}@example.com", "password 1") for name in ("ann", "bob"))
    assert isinstance(ann, SignUpOkResult)
    assert isinstance(bob, SignUpOkResult)
    who = ann.recipe_user_id
    assert update(who, password="x") == PasswordPolicyViolationError(
        "Password must contain at least 8 characters, including a number"
    )
    assert update(who, email="bob@example.com", password="password 2") == EmailAlreadyExistsError()
    assert isinstance(emailpassword.sync.sign_in("public", "ann@example.com", "password 1"), SignInOkResult)
    assert update(who, email="Carol@example.com", password="x", apply_password_policy=False) == (
        UpdateEmailOrPasswordOkResult()
    )
    assert isinstance(emailpassword.sync.sign_in("public", "carol@example.com", "x"), SignInOkResult)
    assert emailpassword.sync.sign_in("public", "ann@example.com", "x") == WrongCredentialsError()
    assert update(RecipeUserId("nobody"), password="password 3") == UnknownUserIdError()


def test_reset_functions(app: App) -> None:
    """Tokens and links for users that exist; none for others."""
    made = emailpassword.sync.sign_up("public", *CREDENTIALS)
    assert isinstance(made, SignUpOkResult)
    link = emailpassword.sync.create_reset_password_link("public", made.user.id, ANN["email"])
    assert isinstance(link, str)
    assert emailpassword.sync.send_reset_password_email("public", made.user.id, ANN["email"]) == "OK"
    assert len(app.outbox) == 1
    result = emailpassword.sync.reset_password_using_token("public", token_in(link), "brand new 1")
    assert result == UpdateEmailOrPasswordOkResult()
    assert emailpassword.sync.reset_password_using_token("public", token_in(link), "brand new 1") == (
        PasswordResetTokenInvalidError()
    )
    assert emailpassword.sync.create_reset_password_link("public", "nobody", "x@y.zz") == UnknownUserIdError()
    assert emailpassword.sync.send_reset_password_email("public", "nobody", "x@y.zz") == "UNKNOWN_USER_ID_ERROR"


def test_importing_users(app: App) -> None:
    """Hashes of other systems sign in and are then replaced by our own (rule 22.5)."""
    salt = b"0123456789abcdef"
    foreign = Argon2id(salt=salt, length=32, iterations=3, lanes=4, memory_cost=65536).derive_phc_encoded(b"secret 1")
    hashed = bcrypt.hashpw(b"secret 2", bcrypt.gensalt(4)).decode()
    for email, stored, password in (("a@x.co", foreign, "secret 1"), ("b@x.co", hashed, "secret 2")):
        made = emailpassword.sync.import_user("public", email, stored)
        assert made.did_user_already_exist is False
        for _ in range(2):
            assert isinstance(emailpassword.sync.sign_in("public", email, password), SignInOkResult)
        again = emailpassword.sync.import_user("public", email, stored)
        assert again.did_user_already_exist is True
        assert again.recipe_user_id == made.recipe_user_id


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$m=1,t=1,p=1$AAAA$AAAA", "$2b$31$" + "a" * 53, "$1$x"])
def test_hashes_that_could_not_be_checked_are_refused_at_import(app: App, stored: str) -> None:
    """A hash of unknown format or absurd cost is refused when it is imported, not at the first sign-in (rule 22.5)."""
    with pytest.raises(ImportRefusedError):
        emailpassword.sync.import_user("public", "a@x.co", stored)
    assert accountlinking.sync.get_user_count() == 0


def test_a_fast_hash_of_a_test_is_refused_by_a_real_app(make_app: Make, tmp_path: Any) -> None:
    """A hash made with the fast profile signs nobody in where unsafe_for_tests is off (rule 22.2)."""
    url = f"sqlite:///{tmp_path / 'x.db'}"
    test_app = make_app(database=url)
    with test_app.active():
        emailpassword.sync.sign_up("public", *CREDENTIALS)
    real = App(app_info=_info(test_app), recipe_list=[session.init(), emailpassword.init()], database=url)
    with real.active():
        assert emailpassword.sync.sign_in("public", *CREDENTIALS) == WrongCredentialsError()
    real.close()


def test_deleting_a_user_deletes_everything(app: App, client: TestClient) -> None:
    """Sessions, password, tokens and metadata go with the user, whose address is free again (rule 19.11)."""
    answer = sign_up(client)
    user_id = answer.json()["user"]["id"]
    usermetadata.sync.update_user_metadata(user_id, {"k": 1})
    request_reset(client)
    accountlinking.sync.delete_user(user_id)
    assert accountlinking.sync.get_user(user_id) is None
    assert session.sync.get_all_session_handles_for_user(user_id) == []
    assert usermetadata.sync.get_user_metadata(user_id).metadata == {}
    assert reset(client, token_in(app.outbox.last().link)).json()["status"] == "RESET_PASSWORD_INVALID_TOKEN_ERROR"
    refreshed = client.post(
        "/auth/session/refresh", headers={"authorization": f"Bearer {answer.headers['st-refresh-token']}"}
    )
    assert refreshed.json() == {"message": "unauthorised"}
    assert sign_up(client).json()["status"] == "OK"
    accountlinking.sync.delete_user("nobody")


def test_listing_and_counting(app: App, clock: ManualClock) -> None:
    """Users are counted, found by address and paged in both directions (rule 19.9)."""
    for number in range(5):
        emailpassword.sync.sign_up("public", f"u{number}@example.com", "x")
        clock.advance(1)
    assert accountlinking.sync.get_user_count() == 5
    assert accountlinking.sync.get_user_count(["emailpassword"], "public") == 5
    assert accountlinking.sync.get_user_count(["thirdparty"]) == 0
    seen, token = [], None
    while True:
        page = accountlinking.sync.get_users_oldest_first("public", 2, token)
        seen += [user.emails[0] for user in page.users]
        token = page.next_pagination_token
        if token is None:
            break
    assert seen == [f"u{number}@example.com" for number in range(5)]
    newest = accountlinking.sync.get_users_newest_first("public", query={"email": "U3"}).users
    assert [user.emails for user in newest] == [["u3@example.com"]]
    with pytest.raises(BadInputError):
        accountlinking.sync.get_users_oldest_first("public", 501)


def test_metadata(app: App) -> None:
    """Metadata is merged key by key; null removes a key, nested values are replaced (rule 24.2)."""
    update = usermetadata.sync.update_user_metadata
    assert update("any id", {"a": 1, "b": {"x": 1}}).metadata == {"a": 1, "b": {"x": 1}}
    assert update("any id", {"a": None, "b": {"y": None}}).metadata == {"b": {"y": None}}
    assert usermetadata.sync.get_user_metadata("other").metadata == {}
    usermetadata.sync.clear_user_metadata("any id")
    assert usermetadata.sync.get_user_metadata("any id").metadata == {}


def test_overriding_users_and_metadata(make_app: Make) -> None:
    """The implicit recipes can be overridden by listing them."""

    def nobody(original: Any) -> Any:
        async def get_user(user_id: str, user_context: Any) -> None:
            return None

        original.get_user = get_user
        return original

    class Stamped(usermetadata.FunctionsLayer):
        async def get_user_metadata(self, user_id: str, user_context: Any) -> usermetadata.MetadataResult:
            return usermetadata.MetadataResult({"stamped": user_id})

    app = make_app(
        recipes=[
            emailpassword.init(),
            accountlinking.init(InputOverrideConfig(functions=nobody)),
            usermetadata.init(InputOverrideConfig(functions=Stamped)),
        ]
    )
    with app.active():
        made = emailpassword.sync.sign_up("public", *CREDENTIALS)
        assert isinstance(made, SignUpOkResult)
        assert accountlinking.sync.get_user(made.user.id) is None
        assert usermetadata.sync.get_user_metadata("u").metadata == {"stamped": "u"}
