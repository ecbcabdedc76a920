"""What a session asserts: claims, validators and the clock that they read. No I/O, no HTTP, no database."""

from .claim import SessionClaim
from .clock import Clock, ManualClock, current_clock
from .exceptions import ClaimError, ClaimKeyError, CoatcheckError, FetchSignatureError, ProtectedClaimError
from .payload import JSONObject, UserContext
from .primitive import (
    BooleanClaim,
    BooleanClaimValidators,
    PrimitiveArrayClaim,
    PrimitiveArrayClaimValidators,
    PrimitiveClaim,
    PrimitiveClaimValidators,
)
from .recipe_user_id import RecipeUserId
from .validator import (
    ClaimsValidationResult,
    ClaimValidationError,
    ClaimValidationResult,
    SessionClaimValidator,
    validate_claims,
)

__all__ = [
    "BooleanClaim",
    "BooleanClaimValidators",
    "ClaimError",
    "ClaimKeyError",
    "ClaimValidationError",
    "ClaimValidationResult",
    "ClaimsValidationResult",
    "Clock",
    "CoatcheckError",
    "FetchSignatureError",
    "JSONObject",
    "ManualClock",
    "PrimitiveArrayClaim",
    "PrimitiveArrayClaimValidators",
    "PrimitiveClaim",
    "PrimitiveClaimValidators",
    "ProtectedClaimError",
    "RecipeUserId",
    "SessionClaim",
    "SessionClaimValidator",
    "UserContext",
    "current_clock",
    "validate_claims",
]
