"""How `fetch_value` is called: decided by its signature, once, when the claim is made."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from .exceptions import FetchSignatureError

SEED = ("user_id", "tenant_id", "user_context")
PRE_RELEASE = ("user_id", "recipe_user_id", "tenant_id", "user_context")
NEWEST = ("user_id", "recipe_user_id", "tenant_id", "current_payload", "user_context")
_LISTED = ", ".join(NEWEST)

_BY_COUNT: tuple[tuple[str, ...], ...] = ((), ("user_id",), ("user_id", "user_context"), SEED, PRE_RELEASE, NEWEST)
_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class FetchBinding:
    """A callable and the arguments it gets, by position and by name (docs/protocol.md, rule 13.5).

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
        """Call the function with its share of `values`, which holds every known name."""
        args = [values[name] for name in self.positional]
        return self.function(*args, **{parameter: values[name] for parameter, name in self.keywords})


class _Signature:
    """The parameters of one function, sorted by how they can be filled."""

    def __init__(self, parameters: Iterable[Parameter], function: Callable[..., Any]) -> None:
        # What functools.partial fixed by keyword is shown as a parameter with a default, and is not ours to fill.
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
        """What the positional parameters are known to ask for; None for a name that says nothing."""
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
    # `lambda user_id, table=table: ...` carries a value of its own; a default of None awaits an argument.
    return _known(parameter) is None and parameter.default is not Parameter.empty and parameter.default is not None


def _known(parameter: Parameter) -> str | None:
    name = parameter.name.lstrip("_")
    return name if name in NEWEST else None
