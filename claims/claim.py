"""A claim: one thing a session asserts, how its value is fetched, and where it stands in the access-token payload.

The signature of `fetch_value` decides how it is called. It is examined once, when the claim is made.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, Generic, TypeAlias, TypeVar, cast, overload

from .exceptions import ClaimKeyError, FetchSignatureError
from .payload import PROTECTED, JSONObject, UserContext, copied_value
from .recipe_user_id import RecipeUserId

T = TypeVar("T")

MaybeAwaitable: TypeAlias = Awaitable[T] | T


async def awaited(value: MaybeAwaitable[T]) -> T:
    """Return `value`, or its result if it is awaitable."""
    if inspect.isawaitable(value):
        return cast("T", await value)
    return value


class SessionClaim(ABC, Generic[T]):
    """A claim of the value type `T`; it has no state, so one object serves any number of sessions and apps.

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
        """Return the value in `payload`, or None."""

    async def fetch(
        self,
        *,
        user_id: str,
        recipe_user_id: RecipeUserId,
        tenant_id: str,
        current_payload: Mapping[str, Any],
        user_context: UserContext,
    ) -> T | None:
        """Call `fetch_value` with what its signature asks for; its exceptions reach the caller unchanged."""
        values = {
            "user_id": user_id,
            "recipe_user_id": recipe_user_id,
            "tenant_id": tenant_id,
            "current_payload": copied_value(current_payload),
            "user_context": user_context,
        }
        value: T | None = await awaited(self._binding.call(values))
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
        """Fetch the value and return a payload with only this claim; {} if there is no value.

        Takes the arguments of every API version (docs/protocol.md, rule 13.6): five by position are `user_id,
        recipe_user_id, tenant_id, current_payload, user_context`, four lack `current_payload`, one to three are
        `user_id, tenant_id, user_context`. Keywords win.
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
    """Name the arguments of `build` and fill in the missing ones."""
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
    # The count alone does not tell the order: a RecipeUserId in second place, or the keyword user_context, does.
    if len(args) == 4:
        return NEWEST if "user_context" in kwargs else PRE_RELEASE
    newest = len(args) == 5 or (len(args) > 1 and isinstance(args[1], RecipeUserId))
    return NEWEST if newest else SEED


def _or_new(user_context: UserContext | None) -> UserContext:
    # An empty dict is kept, because the caller may read what fetch_value puts into it.
    return {} if user_context is None else user_context


SEED = ("user_id", "tenant_id", "user_context")
PRE_RELEASE = ("user_id", "recipe_user_id", "tenant_id", "user_context")
NEWEST = ("user_id", "recipe_user_id", "tenant_id", "current_payload", "user_context")
_LISTED = ", ".join(NEWEST)

_BY_COUNT: tuple[tuple[str, ...], ...] = ((), ("user_id",), ("user_id", "user_context"), SEED, PRE_RELEASE, NEWEST)
_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class FetchBinding:
    """A callable and the arguments that it gets, by position and by name (docs/protocol.md, rule 13.5).

    `positional` lists known names in the order of the call; `keywords` maps parameters to known names.
    """

    function: Callable[..., Any]
    positional: tuple[str, ...] = NEWEST
    keywords: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, function: Callable[..., Any], *, key: str) -> FetchBinding:
        """Examine the signature of `function`; raise FetchSignatureError, naming the claim, if nothing fits."""
        if not callable(function):
            raise FetchSignatureError(f"claim {key!r}: fetch_value is not callable: {function!r}")
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            return cls(function)  # some built-ins show no signature
        return cls(function, *_arguments(_Signature(parameters, function), key=key))

    def call(self, values: Mapping[str, Any]) -> Any:
        """Call the function with the arguments it takes out of `values`, which has every known name."""
        args = [values[name] for name in self.positional]
        return self.function(*args, **{parameter: values[name] for parameter, name in self.keywords})


class _Signature:
    """The parameters of one function, sorted by how they can be filled."""

    def __init__(self, parameters: Iterable[Parameter], function: Callable[..., Any]) -> None:
        # inspect shows what functools.partial fixes by keyword as a parameter with a default; it is not ours to fill.
        self.fixed = frozenset(function.keywords) if isinstance(function, functools.partial) else frozenset[str]()
        free = [parameter for parameter in parameters if parameter.name not in self.fixed]
        self.positional = [parameter for parameter in free if parameter.kind in _POSITIONAL]
        self.named_only = [parameter for parameter in free if parameter.kind is Parameter.KEYWORD_ONLY]
        self.takes_args = any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in free)
        self.takes_kwargs = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in free)

    @property
    def required(self) -> int:
        """How many positional parameters have no default."""
        return sum(parameter.default is Parameter.empty for parameter in self.positional)

    @property
    def names(self) -> list[str | None]:
        """The known names that the positional parameters ask for; None for an unknown name."""
        return [_known(parameter) for parameter in self.positional if not _is_private(parameter)]


_Keywords = tuple[tuple[str, str], ...]


def _arguments(signature: _Signature, *, key: str) -> tuple[tuple[str, ...], _Keywords]:
    for parameter in signature.named_only:
        if parameter.default is Parameter.empty and _known(parameter) is None:
            raise FetchSignatureError(
                f"claim {key!r}: fetch_value requires the keyword {parameter.name!r}, which is none of {_LISTED}"
            )
    if _is_by_name(signature):
        return _by_name(signature)
    positional = _by_count(signature, key=key)
    return positional, _keywords(signature, taken=positional)


def _is_by_name(signature: _Signature) -> bool:
    # `*args` continues the newest order, unless the names before it follow another one.
    follows_newest = signature.takes_args and signature.names == list(NEWEST[: len(signature.names)])
    return None not in signature.names and not follows_newest


def _by_name(signature: _Signature) -> tuple[tuple[str, ...], _Keywords]:
    leading: list[str] = []
    keywords: list[tuple[str, str]] = []
    for index, parameter in enumerate(signature.positional):
        name = _known(parameter)
        if name is None:
            continue
        if parameter.kind is not Parameter.POSITIONAL_ONLY:
            keywords.append((parameter.name, name))
        elif len(leading) == index:
            leading.append(name)
    taken = [*leading, *(name for _, name in keywords)]
    return tuple(leading), (*keywords, *_keywords(signature, taken=taken))


def _by_count(signature: _Signature, *, key: str) -> tuple[str, ...]:
    count = len(NEWEST) if signature.takes_args else _count(signature)
    if signature.required > count or count >= len(_BY_COUNT):
        raise FetchSignatureError(
            f"claim {key!r}: fetch_value requires {signature.required} positional arguments, "
            f"but there are only {len(NEWEST)}: {_LISTED}"
        )
    order = _BY_COUNT[count]
    for parameter, name in zip(signature.positional, order, strict=False):
        if _known(parameter) not in (None, name):
            raise FetchSignatureError(
                f"claim {key!r}: fetch_value would get the {name} as {parameter.name!r}, because its parameters match "
                f"by count only; name every one of them out of {_LISTED}"
            )
    return order


def _count(signature: _Signature) -> int:
    # Parameters with a default leave several counts open; three and five are the orders in real use.
    total = len(signature.positional)
    while total and _is_private(signature.positional[total - 1]):
        total -= 1
    if total in (len(SEED), len(NEWEST)):
        return total
    return next((count for count in (len(SEED), len(NEWEST)) if signature.required <= count <= total), total)


def _keywords(signature: _Signature, *, taken: Iterable[str]) -> _Keywords:
    keywords = [(parameter.name, name) for parameter in signature.named_only if (name := _known(parameter))]
    if signature.takes_kwargs and not signature.takes_args:
        seen = {*taken, *signature.fixed, *(name for _, name in keywords)}
        keywords += [(name, name) for name in NEWEST if name not in seen]
    return tuple(keywords)


def _is_private(parameter: Parameter) -> bool:
    # `lambda user_id, table=table: ...` brings its own value; a parameter with the default None expects an argument.
    return _known(parameter) is None and parameter.default is not Parameter.empty and parameter.default is not None


def _known(parameter: Parameter) -> str | None:
    name = parameter.name.lstrip("_")
    return name if name in NEWEST else None
