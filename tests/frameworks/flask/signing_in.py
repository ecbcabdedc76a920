"""Signing in to the Flask application of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from werkzeug.test import TestResponse

if TYPE_CHECKING:
    pass


COOKIES = {"st-auth-mode": "cookie"}


def login(client: Any, user: str = "ann") -> TestResponse:
    """Sign a user in with cookies."""
    response: TestResponse = client.post(f"/login/{user}", headers=COOKIES)
    return response
