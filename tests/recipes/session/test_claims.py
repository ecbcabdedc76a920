"""Claims of sessions by function: asserting, reading, setting and removing."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from coatcheck import App
from coatcheck.claims import (
    BooleanClaim,
    ClaimsValidationResult,
    ClaimValidationResult,
    ManualClock,
    SessionClaimValidator,
)
from coatcheck.recipes import accountlinking, emailpassword, session, usermetadata
from coatcheck.recipes.exceptions import (
    ConfigurationError,
    InvalidClaimsError,
    NotInitialisedError,
)
from coatcheck.recipes.session import InputOverrideConfig, SessionContainer
from coatcheck.recipes.session.results import GetClaimValueOkResult, SessionDoesNotExistError

from ...kit import Make
from .calls import U1, NoneClaim, TrueClaim, new


@pytest.fixture
def app(make_app: Make) -> Iterator[App]:
    """Return an App without overrides, made current."""
    made = make_app()
    with made.active():
        yield made


def recording() -> tuple[list[tuple[str, Any]], InputOverrideConfig]:
    """Return a record of what is regenerated and merged by handle, and the override that keeps it."""
    calls: list[tuple[str, Any]] = []

    def functions(original: Any) -> Any:
        regenerate, merge = original.regenerate_access_token, original.merge_into_access_token_payload

        async def regenerate_access_token(access_token: Any, new_access_token_payload: Any, user_context: Any) -> Any:
            calls.append(("session", new_access_token_payload))
            return await regenerate(access_token, new_access_token_payload, user_context)

        async def merge_into_access_token_payload(session_handle: Any, update: Any, user_context: Any) -> Any:
            calls.append(("handle", update))
            return await merge(session_handle, update, user_context)

        original.regenerate_access_token = regenerate_access_token
        original.merge_into_access_token_payload = merge_into_access_token_payload
        return original

    return calls, InputOverrideConfig(functions=functions)


ISS = {"iss": "http://localhost:3567/auth"}


def test_asserting_no_claims_does_nothing(make_app: Make) -> None:
    """An empty list of validators neither validates nor stores (rule 13.18)."""
    calls, override = recording()
    with make_app(override=override).active():
        new().sync_assert_claims([])
    assert calls == []


def test_asserting_a_valid_claim_stores_nothing(make_app: Make) -> None:
    """A validator that is content leaves the payload alone, and sees it once."""
    seen: list[Any] = []

    class Content(SessionClaimValidator):
        def __init__(self) -> None:
            super().__init__("content")

        async def validate(self, payload: dict[str, Any], user_context: Any) -> ClaimValidationResult:
            seen.append(payload)
            return ClaimValidationResult(True)

    calls, override = recording()
    with make_app(override=override).active():
        made = new(access_token_payload={"custom-key": 1})
        made.sync_assert_claims([Content()])
        assert seen == [made.get_access_token_payload()]
    assert calls == []


def test_asserting_a_missing_claim_fetches_it(make_app: Make, clock: ManualClock) -> None:
    """A claim that is absent is fetched, stored, and then valid."""
    calls, override = recording()
    with make_app(override=override).active():
        made = new()
        made.sync_assert_claims([TrueClaim.validators.is_true(1)])
        assert made.sync_get_claim_value(TrueClaim) is True
    assert calls == [("session", {**ISS, "st-true": {"v": True, "t": clock.now_ms()}})]


def test_a_refetched_claim_is_kept_even_if_validation_fails(app: App) -> None:
    """Refetched values are stored before failures are raised (rule 14.12)."""
    made = new()
    with pytest.raises(InvalidClaimsError) as caught:
        made.sync_assert_claims([TrueClaim.validators.has_value(False), NoneClaim.validators.is_true()])
    assert [failure.id for failure in caught.value.payload] == ["st-true", "st-none"]
    found = session.sync.get_session_information(made.get_handle())
    assert found is not None
    assert found.custom_claims_in_access_token_payload["st-true"]["v"] is True


def test_fetching_a_claim_without_a_value_still_signs(make_app: Make) -> None:
    """`fetch_and_set_claim` merges what `build` returned, even if that is nothing."""
    calls, override = recording()
    with make_app(override=override).active():
        new().sync_fetch_and_set_claim(NoneClaim)
    assert calls == [("session", ISS)]


def test_claims_by_session(make_app: Make, clock: ManualClock) -> None:
    """Fetch, set, read and remove a claim in the session's own payload."""
    calls, override = recording()
    stored = {"t": clock.now_ms(), "v": True}
    with make_app(override=override).active():
        made = new()
        made.sync_fetch_and_set_claim(TrueClaim)
        assert made.sync_get_claim_value(TrueClaim) is True
        made.sync_set_claim_value(TrueClaim, False)
        assert made.sync_get_claim_value(TrueClaim) is False
        made.sync_remove_claim(TrueClaim)
        assert made.sync_get_claim_value(TrueClaim) is None
    assert calls == [
        ("session", {**ISS, "st-true": stored}),
        ("session", {**ISS, "st-true": {**stored, "v": False}}),
        ("session", ISS),
    ]


def test_claims_by_handle(make_app: Make, clock: ManualClock) -> None:
    """Fetch, set, read and remove a claim in the stored payload; unknown handles are told."""
    calls, override = recording()
    stored = {"t": clock.now_ms(), "v": True}
    with make_app(override=override).active():
        handle = new().get_handle()
        assert session.sync.fetch_and_set_claim(handle, TrueClaim)
        assert session.sync.get_claim_value(handle, TrueClaim) == GetClaimValueOkResult(True)
        assert session.sync.set_claim_value(handle, TrueClaim, False)
        assert session.sync.remove_claim(handle, TrueClaim)
        found = session.sync.get_session_information(handle)
        assert found is not None
        assert found.custom_claims_in_access_token_payload == ISS
        assert session.sync.fetch_and_set_claim("unknown", TrueClaim) is False
        assert session.sync.set_claim_value("unknown", TrueClaim, True) is False
        assert session.sync.remove_claim("unknown", TrueClaim) is False
        assert session.sync.get_claim_value("unknown", TrueClaim) == SessionDoesNotExistError()
    assert [call for call in calls if call[0] == "handle"][:3] == [
        ("handle", {"st-true": stored}),
        ("handle", {"st-true": {**stored, "v": False}}),
        ("handle", {"st-true": None}),
    ]


def test_validating_by_handle(app: App) -> None:
    """Validation by handle reports failures, stores what it refetched, and hands out no payload (rule 14.9)."""
    handle = new().get_handle()
    validators = [TrueClaim.validators.has_value(True), NoneClaim.validators.has_value(True)]
    result = session.sync.validate_claims_for_session_handle(handle, lambda *_: validators)
    assert isinstance(result, ClaimsValidationResult)
    assert [failure.to_json() for failure in result.invalid_claims] == [
        {
            "id": "st-none",
            "reason": {"message": "value does not exist", "expectedValue": True, "actualValue": None},
        }
    ]
    assert result.access_token_payload_update is None
    assert session.sync.get_claim_value(handle, TrueClaim) == GetClaimValueOkResult(True)
    assert session.sync.validate_claims_for_session_handle("unknown") == SessionDoesNotExistError()


@pytest.mark.parametrize("by_handle", [True, False])
def test_validating_stores_only_what_it_has_fetched(app: App, by_handle: bool) -> None:
    """What others change while a claim is fetched is not undone (rule 14.5)."""
    made = new(access_token_payload={"roles": ["admin"]})

    def fetch(*_: Any) -> bool:
        return session.sync.merge_into_access_token_payload(made.get_handle(), {"roles": []})

    validators: list[SessionClaimValidator] = [BooleanClaim("slow", fetch).validators.is_true()]
    if by_handle:
        session.sync.validate_claims_for_session_handle(made.get_handle(), lambda *_: validators)
    else:
        made.sync_assert_claims(validators)
    found = session.sync.get_session_information(made.get_handle())
    assert found is not None
    assert found.custom_claims_in_access_token_payload["roles"] == []
    assert found.custom_claims_in_access_token_payload["slow"]["v"] is True


def test_claims_are_fetched_for_the_tenant_of_the_session(app: App) -> None:
    """Refetching uses the session's tenant, by session and by handle alike (rule 14.9)."""
    tenants: list[str] = []

    def fetch(user_id: str, tenant_id: str, user_context: Any) -> bool:
        tenants.append(tenant_id)
        return True

    claim = BooleanClaim("c", fetch)
    made = session.sync.create_new_session_without_request_response("t1", U1)
    session.sync.validate_claims_for_session_handle(made.get_handle(), lambda *_: [claim.validators.is_true()])
    made.sync_assert_claims([claim.validators.is_true()])
    session.sync.fetch_and_set_claim(made.get_handle(), claim)
    assert tenants == ["t1"] * 3


def test_an_error_in_fetch_value_reaches_the_caller(app: App) -> None:
    """What fetch_value raises passes through unchanged, and the session stays whole."""

    def broken(*_: Any) -> bool:
        raise LookupError("no such user")

    made = new()
    before = made.get_access_token_payload()
    with pytest.raises(LookupError, match="no such user"):
        made.sync_assert_claims([BooleanClaim("c", broken).validators.is_true()])
    assert made.get_access_token_payload() == before


def test_global_validators_come_from_an_override_sync_or_async(make_app: Make) -> None:
    """An override of get_global_claim_validators may be plain or async, and is asked for every session."""

    def functions(is_async: bool) -> Any:
        def change(original: Any) -> Any:
            def plain(**kwargs: Any) -> Any:
                return [*kwargs["claim_validators_added_by_other_recipes"], NoneClaim.validators.is_true()]

            async def awaited(**kwargs: Any) -> Any:
                return plain(**kwargs)

            original.get_global_claim_validators = awaited if is_async else plain
            return original

        return change

    for is_async in (True, False):
        with make_app(override=InputOverrideConfig(functions=functions(is_async))).active():
            token = new().get_access_token()
            with pytest.raises(InvalidClaimsError):
                session.sync.get_session_without_request_response(token)
            assert session.sync.get_session_without_request_response(
                token, override_global_claim_validators=lambda *_: []
            )


def test_overriding_get_session_information_is_seen_by_sessions(make_app: Make) -> None:
    """What the library calls itself goes through the chain: data read by a session comes from the override."""

    def functions(original: Any) -> Any:
        inner = original.get_session_information

        async def get_session_information(session_handle: str, user_context: Any) -> Any:
            found = await inner(session_handle, user_context)
            found.session_data_in_database["seen"] = True
            return found

        original.get_session_information = get_session_information
        return original

    with make_app(override=InputOverrideConfig(functions=functions)).active():
        assert new().sync_get_session_data_from_database() == {"seen": True}


@pytest.mark.parametrize("module", [session, emailpassword, usermetadata, accountlinking])
def test_every_plain_function_has_the_signature_of_the_awaitable_one(module: Any) -> None:
    """`<recipe>.sync` holds a plain twin of every public coroutine function, with the same parameters (D1)."""
    plain = {name: value for name, value in vars(module.sync).items() if not name.startswith("_")}
    public = {
        name: value
        for name, value in vars(module).items()
        if inspect.iscoroutinefunction(value) and not name.startswith("_")
    }
    assert set(plain) == set(public)
    for name, function in public.items():
        assert inspect.signature(getattr(module.sync, name)) == inspect.signature(function)


def test_every_coroutine_of_a_session_has_a_plain_twin() -> None:
    """Each coroutine method of SessionContainer exists as `sync_<name>`."""
    names = {name for name, value in vars(SessionContainer).items() if inspect.iscoroutinefunction(value)}
    public = {name for name in names if not name.startswith("_")}
    assert {name.removeprefix("sync_") for name in vars(SessionContainer) if name.startswith("sync_")} == public


def test_plain_functions_work_inside_a_running_loop(app: App) -> None:
    """A plain call from a coroutine needs no other loop."""

    async def inside() -> str:
        assert asyncio.get_running_loop()
        made = new()
        made.sync_set_claim_value(TrueClaim, True)
        assert asyncio.get_running_loop()
        return made.get_user_id()

    assert asyncio.run(inside()) == "u1"


def test_awaited_and_plain_functions_are_the_same(app: App) -> None:
    """The awaitable functions do what the plain ones do."""

    async def inside() -> SessionContainer | None:
        made = await session.create_new_session_without_request_response("public", U1)
        return await session.get_session_without_request_response(made.get_access_token())

    found = asyncio.run(inside())
    assert found is not None
    assert found.get_user_id() == "u1"


def test_use_before_init_says_what_is_missing() -> None:
    """Without an App every function says that initialisation was forgotten."""
    with pytest.raises(NotInitialisedError, match="Did you forget to call"):
        session.sync.revoke_session("x")


def test_a_recipe_that_is_not_listed_says_which_init_is_missing(app: App) -> None:
    """Using a recipe that the App does not have names the missing call."""
    with pytest.raises(ConfigurationError, match=r"thirdparty\.init\(\.\.\.\) is missing from recipe_list"):
        app.recipe("thirdparty")
