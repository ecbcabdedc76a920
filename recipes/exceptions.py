"""Every public error in one place: those of the recipes layer, and those of the layers below it.

`from coatcheck import exceptions` gives this module. The whole tree is drawn in `coatcheck.claims.exceptions`.
"""

from __future__ import annotations

from ..claims.exceptions import (
    ClaimError as ClaimError,
    ClaimKeyError as ClaimKeyError,
    CoatcheckError as CoatcheckError,
    FetchSignatureError as FetchSignatureError,
    ProtectedClaimError as ProtectedClaimError,
)
from ..sessions.exceptions import (
    ClearDuplicateSessionCookiesError as ClearDuplicateSessionCookiesError,
    DatabaseError as DatabaseError,
    HashingBusyError as HashingBusyError,
    InvalidClaimsError as InvalidClaimsError,
    SchemaTooNewError as SchemaTooNewError,
    SessionError as SessionError,
    SessionsError as SessionsError,
    SigningKeyError as SigningKeyError,
    TokenTheftError as TokenTheftError,
    TryRefreshTokenError as TryRefreshTokenError,
    UnauthorisedError as UnauthorisedError,
)


class RecipeError(CoatcheckError):
    """A recipe was configured, overridden or called in a way that cannot work."""


class ConfigurationError(RecipeError, ValueError):
    """A configuration that cannot work; the message names the option."""


class OverrideError(ConfigurationError, TypeError):
    """An override that cannot work, found when the App is made; `file` and `line` say where it is written."""

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None) -> None:
        super().__init__(message if file is None else f"{message} ({file}:{line})")
        self.file = file
        self.line = line


class ForeignAwaitError(RecipeError, RuntimeError):
    """A synchronous call met an override that awaits an event loop; `file` and `line` say where it awaits."""

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.file = file
        self.line = line


class NotInitialisedError(RecipeError):
    """No App is active; the message says what to call first."""


class BadInputError(RecipeError):
    """A client or a caller sent malformed data; the answer is HTTP 400 with the message."""


class ProviderError(RecipeError):
    """A provider could not be reached, or its answer is not usable; the message holds no secrets."""

    def __init__(self, third_party_id: str, message: str) -> None:
        super().__init__(f"{third_party_id}: {message}")
        self.third_party_id = third_party_id


class UnknownTenantError(RecipeError):
    """A request's path names a tenant that does not exist; the answer is HTTP 404."""

    def __init__(self, tenant_id: str) -> None:
        super().__init__(f"there is no tenant {tenant_id!r}")
        self.tenant_id = tenant_id
