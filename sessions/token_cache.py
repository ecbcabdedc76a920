"""The access tokens already verified, so that a token seen again costs a dictionary look-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from .session import EngineSession

MOST_TOKENS = 2_000
LONGEST_TOKEN = 8_192
"""Tokens longer than this many characters are verified anew each time."""


class VerifiedToken(NamedTuple):
    """An access token whose signature and times were good: its payload, shared and not to be changed, and its key kind.

    `kind` is "d" for a token signed with a dynamic key and "s" for one signed with a static key. `session` is what it
    stands for, None where that has to be asked of the database because the token follows a refresh.
    """

    payload: Mapping[str, Any]
    kind: Literal["d", "s"]
    session: EngineSession | None


class Entry(NamedTuple):
    """What is remembered of a token: what it says, until when, and under which key it was verified."""

    verified: VerifiedToken
    expires_ms: float
    kid: str
    key: RSAPublicKey


class TokenCache:
    """At most 2,000 verified tokens in two generations: when the young one is full it becomes the old one.

    Plain dictionaries, each operation on them atomic: threads that collide lose an entry at worst, never raise.
    `young` may be read directly, which spares the busiest path a call; what is not in it may still be remembered.
    """

    def __init__(self, most_tokens: int = MOST_TOKENS) -> None:
        self._half = most_tokens // 2
        self.young: dict[str, Entry] = {}
        self._old: dict[str, Entry] = {}

    def get(self, token: str) -> Entry | None:
        """Return what is remembered of exactly this token."""
        entry = self.young.get(token)
        if entry is None:
            entry = self._old.get(token)
            if entry is not None:
                self.put(token, entry)
        return entry

    def put(self, token: str, entry: Entry) -> None:
        """Remember a token, unless it is very long."""
        if len(token) > LONGEST_TOKEN:
            return
        young = self.young
        if len(young) >= self._half:
            self._old, self.young = young, {}
            young = self.young
        young[token] = entry

    def __len__(self) -> int:
        return len(self.young) + len(self._old)
