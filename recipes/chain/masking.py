"""What may be shown of a value: a readable copy in which passwords, tokens and codes are masked.

Two things make a value secret: the name it goes by, and looking like a token wherever it stands.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
class Masked:
    """A secret that cannot be read, only compared with another."""

    _digest: int = field(repr=False)

    def __repr__(self) -> str:
        return MASK


def shown(name: str, value: Any) -> Any:
    """Return a copy of a value, known by `name`, that is fit to be shown and does not change with the original."""
    return _Copier().copy(name, value)


def is_secret(name: str) -> bool:
    """Say whether values that go by this name are secrets."""
    return _SECRET.search(name) is not None and _NOT_SECRET.search(name) is None


def without_tokens(text: str) -> str:
    """Mask what looks like a token within a text; UUIDs and words without digits may stay."""
    return _RUN.sub(lambda run: run[0] if _is_harmless(run[0]) else MASK, text)


def _is_harmless(run: str) -> bool:
    return _UUID.fullmatch(run) is not None or not re.search(r"\d", run)


class _Copier:
    """Copies nested values; an object already being copied, or too deep, is only named."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def copy(self, name: str, value: Any) -> Any:
        """Copy one value, masked if its name says so."""
        if value is None or isinstance(value, bool):
            return value
        if is_secret(name) or isinstance(value, bytes):
            return Masked(hash(repr(value)))
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
                return Shown(type(value).__name__, tuple(self._mapping(fields).items()))
            return f"<{getattr(value, '__name__', type(value).__name__)}>"
        finally:
            self._open.discard(id(value))

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        """Copy a mapping; a form field, whose name is under `id` or `name`, hides its value by that name."""
        called = next((value[key] for key in ("id", "name") if isinstance(value.get(key), str)), "")
        if "value" in value and is_secret(called):
            return {str(key): Masked(hash(repr(v))) if key == "value" else v for key, v in value.items()}
        return {without_tokens(str(key)): self.copy(str(key), item) for key, item in value.items()}


@dataclass(frozen=True, slots=True)
class Shown:
    """A copy of an object by its fields."""

    name: str
    fields: tuple[tuple[str, Any], ...]

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.fields)})"
