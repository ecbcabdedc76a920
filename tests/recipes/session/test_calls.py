"""Sessions by function: created, verified and changed without a request, by session and by handle."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest

from coatcheck import App, RecipeUserId
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
    ProtectedClaimError,
    TokenTheftError,
    TryRefreshTokenError,
    UnauthorisedError,
)
from coatcheck.recipes.session import InputOverrideConfig, SessionContainer
from coatcheck.recipes.session.results import GetClaimValueOkResult, SessionDoesNotExistError

from ...kit import Make

TrueClaim = BooleanClaim("st-true", lambda *_: True)
NoneClaim = BooleanClaim("st-none", lambda *_: None)
U1 = RecipeUserId("u1")


@pytest.fixture
def app(make_app: Make) -> Iterator[App]:
    """Return an App without overrides, made current."""
    made = make_app()
    with made.active():
        yield made


def new(**arguments: Any) -> SessionContainer:
    """Create a session of u1."""
    return session.sync.create_new_session_without_request_response("public", U1, **arguments)


def with_claim(claim: BooleanClaim) -> Any:
    """Return the override that merges a claim into every new payload."""

    def functions(original: Any) -> Any:
        create = original.create_new_session

        async def create_new_session(**kwargs: Any) -> SessionContainer:
            built = await claim.build(
                kwargs["user_id"], kwargs["recipe_user_id"], kwargs["tenant_id"], {}, kwargs["user_context"]
            )
            payload = {**(kwargs["access_token_payload"] or {}), **built}
            made: SessionContainer = await create(**{**kwargs, "access_token_payload": payload})
            return made

        original.create_new_session = create_new_session
        return original

    return InputOverrideConfig(functions=functions)


# Creating


def test_a_claim_with_a_value_is_in_the_payload(make_app: Make, clock: ManualClock) -> None:
    """With TrueClaim merged in, the payload has eleven fields, the claim among them (docs/protocol.md, rule 13.1)."""
    with make_app(override=with_claim(TrueClaim)).active():
        payload = new().get_access_token_payload()
    assert len(payload) == 11
    assert payload["st-true"] == {"v": True, "t": clock.now_ms()}


def test_a_claim_without_a_value_is_not(make_app: Make) -> None:
    """With NoneClaim merged in, the payload has the ten fields of any session."""
    with make_app(override=with_claim(NoneClaim)).active():
        assert len(new().get_access_token_payload()) == 10


def test_claims_and_custom_fields_live_together(make_app: Make) -> None:
    """A custom field and a claim make twelve fields."""
    with make_app(override=with_claim(TrueClaim)).active():
        payload = new(access_token_payload={"user-custom-claim": "foo"}).get_access_token_payload()
    assert len(payload) == 12
    assert payload["user-custom-claim"] == "foo"
    assert payload["st-true"]["v"] is True


def test_claims_of_init_do_what_the_override_does(make_app: Make) -> None:
    """`session.init(claims=[...])` builds the claims into new sessions without an override."""
    with make_app(claims=[TrueClaim, NoneClaim]).active():
        payload = new().get_access_token_payload()
    assert payload["st-true"]["v"] is True
    assert "st-none" not in payload


def test_a_layer_class_overrides_with_super(make_app: Make) -> None:
    """A layer written as a class reaches what lies below with `super()` (rule 15.1)."""

    class Stamped(session.FunctionsLayer):
        async def create_new_session(self, *args: Any, **kwargs: Any) -> SessionContainer:
            made = await super().create_new_session(*args, **kwargs)  # type: ignore[safe-super]
            await made.merge_into_access_token_payload({"stamped": True})
            return made

    with make_app(override=InputOverrideConfig(functions=Stamped)).active():
        assert new().get_access_token_payload()["stamped"] is True


def test_any_text_is_a_user_id(app: App) -> None:
    """Unknown users, even the empty text, can have sessions (rule 14.2)."""
    for user_id in ("", "a b/c", "ü" * 50):
        made = session.sync.create_new_session_without_request_response("public", RecipeUserId(user_id))
        assert made.get_user_id() == user_id


def test_the_tenant_is_part_of_the_handle(app: App) -> None:
    """A session of another tenant has that tenant's name at the end of its handle."""
    made = session.sync.create_new_session_without_request_response("t1", U1)
    assert made.get_handle().endswith("_t1")
    assert made.get_access_token_payload()["tId"] == made.get_tenant_id() == "t1"
    assert session.sync.get_all_session_handles_for_user("u1", tenant_id="public") == []
    assert session.sync.get_all_session_handles_for_user("u1", tenant_id="t1") == [made.get_handle()]
    assert session.sync.get_all_session_handles_for_user("u1") == [made.get_handle()]


@pytest.mark.parametrize("mode", ["VIA_TOKEN", None])
def test_an_anti_csrf_token_is_minted_only_via_token(make_app: Make, mode: str | None) -> None:
    """Without a request, VIA_TOKEN mints a token unless it is disabled (rule 7.6)."""
    with make_app(anti_csrf=mode).active():
        tokens = new().get_all_session_tokens_dangerously()
        assert (tokens["antiCsrfToken"] is not None) is (mode == "VIA_TOKEN")
        assert new(disable_anti_csrf=True).get_all_session_tokens_dangerously()["antiCsrfToken"] is None


def test_an_override_that_adds_a_protected_field_is_refused(make_app: Make) -> None:
    """A protected field added after the filter is an error, and no session exists (rule 14.3)."""

    def functions(original: Any) -> Any:
        create = original.create_new_session

        async def create_new_session(**kwargs: Any) -> Any:
            return await create(**{**kwargs, "access_token_payload": {"sub": "admin"}})

        original.create_new_session = create_new_session
        return original

    with make_app(override=InputOverrideConfig(functions=functions)).active():
        with pytest.raises(ProtectedClaimError, match="The user payload contains protected field: sub"):
            new()
        assert session.sync.get_all_session_handles_for_user("u1") == []


def test_attack_a_six_parameter_layer_cannot_keep_the_login_method_of_another_user(make_app: Make) -> None:
    """A layer of the old order that passes another user gets a session of exactly that user (rule 15.7)."""

    def functions(original: Any) -> Any:
        create = original.create_new_session

        async def create_new_session(user_id, payload, data, disable_anti_csrf, tenant_id, user_context):  # type: ignore[no-untyped-def]
            return await create("somebody-else", payload, data, disable_anti_csrf, tenant_id, user_context)

        original.create_new_session = create_new_session
        return original

    with make_app(override=InputOverrideConfig(functions=functions)).active():
        made = new()
        assert made.get_user_id() == "somebody-else"
        assert made.get_recipe_user_id() == RecipeUserId("somebody-else")
        assert session.sync.get_all_session_handles_for_user("u1") == []


# Verifying and refreshing


def test_a_new_access_token_is_verified_without_news(app: App) -> None:
    """A verified session has the token it came with, no refresh token, and the same front token."""
    made = new()
    found = session.sync.get_session_without_request_response(made.get_access_token())
    assert found is not None
    tokens = found.get_all_session_tokens_dangerously()
    assert tokens["accessAndFrontTokenUpdated"] is False
    assert tokens["refreshToken"] is None
    assert tokens["frontToken"] == made.get_all_session_tokens_dangerously()["frontToken"]
    assert found["session_handle"] == made.get_handle()


@pytest.mark.parametrize("text", ["nope", "", "a.b.c", "a" * 9000])
def test_text_that_is_no_access_token(app: App, text: str) -> None:
    """What does not look like an access token is UNAUTHORISED without clearing, or no session if optional."""
    with pytest.raises(UnauthorisedError) as caught:
        session.sync.get_session_without_request_response(text)
    assert caught.value.clear_tokens is False
    assert session.sync.get_session_without_request_response(text, session_required=False) is None


def test_an_expired_access_token_asks_for_a_refresh(app: App, clock: ManualClock) -> None:
    """An access token holds for exactly its lifetime."""
    token = new().get_access_token()
    clock.advance(3599)
    assert session.sync.get_session_without_request_response(token)
    clock.advance(1)
    with pytest.raises(TryRefreshTokenError):
        session.sync.get_session_without_request_response(token, session_required=False)


def test_a_clone_made_by_create_jwt_is_a_session(app: App) -> None:
    """A JWT of the application's own with a session's payload verifies as one, also against the database (rule 3.7)."""
    made = new()
    payload = made.get_access_token_payload()
    clone = session.sync.create_jwt(payload, 1234, use_static_signing_key=False)
    found = session.sync.get_session_without_request_response(clone, check_database=True)
    assert found is not None
    times = found.get_access_token_payload()
    assert times["exp"] - times["iat"] == 1234
    with pytest.raises(TryRefreshTokenError, match="use_dynamic_access_token_signing_key setting"):
        session.sync.get_session_without_request_response(session.sync.create_jwt(payload, 1234))


def test_create_jwt_signs_what_the_application_says(app: App, clock: ManualClock) -> None:
    """The caller's issuer wins, times do not, the key is static, and the key set verifies it (rule 14.10)."""
    token = session.sync.create_jwt({"iss": "me", "iat": 1, "exp": 2, "n": 1})
    key = next(key for key in session.sync.get_jwks()["keys"] if key["kid"] == jwt.get_unverified_header(token)["kid"])
    assert "version" not in jwt.get_unverified_header(token)
    claims = jwt.decode(token, jwt.PyJWK(key), algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False})
    now_s = clock.now_ms() // 1000
    assert claims == {"iss": "me", "n": 1, "iat": now_s, "exp": now_s + 3_153_600_000}


def test_direct_use_of_via_custom_header_is_refused(make_app: Make) -> None:
    """Without a request nobody can check a header: the caller must say that it has (rule 7.6)."""
    with make_app(anti_csrf="VIA_CUSTOM_HEADER").active():
        token = new().get_access_token()
        with pytest.raises(ConfigurationError, match="anti_csrf_check=False"):
            session.sync.get_session_without_request_response(token)
        assert session.sync.get_session_without_request_response(token, anti_csrf_check=False)


def test_direct_use_of_via_token(make_app: Make) -> None:
    """VIA_TOKEN is checked against the token given, and can be left out."""
    with make_app(anti_csrf="VIA_TOKEN").active():
        made = new()
        tokens = made.get_all_session_tokens_dangerously()
        check = session.sync.get_session_without_request_response
        assert check(tokens["accessToken"], tokens["antiCsrfToken"])
        assert check(tokens["accessToken"], anti_csrf_check=False)
        for wrong in (None, "", "wrong", "\udcff"):
            with pytest.raises(TryRefreshTokenError):
                check(tokens["accessToken"], wrong)
        refresh = session.sync.refresh_session_without_request_response
        with pytest.raises(UnauthorisedError):
            refresh(tokens["refreshToken"])
        assert refresh(tokens["refreshToken"], disable_anti_csrf=True)
        assert refresh(tokens["refreshToken"], anti_csrf_token=tokens["antiCsrfToken"])


def test_theft_tells_whose_session_it_was(app: App) -> None:
    """TokenTheftError carries user, login method and handle (rule 6.6)."""
    made = new()
    first = made.get_all_session_tokens_dangerously()["refreshToken"]
    refreshed = session.sync.refresh_session_without_request_response(first)
    session.sync.get_session_without_request_response(refreshed.get_access_token())
    with pytest.raises(TokenTheftError) as caught:
        session.sync.refresh_session_without_request_response(first)
    assert caught.value.user_id == "u1"
    assert caught.value.recipe_user_id == U1
    assert caught.value.session_handle == made.get_handle()


# Revoking, listing, storing


def test_revoking(app: App) -> None:
    """A session can be revoked once; what does not exist cannot (rule 14.4)."""
    made = new()
    assert session.sync.revoke_session(made.get_handle()) is True
    assert session.sync.revoke_session(made.get_handle()) is False
    assert session.sync.revoke_session("") is False
    assert session.sync.get_session_information(made.get_handle()) is None
    assert session.sync.revoke_all_sessions_for_user("nobody") == []


def test_revoking_several(app: App) -> None:
    """Of several handles, those that existed are returned; all of a user's go at once."""
    handles = [new().get_handle() for _ in range(3)]
    assert session.sync.revoke_multiple_sessions([handles[0], "unknown"]) == [handles[0]]
    assert sorted(session.sync.get_all_session_handles_for_user("u1")) == sorted(handles[1:])
    assert sorted(session.sync.revoke_all_sessions_for_user("u1")) == sorted(handles[1:])
    assert session.sync.get_all_session_handles_for_user("u1") == []


def test_session_information(app: App, clock: ManualClock) -> None:
    """What is stored: ids, data, custom claims without protected fields, times in ms."""
    made = new(access_token_payload={"k": 1}, session_data_in_database={"d": 2})
    found = session.sync.get_session_information(made.get_handle())
    assert found is not None
    assert found.to_json() == {
        "sessionHandle": made.get_handle(),
        "userId": "u1",
        "recipeUserId": "u1",
        "sessionDataInDatabase": {"d": 2},
        "customClaimsInAccessTokenPayload": {"iss": "http://localhost:3567/auth", "k": 1},
        "timeCreated": clock.now_ms(),
        "expiry": clock.now_ms() + 8_640_000_000,
        "tenantId": "public",
    }


def test_session_data_is_replaced(app: App) -> None:
    """Data is replaced, not merged; None stores an empty object; an unknown handle is False."""
    made = new(session_data_in_database={"a": 1})
    for given, stored in (({"b": 2}, {"b": 2}), (None, {})):
        assert session.sync.update_session_data_in_database(made.get_handle(), given)
        assert made.sync_get_session_data_from_database() == stored
    made.sync_update_session_data_in_database({"c": [1, {"ü": None}]})
    assert made.sync_get_session_data_from_database() == {"c": [1, {"ü": None}]}
    assert session.sync.update_session_data_in_database("unknown", {}) is False


def test_merging_by_handle(app: App) -> None:
    """A merge by handle overlays, removes on null, refuses protected names, and knows unknown handles (rule 14.5)."""
    made = new(access_token_payload={"a": 1, "b": {"x": 1}})
    merge = session.sync.merge_into_access_token_payload
    assert merge(made.get_handle(), {"a": None, "b": {"y": None}, "absent": None})
    found = session.sync.get_session_information(made.get_handle())
    assert found is not None
    assert found.custom_claims_in_access_token_payload == {"iss": "http://localhost:3567/auth", "b": {"y": None}}
    assert merge("unknown", {}) is False
    with pytest.raises(ProtectedClaimError, match="The user payload contains protected field: exp, stt"):
        merge(made.get_handle(), {"exp": 1, "stt": 2})
    assert made.get_access_token_payload()["a"] == 1


def test_merging_by_session(app: App, clock: ManualClock) -> None:
    """A merge by session signs a new token with the same expiry and a fresh issue time (rule 14.5)."""
    made = new(access_token_payload={"a": 1})
    before = made.get_access_token_payload()
    clock.advance(10)
    made.sync_merge_into_access_token_payload({"a": None, "b": 2})
    after = made.get_access_token_payload()
    assert "a" not in after
    assert after["b"] == 2
    assert after["exp"] == before["exp"]
    assert after["iat"] == before["iat"] + 10
    for field in ("sessionHandle", "refreshTokenHash1", "parentRefreshTokenHash1"):
        assert after[field] == before[field]
    assert jwt.decode(made.get_access_token(), options={"verify_signature": False}) == after
    assert made.access_token_updated is True


def test_attack_an_old_token_brings_no_claim_back(app: App) -> None:
    """What was taken away by handle stays away when a session with an older token merges something else (rule 14.5)."""
    old = new(access_token_payload={"roles": ["admin"], "kept": 1})
    assert session.sync.merge_into_access_token_payload(old.get_handle(), {"roles": None, "given": 2})
    old.sync_merge_into_access_token_payload({"other": 3})
    found = session.sync.get_session_information(old.get_handle())
    assert found is not None
    claims = found.custom_claims_in_access_token_payload
    assert claims == {"iss": claims["iss"], "kept": 1, "given": 2, "other": 3}
    assert claims.items() <= old.get_access_token_payload().items()
    assert "roles" not in old.get_access_token_payload()


def test_merging_into_an_expired_token_stores_without_signing(app: App, clock: ManualClock) -> None:
    """Where the access token has expired, the claims are stored and seen, but no token is signed (rule 14.5)."""
    made = new()
    token = made.get_access_token()
    clock.advance(3601)
    made.sync_merge_into_access_token_payload({"b": 2})
    assert made.get_access_token() == token
    payload = made.get_access_token_payload()
    assert payload["b"] == 2
    assert payload["sub"] == "u1"
    found = session.sync.get_session_information(made.get_handle())
    assert found is not None
    assert found.custom_claims_in_access_token_payload["b"] == 2


def test_a_failed_merge_leaves_the_session_as_it_was(app: App) -> None:
    """An update that is refused, or comes too late, changes nothing in the session object."""
    made = new(access_token_payload={"a": 1})
    before = made.get_access_token_payload()
    with pytest.raises(ProtectedClaimError):
        made.sync_merge_into_access_token_payload({"sub": "x"})
    session.sync.revoke_session(made.get_handle())
    with pytest.raises(UnauthorisedError) as caught:
        made.sync_merge_into_access_token_payload({"b": 1})
    assert caught.value.clear_tokens is True
    assert made.get_access_token_payload() == before


@pytest.mark.parametrize(
    "operation",
    [
        lambda made: made.sync_get_session_data_from_database(),
        lambda made: made.sync_update_session_data_in_database({}),
        lambda made: made.sync_get_time_created(),
        lambda made: made.sync_get_expiry(),
    ],
)
def test_operations_on_a_session_that_has_ended(app: App, operation: Callable[[SessionContainer], Any]) -> None:
    """What needs the stored session is UNAUTHORISED, with clearing, once it has ended."""
    made = new()
    session.sync.revoke_session(made.get_handle())
    with pytest.raises(UnauthorisedError, match=r"Session does not exist anymore\.") as caught:
        operation(made)
    assert caught.value.clear_tokens is True


def test_what_is_handed_out_is_a_copy(app: App) -> None:
    """Changing a payload or a claim's value that was handed out changes neither the session nor the token cache."""
    token = new(access_token_payload={"list": [1], "deep": {"x": {}}}).get_access_token()
    first = session.sync.get_session_without_request_response(token)
    assert first is not None
    payload = first.get_access_token_payload()
    payload["list"].append(2)
    payload["deep"]["x"]["y"] = 1
    payload["sub"] = "admin"
    second = session.sync.get_session_without_request_response(token)
    assert second is not None
    for known in (first, second):
        assert known.get_access_token_payload()["list"] == [1]
        assert known.get_access_token_payload()["deep"] == {"x": {}}
        assert known.get_user_id() == "u1"


def test_a_validator_cannot_poison_the_verified_token(app: App) -> None:
    """A validator that changes the payload it is given changes only its own copy."""

    class Greedy(SessionClaimValidator):
        def __init__(self) -> None:
            super().__init__("greedy")

        def validate(self, payload: dict[str, Any], user_context: Any) -> ClaimValidationResult:
            payload["role"] = "admin"
            return ClaimValidationResult(True)

    token = new().get_access_token()
    for _ in range(2):
        found = session.sync.get_session_without_request_response(
            token, override_global_claim_validators=lambda *_: [Greedy()]
        )
        assert found is not None
        assert "role" not in found.get_access_token_payload()


# Claims by session and by handle


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


# Calling conventions


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
