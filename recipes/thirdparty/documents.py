"""What a provider publishes about itself: the discovery document and the key set, fetched when needed and kept."""

from __future__ import annotations

from typing import Any

from ...claims.clock import current_clock
from ...claims.payload import JSONObject
from .http import ProviderHTTP

WELL_KNOWN = "/.well-known/openid-configuration"
DISCOVERY_LIFETIME_MS = 24 * 3_600_000
KEYS_LIFETIME_MS = 3_600_000
COOLDOWN_MS = 30_000
"""How long a key set is not fetched again for a key it lacks, so that made-up key ids cannot cause a flood."""


class ProviderDocuments:
    """The documents of one provider, kept in memory; plain blocking code, called inside `blocking`."""

    def __init__(self, http: ProviderHTTP) -> None:
        self.http = http
        self._kept: dict[str, tuple[int, JSONObject]] = {}

    def discovery(self, address: str) -> JSONObject:
        """Return the discovery document of a provider; its address may lack the well-known part."""
        url = address if WELL_KNOWN in address else address.rstrip("/") + WELL_KNOWN
        return self._document(url, DISCOVERY_LIFETIME_MS)

    def keys(self, jwks_uri: str, key_id: str | None) -> list[JSONObject]:
        """Return the keys that may have made a signature: those with this id or, without an id, all."""
        found = _with_id(self._document(jwks_uri, KEYS_LIFETIME_MS), key_id)
        return found or _with_id(self._document(jwks_uri, COOLDOWN_MS), key_id)

    def _document(self, url: str, lifetime_ms: int) -> JSONObject:
        now_ms = current_clock.get().now_ms()
        kept = self._kept.get(url)
        if kept is not None and now_ms - kept[0] < lifetime_ms:
            return kept[1]
        document: Any = self.http.get(url)
        if not isinstance(document, dict):
            raise self.http.failure(f"{url} is not a JSON object")
        self._kept[url] = (now_ms, document)
        return document


def _with_id(key_set: JSONObject, key_id: str | None) -> list[JSONObject]:
    listed = key_set.get("keys")
    keys = [key for key in listed if isinstance(key, dict)] if isinstance(listed, list) else []
    signing = [key for key in keys if key.get("use", "sig") == "sig"]
    return [key for key in signing if key_id is None or key.get("kid") == key_id]
