"""The codes and access tokens of a stub provider (RFC 6749, sections 4.1 and 10.5; RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from dataclasses import dataclass, field
from hmac import compare_digest

from ...claims.clock import current_clock
from .personas import Persona

CODE_LIFETIME_MS = 60_000
ACCESS_TOKEN_LIFETIME_MS = 3_600_000


class GrantError(Exception):
    """A code that cannot be redeemed; the message goes into `error_description`."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a code stands for, and everything it is bound to."""

    persona: Persona
    client_id: str
    redirect_uri: str
    scope: str = ""
    challenge: str | None = None
    nonce: str | None = None
    expires_ms: int = 0


@dataclass(frozen=True, slots=True)
class AccessToken:
    """Whom an access token speaks for, and the client that it was issued to."""

    persona: Persona
    client_id: str
    scope: str
    expires_ms: int


@dataclass(slots=True)
class Grants:
    """The codes and tokens that one stub provider has issued; all in memory, expired ones are forgotten."""

    _codes: dict[str, Authorization] = field(default_factory=dict)
    _tokens: dict[str, AccessToken] = field(default_factory=dict)
    _redeemed: dict[str, str] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def issue_code(self, authorization: Authorization) -> str:
        """Return a new one-time code."""
        now = current_clock.get().now_ms()
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._codes = {code: known for code, known in self._codes.items() if known.expires_ms > now}
            self._codes[code] = authorization
        return code

    def redeem(self, code: str, *, client_id: str, redirect_uri: str, verifier: str) -> tuple[Authorization, str]:
        """Exchange a code for what it stands for and an access token; the code is spent even if refused."""
        with self._lock:
            known = self._codes.pop(code, None)
            if known is None:
                # RFC 6749, section 4.1.2: what a replayed code had bought is taken back.
                self._tokens.pop(self._redeemed.pop(code, ""), None)
                raise GrantError("the code is unknown or was used before")
            _check(known, client_id, redirect_uri, verifier)
            token = self.issue_token(known.persona, client_id, known.scope)
            self._redeemed[code] = token
        return known, token

    def issue_token(self, persona: Persona, client_id: str, scope: str) -> str:
        """Return a new access token."""
        now = current_clock.get().now_ms()
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens = {token: known for token, known in self._tokens.items() if known.expires_ms > now}
            self._redeemed = {code: token for code, token in self._redeemed.items() if token in self._tokens}
            self._tokens[token] = AccessToken(persona, client_id, scope, now + ACCESS_TOKEN_LIFETIME_MS)
        return token

    def token(self, token: str) -> AccessToken | None:
        """Return what an access token stands for, None where it is unknown or expired."""
        known = self._tokens.get(token)
        return known if known is not None and known.expires_ms > current_clock.get().now_ms() else None


def _check(known: Authorization, client_id: str, redirect_uri: str, verifier: str) -> None:
    if known.expires_ms <= current_clock.get().now_ms():
        raise GrantError("the code has expired")
    if known.client_id != client_id:
        raise GrantError("the code was issued to another client")
    if known.redirect_uri != redirect_uri:
        raise GrantError("redirect_uri is not the one of the authorization request")
    if known.challenge is None:
        # RFC 9700, section 2.1.1: a verifier without a challenge is a sign of a downgrade.
        if verifier:
            raise GrantError("a code_verifier was sent, but no code_challenge before")
    elif not verifier:
        raise GrantError("the code_verifier is missing")
    elif not compare_digest(s256(verifier).encode(), known.challenge.encode()):
        raise GrantError("the code_verifier does not match the code_challenge")


def s256(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
