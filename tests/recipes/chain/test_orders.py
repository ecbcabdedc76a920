"""Overrides of different eras: how each is fed, and what it may leave unsaid when it calls its original."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from coatcheck.claims.recipe_user_id import RecipeUserId
from coatcheck.recipes.chain.trace import explain
from coatcheck.recipes.chain.view import Layer
from coatcheck.recipes.kit.driver import drive

from .functions import CALL, LOGIN, SEED, Create, Functions, Override, chain_of, created, creating, replacing

# Overrides of each era; each adds its name to the payload


def seed(original_implementation: Any) -> Any:
    """Override as in the legacy guide to MFA: six names, six positional arguments to the original."""
    original_create_new_session = original_implementation.create_new_session

    async def create_new_session(
        user_id: str,
        access_token_payload: dict[str, Any] | None,
        session_data_in_database: dict[str, Any] | None,
        disable_anti_csrf: bool | None,
        tenant_id: str,
        user_context: dict[str, Any],
    ) -> Any:
        if access_token_payload is None:
            access_token_payload = {}
        access_token_payload = {**access_token_payload, "seed": True}
        return await original_create_new_session(
            user_id, access_token_payload, session_data_in_database, disable_anti_csrf, tenant_id, user_context
        )

    original_implementation.create_new_session = create_new_session
    return original_implementation


def newest(original_implementation: Any) -> Any:
    """Take seven names; pass six by position and the context by keyword."""
    original = original_implementation.create_new_session

    async def create_new_session(
        user_id: str,
        recipe_user_id: RecipeUserId,
        access_token_payload: dict[str, Any],
        session_data_in_database: Any,
        disable_anti_csrf: Any,
        tenant_id: str,
        user_context: Any,
    ) -> Any:
        payload = {**access_token_payload, "newest": True}
        return await original(
            user_id,
            recipe_user_id,
            payload,
            session_data_in_database,
            disable_anti_csrf,
            tenant_id,
            user_context=user_context,
        )

    original_implementation.create_new_session = create_new_session
    return original_implementation


def by_keywords(original_implementation: Any) -> Any:
    """Take and pass everything by name."""
    original = original_implementation.create_new_session

    async def create_new_session(**kwargs: Any) -> Any:
        kwargs["access_token_payload"] = {**kwargs["access_token_payload"], "by_keywords": True}
        return await original(**kwargs)

    original_implementation.create_new_session = create_new_session
    return original_implementation


def renamed(original_implementation: Any) -> Any:
    """Take six parameters under names of the application's own."""
    original = original_implementation.create_new_session

    async def create_new_session(uid: Any, claims: Any, data: Any, no_csrf: Any, tenant: Any, ctx: Any) -> Any:
        return await original(uid, {**claims, "renamed": True}, data, no_csrf, tenant, ctx)

    original_implementation.create_new_session = create_new_session
    return original_implementation


def starred(original_implementation: Any) -> Any:
    """Take and pass everything by position."""
    original = original_implementation.create_new_session

    async def create_new_session(*args: Any) -> Any:
        return await original(*args[:2], {**args[2], "starred": True}, *args[3:])

    original_implementation.create_new_session = create_new_session
    return original_implementation


class AsClass(Layer[Functions], Functions):
    """A layer class whose method has six parameters."""


class SixOfAClass(AsClass):
    async def create_new_session(  # type: ignore[override]
        self,
        user_id: Any,
        access_token_payload: Any,
        session_data_in_database: Any,
        disable_anti_csrf: Any,
        tenant_id: Any,
        user_context: Any,
    ) -> Any:
        below: Any = super()
        return await below.create_new_session(
            user_id,
            {**access_token_payload, "SixOfAClass": True},
            session_data_in_database,
            disable_anti_csrf,
            tenant_id,
            user_context,
        )


ERAS: tuple[Any, ...] = (seed, newest, by_keywords, renamed, starred, SixOfAClass)


@pytest.mark.parametrize("era", ERAS, ids=lambda era: era.__name__)
def test_an_override_of_any_era_runs(era: Override) -> None:
    """Each sees and changes the payload, and everything else arrives below as it was."""
    assert created(era) == {**CALL, "access_token_payload": {era.__name__: True}}


@pytest.mark.parametrize("order", list(itertools.permutations((seed, newest, by_keywords, renamed))))
def test_overrides_of_different_eras_stack_in_any_order(order: tuple[Override, ...]) -> None:
    """No layer needs to know of which era the others are; all of them take effect, outermost first."""
    result = created(*order)
    assert list(result["access_token_payload"]) == [era.__name__ for era in reversed(order)]
    assert {**result, "access_token_payload": {}} == CALL


def test_all_eras_stacked_work_under_an_event_loop_too() -> None:
    """The same chain, awaited."""

    async def run() -> Any:
        return await chain_of(*ERAS).top.create_new_session(**CALL)

    assert list(asyncio.run(run())["access_token_payload"]) == [era.__name__ for era in reversed(ERAS)]


# What a layer cannot know is passed on, and nothing else


def test_a_changed_user_does_not_keep_the_old_login_method() -> None:
    """A six-parameter layer that passes another user id: the session is of that user, by every id it has."""

    def make(original: Create) -> Create:
        async def create_new_session(user_id: Any, payload: Any, data: Any, csrf: Any, tenant: Any, ctx: Any) -> Any:
            return await original("somebody-else", payload, data, csrf, tenant, ctx)

        return create_new_session

    result = created(creating(make))
    assert result["user_id"] == "somebody-else"
    assert result["recipe_user_id"] == RecipeUserId("somebody-else")
    outside_in = created(seed, creating(make), by_keywords)
    assert outside_in["recipe_user_id"] == RecipeUserId("somebody-else")


def test_a_changed_user_by_keyword_does_not_keep_the_old_login_method_either() -> None:
    """It makes no difference how the other user id is passed."""

    def make(original: Create) -> Create:
        async def create_new_session(
            user_id: Any,
            access_token_payload: Any,
            session_data_in_database: Any,
            disable_anti_csrf: Any,
            tenant_id: Any,
            user_context: Any,
        ) -> Any:
            return await original(
                user_id="somebody-else",
                access_token_payload={},
                session_data_in_database={},
                disable_anti_csrf=None,
                tenant_id=tenant_id,
                user_context=user_context,
            )

        return create_new_session

    assert created(creating(make))["recipe_user_id"] == RecipeUserId("somebody-else")


def test_a_layer_that_knows_a_parameter_has_to_pass_it() -> None:
    """A layer that was given recipe_user_id and leaves it out gets a TypeError, even under a six-parameter one."""

    def make(original: Create) -> Create:
        async def create_new_session(**kwargs: Any) -> Any:
            del kwargs["recipe_user_id"]
            return await original(**kwargs)

        return create_new_session

    with pytest.raises(TypeError, match="missing 'recipe_user_id'"):
        created(creating(make))
    with pytest.raises(TypeError, match="missing 'recipe_user_id'"):
        created(creating(make), seed)


def test_a_seed_layer_that_leaves_out_what_it_knows_gets_a_type_error() -> None:
    """Only what a layer cannot see is passed on for it."""

    def make(original: Create) -> Create:
        async def create_new_session(
            user_id: Any,
            access_token_payload: Any,
            session_data_in_database: Any,
            disable_anti_csrf: Any,
            tenant_id: Any,
            user_context: Any,
        ) -> Any:
            return await original(access_token_payload={}, session_data_in_database={}, tenant_id="t", user_context={})

        return create_new_session

    with pytest.raises(TypeError, match="missing 'user_id', 'disable_anti_csrf'"):
        created(creating(make))


def test_an_original_called_outside_a_call_names_what_is_missing() -> None:
    """With no call under way there is nothing to pass on."""
    kept: list[Create] = []

    def make(original: Create) -> Create:
        kept.append(original)
        return original

    chain_of(creating(make))
    six = [CALL[name] for name in SEED]
    with pytest.raises(TypeError, match="missing 'recipe_user_id'"):
        kept[0](*six)


def test_a_layer_may_name_some_parameters_only() -> None:
    """It is given what it names; the rest is passed on for it."""

    def make(original: Create) -> Create:
        async def create_new_session(_tenant_id: str, access_token_payload: Any) -> Any:
            return await original(access_token_payload={"tenant": _tenant_id}, tenant_id=_tenant_id)

        return create_new_session

    assert created(creating(make)) == {**CALL, "access_token_payload": {"tenant": "public"}}


def test_a_layer_may_call_its_original_twice() -> None:
    """What is passed on is that of the layer's own call each time."""

    def make(original: Create) -> Create:
        async def create_new_session(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
            first = await original("other", b, c, d, e, f)
            second = await original(a, b, c, d, e, f)
            return [first["recipe_user_id"], second["recipe_user_id"]]

        return create_new_session

    chain = chain_of(seed, creating(make))
    assert drive(chain.top.create_new_session(**CALL)) == [RecipeUserId("other"), LOGIN]


def test_the_frame_ends_with_the_call_even_if_it_raises() -> None:
    """After a failed call nothing of it is left in the context."""
    kept: list[Create] = []

    def make(original: Create) -> Create:
        kept.append(original)

        async def create_new_session(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
            raise LookupError("refused")

        return create_new_session

    chain = chain_of(creating(make))
    with pytest.raises(LookupError):
        drive(chain.top.create_new_session(**CALL))
    with pytest.raises(TypeError, match="missing 'recipe_user_id'"):
        kept[0](*[CALL[name] for name in SEED])


def test_overlapping_tasks_do_not_mix_their_frames() -> None:
    """Two sign-ins at once, each suspended inside a six-parameter layer, keep their own login methods."""

    def make(original: Create) -> Create:
        async def create_new_session(user_id: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
            await f["mine"].wait()
            result = await original(user_id, b, c, d, e, f)
            f["theirs"].set()
            return result

        return create_new_session

    async def run() -> list[Any]:
        chain = chain_of(creating(make), seed)
        first, second, third = asyncio.Event(), asyncio.Event(), asyncio.Event()
        calls = [
            {
                **CALL,
                "user_id": "a",
                "recipe_user_id": RecipeUserId("ra"),
                "user_context": {"mine": second, "theirs": third},
            },
            {
                **CALL,
                "user_id": "b",
                "recipe_user_id": RecipeUserId("rb"),
                "user_context": {"mine": first, "theirs": second},
            },
        ]
        first.set()
        return await asyncio.gather(*(chain.top.create_new_session(**call) for call in calls))

    results = asyncio.run(run())
    assert [(r["user_id"], str(r["recipe_user_id"])) for r in results] == [("a", "ra"), ("b", "rb")]


def test_a_task_begun_in_a_layer_knows_the_call_it_was_begun_in() -> None:
    """Contexts are copied into tasks, so a layer may call its originals concurrently."""

    def make(original: Create) -> Create:
        async def create_new_session(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
            return await asyncio.gather(original(a, b, c, d, e, f), original("other", b, c, d, e, f))

        return create_new_session

    async def run() -> Any:
        return await chain_of(seed, creating(make)).top.create_new_session(**CALL)

    assert [str(r["recipe_user_id"]) for r in asyncio.run(run())] == ["login-method", "other"]


def test_an_original_returned_without_awaiting_is_bound_at_the_call() -> None:
    """`return original(...)` from a plain function works, though it is awaited after the layer has returned."""

    def make(original: Create) -> Any:
        return lambda a, b, c, d, e, f: original(a, b, c, d, e, f)

    assert created(creating(make)) == CALL


# Calls


def test_a_call_may_use_any_order_or_keywords() -> None:
    """Newest by position, all keywords, six positional plus one keyword of either kind."""
    values = list(CALL.values())
    six = [CALL[name] for name in SEED]
    top: Any = chain_of(by_keywords).top
    expected = {**CALL, "access_token_payload": {"by_keywords": True}}
    assert drive(top.create_new_session(*values)) == expected
    assert drive(top.create_new_session(**CALL)) == expected
    assert drive(top.create_new_session(*values[:6], user_context=CALL["user_context"])) == expected
    assert drive(top.create_new_session(*six, recipe_user_id=LOGIN)) == expected
    assert drive(top.create_new_session(*six[:5], user_context={}, recipe_user_id=LOGIN)) == expected


@pytest.mark.parametrize(
    ("args", "keywords", "message"),
    [
        (range(6), {}, "missing 'recipe_user_id'"),
        (range(3), {}, "missing 'session_data_in_database', 'disable_anti_csrf', 'tenant_id', 'user_context'"),
        (range(8), {}, "8 positional arguments"),
        (range(7), {"user_id": 1}, "7 positional arguments"),
        ((), {"user": 1}, "has no parameter 'user': did you mean 'user_id'"),
    ],
)
def test_a_call_that_fits_no_order_is_a_type_error(args: Any, keywords: dict[str, Any], message: str) -> None:
    """The message names what is missing or what does not fit."""
    top: Any = chain_of(by_keywords).top
    with pytest.raises(TypeError, match=message):
        top.create_new_session(*args, **keywords)


def test_defaults_of_the_interface_fill_gaps() -> None:
    """A parameter with a default can be left out by callers and by layers."""

    def make(original: Create) -> Create:
        async def get_session(access_token: Any, session_required: Any, user_context: Any) -> Any:
            return await original(access_token, user_context="layer")

        return get_session

    top: Any = chain_of(replacing("get_session", make)).top
    assert drive(top.get_session("token", True)) == ["token", None, "layer"]


def test_a_layer_without_a_defaulted_parameter_passes_it_on() -> None:
    """What it cannot see is not reset to the default on its way down."""

    def make(original: Create) -> Create:
        async def get_session(access_token: Any, user_context: Any) -> Any:
            return await original(access_token=access_token, user_context=user_context)

        return get_session

    assert drive(chain_of(replacing("get_session", make)).top.get_session("t", False)) == ["t", False, None]


# The other historic orders


def test_global_claim_validators_of_the_seed_era() -> None:
    """Four parameters, plain: what it returns is not awaited, and recipe_user_id is passed on."""

    def make(original: Any) -> Any:
        def get_global_claim_validators(tenant_id: Any, user_id: Any, added: Any, ctx: Any) -> Any:
            return original(tenant_id, user_id, [*added, "mine"], ctx)

        return get_global_claim_validators

    top = chain_of(replacing("get_global_claim_validators", make)).top
    assert top.get_global_claim_validators("t", "u", LOGIN, ["theirs"], {}) == ["t", "u", LOGIN, "theirs", "mine"]


def test_an_async_layer_of_a_plain_operation_passes_on_too() -> None:
    """The frame of the call lasts until the awaitable is done."""

    def make(original: Any) -> Any:
        async def get_global_claim_validators(tenant_id: Any, user_id: Any, added: Any, ctx: Any) -> Any:
            await asyncio.sleep(0)
            return original(tenant_id, "other", added, ctx)

        return get_global_claim_validators

    async def run() -> Any:
        top = chain_of(replacing("get_global_claim_validators", make)).top
        return await top.get_global_claim_validators("t", "u", LOGIN, [], {})

    assert asyncio.run(run()) == ["t", "other", RecipeUserId("other")]


def test_revoking_all_sessions_in_the_seed_era() -> None:
    """Four parameters; the flag about linked accounts, unknown then, is passed on as it came."""

    def make(original: Create) -> Create:
        async def revoke(user: Any, tenant: Any, across: Any, ctx: Any) -> Any:
            return await original(user, tenant, across, ctx)

        return revoke

    top = chain_of(replacing("revoke_all_sessions_for_user", make)).top
    assert drive(top.revoke_all_sessions_for_user("u", False, "t", True, {})) == ["u", False, "t", True]


# What can be a layer


def test_explain_says_what_a_layer_does_not_see() -> None:
    """A six-parameter layer is listed with the parameter that is passed on for it."""
    text = explain(chain_of(renamed), "create_new_session")
    assert f"is given by position: {', '.join(SEED)}" in text
    assert "does not see recipe_user_id" in text
