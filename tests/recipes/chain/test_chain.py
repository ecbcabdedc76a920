"""The override chain as an object: what an override function sees, what it may do, and what is refused at init."""

from __future__ import annotations

import asyncio
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, cast

import pytest

from coatcheck.recipes.chain.chain import Chain
from coatcheck.recipes.chain.trace import explain
from coatcheck.recipes.chain.view import Layer, OpenRecursion
from coatcheck.recipes.exceptions import ConfigurationError, OverrideError
from coatcheck.recipes.kit.driver import drive


class Greetings(ABC):
    """An interface like a recipe's: abstract, async, with one plain method."""

    @abstractmethod
    async def greet(self, name: str, user_context: dict[str, Any]) -> str:
        """Greet somebody."""

    @abstractmethod
    async def greet_twice(self, name: str, user_context: dict[str, Any]) -> str:
        """Greet somebody twice."""

    @abstractmethod
    def titles(self, name: str, user_context: dict[str, Any]) -> Any:
        """Return titles, at once or awaited."""


class Plain(OpenRecursion[Greetings], Greetings):
    """The implementation beneath all layers."""

    async def greet(self, name: str, user_context: dict[str, Any]) -> str:
        return f"hello {name}"

    async def greet_twice(self, name: str, user_context: dict[str, Any]) -> str:
        return f"{await self.calls.greet(name, user_context)}, {await self.calls.greet(name, user_context)}"

    def titles(self, name: str, user_context: dict[str, Any]) -> Any:
        return ["plain"]


class GreetingsLayer(Layer[Greetings], Greetings):
    """The interface as a layer class."""


class Pages(ABC):
    """An interface like a recipe's HTTP APIs."""

    disable_greet_post = False

    @abstractmethod
    async def greet_post(self, user_context: dict[str, Any]) -> str:
        """Answer POST /greet."""


class PlainPages(Pages):
    async def greet_post(self, user_context: dict[str, Any]) -> str:
        return "posted"


def chain_of(*overrides: Callable[..., Any]) -> Chain[Greetings]:
    """Return a chain of functions with these overrides, the last one outermost."""
    chain: Chain[Greetings] = Chain(Greetings, Plain(), recipe_id="greetings", kind="functions")
    for override in overrides:
        chain.apply(override)
    return chain


def pages(*overrides: Callable[..., Any]) -> Chain[Pages]:
    """Return a chain of APIs with these overrides."""
    chain: Chain[Pages] = Chain(Pages, PlainPages(), recipe_id="greetings", kind="apis")
    for override in overrides:
        chain.apply(override)
    return chain


def greeting(chain: Chain[Greetings], name: str = "ann") -> str:
    """Call the chain from outside."""
    return drive(chain.top.greet(name, {}))


def marking(mark: str) -> Callable[[Any], Any]:
    """Return an override that puts a mark before what the layer below says."""

    def override(original_implementation: Any) -> Any:
        original_greet = original_implementation.greet

        async def greet(name: str, user_context: dict[str, Any]) -> str:
            return f"{mark} {await original_greet(name, user_context)}"

        original_implementation.greet = greet
        return original_implementation

    return override


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


def test_a_layer_class_overrides_what_it_defines_and_passes_on_the_rest() -> None:
    """`super()` calls the layer below, by position or by keyword."""

    class Mine(GreetingsLayer):
        async def greet(self, *args: Any, **kwargs: Any) -> str:
            below: Any = super()
            return f"mine {await below.greet(*args, **kwargs)}"

    chain = chain_of(marking("a"), Mine, marking("b"))
    assert greeting(chain) == "b mine a hello ann"
    assert not chain.is_overridden("titles")
    assert not chain.is_overridden("greet_twice")


def test_a_layer_class_with_options_is_applied_through_a_partial() -> None:
    """Anything that can be called with the original implementation is an override function."""

    class Marked(GreetingsLayer):
        def __init__(self, original: Greetings, *, mark: str) -> None:
            super().__init__(original)
            self.mark = mark

        async def greet(self, name: str, user_context: dict[str, Any]) -> str:
            return f"{self.mark} {await self.original.greet(name, user_context)}"

    marked: Any = Marked
    assert greeting(chain_of(functools.partial(marked, mark="!"))) == "! hello ann"


def test_a_misspelt_method_of_a_class_is_an_error_at_init() -> None:
    """A method that nearly has the name of an operation would never be called."""

    class Mine(GreetingsLayer):
        async def greeet(self, name: str, user_context: dict[str, Any]) -> str:
            return name

        def unrelated_helper(self) -> None: ...

    with pytest.raises(OverrideError, match="did you mean 'greet'"):
        chain_of(Mine)


# Plain and awaitable answers


def test_a_plain_function_may_stand_in_for_an_async_one() -> None:
    """Its value is returned directly."""

    def override(o: Any) -> Any:
        o.greet = lambda name, user_context: f"plain {name}"
        return o

    assert greeting(chain_of(override)) == "plain ann"


def test_a_plain_implementation_of_an_async_operation_can_be_awaited() -> None:
    """A delivery service written as a plain function works beneath the chain as well."""

    class Service:
        def greet_post(self, user_context: dict[str, Any]) -> str:
            return "plain"

    service: Any = Service()
    chain: Chain[Pages] = Chain(Pages, service, recipe_id="greetings", kind="email_delivery")
    assert drive(chain.top.greet_post({})) == "plain"


def test_an_operation_that_may_be_awaitable_stays_so() -> None:
    """A plain operation answers at once with a plain layer, and with an awaitable under an async one."""

    def plain(o: Any) -> Any:
        original = o.titles
        o.titles = lambda name, user_context: [*original(name, user_context), "layer"]
        return o

    def async_(o: Any) -> Any:
        original = o.titles

        async def titles(name: str, user_context: dict[str, Any]) -> list[str]:
            return [*original(name, user_context), "async"]

        o.titles = titles
        return o

    assert chain_of(plain).top.titles("ann", {}) == ["plain", "layer"]
    assert drive(chain_of(plain, async_).top.titles("ann", {})) == ["plain", "layer", "async"]


def test_one_chain_serves_async_and_synchronous_callers() -> None:
    """The same layers run under an event loop and driven by hand."""
    chain = chain_of(marking("a"))
    assert asyncio.run(chain.top.greet("ann", {})) == greeting(chain)


# APIs can be disabled


def test_assigning_none_disables_an_api() -> None:
    """The top then holds None, and a layer put over it later enables it again."""

    def disable(o: Any) -> Any:
        o.greet_post = None
        return o

    def enable(o: Any) -> Any:
        assert o.greet_post is None

        async def greet_post(user_context: dict[str, Any]) -> str:
            return "enabled"

        o.greet_post = greet_post
        return o

    assert pages(disable).top.greet_post is None
    assert pages(disable).is_disabled("greet_post")
    assert not pages(disable, enable).is_disabled("greet_post")
    assert drive(pages(disable, enable).top.greet_post({})) == "enabled"


def test_a_class_can_disable_an_api() -> None:
    """By None in the place of a method, or by the flag."""

    class PagesLayer(Layer[Pages], Pages):
        """The interface as a layer class."""

    class NoGreeting(PagesLayer):
        greet_post: Any = None

    class Flagged(PagesLayer):
        disable_greet_post = True

    assert pages(NoGreeting).is_disabled("greet_post")
    assert pages(Flagged).is_disabled("greet_post")
    assert not pages(PagesLayer).is_disabled("greet_post")


def test_a_flag_disables_an_api() -> None:
    """`disable_*` attributes can be read and set to True or False, nothing else."""

    def disable(o: Any) -> Any:
        o.disable_greet_post = not o.disable_greet_post
        return o

    def wrong(o: Any) -> Any:
        o.disable_greet_post = "yes"
        return o

    assert pages(disable).top.disable_greet_post is True
    assert pages(disable).is_disabled("greet_post")
    assert not pages(disable, disable).is_disabled("greet_post")
    with pytest.raises(OverrideError, match="either True or False"):
        pages(wrong)


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
