"""Users of the recipe by function: updating, importing, deleting, listing; their metadata."""

from __future__ import annotations

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
from coatcheck.recipes.exceptions import BadInputError

from ...kit import Make, form
from .steps import ANN, CREDENTIALS, reset, sign_up


def _info(app: App) -> Any:
    return InputAppInfo(app_name="Test", api_domain=app.info.api_domain, website_domain=app.info.website_domain)


def request_reset(client: TestClient, email: str = ANN["email"]) -> Any:
    """Ask for a reset link."""
    return client.post("/auth/user/password/reset/token", json=form(email=email))


def token_in(link: str) -> str:
    """Return the token in a reset link."""
    return parse_qs(urlsplit(link).query)["token"][0]


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
