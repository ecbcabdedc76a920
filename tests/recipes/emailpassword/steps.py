"""What somebody does over HTTP: signing up, signing in, and the error of a field."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from ...kit import form

ANN = {"email": "ann@example.com", "password": "correct horse 1"}


CREDENTIALS = (ANN["email"], ANN["password"])


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


def reset(client: TestClient, token: Any, password: str = "a new password 2") -> Any:
    """Set a new password with a token."""
    return client.post("/auth/user/password/reset", json={"method": "token", "token": token, **form(password=password)})
