"""Claims with a value and without one, and sessions of one user, made without a request."""

from __future__ import annotations

from typing import Any

from coatcheck import RecipeUserId
from coatcheck.claims import (
    BooleanClaim,
)
from coatcheck.recipes import session
from coatcheck.recipes.session import SessionContainer

TrueClaim = BooleanClaim("st-true", lambda *_: True)


NoneClaim = BooleanClaim("st-none", lambda *_: None)


U1 = RecipeUserId("u1")


def new(**arguments: Any) -> SessionContainer:
    """Create a session of u1."""
    return session.sync.create_new_session_without_request_response("public", U1, **arguments)
