"""The functions of the e-mail/password recipe, called by an application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coatcheck import App, RecipeUserId
from coatcheck.recipes import accountlinking, emailpassword, session
from coatcheck.recipes.exceptions import BadInputError, ConfigurationError, NotInitialisedError

from ...kit import Make

ANN = ("ann@example.com", "correct horse 1")
ep = emailpassword.sync
UNSTORABLE = ["\0", "\ud800", "x" * 2000]


@pytest.fixture(params=["memory", "postgres"])
def app(make_app: Make, request: pytest.FixtureRequest) -> Iterator[App]:
    """Return an App on each kind of database, made current."""
    database = None if request.param == "memory" else request.getfixturevalue("postgres_url")
    made = make_app(database=database)
    with made.active():
        yield made


def ann() -> emailpassword.SignUpOkResult:
    """Sign Ann up."""
    made = ep.sign_up("public", *ANN)
    assert isinstance(made, emailpassword.SignUpOkResult)
    return made


def test_awaited(app: App) -> None:
    """Every function can be awaited, one after the other, in a loop of the application's own."""

    async def everything() -> list[str]:
        made = await emailpassword.sign_up("public", *ANN)
        assert isinstance(made, emailpassword.SignUpOkResult)
        found = await emailpassword.sign_in("public", *ANN)
        checked = await emailpassword.verify_credentials("public", *ANN)
        token = await emailpassword.create_reset_password_token("public", made.user.id, ANN[0])
        assert isinstance(token, emailpassword.CreateResetPasswordOkResult)
        reset = await emailpassword.reset_password_using_token("public", token.token, "a new password 2")
        spent = await emailpassword.consume_password_reset_token("public", token.token)
        updated = await emailpassword.update_email_or_password(made.recipe_user_id, email="carol@example.com")
        sent = await emailpassword.send_reset_password_email("public", made.user.id, "carol@example.com")
        gone = await emailpassword.create_reset_password_link("public", "nobody", "nobody@example.com")
        assert isinstance(gone, emailpassword.UnknownUserIdError)
        return [found.status, checked.status, reset.status, spent.status, updated.status, sent, gone.status]

    invalid, unknown = "RESET_PASSWORD_INVALID_TOKEN_ERROR", "UNKNOWN_USER_ID_ERROR"
    assert asyncio.run(everything()) == ["OK", "OK", "OK", invalid, "OK", "OK", unknown]
    assert app.outbox.last().to == "carol@example.com"


def test_the_user_that_is_returned_is_the_one_that_is_stored(app: App) -> None:
    """Signing up, signing in and looking up give equal users."""
    made = ann()
    found = ep.sign_in("public", *ANN)
    assert isinstance(found, emailpassword.SignInOkResult)
    assert made.user == found.user == accountlinking.sync.get_user(made.user.id)
    assert made.recipe_user_id == found.recipe_user_id == made.user.login_methods[0].recipe_user_id


@pytest.mark.parametrize(("email", "password"), [("bob@example.com", ""), ("", "x"), (" \t", "x")])
def test_nothing_empty_signs_up(app: App, email: str, password: str) -> None:
    """Whatever the form allows, neither address nor password can be empty."""
    with pytest.raises(BadInputError, match="must not be empty"):
        ep.sign_up("public", email, password)
    assert accountlinking.sync.get_user_count() == 0


def test_nothing_becomes_empty(app: App) -> None:
    """An update cannot empty address or password, with or without the policy (docs/protocol.md, rule 20.10)."""
    who = ann().recipe_user_id
    assert ep.update_email_or_password(who, password="") == (
        emailpassword.PasswordPolicyViolationError("Field is not optional")
    )
    for email, password in ((" ", None), (None, ""), ("carol@example.com", "")):
        with pytest.raises(BadInputError, match="must not be empty"):
            ep.update_email_or_password(who, email, password, apply_password_policy=False)
    assert ep.sign_in("public", *ANN).status == "OK"


def test_a_session_asks_for_linking(app: App) -> None:
    """A session given to sign_up or sign_in asks for linking, which is refused before anything is written
    (rule 20.8).
    """
    made = session.sync.create_new_session_without_request_response("public", ann().recipe_user_id)
    for call in (ep.sign_up, ep.sign_in):
        for email in (ANN[0], "bob@example.com"):
            with pytest.raises(ConfigurationError, match="linking accounts is not supported yet"):
                call("public", email, ANN[1], made)
    assert accountlinking.sync.get_user_count() == 1


def test_an_update_to_what_is_there(app: App) -> None:
    """The same address in another letter case is no conflict with oneself, and no change at all is fine."""
    who = ann().recipe_user_id
    assert ep.update_email_or_password(who, email=" ANN@example.com").status == "OK"
    assert ep.update_email_or_password(who).status == "OK"
    assert ep.update_email_or_password(RecipeUserId("nobody")).status == "UNKNOWN_USER_ID_ERROR"
    assert ep.sign_in("public", *ANN).status == "OK"


def test_the_old_address_is_free_after_a_change(app: App) -> None:
    """Somebody else may sign up with an address that was given up."""
    first = ann()
    ep.update_email_or_password(first.recipe_user_id, email="carol@example.com")
    second = ann()
    assert second.user.id != first.user.id
    found = ep.sign_in("public", "carol@example.com", ANN[1])
    assert isinstance(found, emailpassword.SignInOkResult)
    assert found.user.id == first.user.id


def test_an_update_keeps_sessions(app: App) -> None:
    """Ending sessions after a change of password is the application's decision."""
    made = ann()
    session.sync.create_new_session_without_request_response("public", made.recipe_user_id)
    ep.update_email_or_password(made.recipe_user_id, email="carol@example.com", password="a new password 2")
    assert len(session.sync.get_all_session_handles_for_user(made.user.id)) == 1


def test_a_policy_of_the_tenant(make_app: Make) -> None:
    """The policy of the named tenant applies to an update; by default that of `public`."""
    feature = emailpassword.InputSignUpFeature(
        [emailpassword.InputFormField("password", lambda value, tenant_id: f"no {value} in {tenant_id}")]
    )
    with make_app(recipes=[emailpassword.init(feature)]).active():
        who = ann().recipe_user_id
        for tenant_id, where in ((None, "public"), ("t1", "t1")):
            assert ep.update_email_or_password(
                who, password="x", tenant_id_for_password_policy=tenant_id
            ) == emailpassword.PasswordPolicyViolationError(f"no x in {where}")


def test_a_token_outlives_its_user_in_vain(app: App) -> None:
    """Once the user is gone, the token is invalid, by function too (rule 19.11)."""
    made = ann()
    token = ep.create_reset_password_token("public", made.user.id, ANN[0])
    assert isinstance(token, emailpassword.CreateResetPasswordOkResult)
    accountlinking.sync.delete_user(made.user.id)
    assert ep.reset_password_using_token("public", token.token, "a new password 2") == (
        emailpassword.PasswordResetTokenInvalidError()
    )


@pytest.mark.parametrize("odd", UNSTORABLE)
def test_ids_and_texts_that_no_database_can_store(app: App, odd: str) -> None:
    """They name nobody, and become nobody's (rule 19.5), on every database alike."""
    made = ann()
    assert ep.sign_in("public", odd, "x").status == "WRONG_CREDENTIALS_ERROR"
    assert ep.sign_in("public", ANN[0], odd).status == "WRONG_CREDENTIALS_ERROR"
    assert ep.create_reset_password_token("public", odd, ANN[0]).status == "UNKNOWN_USER_ID_ERROR"
    assert ep.consume_password_reset_token("public", odd).status == "RESET_PASSWORD_INVALID_TOKEN_ERROR"
    assert ep.update_email_or_password(RecipeUserId(odd), password="password 2").status == "UNKNOWN_USER_ID_ERROR"
    attempts: list[Callable[[], Any]] = [
        lambda: ep.sign_up("public", f"{odd}@example.com", "x"),
        lambda: ep.update_email_or_password(made.recipe_user_id, email=f"{odd}@example.com"),
        lambda: ep.create_reset_password_token("public", made.user.id, odd),
    ]
    for attempt in attempts:
        with pytest.raises(BadInputError, match="too long or not valid text"):
            attempt()
    assert accountlinking.sync.get_user_count() == 1


def test_without_the_recipe(make_app: Make) -> None:
    """Calling a function of a recipe that was not initialised says what to add."""
    with (
        make_app(recipes=[]).active(),
        pytest.raises(ConfigurationError, match=r"emailpassword\.init\(\.\.\.\) is missing from recipe_list"),
    ):
        ep.sign_up("public", *ANN)


def test_without_an_app() -> None:
    """Calling a function where no App is current says what to call first."""
    with pytest.raises(NotInitialisedError, match="init"):
        ep.sign_up("public", *ANN)
