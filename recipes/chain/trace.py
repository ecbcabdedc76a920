"""What a chain consists of, what a call does in each of its layers, and how secrets are masked in both.

`explain` lists the layers of an operation. `trace` records what came into each layer, what the layer changed, what came
out, and how long it took:

    with trace([chain]) as t:
        await chain.top.create_new_session(...)
    print(t)

Without a trace, the chain runs exactly as it was built: a trace replaces the function of each link and puts it back at
the end. It records the calls of its own context only (and of the tasks that start there).

A value is secret if its name says so, or if it looks like a token.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from .chain import Chain
from .link import Link, Run
from .operation import Values

# A chain at rest


def explain(chain: Chain[Any], name: str) -> str:
    """Return a text that lists the layers of one operation, outermost first; KeyError if there is no such operation."""
    links = chain.layers(name)
    lines = [f"{chain.recipe_id}.{name} ({chain.kind}): {_count(len(links) - 1)}"]
    if chain.is_disabled(name):
        lines.append("  disabled: its route is not served")
    for number, link in enumerate(links[:-1], start=1):
        lines += [f"  {number}. {link.place.name}  {link.place}", *_arguments(link)]
    implementation = links[-1]
    return "\n".join([*lines, f"  implementation  {_qualified_name(implementation)}  {implementation.place}"])


def _count(layers: int) -> str:
    if not layers:
        return "not overridden"
    return f"{layers} {'layer' if layers == 1 else 'layers'} over the implementation"


def _arguments(link: Link) -> list[str]:
    lines = [f"     is given {link.feed.described}"]
    if link.feed.lacks:
        lines.append(f"     does not see {', '.join(link.feed.lacks)}: the value of the running call is passed on")
    return lines


def _qualified_name(link: Link) -> str:
    return str(getattr(link.feed.function, "__qualname__", link.place.name))


# A chain in motion


@dataclass(slots=True)
class Record:
    """One call of one layer, and the calls made from it.

    Secrets are masked in everything it holds; `seconds` is None while it runs.
    """

    operation: str
    layer: str
    depth: int
    came_in: dict[str, Any]
    changed: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    came_out: Any = None
    raised: str | None = None
    seconds: float | None = None
    calls: list[Record] = field(default_factory=list)

    def __iter__(self) -> Iterator[Record]:
        """Walk over this record and those of the calls made from it, at any depth."""
        yield self
        for call in self.calls:
            yield from call

    def __str__(self) -> str:
        took = "still running" if self.seconds is None else f"{self.seconds * 1000:.3f} ms"
        lines = [f"{self.operation}  {self.layer}  {took}"]
        lines.append("  came in   " + ", ".join(f"{name}={value!r}" for name, value in self.came_in.items()))
        lines += [f"  changed   {name}: {before!r} -> {after!r}" for name, (before, after) in self.changed.items()]
        if self.raised is not None:
            lines.append(f"  raised    {self.raised}")
        elif self.seconds is not None:
            lines.append(f"  came out  {self.came_out!r}")
        return "\n".join("    " * self.depth + line for line in lines)


class Trace:
    """What was called while the trace was on: `calls` are the outermost ones, in the order in which they began."""

    def __init__(self) -> None:
        self.calls: list[Record] = []

    @property
    def records(self) -> list[Record]:
        """All records, each followed by those of the calls made from it."""
        return [record for call in self.calls for record in call]

    def __str__(self) -> str:
        return "\n".join(map(str, self.records))

    def of(self, operation: str) -> list[Record]:
        """Return the records of one operation, named as in "session.create_new_session"."""
        return [record for record in self.records if record.operation == operation]


@contextmanager
def trace(chains: Iterable[Chain[Any]]) -> Iterator[Trace]:
    """Record what happens in the given chains to calls made within the `with` block."""
    recorded, chains = Trace(), list(chains)
    for chain in chains:
        _begin(chain)
    token = _current.set(_Caller(recorded))
    try:
        yield recorded
    finally:
        _current.reset(token)
        for chain in chains:
            _end(chain)


# Which chains are being traced, by how many traces

_lock = threading.Lock()
_traced: Counter[Chain[Any]] = Counter()


def _begin(chain: Chain[Any]) -> None:
    with _lock:
        _traced[chain] += 1
        if _traced[chain] == 1:
            chain.observe(_recording_run)


def _end(chain: Chain[Any]) -> None:
    with _lock:
        _traced[chain] -= 1
        if not _traced[chain]:
            del _traced[chain]
            chain.observe(None)


# What a link runs while its chain is traced


@dataclass(slots=True)
class _Caller:
    """The trace of a context, and the layer that makes the next call in it."""

    trace: Trace
    link: Link | None = None
    record: Record | None = None
    values: dict[str, Any] = field(default_factory=dict)


_current: ContextVar[_Caller | None] = ContextVar("coatcheck_trace", default=None)


def _recording_run(operation: str, link: Link) -> Run:
    def run(values: Values) -> Any:
        caller = _current.get()
        if caller is None:
            return link.plain_run(values)
        here = _record(operation, link, values, caller)
        return _timed_async(here, values) if link.operation.is_async else _timed(here, values)

    return run


def _record(operation: str, link: Link, values: Values, caller: _Caller) -> _Caller:
    copies = {name: masked(name, value) for name, value in zip(link.operation.names, values, strict=True)}
    came_in = {name: copy for name, copy in copies.items() if name not in link.feed.lacks}
    depth = 0 if caller.record is None else caller.record.depth + 1
    record = Record(operation, _layer_name(link), depth, came_in)
    if caller.record is not None and caller.link is not None and caller.link.below is link:
        changed = {name: (caller.values[name], copy) for name, copy in copies.items() if caller.values[name] != copy}
        caller.record.changed.update(changed)
    (caller.trace if caller.record is None else caller.record).calls.append(record)
    return _Caller(caller.trace, link, record, copies)


def _layer_name(link: Link) -> str:
    what = link.place.name if link.below is not None else "implementation"
    return f"{what} ({link.place})"


async def _timed_async(here: _Caller, values: Values) -> Any:
    with _measured(here) as record:
        result = await _run_of(here)(values)
        record.came_out = masked("", result)
        return result


def _timed(here: _Caller, values: Values) -> Any:
    with _measured(here) as record:
        result = _run_of(here)(values)
        if not inspect.isawaitable(result):
            record.came_out = masked("", result)
            return result
    return _rest(here, result)


async def _rest(here: _Caller, result: Any) -> Any:
    with _measured(here) as record:
        value = await result
        record.came_out = masked("", value)
        return value


def _run_of(here: _Caller) -> Run:
    assert here.link is not None
    return here.link.plain_run


@contextmanager
def _measured(here: _Caller) -> Iterator[Record]:
    """Make `here` the caller of the calls in the block, add up the time, and note what is raised."""
    record = here.record
    assert record is not None
    token = _current.set(here)
    began = time.perf_counter()
    try:
        yield record
    except BaseException as error:
        record.raised = f"{type(error).__name__}: {without_tokens(str(error))}"
        raise
    finally:
        record.seconds = (record.seconds or 0.0) + time.perf_counter() - began
        _current.reset(token)


# What may be shown of a value

MASK = "***"
_DEEPEST = 6
_SECRET = re.compile(
    r"password|passwd|secret|token|(?<!status_)(?<!status)code|cookie|authorization|credential|otp|link$|_url$|refresh.*hash"
    r"|signature|api_?key|verifier|nonce",
    re.IGNORECASE,
)

_NOT_SECRET = re.compile(r"_payload|_update$|transfer_method|^disable_|_validity|anti_csrf_check", re.IGNORECASE)
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{20,}(?:\.[A-Za-z0-9+/=_-]+)*")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Secret:
    """A secret that can be compared with another, but not read."""

    _digest: int = field(repr=False)

    def __repr__(self) -> str:
        return MASK


@dataclass(frozen=True, slots=True)
class _ObjectCopy:
    """A copy of an object by its fields."""

    name: str
    fields: tuple[tuple[str, Any], ...]

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.fields)})"


def masked(name: str, value: Any) -> Any:
    """Return a copy of a value for people to read, without secrets; `name` is what the value is called."""
    return _Copier().copy(name, value)


def is_secret(name: str) -> bool:
    """Whether values with this name are secrets."""
    return _SECRET.search(name) is not None and _NOT_SECRET.search(name) is None


def without_tokens(text: str) -> str:
    """Return the text with a mask over what looks like a token; UUIDs and words without digits stay."""
    return _RUN.sub(lambda run: run[0] if _is_harmless(run[0]) else MASK, text)


def _is_harmless(run: str) -> bool:
    return _UUID.fullmatch(run) is not None or not re.search(r"\d", run)


class _Copier:
    """Copies nested values; of an object inside itself, or too deep, only `...` remains."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def copy(self, name: str, value: Any) -> Any:
        """Copy one value, masked if its name says so."""
        if value is None or isinstance(value, bool):
            return value
        if is_secret(name) or isinstance(value, bytes):
            return _Secret(hash(repr(value)))
        if isinstance(value, str):
            return without_tokens(value)
        if isinstance(value, int | float):
            return value
        return self._nested(value)

    def _nested(self, value: Any) -> Any:
        if id(value) in self._open or len(self._open) >= _DEEPEST:
            return "..."
        self._open.add(id(value))
        try:
            if isinstance(value, Mapping):
                return self._mapping(value)
            if isinstance(value, list | tuple | set | frozenset):
                return [self.copy("", item) for item in value]
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.repr}
                return _ObjectCopy(type(value).__name__, tuple(self._mapping(fields).items()))
            return f"<{getattr(value, '__name__', type(value).__name__)}>"
        finally:
            self._open.discard(id(value))

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        """Copy a mapping; the value of a form field is masked if the name in its `id` or `name` is secret."""
        called = next((value[key] for key in ("id", "name") if isinstance(value.get(key), str)), "")
        if "value" in value and is_secret(called):
            return {str(key): _Secret(hash(repr(v))) if key == "value" else v for key, v in value.items()}
        return {without_tokens(str(key)): self.copy(str(key), item) for key, item in value.items()}
