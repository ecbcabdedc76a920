"""Versions of the front-end interface: user objects, and the session with which somebody signs in or up."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from starlette.testclient import TestClient

from coatcheck import RecipeUserId
from coatcheck.claims import BooleanClaim, ManualClock
from coatcheck.recipes import session

from ...kit import Make, Serve, form

ANN = {"email": "ann@example.com", "password": "correct horse 1"}
BOB = {**ANN, "email": "bob@example.com"}
FLAG = "shouldTryLinkingWithSessionUser"
OLD, NEW = "3.0", "3.1,4.0,4.1"
PATHS = ["/auth/signup", "/auth/signin"]


def post(
    client: TestClient,
    path: str,
    fields: dict[str, str],
    body: Mapping[str, Any] = MappingProxyType({}),
    *,
    fdi: str = NEW,
    token: str = "",
) -> Any:
    """Sign in or up as a client of this version, with this access token and these keys in the body."""
    headers = {"fdi-version": fdi} | ({"authorization": f"Bearer {token}"} if token else {})
    return client.post(path, json={**form(**fields), **body}, headers=headers)


@pytest.fixture
def client(make_app: Make, serve: Serve) -> TestClient:
    """Return a client of an App."""
    return serve(make_app())


@pytest.fixture
def anns(client: TestClient) -> str:
    """Return an access token of Ann's."""
    token: str = post(client, "/auth/signup", ANN).headers["st-access-token"]
    return token


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fdi", ["1.16", "1.17", "2.0", "1.17,2.0"])
def test_the_legacy_user(client: TestClient, clock: ManualClock, path: str, fdi: str) -> None:
    """Older clients get id, time and address, and no flag about a new user (docs/protocol.md, rule 19.12)."""
    user = post(client, "/auth/signup", ANN).json()["user"]
    fields = BOB if path == "/auth/signup" else ANN
    body = post(client, path, fields, fdi=fdi).json()
    expected = {"id": body["user"]["id"], "email": fields["email"], "timeJoined": clock.now_ms()}
    assert body == {"status": "OK", "user": expected}
    assert (body["user"]["id"] == user["id"]) is (path == "/auth/signin")


@pytest.mark.parametrize("fdi", [OLD, NEW, "1.16", ""])
def test_failures_are_the_same_for_every_version(client: TestClient, fdi: str) -> None:
    """Only success depends on the version."""
    assert post(client, "/auth/signin", ANN, fdi=fdi).json() == {"status": "WRONG_CREDENTIALS_ERROR"}
    assert post(client, "/auth/signup", {"email": "x", "password": "y"}, fdi=fdi).json()["status"] == "FIELD_ERROR"


# The session that is there


@pytest.mark.parametrize(("fdi", "body"), [(NEW, {}), (NEW, {FLAG: False}), (NEW, {FLAG: None}), ("", {})])
def test_without_the_flag_no_session_is_looked_at(
    client: TestClient, clock: ManualClock, anns: str, fdi: str, body: dict[str, Any]
) -> None:
    """Newer clients that do not ask for linking sign in and up whatever their old tokens are (rule 20.8)."""
    for number, token in enumerate((anns, "a.b.c", "x" * 5000, anns)):
        if number == 3:
            clock.advance(3600)  # the token has expired
        new = {**ANN, "email": f"u{number}@example.com"}
        for path, fields in (("/auth/signup", new), ("/auth/signin", ANN)):
            answer = post(client, path, fields, fdi=fdi, token=token, body=body)
            assert answer.json()["status"] == "OK"
            assert answer.headers["st-access-token"]


@pytest.mark.parametrize("path", PATHS)
def test_the_flag_needs_a_session(client: TestClient, clock: ManualClock, anns: str, path: str) -> None:
    """Asking for linking without a session is 401, with an expired one a refresh, with one an error that says why
    (rule 20.8).
    """
    fields = BOB if path == "/auth/signup" else ANN
    none = post(client, path, fields, body={FLAG: True})
    assert (none.status_code, none.json()) == (401, {"message": "unauthorised"})
    there = post(client, path, fields, token=anns, body={FLAG: True})
    assert there.status_code == 500
    assert "linking accounts is not supported yet" in there.json()["message"]
    clock.advance(3600)
    expired = post(client, path, fields, token=anns, body={FLAG: True})
    assert (expired.status_code, expired.json()) == (401, {"message": "try refresh token"})
    assert post(client, "/auth/signin", BOB).json()["status"] == "WRONG_CREDENTIALS_ERROR"


@pytest.mark.parametrize("value", ["true", 1, [], {}])
def test_a_flag_that_is_none(client: TestClient, value: Any) -> None:
    """A flag of a wrong type is 400."""
    answer = post(client, "/auth/signup", ANN, body={FLAG: value})
    assert (answer.status_code, answer.json()) == (400, {"message": f"{FLAG} must be a boolean"})


@pytest.mark.parametrize("flag", [{}, {FLAG: True}, {FLAG: False}])
def test_old_clients_have_no_flag(client: TestClient, anns: str, flag: dict[str, bool]) -> None:
    """For a version without the flag it counts as not said: one's own session stays (rule 20.8)."""
    assert "front-token" not in post(client, "/auth/signin", ANN, fdi=OLD, token=anns, body=flag).headers
    assert post(client, "/auth/signup", BOB, fdi=OLD, token=anns, body=flag).headers["front-token"]


def test_an_old_clients_session_that_has_ended_is_replaced(make_app: Make, serve: Serve) -> None:
    """Nobody is told that they are signed in with a session that was ended elsewhere (rule 20.8)."""
    app = make_app()
    client = serve(app)
    first = post(client, "/auth/signup", ANN)
    with app.active():
        session.sync.revoke_all_sessions_for_user(first.json()["user"]["id"])
    again = post(client, "/auth/signin", ANN, fdi=OLD, token=first.headers["st-access-token"])
    assert again.headers["st-access-token"] != first.headers["st-access-token"]


def test_an_old_clients_expired_session_is_to_be_refreshed(client: TestClient, clock: ManualClock, anns: str) -> None:
    """Where a session is looked at, an expired token asks for a refresh before anything else happens."""
    clock.advance(3600)
    answer = post(client, "/auth/signup", BOB, fdi=OLD, token=anns)
    assert (answer.status_code, answer.json()) == (401, {"message": "try refresh token"})
    assert post(client, "/auth/signin", BOB).json()["status"] == "WRONG_CREDENTIALS_ERROR"


def test_the_other_users_session_is_not_ended(make_app: Make, serve: Serve) -> None:
    """Signing in as somebody else replaces the tokens of the client; the old session lives on elsewhere."""
    app = make_app()
    client = serve(app)
    signed_up = post(client, "/auth/signup", ANN)
    post(client, "/auth/signup", BOB, fdi=OLD, token=signed_up.headers["st-access-token"])
    with app.active():
        assert len(session.sync.get_all_session_handles_for_user(signed_up.json()["user"]["id"])) == 1


def test_claims_are_not_validated_here(make_app: Make, serve: Serve) -> None:
    """A session whose claims open no route still signs in and up, in the old way too (rule 20.8)."""
    claim = BooleanClaim("2fa-completed", lambda *_: False)

    def functions(original: Any) -> Any:
        async def get_global_claim_validators(claim_validators_added_by_other_recipes: Any, **_: Any) -> Any:
            return [*claim_validators_added_by_other_recipes, claim.validators.is_true()]

        original.get_global_claim_validators = get_global_claim_validators
        return original

    app = make_app(claims=[claim], override=session.InputOverrideConfig(functions=functions))
    client = serve(app)
    token = post(client, "/auth/signup", ANN).headers["st-access-token"]
    assert post(client, "/auth/signin", ANN, fdi=OLD, token=token).json()["status"] == "OK"
    assert post(client, "/auth/signup", BOB, fdi=OLD, token=token).json()["status"] == "OK"


def test_the_sessions_tenant_is_the_requests(make_app: Make, serve: Serve) -> None:
    """A session that is looked at decides about the tenant (rule 20.8)."""
    app = make_app()
    with app.active():
        made = session.sync.create_new_session_without_request_response("t1", RecipeUserId("somebody"))
    answer = post(serve(app), "/auth/signup", ANN, fdi=OLD, token=made.get_access_token())
    assert answer.json()["user"]["tenantIds"] == ["t1"]
