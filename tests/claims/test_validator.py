"""Validators of one's own, how verdicts are told, and what one validation run does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Any, cast
from unittest.mock import Mock

import pytest
from hypothesis import given, strategies as st

from coatcheck.claims import (
    BooleanClaim,
    ClaimsValidationResult,
    ClaimValidationError,
    ClaimValidationResult,
    ManualClock,
    PrimitiveArrayClaim,
    PrimitiveClaim,
    RecipeUserId,
    SessionClaim,
    SessionClaimValidator,
    current_clock,
    validate_claims,
)
from coatcheck.claims.payload import JSONObject, UserContext

CLAIM = BooleanClaim("key", lambda: True)


class Always(SessionClaimValidator):
    """Gives the same verdict for every payload."""

    def __init__(self, claim: SessionClaim[Any] | None = None, *, result: ClaimValidationResult | None = None) -> None:
        super().__init__("always")
        self.claim = claim
        self.result = result or ClaimValidationResult(is_valid=True)

    async def validate(self, payload: JSONObject, user_context: UserContext) -> ClaimValidationResult:
        return self.result


def test_a_valid_result_has_an_empty_reason() -> None:
    """Whatever reason was given, a valid result has {} (docs/protocol.md, rule 13.20)."""
    assert ClaimValidationResult(True).reason == {}
    assert ClaimValidationResult(True, {"message": "ignored"}).reason == {}


@pytest.mark.parametrize("reason", [None, {}, {"message": "no"}])
def test_an_invalid_result_keeps_its_reason(reason: JSONObject | None) -> None:
    """An invalid result may have any reason, or none (docs/protocol.md, rule 13.20)."""
    result = ClaimValidationResult(is_valid=False, reason=reason)
    assert not result.is_valid
    assert result.reason == reason


def test_a_failure_on_the_wire() -> None:
    """A failure is its id and its reason, and no key "reason" where there is none (docs/protocol.md, rule 13.21)."""
    assert ClaimValidationError("a", {"message": "no"}).to_json() == {"id": "a", "reason": {"message": "no"}}
    assert ClaimValidationError("a", {}).to_json() == {"id": "a", "reason": {}}
    assert ClaimValidationError("a").to_json() == {"id": "a"}


def test_a_failure_has_both_names_of_its_id() -> None:
    """`id` and `id_` are one; a failure is a value, not an exception."""
    failure = ClaimValidationError(id_="a", reason=None)
    assert failure.id == failure.id_ == "a"
    assert failure == ClaimValidationError("a", None)
    assert not isinstance(failure, BaseException)


def test_the_default_fetch_is_of_what_is_missing() -> None:
    """A validator with a claim asks for a fetch where there is no value, unless it decides itself (rule 13.19)."""
    validator = Always(CLAIM)
    assert validator.should_refetch({}, {})
    assert not validator.should_refetch(CLAIM.add_to_payload_({}, False), {})


def test_without_a_claim_nothing_is_fetched() -> None:
    """A validator has no claim unless it names one (docs/protocol.md, rule 13.19)."""
    assert Always().claim is None
    assert not Always().should_refetch({}, {})


def test_its_id_is_in_its_repr() -> None:
    """A validator shows its class and its id."""
    assert Always().id == "always"
    assert repr(Always()) == "Always('always')"


def test_validate_must_be_written() -> None:
    """A validator that does not validate cannot be made."""
    with pytest.raises(TypeError, match="abstract"):
        cast("Any", SessionClaimValidator)("id")


def test_an_async_validate_can_be_awaited_directly() -> None:
    """Validators are used on their own, too."""
    assert asyncio.run(Always().validate({}, {})).is_valid


TRUE = BooleanClaim("st-true", lambda: True)
NONE = BooleanClaim("st-none", lambda: None)
VALID = ClaimValidationResult(is_valid=True)


def run(
    validators: Sequence[SessionClaimValidator], payload: JSONObject | None = None, context: UserContext | None = None
) -> ClaimsValidationResult:
    """Run the validators over a payload, for a user of a tenant."""
    return asyncio.run(
        validate_claims(
            user_id="user",
            recipe_user_id=RecipeUserId("recipe-user"),
            tenant_id="tenant",
            access_token_payload={} if payload is None else payload,
            claim_validators=validators,
            user_context={} if context is None else context,
        )
    )


class Custom(SessionClaimValidator):
    """A validator that records what it was asked, plain or async."""

    def __init__(
        self,
        id_: str = "custom",
        *,
        claim: SessionClaim[Any] | None = None,
        refetch: bool = False,
        result: ClaimValidationResult = VALID,
    ) -> None:
        super().__init__(id_)
        self.claim = claim
        self.refetch = refetch
        self.result = result
        self.seen: list[JSONObject] = []
        self.asked = 0

    def should_refetch(self, payload: JSONObject, user_context: UserContext) -> bool:
        self.asked += 1
        return self.refetch

    def validate(self, payload: JSONObject, user_context: UserContext) -> ClaimValidationResult:
        self.seen.append(deepcopy(payload))
        return self.result


class AsyncCustom(SessionClaimValidator):
    """A validator whose two methods are both async."""

    def __init__(self, claim: SessionClaim[Any], *, refetch: bool) -> None:
        super().__init__("async")
        self.claim = claim
        self.refetch = refetch

    async def should_refetch(self, payload: JSONObject, user_context: UserContext) -> bool:
        await asyncio.sleep(0)
        return self.refetch

    async def validate(self, payload: JSONObject, user_context: UserContext) -> ClaimValidationResult:
        await asyncio.sleep(0)
        return VALID


def test_no_validators_do_nothing() -> None:
    """An empty list gives no failures and no update (docs/protocol.md, rule 13.18)."""
    assert run([], {"sub": "user"}) == ClaimsValidationResult([], None)


def test_a_validator_that_asks_for_nothing_validates_once() -> None:
    """Its `validate` sees the payload once and there is no update (docs/protocol.md, rule 13.15)."""
    validator = Custom(claim=TRUE)
    assert run([validator], {"custom-key": "custom-value"}) == ClaimsValidationResult([], None)
    assert validator.seen == [{"custom-key": "custom-value"}]


def test_a_missing_claim_is_fetched(clock: ManualClock) -> None:
    """The claim is fetched, the demand holds, and the update is the whole new payload (rules 13.15 and 13.18)."""
    result = run([TRUE.validators.is_true(1)], {"sub": "user", "custom": [1]})
    assert result.invalid_claims == []
    assert result.access_token_payload_update == {
        "sub": "user",
        "custom": [1],
        "st-true": {"v": True, "t": clock.now_ms()},
    }


def test_every_failure_is_reported_in_order() -> None:
    """Nothing stops at the first failure, and validators keep their order (docs/protocol.md, rule 13.15)."""
    reason = {"message": "no"}
    result = run(
        [
            Custom("first", result=ClaimValidationResult(is_valid=False)),
            TRUE.validators.is_true(),
            NONE.validators.has_value(True, id_="second"),
            TRUE.validators.is_false(id_="third"),
            Custom("fourth", result=ClaimValidationResult(is_valid=False, reason=reason)),
        ]
    )
    assert [failure.to_json() for failure in result.invalid_claims] == [
        {"id": "first"},
        {"id": "second", "reason": {"message": "value does not exist", "expectedValue": True, "actualValue": None}},
        {"id": "third", "reason": {"message": "wrong value", "expectedValue": False, "actualValue": True}},
        {"id": "fourth", "reason": reason},
    ]


def test_a_claim_without_a_value_fails_alone(clock: ManualClock) -> None:
    """Of two demands the one whose claim has no value fails; the fetched claim is in the update all the same."""
    result = run([TRUE.validators.has_value(True), NONE.validators.has_value(True)])
    assert result.invalid_claims == [
        ClaimValidationError("st-none", {"message": "value does not exist", "expectedValue": True, "actualValue": None})
    ]
    assert result.access_token_payload_update == {"st-true": {"v": True, "t": clock.now_ms()}}


def test_a_validator_without_a_claim_is_never_asked_to_refetch() -> None:
    """It only judges (docs/protocol.md, rule 13.15)."""
    validator = Custom(refetch=True)
    run([validator])
    assert (validator.asked, len(validator.seen)) == (0, 1)


def test_every_validator_sees_what_was_fetched() -> None:
    """The second pass starts when the first is complete (docs/protocol.md, rule 13.15)."""
    early = Custom("early")
    run([early, TRUE.validators.is_true()])
    assert early.seen[0]["st-true"]["v"] is True


def test_fetch_gets_the_arguments_of_the_run() -> None:
    """User, login method, tenant, a copy of the payload and the user context itself (docs/protocol.md, rule 13.7)."""
    mock = Mock(return_value=None)
    claim: BooleanClaim = BooleanClaim("key", mock)
    payload, context = {"sub": "user"}, {"request": 1}
    run([claim.validators.is_true()], payload, context)
    mock.assert_called_once_with("user", RecipeUserId("recipe-user"), "tenant", payload, context)
    assert mock.call_args.args[3] is not payload
    assert mock.call_args.args[4] is context


@pytest.mark.parametrize("value", [True, None])
def test_each_claim_is_fetched_once(value: bool | None) -> None:
    """However many demands are made of it, and also if there is no value (docs/protocol.md, rule 13.17)."""
    mock = Mock(return_value=value)
    claim = BooleanClaim("key", mock)
    validators = claim.validators
    run([validators.is_true(), validators.is_false(0), validators.has_value(True, 0, "id"), Custom(claim=claim)])
    mock.assert_called_once()


def test_two_claims_of_one_key_are_two_claims() -> None:
    """Once is once per claim object, not per key (docs/protocol.md, rule 13.17)."""
    one, two = Mock(return_value=True), Mock(return_value=False)
    first, second = BooleanClaim("key", one), BooleanClaim("key", two)
    result = run([first.validators.is_true(0), second.validators.is_false(0)])
    one.assert_called_once()
    two.assert_called_once()
    assert [failure.reason for failure in result.invalid_claims] == [
        {"message": "wrong value", "expectedValue": True, "actualValue": False}
    ]


def test_the_next_run_fetches_anew() -> None:
    """Nothing is remembered from run to run (docs/protocol.md, rule 13.17)."""
    mock = Mock(return_value=True)
    validators = [BooleanClaim("key", mock).validators.is_true()]
    run(validators)
    run(validators)
    assert mock.call_count == 2


def test_nothing_is_fetched_while_the_value_is_fresh() -> None:
    """A stored value without an age costs no fetch and gives no update (docs/protocol.md, rule 13.18)."""
    mock = Mock(return_value=True)
    claim = BooleanClaim("key", mock)
    result = run([claim.validators.is_true(), claim.validators.is_true(600)], claim.add_to_payload_({}, True))
    mock.assert_not_called()
    assert result == ClaimsValidationResult([], None)


def test_an_expired_value_is_replaced(clock: ManualClock) -> None:
    """An unchanged value is an update, too, because its time is new (docs/protocol.md, rule 13.18)."""
    payload = TRUE.add_to_payload_({}, True)
    clock.advance(601)
    result = run([TRUE.validators.is_true(600)], payload)
    assert result == ClaimsValidationResult([], {"st-true": {"v": True, "t": clock.now_ms()}})


def test_a_value_fetched_again_in_the_same_millisecond_is_no_update(clock: ManualClock) -> None:
    """A fetch that changes nothing gives no update (docs/protocol.md, rule 13.18)."""
    assert run([TRUE.validators.is_true(0)], TRUE.add_to_payload_({}, True)).access_token_payload_update is None


def test_one_in_place_of_true_is_an_update(clock: ManualClock) -> None:
    """A fetch that changes only the kind of a value gives an update (docs/protocol.md, rule 13.12)."""
    stored = {"st-true": {"v": 1, "t": clock.now_ms()}}
    assert run([TRUE.validators.is_true(0)], stored).access_token_payload_update is not None


def test_an_expired_value_stays_where_the_fetch_has_none(clock: ManualClock) -> None:
    """The old value is kept, judged, and found expired (docs/protocol.md, rule 13.15)."""
    payload = NONE.add_to_payload_({}, True)
    clock.advance(601)
    result = run([NONE.validators.is_true(600)], payload)
    assert result.access_token_payload_update is None
    assert [failure.reason for failure in result.invalid_claims] == [
        {"message": "expired", "ageInSeconds": 601.0, "maxAgeInSeconds": 600}
    ]


def test_a_max_age_of_zero_passes_after_its_own_fetch() -> None:
    """By the clock of the run, the value just fetched is not older than now (docs/protocol.md, rule 13.9)."""
    assert run([TRUE.validators.is_true(0)]).invalid_claims == []


def test_a_run_reads_the_clock_once(clock: ManualClock) -> None:
    """Time that passes during a fetch does not expire another value of the run (docs/protocol.md, rule 13.16)."""

    def slow() -> bool:
        clock.advance(3600)
        return True

    started = clock.now_ms()
    border = TRUE.add_to_payload_({}, True)
    result = run([TRUE.validators.is_true(0.001), BooleanClaim("slow", slow).validators.is_true(0)], border)
    assert result.invalid_claims == []
    assert result.access_token_payload_update == {**border, "slow": {"v": True, "t": started}}
    assert current_clock.get() is clock


def test_custom_validators_see_the_clock_of_the_run(clock: ManualClock) -> None:
    """Whoever reads the current clock in a run reads the same moment (docs/protocol.md, rule 13.19)."""
    readings = []

    class Reading(Custom):
        def should_refetch(self, payload: JSONObject, user_context: UserContext) -> bool:
            readings.append(current_clock.get().now_ms())
            clock.advance(1)
            return False

        def validate(self, payload: JSONObject, user_context: UserContext) -> ClaimValidationResult:
            readings.append(current_clock.get().now_ms())
            return VALID

    started = clock.now_ms()
    run([Reading(claim=TRUE), Reading(claim=NONE)])
    assert readings == [started] * 4


def test_concurrent_runs_have_their_own_clocks(clock: ManualClock) -> None:
    """Runs in tasks of one loop do not see each other's reading, and leave the clock as it was."""

    async def fetch() -> bool:
        await asyncio.sleep(0)
        return True

    async def both() -> list[ClaimsValidationResult]:
        runs = []
        for name in ("one", "two"):
            run_ = validate_claims(
                user_id="user",
                recipe_user_id=RecipeUserId("user"),
                tenant_id="public",
                access_token_payload={},
                claim_validators=[BooleanClaim(name, fetch).validators.is_true()],
                user_context={},
            )
            runs.append(asyncio.create_task(run_))
            await asyncio.sleep(0)
            clock.advance(1)
        return await asyncio.gather(*runs)

    started = clock.now_ms()
    one, two = asyncio.run(both())
    assert one.access_token_payload_update == {"one": {"v": True, "t": started}}
    assert two.access_token_payload_update == {"two": {"v": True, "t": started + 1000}}
    assert current_clock.get() is clock


@pytest.mark.parametrize("refetch", [True, False])
def test_async_methods_are_awaited(refetch: bool) -> None:
    """An async should_refetch that says no is not taken for a yes (docs/protocol.md, rule 13.19)."""
    mock = Mock(return_value=True)
    run([AsyncCustom(BooleanClaim("key", mock), refetch=refetch)])
    assert mock.called == refetch


def test_the_payload_is_not_touched() -> None:
    """Neither the payload nor what is nested in it is changed, by fetches or validators (rule 13.18)."""

    def fetch(current_payload: JSONObject) -> list[str]:
        current_payload["nested"]["list"].append("fetch")
        return ["a"]

    class Rude(Custom):
        def validate(self, payload: JSONObject, user_context: UserContext) -> ClaimValidationResult:
            payload["nested"]["list"].append("validate")
            return VALID

    payload: JSONObject = {"nested": {"list": []}}
    claim = PrimitiveArrayClaim("key", fetch)
    result = run([claim.validators.includes("a"), Rude()], payload)
    assert payload == {"nested": {"list": []}}
    assert result.access_token_payload_update is not None
    assert result.access_token_payload_update["nested"] == {"list": []}


def test_a_read_only_payload_is_enough() -> None:
    """The payload of a shared, verified token can be passed as it is."""
    result = run([TRUE.validators.is_true()], cast("Any", MappingProxyType({"sub": "user"})))
    assert result.access_token_payload_update is not None


def test_a_stored_null_is_fetched(clock: ManualClock) -> None:
    """A key that holds null is a missing claim (docs/protocol.md, rule 13.2)."""
    result = run([TRUE.validators.is_true()], {"st-true": None})
    assert result == ClaimsValidationResult([], {"st-true": {"v": True, "t": clock.now_ms()}})


@pytest.mark.parametrize("step", ["fetch", "should_refetch", "validate"])
def test_what_is_raised_passes_through(clock: ManualClock, step: str) -> None:
    """An exception reaches the caller unchanged, and the clock is as before (docs/protocol.md, rule 13.7)."""
    error = LookupError(step)
    fetch = Mock(side_effect=error if step == "fetch" else None, return_value=True)
    validator: Any = Custom(claim=BooleanClaim("key", fetch), refetch=True)
    if step != "fetch":
        setattr(validator, step, Mock(side_effect=error))
    with pytest.raises(LookupError) as caught:
        run([validator])
    assert caught.value is error
    assert current_clock.get() is clock


def test_a_validator_must_return_a_result() -> None:
    """A forgotten return is an error that names the validator, not a pass."""
    with pytest.raises(TypeError, match=r"Custom\('forgetful'\) returned None"):
        run([Custom("forgetful", result=cast("Any", None))])


def test_results_start_empty() -> None:
    """A result without arguments has no failures and no update, and shares its list with no other."""
    one = ClaimsValidationResult()
    assert (one.invalid_claims, one.access_token_payload_update) == ([], None)
    assert one.invalid_claims is not ClaimsValidationResult().invalid_claims


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["v", "t", "x"]), inner, max_size=3),
    max_leaves=6,
)


@given(
    payload=st.dictionaries(st.sampled_from(["a", "b", "c"]), json_values),
    values=st.lists(json_values, min_size=2, max_size=2),
    age=st.none() | st.sampled_from([0, 600]),
)
def test_a_run_is_pure(payload: JSONObject, values: list[Any], age: float | None) -> None:
    """Any payload and any fetched values: nothing is mutated, and running on the update finds the same failures."""
    claims: list[PrimitiveClaim[Any]] = [
        PrimitiveClaim(key, Mock(return_value=value)) for key, value in zip("ab", values, strict=True)
    ]
    validators = [claim.validators.has_value("x") for claim in claims]
    aged = [claim.validators.has_value("x", age) for claim in claims]
    before = deepcopy(payload)
    result = run([*validators, *aged], payload)
    assert payload == before
    update = result.access_token_payload_update
    assert update is None or update.keys() >= payload.keys()
    again = run(validators, payload if update is None else update)
    expired = [failure for failure in result.invalid_claims if (failure.reason or {})["message"] != "expired"]
    assert {failure.id for failure in again.invalid_claims} >= {failure.id for failure in expired}
