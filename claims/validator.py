"""Validators: what a route demands of a session's claims, and one validation run.

A run first fetches the claims that are missing or expired, then asks every validator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .claim import MaybeAwaitable, SessionClaim, awaited
from .clock import frozen_clock
from .payload import JSONObject, UserContext, copied_value, same_value
from .recipe_user_id import RecipeUserId


@dataclass(frozen=True, slots=True)
class ClaimValidationResult:
    """The result of one validator (docs/protocol.md, rule 13.20).

    `reason` is any JSON object, usually with a "message", or None; a valid result always has the reason {}.
    """

    is_valid: bool
    reason: JSONObject | None = None

    def __post_init__(self) -> None:
        if self.is_valid:
            object.__setattr__(self, "reason", {})


@dataclass(frozen=True, slots=True)
class ClaimValidationError:
    """One failed validator, as a client sees it in a 403; a value, not an exception (docs/protocol.md, rule 13.21)."""

    id_: str
    reason: JSONObject | None = None

    @property
    def id(self) -> str:
        """The validator's id, under the name that HTTP clients see."""
        return self.id_

    def to_json(self) -> JSONObject:
        """Return {"id": ..., "reason": ...}; without the key "reason" if there is none."""
        return {"id": self.id_} if self.reason is None else {"id": self.id_, "reason": self.reason}


class SessionClaimValidator(ABC):
    """One demand on the access-token payload (docs/protocol.md, rule 13.19).

    Subclass it, implement `validate`, and set `claim` if a missing value should be fetched. Both methods may be plain
    or async; they only read the payload.
    """

    claim: SessionClaim[Any] | None = None

    def __init__(self, id_: str) -> None:
        self.id = id_

    @abstractmethod
    def validate(self, payload: JSONObject, user_context: UserContext) -> MaybeAwaitable[ClaimValidationResult]:
        """Check `payload`."""

    def should_refetch(self, payload: JSONObject, user_context: UserContext) -> MaybeAwaitable[bool]:
        """Whether the claim is fetched before validation; by default, if it has no value.

        Called only for validators that have a claim.
        """
        return self.claim is not None and self.claim.get_value_from_payload(payload, user_context) is None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"


@dataclass(frozen=True, slots=True)
class ClaimsValidationResult:
    """The result of a run: the failures, in the order of the validators, and the new payload if a fetch changed it.

    `access_token_payload_update` is the whole new payload, protected fields included, or None.
    """

    invalid_claims: list[ClaimValidationError] = field(default_factory=list)
    access_token_payload_update: JSONObject | None = None


async def validate_claims(
    *,
    user_id: str,
    recipe_user_id: RecipeUserId,
    tenant_id: str,
    access_token_payload: Mapping[str, Any],
    claim_validators: Sequence[SessionClaimValidator],
    user_context: UserContext,
) -> ClaimsValidationResult:
    """Validate a payload, fetching the claims whose validators ask for it (docs/protocol.md, rules 13.15 to 13.18).

    Neither the payload nor the session is changed: the caller stores the update, also if there are failures. The clock
    stands still during the run, so a value cannot expire between the decision not to fetch it and its validation.
    Exceptions of a `fetch_value` or a validator reach the caller unchanged.
    """
    if not claim_validators:
        return ClaimsValidationResult()
    with frozen_clock():
        run = _Run(user_id, recipe_user_id, tenant_id, copied_value(access_token_payload), user_context)
        for validator in claim_validators:
            await run.refetch(validator)
        changed = run.fetched and not same_value(run.payload, access_token_payload)
        update = copied_value(run.payload) if changed else None
        return ClaimsValidationResult(await run.failures(claim_validators), update)


@dataclass(slots=True)
class _Run:
    """The state of one run; `fetched` lists the claims that were asked for a value, compared by identity."""

    user_id: str
    recipe_user_id: RecipeUserId
    tenant_id: str
    payload: JSONObject
    user_context: UserContext
    fetched: list[SessionClaim[Any]] = field(default_factory=list)

    async def refetch(self, validator: SessionClaimValidator) -> None:
        claim = validator.claim
        if claim is None or any(claim is other for other in self.fetched):
            return
        if not await awaited(validator.should_refetch(self.payload, self.user_context)):
            return
        self.fetched.append(claim)
        value = await claim.fetch(
            user_id=self.user_id,
            recipe_user_id=self.recipe_user_id,
            tenant_id=self.tenant_id,
            current_payload=self.payload,
            user_context=self.user_context,
        )
        if value is not None:
            self.payload = claim.add_to_payload_(self.payload, value, self.user_context)

    async def failures(self, validators: Sequence[SessionClaimValidator]) -> list[ClaimValidationError]:
        failures = []
        for validator in validators:
            result = await awaited(validator.validate(self.payload, self.user_context))
            if not isinstance(result, ClaimValidationResult):
                raise TypeError(f"{validator!r} returned {result!r}, not a ClaimValidationResult")
            if not result.is_valid:
                failures.append(ClaimValidationError(validator.id, result.reason))
        return failures
