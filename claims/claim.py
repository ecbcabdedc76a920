"""A claim: one thing a session asserts, how its value is fetched, and where it sits in the access-token payload."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, overload

from .exceptions import ClaimKeyError
from .fetch import NEWEST, PRE_RELEASE, SEED, FetchBinding
from .json_value import copied
from .maybe_awaitable import MaybeAwaitable, settled
from .payload import PROTECTED, JSONObject, UserContext
from .recipe_user_id import RecipeUserId

T = TypeVar("T")


class SessionClaim(ABC, Generic[T]):
    """A claim of the value type `T`; stateless, so one object serves any number of sessions and apps.

    `fetch_value` is a plain or async callable and returns the current value, or None to leave the payload alone. Its
    signature is examined here, not at the first login (docs/protocol.md, rule 13.5). Raises ClaimKeyError for a key
    that is empty or that the server owns, FetchSignatureError for a callable that cannot be called.
    """

    def __init__(self, key: str, fetch_value: Callable[..., MaybeAwaitable[T | None]]) -> None:
        self._key = _checked(key)
        self._binding = FetchBinding.of(fetch_value, key=key)

    @property
    def key(self) -> str:
        """The name of the claim in the access-token payload."""
        return self._key

    @property
    def fetch_value(self) -> Callable[..., MaybeAwaitable[T | None]]:
        """The callable given at construction, as it was given."""
        return self._binding.function

    @abstractmethod
    def add_to_payload_(self, payload: JSONObject, value: T, user_context: UserContext | None = None) -> JSONObject:
        """Return a copy of `payload` that holds `value`."""

    @abstractmethod
    def remove_from_payload(self, payload: JSONObject, user_context: UserContext | None = None) -> JSONObject:
        """Return a copy of `payload` without this claim."""

    @abstractmethod
    def remove_from_payload_by_merge_(self, payload: JSONObject, user_context: UserContext | None = None) -> JSONObject:
        """Return a copy of `payload` in which the key is None, so that merging it into a session deletes the claim."""

    @abstractmethod
    def get_value_from_payload(self, payload: JSONObject, user_context: UserContext | None = None) -> T | None:
        """Return the value held by `payload`, or None."""

    async def fetch(
        self,
        *,
        user_id: str,
        recipe_user_id: RecipeUserId,
        tenant_id: str,
        current_payload: Mapping[str, Any],
        user_context: UserContext,
    ) -> T | None:
        """Call `fetch_value` with what its signature asks for; what it raises passes through unchanged."""
        values = {
            "user_id": user_id,
            "recipe_user_id": recipe_user_id,
            "tenant_id": tenant_id,
            "current_payload": copied(current_payload),
            "user_context": user_context,
        }
        value: T | None = await settled(self._binding.call(values))
        return value

    @overload
    async def build(
        self, user_id: str, tenant_id: str = "public", user_context: UserContext | None = None
    ) -> JSONObject: ...

    @overload
    async def build(
        self, user_id: str, recipe_user_id: RecipeUserId, tenant_id: str, user_context: UserContext | None, /
    ) -> JSONObject: ...

    @overload
    async def build(
        self,
        user_id: str,
        recipe_user_id: RecipeUserId,
        tenant_id: str,
        current_payload: Mapping[str, Any] | None,
        user_context: UserContext | None = None,
    ) -> JSONObject: ...

    @overload
    async def build(
        self,
        user_id: str,
        *,
        tenant_id: str = "public",
        user_context: UserContext | None = None,
        recipe_user_id: RecipeUserId | None = None,
        current_payload: Mapping[str, Any] | None = None,
    ) -> JSONObject: ...

    async def build(self, *args: Any, **kwargs: Any) -> JSONObject:
        """Fetch the value and return a payload holding nothing else; {} where there is no value.

        Takes the arguments of every era (docs/protocol.md, rule 13.6): five by position are `user_id, recipe_user_id,
        tenant_id, current_payload, user_context`, four lack `current_payload`, one to three are `user_id, tenant_id,
        user_context`. Keywords win.
        """
        arguments = _build_arguments(args, kwargs)
        value = await self.fetch(**arguments)
        return {} if value is None else self.add_to_payload_({}, value, arguments["user_context"])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r})"


def _checked(key: str) -> str:
    if not isinstance(key, str) or not key:
        raise ClaimKeyError(f"the key of a claim is a non-empty str, not {key!r}")
    if key in PROTECTED:
        raise ClaimKeyError(f"{key!r} cannot be the key of a claim: the server owns this field of the access token")
    return key


def _build_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Name the arguments of `build`, whichever era they follow, and fill in the missing ones."""
    if unknown := kwargs.keys() - set(NEWEST):
        raise TypeError(f"build() got an unexpected keyword argument {sorted(unknown)[0]!r}")
    if len(args) > len(NEWEST):
        raise TypeError(f"build() takes at most {len(NEWEST)} positional arguments, but {len(args)} were given")
    given = dict(zip(_build_order(args, kwargs), args, strict=False)) | kwargs
    if "user_id" not in given:
        raise TypeError("build() is missing the argument 'user_id'")
    recipe_user_id = given.get("recipe_user_id") or given["user_id"]
    if isinstance(recipe_user_id, str):
        recipe_user_id = RecipeUserId(recipe_user_id)
    return {
        "user_id": given["user_id"],
        "recipe_user_id": recipe_user_id,
        "tenant_id": given.get("tenant_id") or "public",
        "current_payload": given.get("current_payload") or {},
        "user_context": _or_new(given.get("user_context")),
    }


def _build_order(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...]:
    # A recipe user id in second place, or a keyword naming what the shorter order would end with, tells the era where
    # the count alone does not.
    if len(args) == 4:
        return NEWEST if "user_context" in kwargs else PRE_RELEASE
    newest = len(args) == 5 or (len(args) > 1 and isinstance(args[1], RecipeUserId))
    return NEWEST if newest else SEED


def _or_new(user_context: UserContext | None) -> UserContext:
    # An empty dict is kept: the caller may want to read what fetch_value left in it.
    return {} if user_context is None else user_context
