"""A chain in motion: what came into each layer, what the layer changed, what came out, and how long it took.

    with trace([chain]) as t:
        await chain.top.create_new_session(...)
    print(t)

While no trace is on, the chain runs exactly as it was built: a trace puts its own function in the place of each link's
and takes it away again. It records the calls of its own context only (and of the tasks begun there).
"""

from __future__ import annotations

import inspect
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from .chain import Chain
from .link import Link, Run
from .masking import shown, without_tokens
from .operation import Values


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
            chain.observe(_observed)


def _end(chain: Chain[Any]) -> None:
    with _lock:
        _traced[chain] -= 1
        if not _traced[chain]:
            del _traced[chain]
            chain.observe(None)


# What a link runs while its chain is traced


@dataclass(slots=True)
class _Caller:
    """The trace of a context, and the layer from which the next call in it will come."""

    trace: Trace
    link: Link | None = None
    record: Record | None = None
    values: dict[str, Any] = field(default_factory=dict)


_current: ContextVar[_Caller | None] = ContextVar("coatcheck_trace", default=None)


def _observed(operation: str, link: Link) -> Run:
    def run(values: Values) -> Any:
        caller = _current.get()
        if caller is None:
            return link.plain_run(values)
        here = _record(operation, link, values, caller)
        return _timed_async(here, values) if link.operation.is_async else _timed(here, values)

    return run


def _record(operation: str, link: Link, values: Values, caller: _Caller) -> _Caller:
    copies = {name: shown(name, value) for name, value in zip(link.operation.names, values, strict=True)}
    came_in = {name: copy for name, copy in copies.items() if name not in link.feed.lacks}
    depth = 0 if caller.record is None else caller.record.depth + 1
    record = Record(operation, _described(link), depth, came_in)
    if caller.record is not None and caller.link is not None and caller.link.below is link:
        changed = {name: (caller.values[name], copy) for name, copy in copies.items() if caller.values[name] != copy}
        caller.record.changed.update(changed)
    (caller.trace if caller.record is None else caller.record).calls.append(record)
    return _Caller(caller.trace, link, record, copies)


def _described(link: Link) -> str:
    what = link.place.name if link.below is not None else "implementation"
    return f"{what} ({link.place})"


async def _timed_async(here: _Caller, values: Values) -> Any:
    with _at_work(here) as record:
        result = await _run_of(here)(values)
        record.came_out = shown("", result)
        return result


def _timed(here: _Caller, values: Values) -> Any:
    with _at_work(here) as record:
        result = _run_of(here)(values)
        if not inspect.isawaitable(result):
            record.came_out = shown("", result)
            return result
    return _rest(here, result)


async def _rest(here: _Caller, result: Any) -> Any:
    with _at_work(here) as record:
        settled = await result
        record.came_out = shown("", settled)
        return settled


def _run_of(here: _Caller) -> Run:
    assert here.link is not None
    return here.link.plain_run


@contextmanager
def _at_work(here: _Caller) -> Iterator[Record]:
    """Make `here` the caller of what happens within, add up the time, and note what is raised."""
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
