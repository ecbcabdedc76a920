"""What can be seen of a web application without running it."""

from __future__ import annotations

from dataclasses import dataclass

from .cors import Cors
from .finding import Note


@dataclass(frozen=True, slots=True)
class Seen:
    """The CORS of the application, and what else there is to say.

    `cors` is None where there is none; `middleware` is what to add then, None where CORS cannot be seen at all.
    """

    middleware: str | None = None
    cors: Cors | None = None
    notes: tuple[Note, ...] = ()
