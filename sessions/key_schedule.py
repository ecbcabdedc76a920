"""When a signing key signs, verifies and is replaced: the rules alone (docs/protocol.md, section 12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .key_store import DYNAMIC, REVOKED, STATIC, TRUSTED, StoredKey

OVERLAP_MS = 600_000
"""How long a dynamic key is published before it signs: as long as the slowest consumers cache a key set."""


@dataclass(frozen=True, slots=True)
class KeySchedule:
    """The rules for one rotation interval and one access-token validity, both in milliseconds."""

    rotation_ms: int
    access_token_validity_ms: int

    @property
    def overlap_ms(self) -> int:
        """Return how long a new dynamic key waits before it signs; never more than half an interval."""
        return min(OVERLAP_MS, self.rotation_ms // 2)

    @property
    def verification_ms(self) -> int:
        """Return how long after its creation a dynamic key verifies (docs/protocol.md, rule 12.3)."""
        return self.rotation_ms + 2 * self.access_token_validity_ms

    def verifies(self, key: StoredKey, now_ms: int) -> bool:
        """Tell whether tokens signed with `key` are accepted."""
        in_time = key.kind == STATIC or now_ms < key.created_ms + self.verification_ms
        return key.state == TRUSTED and in_time

    def is_due(self, keys: Sequence[StoredKey], now_ms: int) -> bool:
        """Tell whether the next dynamic key should be made now (docs/protocol.md, rule 12.4)."""
        newest = next((key for key in keys if key.kind == DYNAMIC and key.state == TRUSTED), None)
        return newest is None or now_ms + self.overlap_ms > newest.created_ms + self.rotation_ms

    def signer(self, keys: Sequence[StoredKey], now_ms: int, *, static: bool) -> StoredKey | None:
        """Return the key of `keys`, newest first, that signs now (docs/protocol.md, rule 12.5)."""
        kind = STATIC if static else DYNAMIC
        able = [key for key in keys if key.kind == kind and self._may_sign(key, now_ms)]
        published = (key for key in able if static or now_ms >= key.created_ms + self.overlap_ms)
        # Where no key has been published for long enough, the one published longest disturbs least.
        return next(published, able[-1] if able else None)

    def status(self, key: StoredKey, keys: Sequence[StoredKey], now_ms: int) -> str:
        """Return one word for a listing: signing, published, verifying, expired or revoked."""
        if key.state == REVOKED:
            return REVOKED
        if not self.verifies(key, now_ms):
            return "expired"
        signer = self.signer(keys, now_ms, static=key.kind == STATIC)
        if signer is None or signer.generation > key.generation:
            return "verifying"
        return "signing" if signer is key else "published"

    def _may_sign(self, key: StoredKey, now_ms: int) -> bool:
        in_time = key.kind == STATIC or now_ms < key.created_ms + self.rotation_ms
        return key.state == TRUSTED and in_time
