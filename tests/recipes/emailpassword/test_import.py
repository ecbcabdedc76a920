"""Importing users with password hashes of other systems."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import bcrypt
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from starlette.testclient import TestClient

from coatcheck import App, InputAppInfo
from coatcheck.recipes import accountlinking, emailpassword, session
from coatcheck.recipes.exceptions import BadInputError

from ...kit import Make, Serve, together

ep = emailpassword.sync
ANN = "ann@example.com"
PASSWORD = "correct horse 1"


def argon2id(password: str) -> str:
    """Return an Argon2id hash with parameters of its own."""
    salt = secrets.token_bytes(8)
    return Argon2id(salt=salt, length=16, iterations=1, lanes=2, memory_cost=1024).derive_phc_encoded(password.encode())


def scrypt(password: str) -> str:
    """Return a scrypt hash as a PHC string."""
    salt = secrets.token_bytes(16)
    digest = Scrypt(salt=salt, length=32, n=2**10, r=8, p=1).derive(password.encode())
    return "$scrypt$ln=10,r=8,p=1$" + "$".join(base64.b64encode(x).rstrip(b"=").decode() for x in (salt, digest))


def bcrypt_hash(password: str) -> str:
    """Return a bcrypt hash, of the first 72 bytes as other systems do."""
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()


@pytest.fixture
def app(make_app: Make) -> Iterator[App]:
    """Return an App, made current."""
    made = make_app()
    with made.active():
        yield made


def sign_in(client: TestClient, password: str, email: str = ANN) -> Any:
    """Sign in over HTTP and return the status."""
    fields = [{"id": "email", "value": email}, {"id": "password", "value": password}]
    return client.post("/auth/signin", json={"formFields": fields}).json()["status"]


@pytest.mark.parametrize("hashed", [argon2id, scrypt, bcrypt_hash])
def test_an_imported_user_signs_in(app: App, serve: Serve, hashed: Callable[[str], str]) -> None:
    """Each accepted format signs in over HTTP, before and after it was replaced (docs/protocol.md, rule 22.3)."""
    made = ep.import_user("public", " Ann@Example.com ", hashed(PASSWORD))
    assert made.user.emails == [ANN]
    assert made.did_user_already_exist is False
    client = serve(app)
    assert [sign_in(client, given) for given in ("wrong", PASSWORD, PASSWORD, "wrong")] == [
        "WRONG_CREDENTIALS_ERROR",
        "OK",
        "OK",
        "WRONG_CREDENTIALS_ERROR",
    ]


def test_a_long_password_of_bcrypt(app: App, serve: Serve) -> None:
    """An imported bcrypt hash knows 72 bytes; the hash that replaces it knows the whole password that signed in."""
    password = "long password 1 " * 5
    ep.import_user("public", ANN, bcrypt_hash(password))
    client = serve(app)
    assert sign_in(client, password) == "OK"
    assert sign_in(client, password[:72]) == "WRONG_CREDENTIALS_ERROR"


def test_importing_again_overwrites_the_hash(app: App) -> None:
    """An existing user keeps id, sessions and time; the old password and outstanding reset tokens end."""
    first = ep.sign_up("public", ANN, PASSWORD)
    assert isinstance(first, emailpassword.SignUpOkResult)
    session.sync.create_new_session_without_request_response("public", first.recipe_user_id)
    token = ep.create_reset_password_token("public", first.user.id, ANN)
    assert isinstance(token, emailpassword.CreateResetPasswordOkResult)
    again = ep.import_user("public", ANN, scrypt("another one 2"))
    assert again.did_user_already_exist is True
    assert again.user == first.user
    assert ep.sign_in("public", ANN, PASSWORD).status == "WRONG_CREDENTIALS_ERROR"
    assert ep.sign_in("public", ANN, "another one 2").status == "OK"
    assert ep.consume_password_reset_token("public", token.token).status == "RESET_PASSWORD_INVALID_TOKEN_ERROR"
    assert len(session.sync.get_all_session_handles_for_user(first.user.id)) == 1


def test_a_refused_hash_changes_nothing(app: App) -> None:
    """Where the import is refused, the password from before still works, and the hash is not quoted (rule 22.5)."""
    ep.sign_up("public", ANN, PASSWORD)
    refused = "$2x$04$" + "k" * 53
    with pytest.raises(emailpassword.ImportRefusedError) as caught:
        ep.import_user("public", ANN, refused)
    assert "k" * 10 not in str(caught.value) + repr(caught.value)
    assert ep.sign_in("public", ANN, PASSWORD).status == "OK"


def test_a_fast_hash_cannot_be_imported_into_a_real_app(app: App) -> None:
    """A hash of the fast profile, marked or not, is refused by an App without unsafe_for_tests (rule 22.2)."""
    fast = "$argon2id$v=19$m=8,t=1,p=1$" + "A" * 22 + "$" + "A" * 43
    real = App(
        app_info=InputAppInfo("Real", "http://localhost:3567", website_domain="http://localhost:3000"),
        recipe_list=[session.init(), emailpassword.init()],
        database="sqlite://",
    )
    for stored in (f"unsafe-for-tests:{fast}", fast):
        with real.active(), pytest.raises(emailpassword.ImportRefusedError):
            ep.import_user("public", ANN, stored)
    real.close()
    assert ep.import_user("public", ANN, f"unsafe-for-tests:{fast}").status == "OK"


@pytest.mark.parametrize("email", ["", "  ", "a\0b@example.com", "\ud800", "x" * 2000])
def test_an_address_that_cannot_be(app: App, email: str) -> None:
    """An import needs an address that can be stored (rule 19.5)."""
    with pytest.raises(BadInputError):
        ep.import_user("public", email, scrypt(PASSWORD))
    assert accountlinking.sync.get_user_count() == 0


@pytest.mark.parametrize("kind", ["file", "postgres"])
def test_simultaneous_imports_of_one_user(make_app: Make, request: pytest.FixtureRequest, kind: str) -> None:
    """Importing one user several times at once makes one user, and every import succeeds (rule 19.4)."""
    path = request.getfixturevalue("tmp_path") if kind == "file" else None
    app = make_app(database=f"sqlite:///{path}/x.db" if path else request.getfixturevalue("postgres_url"))

    def attempt() -> Any:
        with app.active():
            return ep.import_user("public", ANN, scrypt(PASSWORD))

    results = together(*[attempt] * 6)
    assert sorted(result.did_user_already_exist for result in results) == [False] + [True] * 5
    with app.active():
        assert accountlinking.sync.get_user_count() == 1
        assert ep.sign_in("public", ANN, PASSWORD).status == "OK"
