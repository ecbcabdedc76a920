"""The override chain as an object: what an override function sees, what it may do, and what is refused at init."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from coatcheck.recipes.chain.chain import Chain
from coatcheck.recipes.chain.trace import explain
from coatcheck.recipes.exceptions import ConfigurationError, OverrideError
from coatcheck.recipes.kit.driver import drive

from .greetings import Greetings, GreetingsLayer, Pages, Plain, chain_of, greeting, marking, pages

# What is on top


def test_not_overriding_costs_nothing() -> None:
    """Where nothing is overridden, the top's attribute is the implementation's bound method itself."""
    plain = Plain()
    chain: Chain[Greetings] = Chain(Greetings, plain, recipe_id="greetings", kind="functions")
    assert chain.top.greet == plain.greet
    assert not chain.is_overridden("greet")


def test_the_top_and_the_view_are_instances_of_the_interface() -> None:
    """Code that checks `isinstance(x, RecipeInterface)` accepts what the chain hands out."""
    seen: list[Any] = []

    def override(original_implementation: Any) -> Any:
        seen.append(original_implementation)
        return original_implementation

    chain = chain_of(override)
    assert isinstance(chain.top, Greetings)
    assert isinstance(seen[0], Greetings)
    assert not isinstance(seen[0], Pages)


def test_the_top_cannot_be_assigned_to() -> None:
    """Overriding happens at init only: assigning to the finished functions raises."""
    with pytest.raises(AttributeError, match="init"):
        chain_of().top.greet = None  # type: ignore[method-assign, assignment]


def test_overrides_stack_the_last_one_outermost() -> None:
    """Each override is put over those before it."""
    assert greeting(chain_of(marking("a"), marking("b"))) == "b a hello ann"
    assert greeting(chain_of(lambda o: marking("b")(marking("a")(o)))) == "b a hello ann"


def test_no_override_is_the_identity() -> None:
    """`functions=None` changes nothing."""
    chain = chain_of()
    chain.apply(None)
    assert greeting(chain) == "hello ann"


def test_reading_gives_the_layer_on_top_now() -> None:
    """Two assignments in one override function compose if the second reads after the first."""

    def override(o: Any) -> Any:
        return marking("second")(marking("first")(o))

    assert greeting(chain_of(override)) == "second first hello ann"


def test_the_same_user_context_travels_down() -> None:
    """What a layer writes into the user context is seen by the caller: the object is passed on, not a copy."""

    def override(o: Any) -> Any:
        original = o.greet

        async def greet(name: str, user_context: dict[str, Any]) -> str:
            user_context["seen"] = True
            return str(await original(name, user_context))

        o.greet = greet
        return o

    context: dict[str, Any] = {}
    drive(chain_of(override).top.greet("ann", context))
    assert context == {"seen": True}


# Open recursion


def test_the_implementation_calls_through_the_top() -> None:
    """An override of one function is seen by the other functions that use it."""
    assert drive(chain_of(marking("*")).top.greet_twice("ann", {})) == "* hello ann, * hello ann"


def test_an_outer_layer_is_seen_by_calls_of_an_inner_one() -> None:
    """`self.calls` in a layer class starts at the top, so that layers put over it later are seen too."""

    class Thrice(GreetingsLayer):
        async def greet_twice(self, name: str, user_context: dict[str, Any]) -> str:
            below: Any = super()
            return f"{await below.greet_twice(name, user_context)}, {await self.calls.greet(name, user_context)}"

    assert drive(chain_of(Thrice, marking("*")).top.greet_twice("ann", {})) == "* hello ann, * hello ann, * hello ann"


# The view is sealed


def test_a_late_read_gives_what_lies_below_the_override() -> None:
    """`original_implementation.greet(...)` inside the replacement calls the layer below, not itself."""

    def override(original_implementation: Any) -> Any:
        async def greet(name: str, user_context: dict[str, Any]) -> str:
            return f"late {await original_implementation.greet(name, user_context)}"

        original_implementation.greet = greet
        return original_implementation

    assert greeting(chain_of(marking("a"), override, marking("b"))) == "b late a hello ann"


def test_a_late_assignment_raises() -> None:
    """A view kept after init cannot change the chain."""
    kept: list[Any] = []

    def override(o: Any) -> Any:
        kept.append(o)
        return o

    chain = chain_of(override)
    with pytest.raises(OverrideError, match="after the override function had returned"):
        kept[0].greet = lambda name, user_context: "late"
    assert greeting(chain) == "hello ann"


def test_a_failing_override_leaves_the_chain_as_it_was() -> None:
    """Nothing of an override that raises is applied."""
    chain = chain_of(marking("a"))

    def override(o: Any) -> Any:
        marking("half")(o)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        chain.apply(override)
    assert greeting(chain) == "a hello ann"


# Mistakes are found at init, and named with file and line


def test_a_forgotten_return_is_an_error_at_init() -> None:
    """An override function that returns nothing is named with its file and line."""

    def override(o: Any) -> None:
        marking("a")(o)

    with pytest.raises(OverrideError, match="did you forget `return") as caught:
        chain_of(override)
    assert caught.value.file == __file__
    assert caught.value.line == override.__code__.co_firstlineno
    assert f"{__file__}:{caught.value.line}" in str(caught.value)


def test_a_misspelt_name_is_an_error_at_init_with_a_suggestion() -> None:
    """Assigning an attribute the interface does not have names the line, and what may have been meant."""

    def override(o: Any) -> Any:
        o.gret = o.greet
        return o

    with pytest.raises(OverrideError, match=r"has no 'gret': did you mean 'greet'\?") as caught:
        chain_of(override)
    assert caught.value.line == override.__code__.co_firstlineno + 1


def test_an_override_error_is_a_type_error_and_a_configuration_error() -> None:
    """Callers can catch it as either, and as what init raises for any wrong option."""
    assert issubclass(OverrideError, TypeError)
    assert issubclass(OverrideError, ConfigurationError)


def test_reading_a_misspelt_name_suggests_the_right_one() -> None:
    """Reading what does not exist is an AttributeError, so that hasattr works."""

    def override(o: Any) -> Any:
        assert not hasattr(o, "greeet")
        assert "greet" in dir(o)
        return o.greeet

    with pytest.raises(AttributeError, match="did you mean 'greet'"):
        chain_of(override)


def test_an_async_override_function_is_refused() -> None:
    """Only the functions it assigns may be async, not the override function itself."""

    async def override(o: Any) -> Any:
        return o

    with pytest.raises(OverrideError, match="is async"):
        chain_of(override)


@pytest.mark.parametrize("value", [None, "greet", 3])
def test_only_functions_can_be_assigned(value: Any) -> None:
    """A function of the recipe cannot be disabled or replaced by a value."""

    def override(o: Any) -> Any:
        o.greet = value
        return o

    with pytest.raises(OverrideError, match="must be a function"):
        chain_of(override)


def test_returning_something_unrelated_is_refused() -> None:
    """An object without a single operation of the interface cannot be meant."""
    with pytest.raises(OverrideError, match="no operation of Greetings"):
        chain_of(lambda o: {"greet": o.greet})


# Other objects, and classes


def test_an_object_returned_instead_of_the_view_is_adopted() -> None:
    """Its methods become layers; what it merely hands on does not."""

    class Other:
        def __init__(self, original: Any) -> None:
            self._original = original
            self.greet_twice = original.greet_twice

        async def greet(self, name: str, user_context: dict[str, Any]) -> str:
            return f"other {await self._original.greet(name, user_context)}"

    chain = chain_of(marking("a"), Other)
    assert drive(chain.top.greet_twice("ann", {})) == "other a hello ann, other a hello ann"
    assert not chain.is_overridden("greet_twice")


# Plain and awaitable answers


# APIs can be disabled


# Explaining


def test_explain_lists_the_layers_outermost_first() -> None:
    """Each with its file and line and what it is given, down to the implementation."""

    def override(o: Any) -> Any:
        async def greet(**kwargs: Any) -> str:
            return ""

        o.greet = greet
        return o

    lines = explain(chain_of(marking("a"), override), "greet").splitlines()
    assert lines[0] == "greetings.greet (functions): 2 layers over the implementation"
    assert lines[1].startswith("  1. greet  ")
    assert f"{__file__}:{override.__code__.co_firstlineno + 1}" in lines[1]
    assert lines[2] == "     is given everything, by name"
    assert lines[4] == "     is given by name: name, user_context"
    assert lines[5].startswith("  implementation  Plain.greet  ")


def test_explain_of_what_is_not_overridden_or_disabled() -> None:
    """The first line says so."""

    def disable(o: Any) -> Any:
        o.greet_post = None
        return o

    assert "not overridden" in explain(chain_of(), "titles")
    assert "disabled" in explain(pages(disable), "greet_post")
    with pytest.raises(KeyError, match="did you mean 'greet'"):
        explain(chain_of(), "gret")


def test_a_class_over_layers_of_the_same_override_passes_calls_to_them() -> None:
    """A layer class reaches what lay below it when it was made, layers that the same override had assigned included."""

    class Outer(GreetingsLayer):
        async def greet(self, name: str, user_context: dict[str, Any]) -> str:
            return f"outer {await self.original.greet(name, user_context)}"

    outer = cast("Callable[[Any], Any]", Outer)

    def override(original_implementation: Any) -> Any:
        return outer(marking("upper")(marking("lower")(original_implementation)))

    chain = chain_of(override)
    assert len(chain.layers("greet")) == 4
    assert greeting(chain) == f"outer upper lower {greeting(chain_of())}"
