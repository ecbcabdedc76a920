"""What every recipe is made of: a frozen specification, what an App makes of it, and the results that all share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, Generic, Self, TypeVar

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from ...claims.payload import JSONObject, UserContext
from ...claims.recipe_user_id import RecipeUserId
from ..chain.chain import Chain, InputOverrideConfig, checked_override
from ..chain.operation import Order
from ..users.directory import DeletedUser
from .app_info import AppInfo
from .routing import Route
from .services import Services, current_services

F = TypeVar("F")
"""The interface of a recipe's functions."""
A = TypeVar("A")
"""The interface of a recipe's HTTP APIs; None for a recipe without any."""
T = TypeVar("T")

Orders = Mapping[str, Sequence[Order]]
"""For some operations, the orders in which older code passes arguments (docs/protocol.md, rule 15.5)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A way to reach people, such as `email`: its interface, and the service that delivers by default.

    The recipe's configuration has an option `<channel>_delivery`: an object with `service` and `override`, or None.
    """

    channel: str
    interface: type[Any]
    default: Callable[[Services], Any]

    @property
    def name(self) -> str:
        """The name of the option, of the chain and of the recipe's attribute."""
        return f"{self.channel}_delivery"


@dataclass(frozen=True)
class RecipeSpecification:
    """What a recipe's `init` returns: the recipe, its validated configuration, and what its chains begin with.

    `functions` and `apis` make the innermost layers from the recipe. `brings` are the specifications of the recipes
    that a combined recipe consists of.
    """

    recipe: type[Recipe[Any, Any]]
    config: Any
    functions: Callable[[Any], Any]
    apis: Callable[[Any], Any] | None = None
    routes: tuple[Route, ...] = ()
    brings: tuple[RecipeSpecification, ...] = ()

    @property
    def recipe_id(self) -> str:
        """The id of the recipe."""
        return self.recipe.recipe_id

    def build(self, app: Services) -> Recipe[Any, Any]:
        """Return the recipe of an App, with the application's overrides."""
        recipe = self.recipe(app, self.config)
        recipe.parts = tuple(part.build(app) for part in self.brings)
        recipe.routes = self.routes
        recipe.deliver()
        recipe.begin_chains(self.functions(recipe), None if self.apis is None else self.apis(recipe))
        return recipe


@dataclass(slots=True)
class APIOptions:
    """What an API function may need besides its own arguments."""

    request: Request
    response: Response | None
    recipe_id: str
    config: Any
    recipe_implementation: Any
    app_info: AppInfo
    recipe: Any = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class OverridesOnly:
    """The configuration of a recipe that has no options except its overrides."""

    override: InputOverrideConfig

    @classmethod
    def checked(cls, recipe_id: str, override: InputOverrideConfig | None) -> Self:
        """Return the configuration; ConfigurationError for anything but an InputOverrideConfig."""
        return cls(checked_override(recipe_id, override))


class Recipe(Generic[F, A]):
    """A recipe of one App; `functions` and `apis` are the tops of its chains.

    A recipe declares its interfaces, its older orders of arguments and its deliveries. This class builds the chains
    from them and keeps the chains for `explain` and `trace`. `config` has an attribute `override`.
    """

    recipe_id: ClassVar[str]
    interfaces: ClassVar[tuple[type[Any], type[Any] | None]]
    """The interface of the functions, and that of the HTTP APIs, None for a recipe without any."""
    orders: ClassVar[tuple[Orders, Orders]] = ({}, {})
    deliveries: ClassVar[tuple[Delivery, ...]] = ()
    options_class: ClassVar[type[APIOptions]] = APIOptions
    first_factors: ClassVar[tuple[str, ...]] = ()
    """The factors with which one can sign in through this recipe alone."""
    test_rank: ClassVar[int] = 0
    """If several recipes can create a login method for a test, the one with the lowest rank does it."""

    functions: F
    apis: A
    routes: tuple[Route, ...]
    parts: tuple[Recipe[Any, Any], ...]
    """The recipes that this one consists of; an App has each of them, too."""

    def __init__(self, app: Services, config: Any) -> None:
        self.app = app
        self.config = config
        self.chains: dict[str, Chain[Any]] = {}

    def deliver(self) -> None:
        """Build the chain of each delivery; its top becomes the attribute `<channel>_delivery`."""
        for delivery in self.deliveries:
            given = getattr(self.config, delivery.name)
            service, override = (None, None) if given is None else (given.service, given.override)
            base = service or delivery.default(self.app)
            setattr(self, delivery.name, self._top(delivery.name, delivery.interface, base, override))

    def begin_chains(self, functions: F, apis: A | None) -> None:
        """Build the chains of functions and APIs over the given implementations, and apply the overrides."""
        override: InputOverrideConfig = self.config.override
        interface, api_interface = self.interfaces
        self.functions = self._top("functions", interface, functions, override.functions, self.orders[0])
        if api_interface is not None:
            self.apis = self._top("apis", api_interface, apis, override.apis, self.orders[1])
        self.options: Callable[[Request], Any] = partial(self.options_class, response=None, **self.option_values())
        """What makes the options of an API function from a request."""

    def option_values(self) -> dict[str, Any]:
        """Return the fields of the options that are the same for every request."""
        return {
            "recipe_id": self.recipe_id,
            "config": self.config,
            "recipe_implementation": self.functions,
            "app_info": self.app.info,
            "recipe": self,
        }

    def _top(
        self,
        kind: str,
        interface: type[Any],
        base: Any,
        override: Callable[..., Any] | None,
        orders: Orders | None = None,
    ) -> Any:
        chain = Chain(interface, base, recipe_id=self.recipe_id, kind=kind, positional_orders=orders)
        chain.apply(override)
        self.chains[kind] = chain
        return chain.top

    @classmethod
    def of(cls, app: Services) -> Self:
        """Return this recipe of an App; ConfigurationError if `init` was not called for it."""
        recipe = app.recipes_by_id.get(cls.recipe_id) or app.recipe(cls.recipe_id)
        if not isinstance(recipe, cls):
            raise TypeError(f"the recipe with the id {cls.recipe_id!r} is not a {cls.__name__}")
        return recipe

    @classmethod
    async def call(cls, operation: Callable[[F, UserContext], Awaitable[T]], user_context: UserContext | None) -> T:
        """Run an operation on the current App's chain; None as the user context stands for a new one."""
        recipe = cls.of(current_services())
        with recipe.app.active():
            return await operation(recipe.functions, {} if user_context is None else user_context)

    # What others ask a recipe

    def serves(self, route: Route) -> bool:
        """Whether an override has left the route's API enabled."""
        return not self.chains["apis"].is_disabled(route.api)

    async def login_providers(
        self, tenant_id: str, client_type: str | None, user_context: UserContext
    ) -> list[ThirdPartyProvider]:
        """Return the providers that the sign-in page of a tenant shows."""
        return []

    def undelivered_channels(self) -> list[str]:
        """Return the channels, such as `email`, on which messages reach nobody, because no service is configured."""
        given = {delivery.channel: getattr(self.config, delivery.name) for delivery in self.deliveries}
        return [name for name, one in given.items() if one is None or (one.service is None and one.override is None)]

    def startup_lines(self) -> list[str]:
        """Return the lines in which a server that starts explains this recipe."""
        return []

    async def test_login_method(
        self, tenant_id: str, email: str, *, subject: str, verified: bool
    ) -> RecipeUserId | None:
        """Create a login method for a test; None if this recipe has none. `subject` is the id that a provider gives."""
        return None

    def clean_up(self) -> int:
        """Delete what has expired in this recipe's own tables; return how many rows went."""
        return 0

    def forget_user(self, connection: Connection, deleted: DeletedUser) -> None:
        """Delete what this recipe's own tables keep about a deleted user, in the same transaction."""


# Results that all share


@dataclass(frozen=True, slots=True)
class Result:
    """What an operation answers: a `status`, and attributes in results that say more."""

    status: str = field(default="OK", kw_only=True)

    def to_json(self) -> JSONObject:
        """Return the body of an HTTP answer, such as `{"status": "OK"}`; TypeError for a result that says more."""
        if len(fields(self)) > 1:
            raise TypeError(f"{type(self).__name__} is no answer of an API: return what the API's interface names")
        return {"status": self.status}


@dataclass(frozen=True, slots=True)
class GeneralErrorResponse(Result):
    """An application refuses a request; the answer has HTTP status 200, and the front ends show the message."""

    status: str = field(default="GENERAL_ERROR", kw_only=True)
    message: str

    def to_json(self) -> JSONObject:
        """Return the body of the HTTP answer: `{"status": "GENERAL_ERROR", "message": ...}`."""
        return {"status": self.status, "message": self.message}


@dataclass(frozen=True, slots=True)
class Refusal(Result):
    """The recipe refuses something for a reason that the front ends show to the user."""

    reason: str

    def to_json(self) -> JSONObject:
        """Return the body of the HTTP answer: `{"status": ..., "reason": ...}`."""
        return {"status": self.status, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class LinkingToSessionUserFailedError(Result):
    """The new login method could not be linked to the session's user."""

    status: str = field(default="LINKING_TO_SESSION_USER_FAILED", kw_only=True)
    reason: str


@dataclass(frozen=True, slots=True)
class ThirdPartyProvider:
    """A provider as the sign-in page lists it."""

    id: str
    name: str

    def to_json(self) -> JSONObject:
        """Return the provider as the front ends read it, such as `{"id": "google", "name": "Google"}`."""
        return {"id": self.id, "name": self.name}
