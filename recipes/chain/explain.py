"""A chain at rest: which layers an operation has, where they are written, and what each is given."""

from __future__ import annotations

from typing import Any

from .chain import Chain
from .link import Link


def explain(chain: Chain[Any], name: str) -> str:
    """Describe the layers of one operation, outermost first; KeyError if there is no such operation."""
    links = chain.layers(name)
    lines = [f"{chain.recipe_id}.{name} ({chain.kind}): {_count(len(links) - 1)}"]
    if chain.is_disabled(name):
        lines.append("  disabled: its route is not served")
    for number, link in enumerate(links[:-1], start=1):
        lines += [f"  {number}. {link.place.name}  {link.place}", *_fed(link)]
    implementation = links[-1]
    return "\n".join([*lines, f"  implementation  {_qualified(implementation)}  {implementation.place}"])


def _count(layers: int) -> str:
    if not layers:
        return "not overridden"
    return f"{layers} {'layer' if layers == 1 else 'layers'} over the implementation"


def _fed(link: Link) -> list[str]:
    lines = [f"     is given {link.feed.described}"]
    if link.feed.lacks:
        lines.append(f"     does not see {', '.join(link.feed.lacks)}: passed on from the call it is at work on")
    return lines


def _qualified(link: Link) -> str:
    return str(getattr(link.feed.function, "__qualname__", link.place.name))
