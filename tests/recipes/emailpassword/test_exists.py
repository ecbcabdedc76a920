"""Whether an address is taken: three paths, hints, and any text."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection

from coatcheck import App
from coatcheck.recipes import emailpassword
from coatcheck.recipes.users.login_methods import add_login_method
from coatcheck.recipes.users.user import AccountInfo

from ...kit import Make, Serve

ANN = ("ann@example.com", "correct horse 1")
PATHS = [
    "/auth/emailpassword/email/exists",
    "/auth/public/emailpassword/email/exists",
    "/auth/signup/email/exists",
    "/auth/public/signup/email/exists",
]


@pytest.fixture
def app(make_app: Make) -> App:
    """Return an App in which Ann has an account."""
    made = make_app()
    with made.active():
        emailpassword.sync.sign_up("public", *ANN)
    return made


@pytest.mark.parametrize(
    "rid", ["emailpassword", "anti-csrf", "thirdpartyemailpassword", "passwordless", "unknown", ""]
)
def test_every_path_with_every_hint(app: App, serve: Serve, rid: str) -> None:
    """All paths answer alike, whatever `rid` says (docs/protocol.md, rules 18.3 and 20.12)."""
    client = serve(app)
    for path in PATHS:
        for email, exists in ((ANN[0], True), ("ANN@EXAMPLE.COM ", True), ("bob@example.com", False)):
            answer = client.get(path, params={"email": email}, headers={"rid": rid})
            assert (answer.status_code, answer.json()) == (200, {"status": "OK", "exists": exists})


@pytest.mark.parametrize(
    "email", ["", "ann", "a\0b", "\x7f", "@", "%", "'; --", "x" * 20_000, "\U0001f980@x.co", "_nn@example.com"]
)
def test_any_text_may_be_asked_about(app: App, serve: Serve, email: str) -> None:
    """The sign-in page asks about whatever was typed: never a refusal, no wildcards (rule 20.12)."""
    answer = serve(app).get(PATHS[0], params={"email": email})
    assert (answer.status_code, answer.json()) == (200, {"status": "OK", "exists": False})


def test_bytes_that_are_no_text(app: App, serve: Serve) -> None:
    """A query that is not UTF-8 names nobody."""
    assert serve(app).get(f"{PATHS[0]}?email=%FF%00").json() == {"status": "OK", "exists": False}


def test_only_this_recipe_and_this_tenant_count(make_app: Make, serve: Serve) -> None:
    """An address known to another recipe, or in another tenant, is free."""
    app = make_app()

    def others(connection: Connection) -> None:
        for tenant_id, recipe_id in (("public", "passwordless"), ("t1", "emailpassword")):
            assert add_login_method(
                connection, tenant_id, recipe_id=recipe_id, account=AccountInfo(email=ANN[0]), time_joined=1
            )

    app.database.write(others)
    client = serve(app)
    assert client.get(PATHS[0], params={"email": ANN[0]}).json()["exists"] is False
    fields = [{"id": "email", "value": ANN[0]}, {"id": "password", "value": ANN[1]}]
    assert client.post("/auth/signup", json={"formFields": fields}).json()["status"] == "OK"
    assert client.get(PATHS[0], params={"email": ANN[0]}).json()["exists"] is True


def test_an_override_may_keep_it_secret(make_app: Make, serve: Serve) -> None:
    """An application that does not want to tell can override the API, for both paths at once."""

    class Discreet(emailpassword.APIsLayer):
        async def email_exists_get(
            self, email: str, tenant_id: str, api_options: Any, user_context: dict[str, Any]
        ) -> emailpassword.EmailExistsGetOkResult:
            return emailpassword.EmailExistsGetOkResult(exists=False)

    override = emailpassword.InputOverrideConfig(apis=Discreet)
    app = make_app(recipes=[emailpassword.init(override=override)])
    with app.active():
        emailpassword.sync.sign_up("public", *ANN)
    for path in PATHS:
        assert serve(app).get(path, params={"email": ANN[0]}).json()["exists"] is False
