"""What every recipe is made of: a frozen specification, and what an App makes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from sqlalchemy import Connection

from ...claims.payload import JSONObject, UserContext
from ..chain.chain import Chain
from ..users.directory import DeletedUser
from .routing import Route
from .services import current_app

if TYPE_CHECKING:
    from ..app import App


F = TypeVar("F")
"""The interface of a recipe's functions."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ThirdPartyProvider:
    """A provider as the sign-in page lists it."""

    id: str
    name: str

    def to_json(self) -> JSONObject:
        """Return the provider as the front ends read it."""
        return {"id": self.id, "name": self.name}


@dataclass(frozen=True)
class RecipeSpecification:
    """What a recipe's `init` returns: its id, its validated configuration and how an App builds it.

    `brings` are the ids of recipes that a combined recipe consists of, and builds along with itself.
    """

    recipe_id: str
    config: Any
    build: Callable[[App, Any], Recipe[Any]]
    brings: tuple[str, ...] = ()


class Recipe(Generic[F]):
    """A recipe at work in one App; `functions` is the top of its chain of functions."""

    recipe_id: ClassVar[str]
    first_factors: ClassVar[tuple[str, ...]] = ()
    """The factors with which one can sign in through this recipe alone."""

    functions: F
    parts: tuple[Recipe[Any], ...] = ()
    """The recipes that this one consists of; an App has each of them, too."""

    def __init__(self, app: App, config: Any, routes: Iterable[Route] = ()) -> None:
        self.app = app
        self.config = config
        self.routes = tuple(routes)
        self.chains: dict[str, Chain[Any]] = {}

    @classmethod
    def of(cls, app: App) -> Self:
        """Return this recipe of an App; ConfigurationError if `init` was not called for it."""
        recipe = app.recipes_by_id.get(cls.recipe_id) or app.recipe(cls.recipe_id)
        if not isinstance(recipe, cls):
            raise TypeError(f"the recipe with the id {cls.recipe_id!r} is not a {cls.__name__}")
        return recipe

    @classmethod
    async def call(cls, operation: Callable[[F, UserContext], Awaitable[T]], user_context: UserContext | None) -> T:
        """Run an operation on the current App's chain; None as the user context stands for a new one."""
        recipe = cls.of(current_app())
        with recipe.app.active():
            return await operation(recipe.functions, {} if user_context is None else user_context)

    def add_chain(self, chain: Chain[Any], override: Callable[..., Any] | None) -> None:
        """Apply the application's override to a chain and keep the chain for `explain` and `trace`."""
        chain.apply(override)
        self.chains[chain.kind] = chain

    def serves(self, route: Route) -> bool:
        """Say whether an override has left the route's API enabled."""
        return not self.chains["apis"].is_disabled(route.api)

    async def login_providers(
        self, tenant_id: str, client_type: str | None, user_context: UserContext
    ) -> list[ThirdPartyProvider]:
        """Return the providers that the sign-in page of a tenant shows."""
        return []

    def clean_up(self) -> int:
        """Delete what has expired in this recipe's own tables; return how many rows went."""
        return 0

    def forget_user(self, connection: Connection, deleted: DeletedUser) -> None:
        """Delete what this recipe's own tables keep about a deleted user, in the same transaction."""


@dataclass(frozen=True, slots=True)
class GeneralErrorResponse:
    """An application's own refusal, answered with status 200 and shown to the user by the front ends."""

    message: str
    status: str = "GENERAL_ERROR"

    def to_json(self) -> JSONObject:
        """Return the answer's body."""
        return {"status": self.status, "message": self.message}


@dataclass(frozen=True, slots=True)
class LinkingToSessionUserFailedError:
    """The new login method could not be linked to the session's user."""

    reason: str
    status: str = "LINKING_TO_SESSION_USER_FAILED"
