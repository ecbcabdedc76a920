"""The root of every error this library raises, and the errors of the claims layer.

CoatcheckError
├── ClaimError                      claims/     a claim or a payload is misused
│   ├── ProtectedClaimError         (ValueError) an update names a field the server owns
│   ├── ClaimKeyError               (ValueError) a claim's key is empty or belongs to the server
│   └── FetchSignatureError         (TypeError) a claim's fetch_value cannot be called
├── SessionsError                   sessions/   storage, keys
│   ├── DatabaseError               the database cannot be reached or used
│   │   └── SchemaTooNewError       it was written by a newer coatcheck
│   ├── SigningKeyError             a signing key is missing or cannot be decrypted
│   ├── HashingBusyError            too many password hashes are waiting (HTTP 503)
│   └── SessionError                the outcomes of checking a session
│       ├── UnauthorisedError, TryRefreshTokenError, TokenTheftError,
│       └── InvalidClaimsError, ClearDuplicateSessionCookiesError
├── RecipeError                     recipes/    configuration, overrides, input
│   ├── ConfigurationError          (ValueError) found at init
│   │   └── OverrideError           (TypeError) an override that cannot work, with file and line
│   ├── ForeignAwaitError           a synchronous call reached an override that needs an event loop
│   ├── NotInitialisedError         no App is active
│   ├── ImportRefusedError          (ValueError) a password hash that could not be checked
│   ├── ProviderError               a provider did not answer, or its answer cannot be used
│   ├── UnknownTenantError          answered with HTTP 404
│   └── BadInputError               answered with HTTP 400
│       └── ClientTypeNotFoundError a provider has no client of the type a request asks for
└── ServerError                     server/     serving and the command line
"""

from __future__ import annotations

from collections.abc import Iterable


class CoatcheckError(Exception):
    """The root of every error this library raises."""


class ClaimError(CoatcheckError):
    """A claim or an access-token payload is misused."""


class ProtectedClaimError(ClaimError, ValueError):
    """An update of a payload names fields that the server owns.

    `names` holds them in the order in which they were found.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(f"The user payload contains protected field: {', '.join(self.names)}")


class ClaimKeyError(ClaimError, ValueError):
    """The key of a claim is empty, not a string, or the name of a field that the server owns."""


class FetchSignatureError(ClaimError, TypeError):
    """No order of arguments fits the signature of a claim's `fetch_value`."""
