"""Sessions by function: created, verified and changed without a request, by session and by handle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest

from coatcheck import App, RecipeUserId
from coatcheck.claims import (
    BooleanClaim,
    ClaimValidationResult,
    ManualClock,
    SessionClaimValidator,
)
from coatcheck.recipes import session
from coatcheck.recipes.exceptions import (
    ConfigurationError,
    ProtectedClaimError,
    TokenTheftError,
    TryRefreshTokenError,
    UnauthorisedError,
)
from coatcheck.recipes.session import InputOverrideConfig, SessionContainer

from ...kit import Make
from .calls import U1, NoneClaim, TrueClaim, new


@pytest.fixture
def app(make_app: Make) -> Iterator[App]:
    """Return an App without overrides, made current."""
    made = make_app()
    with made.active():
        yield made


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


# Calling conventions
