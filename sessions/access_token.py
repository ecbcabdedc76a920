"""The access token: a JWT of version 5, minted, verified and remembered (docs/protocol.md, section 3)."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeGuard

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ..claims.clock import Clock
from ..claims.payload import JSONObject
from . import signing_key
from .encoding import decoded_object, object_of
from .exceptions import TryRefreshTokenError
from .key_store import DYNAMIC
from .keys import KeyRing
from .session import EngineSession, confirmed_session

MOST_TOKENS = 2_000
LONGEST_TOKEN = 8_192
"""Tokens longer than this many characters are verified anew each time."""


class VerifiedToken(NamedTuple):
    """An access token whose signature and times were good; its payload is shared and must not be changed.

    `kind` is "d" for a token signed with a dynamic key and "s" for one signed with a static key. `session` is the
    session of the token, None if only the database knows it because the token follows a refresh.
    """

    payload: Mapping[str, Any]
    kind: Literal["d", "s"]
    session: EngineSession | None


class Entry(NamedTuple):
    """A remembered token: its content, its expiry, and the key that verified it."""

    verified: VerifiedToken
    expires_ms: float
    kid: str
    key: RSAPublicKey


class TokenCache:
    """At most 2,000 verified tokens in two generations: when the young one is full, it becomes the old one.

    Every operation on the plain dictionaries is atomic, so threads at the same time may lose an entry, but never raise.
    `young` may be read directly, which saves the busiest path a call; a token that is not there may be in the old one.
    """

    def __init__(self, most_tokens: int = MOST_TOKENS) -> None:
        self._half = most_tokens // 2
        self.young: dict[str, Entry] = {}
        self._old: dict[str, Entry] = {}

    def get(self, token: str) -> Entry | None:
        """Return the entry of exactly this token, None if it is not remembered."""
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


IAT_LEEWAY_MS = 5_000
"""How far in the future `iat` and `nbf` may be, because the clocks of hosts differ; `exp` has no leeway."""

VERSION = "5"

_ALPHABET = (string.ascii_letters + string.digits + "-_").encode()
_STRINGS = ("sub", "sessionHandle", "refreshTokenHash1", "rsub", "tId")
_NUMBERS = ("iat", "exp")
_MOST_HEADERS = 256


class AccessTokens:
    """Mints access tokens with the keys of one ring, and verifies tokens that were signed with them.

    Verified tokens are remembered (see TokenCache); their `exp` and key are checked again each time. The caller checks
    anti-CSRF, lineage, tenant, claims and the kind of key.
    """

    def __init__(self, keys: KeyRing, clock: Clock) -> None:
        self._keys = keys
        self._now_ms = clock.now_ms
        self._cache = TokenCache()
        self._kids: dict[str, str] = {}

    def mint(self, payload: Mapping[str, Any], *, static: bool) -> str:
        """Return `payload` as a signed access token, members in the order given; may do I/O."""
        return self._keys.sign(payload, static=static, version=VERSION)

    def candidate(self, token: str) -> bool:
        """Whether `token` has the form of an access token of ours; never raises (docs/protocol.md, rule 3.4)."""
        # A good token has our form, and is remembered, so verifying it next costs nothing.
        try:
            good = token in self._cache.young or self.verify_in_memory(token) is not None
        except (TryRefreshTokenError, TypeError):
            good = False
        return good or self._has_our_form(token)

    def verify_in_memory(self, token: str) -> VerifiedToken | None:
        """Verify `token` without I/O; None if the keys must be read first, TryRefreshTokenError if it is not good."""
        now_ms = self._now_ms()
        trusted = self._keys.trusted(now_ms)
        if trusted is None:
            return None
        entry = self._cache.young.get(token) or self._cache.get(token)
        if entry is not None and trusted.get(entry.kid) is entry.key:
            if entry.expires_ms <= now_ms:
                raise TryRefreshTokenError("the access token has expired")
            return entry.verified
        kid = self._kid_of(token)
        key = trusted.get(kid)
        if key is not None:
            return self._verified(token, kid, key)
        if self._keys.is_cooling_down(now_ms):
            raise TryRefreshTokenError("the access token was signed with an unknown key")
        return None

    def verify(self, token: str) -> VerifiedToken:
        """Verify `token`, reading the keys again if needed; TryRefreshTokenError if it is not good."""
        verified = self.verify_in_memory(token)
        if verified is not None:
            return verified
        kid = self._kid_of(token)
        key = self._keys.look_up(kid)
        if key is None:
            raise TryRefreshTokenError("the access token was signed with an unknown key")
        return self._verified(token, kid, key)

    def _has_our_form(self, token: str) -> bool:
        try:
            self._kid_of(token)
            read_unverified(token)
        except (TryRefreshTokenError, TypeError):
            return False
        return True

    def _kid_of(self, token: str) -> str:
        segment = _segments(token)[0]
        return self._kids.get(segment) or _kid_in(segment)

    def _verified(self, token: str, kid: str, key: RSAPublicKey) -> VerifiedToken:
        try:
            payload = object_of(signing_key.verify(token, key))
        except (jwt.PyJWTError, ValueError):
            raise TryRefreshTokenError("the signature of the access token is not good") from None
        _check_structure(payload)
        expires_ms = self._check_times(payload)
        kind: Literal["d", "s"] = "d" if kid.startswith(DYNAMIC + "-") else "s"
        verified = VerifiedToken(payload, kind, confirmed_session(payload, token))
        self._cache.put(token, Entry(verified, expires_ms, kid, key))
        self._remember_header(token, kid)
        return verified

    def _check_times(self, payload: Mapping[str, Any]) -> float:
        now_ms = self._now_ms()
        expires_ms: float = payload["exp"] * 1000
        if expires_ms <= now_ms:
            raise TryRefreshTokenError("the access token has expired")
        for name in ("iat", "nbf"):
            since = payload.get(name)
            if _is_number(since) and since * 1000 > now_ms + IAT_LEEWAY_MS:
                raise TryRefreshTokenError(f"the access token is not valid yet ({name})")
        return expires_ms

    def _remember_header(self, token: str, kid: str) -> None:
        # Only tokens with a good signature come here, so there are as many headers as keys and versions.
        if len(self._kids) >= _MOST_HEADERS:
            self._kids = {}
        self._kids[token[: token.index(".")]] = kid


def read_unverified(token: str) -> JSONObject:
    """Return the payload of a token that was verified before; TryRefreshTokenError if it is not one of ours."""
    segment = _segments(token)[1]
    try:
        payload = decoded_object(segment)
    except ValueError:
        raise TryRefreshTokenError("the payload of the access token is not a JSON object") from None
    _check_structure(payload)
    return payload


def _segments(token: str) -> list[str]:
    if isinstance(token, str):
        segments = token.split(".")
        # Deleting the alphabet is many times faster than matching it.
        if all(segments) and token.encode("ascii", "replace").translate(None, _ALPHABET) == b"..":
            return segments
    raise TryRefreshTokenError("the access token is not a JWT")


def _kid_in(segment: str) -> str:
    try:
        header = decoded_object(segment)
    except ValueError:
        raise TryRefreshTokenError("the header of the access token is not a JSON object") from None
    kid = header.get("kid")
    # jku, jwk, x5u and x5c are never read; crit demands an extension that is not known here (RFC 7515, 4.1.11).
    expected = header.get("typ") == "JWT" and header.get("alg") == signing_key.ALGORITHM and "crit" not in header
    if not expected or header.get("version", VERSION) != VERSION or not isinstance(kid, str) or not kid:
        raise TryRefreshTokenError("the header of the access token is not one of ours")
    return kid


def _check_structure(payload: Mapping[str, Any]) -> None:
    strings = all(isinstance(payload.get(name), str) for name in _STRINGS)
    numbers = all(_is_number(payload.get(name)) for name in _NUMBERS)
    # OAuth2 access and id tokens are signed with the same keys and have stt 1 and 2.
    if not (strings and numbers and payload.get("stt", 0) == 0):
        raise TryRefreshTokenError("the access token does not have the members of a session")


def _is_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)
