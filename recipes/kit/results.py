"""Results that any recipe's functions and APIs may return."""

from __future__ import annotations

from dataclasses import dataclass

from ...claims.payload import JSONObject


@dataclass(frozen=True, slots=True)
class GeneralErrorResponse:
    """An application's own refusal, answered with status 200 and shown to the user by the front ends."""

    message: str
    status: str = "GENERAL_ERROR"

    def to_json(self) -> JSONObject:
        """Return the answer's body."""
        return {"status": self.status, "message": self.message}


@dataclass(frozen=True, slots=True)
class LinkingToSessionUserFailedError:
    """The new login method could not be linked to the session's user."""

    reason: str
    status: str = "LINKING_TO_SESSION_USER_FAILED"
