"""How a session moves along its chain of refresh tokens: pure decisions, taken on the row as it is.

`cur` is the hash of the confirmed token. Its children are issued but not stored; the first use of one confirms it.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, replace
from typing import Any

from .refresh_token import RefreshToken, hex_hash
from .rows import NO_SALT, SessionRow

SIBLINGS_EQUAL_MS = 10_000
"""For how long after the salt was drawn a refresh of the confirmed token yields the same child."""

_SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long tokens and sessions live, in milliseconds; `absolute_ms` is None where only idleness ends a session."""

    access_ms: int
    refresh_ms: int
    absolute_ms: int | None = None

    def refresh_expiry(self, now_ms: int, created_ms: int) -> int:
        """Return when a session created then and confirmed now expires."""
        return self._capped(now_ms + self.refresh_ms, created_ms)

    def access_expiry(self, now_ms: int, created_ms: int) -> int:
        """Return when an access token minted now expires."""
        return self._capped(now_ms + self.access_ms, created_ms)

    def _capped(self, expiry_ms: int, created_ms: int) -> int:
        return expiry_ms if self.absolute_ms is None else min(expiry_ms, created_ms + self.absolute_ms)


def is_confirmed(row: SessionRow, hash2: str) -> bool:
    """Whether the token with this hash of its hash is the confirmed one."""
    return hmac.compare_digest(hash2, row.cur)


def is_child_of_confirmed(row: SessionRow, parent_hash1: str | None) -> bool:
    """Whether a token with this parent is a child of the confirmed one."""
    return parent_hash1 is not None and is_confirmed(row, hex_hash(parent_hash1))


def confirmed(row: SessionRow, hash1: str, parent_hash1: str | None, *, expires_at: int) -> SessionRow:
    """Return the row after use of the access token with this pairing: moved on if it came with a child."""
    if not is_child_of_confirmed(row, parent_hash1):
        return row
    return replace(row, cur=hex_hash(hash1), salt=NO_SALT, salt_drawn_at=0, expires_at=expires_at)


def spent(row: SessionRow, token: RefreshToken, *, static: bool | None, now_ms: int, expires_at: int) -> SessionRow:
    """Return the row ready to derive a child of `token`; if the token is still not the confirmed one, it was stolen."""
    changes: dict[str, Any] = {}
    if not is_confirmed(row, token.hash2):
        if not is_child_of_confirmed(row, token.parent_hash1):
            return row
        changes |= {"cur": token.hash2, "expires_at": expires_at}
    # abs(): the clocks of two servers may differ.
    if changes or row.salt == NO_SALT or abs(now_ms - row.salt_drawn_at) > SIBLINGS_EQUAL_MS:
        changes |= {"salt": secrets.token_hex(_SALT_BYTES), "salt_drawn_at": now_ms}
    if static is not None and static != row.use_static_key:
        changes["use_static_key"] = static
    return replace(row, **changes) if changes else row
