"""A Flask application with the extension, a way to sign in, and protected views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flask
import pytest

from coatcheck import RecipeUserId
from coatcheck.recipes import session
from coatcheck.server.flask import CoatCheck, verify_session

from ...kit import Make

if TYPE_CHECKING:
    pass


@pytest.fixture
def app(make_app: Make) -> flask.Flask:
    """Return a Flask application with the extension, a way to sign in, and a protected view."""
    application = flask.Flask(__name__)
    CoatCheck(application, make_app())

    @application.post("/login/<user>")
    def login(user: str) -> str:
        session.sync.create_new_session(flask.request, "public", RecipeUserId(user))
        return user

    @application.get("/me")
    @verify_session()
    def me() -> str:
        found: str = flask.g.supertokens.get_user_id()
        return found

    @application.get("/open")
    def open_to_all() -> str:
        return str(flask.g.supertokens)

    return application
