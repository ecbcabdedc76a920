"""The errors of the sessions layer; the whole tree is drawn in `coatcheck.claims.exceptions`."""

from __future__ import annotations

from ..claims.exceptions import CoatcheckError
from ..claims.recipe_user_id import RecipeUserId
from ..claims.validator import ClaimValidationError


class SessionsError(CoatcheckError):
    """Something in the sessions layer failed."""


class DatabaseError(SessionsError):
    """The database cannot be reached, or it refuses an operation."""


class SchemaTooNewError(DatabaseError):
    """The database was written by a newer version of this library."""


class SigningKeyError(SessionsError):
    """A signing key is missing, or cannot be decrypted with the key given."""


class HashingBusyError(SessionsError):
    """Too many password hashes are waiting; the caller should try again later (HTTP 503)."""


class SessionError(SessionsError):
    """A result of checking a session that the client must be told."""


class UnauthorisedError(SessionError):
    """There is no session, or it has ended; `clear_tokens` says whether the client's tokens are cleared."""

    def __init__(self, msg: str, clear_tokens: bool = True) -> None:
        super().__init__(msg)
        self.clear_tokens = clear_tokens


class TryRefreshTokenError(SessionError):
    """There is an access token, but it is not accepted now; the client should refresh."""


class TokenTheftError(SessionError):
    """A refresh token was used that is neither the confirmed token nor its child."""

    def __init__(self, user_id: str, recipe_user_id: RecipeUserId, session_handle: str) -> None:
        super().__init__("token theft detected")
        self.user_id = user_id
        self.recipe_user_id = recipe_user_id
        self.session_handle = session_handle


class InvalidClaimsError(SessionError):
    """Claim validators failed; `payload` lists the failures in the order of the validators."""

    def __init__(self, msg: str, payload: list[ClaimValidationError]) -> None:
        super().__init__(msg)
        self.payload = payload


class ClearDuplicateSessionCookiesError(SessionError):
    """A refresh had a session cookie twice; the response clears the cookie of the older domain."""
