"""The application's own tests, written for the SDK with a core server beside it."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from auth import SENT
from fastapi.testclient import TestClient
from main import BOOKS, app
from supertokens_python.recipe.emailpassword.asyncio import sign_in
from supertokens_python.recipe.emailpassword.interfaces import SignInOkResult, WrongCredentialsError
from supertokens_python.recipe.session.exceptions import UnauthorisedError
from supertokens_python.recipe.session.syncio import get_session_without_request_response
from supertokens_python.syncio import delete_user, list_users_by_account_info
from supertokens_python.types import AccountInfo

PASSWORD = "correct horse 1"
NEW_PASSWORD = "battery staple 2"


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Yield a client of the application, with an empty mailbox; delete its users afterwards."""
    BOOKS[:] = ["Middlemarch"]
    SENT.clear()
    with TestClient(app, base_url="http://localhost:8000", headers={"st-auth-mode": "header"}) as client:
        yield client
    for email in ("ann@mail.example", "eve@library.example"):
        for user in list_users_by_account_info("public", AccountInfo(email=email)):
            delete_user(user.id)


def form(**fields: str) -> dict[str, Any]:
    """Return a form as the front end sends it."""
    return {"formFields": [{"id": name, "value": value} for name, value in fields.items()]}


def joined(client: TestClient, email: str) -> Any:
    """Sign somebody up."""
    answer = client.post("/auth/signup", json=form(email=email, password=PASSWORD))
    assert answer.json()["status"] == "OK"
    return answer


def bearer(answer: Any, header: str = "st-access-token") -> dict[str, str]:
    """Return the header that carries the access token of an answer."""
    return {"authorization": f"Bearer {answer.headers[header]}"}


def error_ids(answer: Any) -> list[str]:
    """Return which claims were refused."""
    assert answer.status_code == 403
    return [error["id"] for error in answer.json()["claimValidationErrors"]]


def test_a_member_reads_and_does_not_write(client: TestClient) -> None:
    """Members read the list; adding to it needs the role."""
    ann = bearer(joined(client, "ann@mail.example"))
    assert client.get("/books", headers=ann).json() == ["Middlemarch"]
    assert error_ids(client.post("/books", json={"title": "Emma"}, headers=ann)) == ["roles"]
    assert BOOKS == ["Middlemarch"]


def test_a_librarian_writes(client: TestClient) -> None:
    """An address of the library makes a librarian."""
    eve = bearer(joined(client, "eve@library.example"))
    assert client.post("/books", json={"title": "Emma"}, headers=eve).json() == ["Middlemarch", "Emma"]


def test_nobody_reads_without_a_session(client: TestClient) -> None:
    """A request without a session is refused."""
    assert client.get("/books").status_code == 401


def test_the_session_knows_roles_and_device(client: TestClient) -> None:
    """The override of new sessions adds the roles and the device."""
    ann = bearer(joined(client, "ann@mail.example"))
    assert client.get("/me", headers=ann).json() == {
        "email": "ann@mail.example",
        "roles": ["member"],
        "device": "testclient",
    }


def test_some_addresses_are_refused(client: TestClient) -> None:
    """The override of the sign-up API refuses a domain."""
    answer = client.post("/auth/signup", json=form(email="x@spam.example", password=PASSWORD))
    assert answer.json() == {"status": "GENERAL_ERROR", "message": "Please use another address."}


def test_the_request_can_be_asked_for_headers(client: TestClient) -> None:
    """The override of the sign-up API reads headers and writes them."""
    answer = client.post(
        "/auth/signup", json=form(email="ann@mail.example", password=PASSWORD), headers={"x-branch": "closed"}
    )
    assert answer.json()["message"] == "This branch takes no members."
    assert joined(client, "ann@mail.example").headers["x-welcome"] == "yes"


def test_a_promotion_reaches_the_session_with_the_next_refresh(client: TestClient) -> None:
    """The next access token has a claim that was changed by handle."""
    eve = bearer(joined(client, "eve@library.example"))
    signed_up = joined(client, "ann@mail.example")
    assert client.post(f"/librarians/{signed_up.json()['user']['id']}", headers=eve).json() == {"status": "OK"}
    assert error_ids(client.post("/books", json={"title": "Emma"}, headers=bearer(signed_up))) == ["roles"]
    refreshed = client.post("/auth/session/refresh", headers=bearer(signed_up, "st-refresh-token"))
    assert client.post("/books", json={"title": "Emma"}, headers=bearer(refreshed)).status_code == 200


def test_a_password_is_reset_with_the_mailed_link(client: TestClient) -> None:
    """The mail has our own link, and its token sets a new password."""
    joined(client, "ann@mail.example")
    client.post("/auth/user/password/reset/token", json=form(email="ann@mail.example"))
    (mail,) = SENT
    assert mail.user.email == "ann@mail.example"
    link = urlsplit(mail.password_reset_link)
    assert link.path == "/account/reset-password"
    token = parse_qs(link.query)["token"][0]
    body = {"method": "token", "token": token, **form(password=NEW_PASSWORD)}
    assert client.post("/auth/user/password/reset", json=body).json()["status"] == "OK"
    again = client.post("/auth/signin", json=form(email="ann@mail.example", password=NEW_PASSWORD))
    assert again.json()["status"] == "OK"


def test_signing_out_everywhere_ends_every_session(client: TestClient) -> None:
    """All sessions of a member end, and a check of the database shows it at once."""
    signed_up = joined(client, "ann@mail.example")
    client.post("/auth/signin", json=form(email="ann@mail.example", password=PASSWORD))
    assert client.delete("/sessions", headers=bearer(signed_up)).json() == {"revoked": 2}
    refreshed = client.post("/auth/session/refresh", headers=bearer(signed_up, "st-refresh-token"))
    assert refreshed.status_code == 401
    token = signed_up.headers["st-access-token"]
    with pytest.raises(UnauthorisedError):
        get_session_without_request_response(token, anti_csrf_check=False, check_database=True)


async def checked_passwords() -> list[Any]:
    """Check the right password and a wrong one."""
    return [await sign_in("public", "ann@mail.example", password) for password in (PASSWORD, NEW_PASSWORD)]


def test_passwords_can_be_checked_without_a_request(client: TestClient) -> None:
    """The functions of the recipe accept the right password and refuse a wrong one."""
    joined(client, "ann@mail.example")
    right, wrong = client.portal.call(checked_passwords)
    assert isinstance(right, SignInOkResult)
    assert isinstance(wrong, WrongCredentialsError)
