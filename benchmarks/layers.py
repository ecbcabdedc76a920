"""What one layer of the override chain costs, in time of its own: nothing else is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from measure import Contender, Size, race, seconds
from table import Row

from coatcheck import RecipeUserId
from coatcheck.recipes.chain.chain import Chain
from coatcheck.recipes.session.recipe import FUNCTION_ORDERS

GROUP = "chain"
ARGUMENTS = ("user", RecipeUserId("user"), {}, {}, False, "public", {})


class Interface(ABC):
    """A recipe with the one operation that the seed overrides, in the newest order of its parameters."""

    @abstractmethod
    async def create_new_session(
        self,
        user_id: str,
        recipe_user_id: RecipeUserId,
        access_token_payload: Any,
        session_data_in_database: Any,
        disable_anti_csrf: bool | None,
        tenant_id: str,
        user_context: Any,
    ) -> None: ...


class Nothing(Interface):
    """An implementation that does nothing."""

    async def create_new_session(
        self,
        user_id: str,
        recipe_user_id: RecipeUserId,
        access_token_payload: Any,
        session_data_in_database: Any,
        disable_anti_csrf: bool | None,
        tenant_id: str,
        user_context: Any,
    ) -> None: ...


def measured(size: Size) -> Iterable[Row]:
    """Yield the rows of this group."""
    functions = {"direct": Nothing().create_new_session, "none": _top(), "seed": _top(_seed), "kwargs": _top(_keywords)}
    contenders = {name: Contender(_driven(function), size.count * 10) for name, function in functions.items()}
    laps = race(contenders, rounds=size.rounds)
    for name, what, most in (
        ("none", "a chain without overrides", 0.1e-6),
        ("seed", "one layer in the seed's style", 3e-6),
        ("kwargs", "one layer of **kwargs", 6e-6),
    ):
        yield Row(GROUP, what, max(0.0, seconds(laps, name) - seconds(laps, "direct")), most=most)


def _top(*overrides: Callable[..., Any]) -> Any:
    orders = {"create_new_session": FUNCTION_ORDERS["create_new_session"]}
    chain: Chain[Interface] = Chain(
        Interface, Nothing(), recipe_id="session", kind="functions", positional_orders=orders
    )
    for override in overrides:
        chain.apply(override)
    return chain.top.create_new_session


def _driven(function: Callable[..., Any]) -> Callable[[Any], None]:
    def call(_: object) -> None:
        try:
            function(*ARGUMENTS).send(None)
        except StopIteration:
            return

    return call


def _seed(original_implementation: Any) -> Any:
    original = original_implementation.create_new_session

    async def create_new_session(
        user_id: Any,
        access_token_payload: Any,
        session_data_in_database: Any,
        disable_anti_csrf: Any,
        tenant_id: Any,
        user_context: Any,
    ) -> Any:
        return await original(
            user_id, access_token_payload, session_data_in_database, disable_anti_csrf, tenant_id, user_context
        )

    original_implementation.create_new_session = create_new_session
    return original_implementation


def _keywords(original_implementation: Any) -> Any:
    original = original_implementation.create_new_session

    async def create_new_session(**kwargs: Any) -> Any:
        return await original(**kwargs)

    original_implementation.create_new_session = create_new_session
    return original_implementation
