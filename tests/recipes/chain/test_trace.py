"""Tracing a chain: what is recorded, what is masked, and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from coatcheck.recipes.chain.chain import Chain
from coatcheck.recipes.chain.trace import MASK, Trace, masked, trace, without_tokens
from coatcheck.recipes.kit.driver import drive

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0aaaaaaaaa1.c2lnbmF0dXJlc2lnbmF0dXJl9"
UUID = "7f8d2c1e-4b5a-4c3d-9e8f-0a1b2c3d4e5f"


class Functions:
    async def sign_in(
        self, email: str, password: str, payload: dict[str, Any], user_context: dict[str, Any]
    ) -> Any: ...

    async def look_up(self, email: str, user_context: dict[str, Any]) -> Any: ...

    def hints(self, email: str, user_context: dict[str, Any]) -> Any: ...


class Plain(Functions):
    chain: Chain[Functions]

    async def sign_in(self, email: str, password: str, payload: dict[str, Any], user_context: dict[str, Any]) -> Any:
        found = await self.chain.top.look_up(email, user_context)
        if not found:
            raise LookupError(f"no user for {TOKEN}")
        return {"email": email, "access_token": TOKEN, **payload}

    async def look_up(self, email: str, user_context: dict[str, Any]) -> Any:
        return user_context.get("found", True)

    def hints(self, email: str, user_context: dict[str, Any]) -> Any:
        return ["plain"]


def lower(original_implementation: Any) -> Any:
    """Change one argument, and one more in place."""
    original = original_implementation.sign_in

    async def sign_in(email: str, password: str, payload: dict[str, Any], user_context: dict[str, Any]) -> Any:
        payload["seen"] = True
        return await original(email.lower(), password, payload, user_context)

    original_implementation.sign_in = sign_in
    return original_implementation


def chain_of(*overrides: Any) -> Chain[Functions]:
    """Return a chain with these overrides, the last one outermost."""
    plain = Plain()
    plain.chain = Chain(Functions, plain, recipe_id="demo", kind="functions")
    for override in overrides:
        plain.chain.apply(override)
    return plain.chain


def sign_in(chain: Chain[Functions], **context: Any) -> Any:
    """Call the chain from outside."""
    return drive(chain.top.sign_in("Ann@Example.com", "hunter2", {}, context))


def test_a_trace_records_every_layer_in_the_order_of_calls() -> None:
    """Outermost first, then what it called, each one level deeper, including calls to other operations."""
    chain = chain_of(lower)
    with trace([chain]) as t:
        sign_in(chain)
    assert [(r.operation, r.depth) for r in t.records] == [
        ("demo.sign_in", 0),
        ("demo.sign_in", 1),
        ("demo.look_up", 2),
    ]
    assert "sign_in (" in t.records[0].layer
    assert __file__ in t.records[0].layer
    assert t.records[1].layer.startswith("implementation (")


def test_a_record_says_what_came_in_what_changed_and_what_came_out() -> None:
    """Arguments changed in place are noticed as well, since what came in is copied."""
    chain = chain_of(lower)
    with trace([chain]) as t:
        sign_in(chain)
    outer, inner, _ = t.records
    assert outer.came_in["email"] == "Ann@Example.com"
    assert outer.came_in["payload"] == {}
    assert outer.changed == {"email": ("Ann@Example.com", "ann@example.com"), "payload": ({}, {"seen": True})}
    assert inner.changed == {}
    assert outer.came_out == inner.came_out
    assert outer.came_out["email"] == "ann@example.com"
    assert outer.seconds is not None
    assert inner.seconds is not None
    assert outer.seconds >= inner.seconds > 0


def test_what_is_raised_is_recorded_and_raised() -> None:
    """The error passes through every layer's record."""
    chain = chain_of(lower)
    with trace([chain]) as t, pytest.raises(LookupError):
        sign_in(chain, found=False)
    assert [r.raised for r in t.of("demo.sign_in")] == [f"LookupError: no user for {MASK}"] * 2


def test_secrets_are_masked_everywhere() -> None:
    """Neither the printed trace nor its records show the password or the token."""
    chain = chain_of(lower)
    with trace([chain]) as t:
        sign_in(chain, token=TOKEN, nested=[{"text": f"Bearer {TOKEN}"}])
    for text in (str(t), repr(t.records)):
        assert "hunter2" not in text
        assert "eyJ" not in text
        assert MASK in text


def test_a_trace_prints_one_block_per_call() -> None:
    """Indented by depth, with the changes as before -> after."""
    chain = chain_of(lower)
    with trace([chain]) as t:
        sign_in(chain)
    text = str(t)
    assert "changed   email: 'Ann@Example.com' -> 'ann@example.com'" in text
    assert "\n      came in   email='ann@example.com', password=***" in text
    assert "ms" in text


def test_nothing_stays_behind() -> None:
    """After the block the chain is as it was: the top's attributes and the links' functions."""
    chain = chain_of(lower)
    before = {**vars(chain.top)}, [link.run for link in chain.layers("sign_in")]
    with trace([chain]):
        assert chain.top.look_up != before[0]["look_up"]
    assert ({**vars(chain.top)}, [link.run for link in chain.layers("sign_in")]) == before


def test_traces_nest() -> None:
    """The inner one records what happens in its block, the outer one what happens around it."""
    chain = chain_of()
    with trace([chain]) as outer:
        with trace([chain]) as inner:
            drive(chain.top.look_up("a", {}))
        drive(chain.top.look_up("b", {}))
    assert [r.came_in["email"] for r in inner.records] == ["a"]
    assert [r.came_in["email"] for r in outer.records] == ["b"]


def test_other_contexts_are_not_recorded() -> None:
    """A thread that calls the chain meanwhile is served, but is no part of the trace."""
    chain = chain_of(lower)
    with trace([chain]) as t:
        thread = threading.Thread(target=sign_in, args=(chain,))
        thread.start()
        thread.join()
    assert t.records == []


def test_overlapping_tasks_are_recorded_apart() -> None:
    """Calls of two tasks are children of their own callers only."""
    both = asyncio.Event()

    def wait(o: Any) -> Any:
        original = o.look_up

        async def look_up(email: str, user_context: dict[str, Any]) -> Any:
            if email == "ann@example.com":
                await both.wait()
            both.set()
            return await original(email, user_context)

        o.look_up = look_up
        return o

    async def run(chain: Chain[Functions]) -> Trace:
        with trace([chain]) as t:
            await asyncio.gather(
                *(chain.top.sign_in(name, "p", {}, {}) for name in ("Ann@example.com", "Bob@example.com"))
            )
        return t

    t = asyncio.run(run(chain_of(lower, wait)))
    assert [r.depth for r in t.records if r.operation == "demo.look_up"] == [2, 3, 2, 3]
    assert all("changed" not in str(r) for r in t.of("demo.look_up"))


def test_a_plain_operation_is_traced_at_once_or_awaited() -> None:
    """What came out of an awaitable is recorded when it has been awaited."""

    def async_(o: Any) -> Any:
        original = o.hints

        async def hints(email: str, user_context: dict[str, Any]) -> Any:
            return [*original(email, user_context), "async"]

        o.hints = hints
        return o

    with trace([chain := chain_of()]) as t:
        chain.top.hints("a", {})
    assert [r.came_out for r in t.records] == [["plain"]]
    with trace([chain := chain_of(async_)]) as t:
        drive(chain.top.hints("a", {}))
    assert [r.came_out for r in t.records] == [["plain", "async"], ["plain"]]


# Masking


@dataclass
class Field:
    id: str
    value: str


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "hunter2"),
        ("new_password", "hunter2"),
        ("anti_csrf_token", "hunter2"),
        ("user_input_code", "hunter2"),
        ("code", 482913),
        ("client_secret", "hunter2"),
        ("password_reset_link", "https://example.com/hunter2"),
        ("form_fields", [{"id": "password", "value": "hunter2"}]),
        ("form_fields", [Field("password", "hunter2")]),
        ("payload", {"nested": {"refreshTokenHash1": "hunter2"}}),
        ("headers", {"Authorization": "Bearer hunter2"}),
        ("body", b"hunter2"),
        ("text", f"go to https://example.com/?t={TOKEN}&x=1"),
        ("text", "f" * 31 + "4"),
    ],
)
def test_secrets_by_name_and_by_look(name: str, value: Any) -> None:
    """Passwords, tokens and codes by their names; long runs of letters and digits wherever they stand."""
    text = repr(masked(name, value))
    assert MASK in text
    for secret in ("hunter2", "482913", "eyJ", "fff4"):
        assert secret not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user_id", UUID),
        ("access_token_payload", {"2fa-completed": {"v": False, "t": 1}}),
        ("tenant_id", "public"),
        ("disable_anti_csrf", True),
        ("access_token", None),
        ("text", "a sentence of ordinary words, longer than twenty letters"),
        ("session_expired_status_code", 401),
    ],
)
def test_what_is_no_secret_is_shown(name: str, value: Any) -> None:
    """Ids, payloads, flags and prose stay readable."""
    assert masked(name, value) == value


def test_two_masked_secrets_can_be_compared() -> None:
    """A trace notices that a password was changed, without showing either."""
    assert masked("password", "a") == masked("password", "a")
    assert masked("password", "a") != masked("password", "b")


def test_what_contains_itself_ends() -> None:
    """A context that leads back to itself is shown once."""
    context: dict[str, Any] = {"a": 1}
    context["self"] = context
    assert masked("user_context", context) == {"a": 1, "self": "..."}


def test_tokens_within_text() -> None:
    """Only the token is masked, and a UUID is none."""
    assert without_tokens(f"handle {UUID} token {TOKEN}.") == f"handle {UUID} token {MASK}."
