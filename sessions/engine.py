"""The session engine creates, verifies, refreshes, changes and revokes sessions, each in a transaction without locks.

Tokens are signed after the transaction, so that no connection waits for RSA.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from ..claims.clock import Clock
from ..claims.payload import PROTECTED, merged, refuse_protected, without_protected
from ..claims.recipe_user_id import RecipeUserId
from . import rotation, rows as session_rows
from .access_token import AccessTokens, read_unverified
from .clean_up import CleanUp
from .database import Database
from .exceptions import TokenTheftError, UnauthorisedError
from .keys import KeyRing
from .refresh_token import RefreshToken, RefreshTokens, hex_hash, new_handle
from .rows import NO_SALT, SessionRow
from .session import (
    Directory,
    EngineSession,
    Pairing,
    SessionInformation,
    TokenInfo,
    access_payload,
    claims_differ,
    confirmed_session,
    from_json,
    pairing_of,
    session_of,
    to_json,
)


class SessionEngine:
    """Sessions with their tokens, in one database; an expired session counts as none. Times are in milliseconds.

    Without `absolute_lifetime_ms` a session lives as long as it is refreshed every `refresh_token_validity_ms`.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        keys: KeyRing,
        tokens: AccessTokens,
        directory: Directory,
        access_token_validity_ms: int,
        refresh_token_validity_ms: int,
        absolute_lifetime_ms: int | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._directory = directory
        self._keys = keys
        self._access_tokens = tokens
        self._lifetimes = rotation.Lifetimes(access_token_validity_ms, refresh_token_validity_ms, absolute_lifetime_ms)
        self._refresh_tokens: RefreshTokens | None = None
        self._clean_up = CleanUp(database, clock, kind="sessions", delete_batch=session_rows.remove_expired)

    def create(
        self,
        *,
        tenant_id: str,
        recipe_user_id: str,
        payload: Mapping[str, Any] | None,
        data: Mapping[str, Any] | None,
        anti_csrf: bool,
        static: bool,
    ) -> EngineSession:
        """Store a new session and return it with its tokens; raises ProtectedClaimError."""
        refuse_protected(payload or {})
        now_ms = self._clock.now_ms()
        token = self._chain().first(new_handle(tenant_id), anti_csrf=anti_csrf)
        row = SessionRow(
            handle=token.handle,
            tenant_id=tenant_id,
            recipe_user_id=recipe_user_id,
            cur=token.hash2,
            salt=NO_SALT,
            salt_drawn_at=0,
            session_data=to_json(data),
            payload=to_json(payload),
            expires_at=self._lifetimes.refresh_expiry(now_ms, now_ms),
            created_at=now_ms,
            use_static_key=static,
        )
        user_id = self._database.write(lambda connection: self._add(connection, row))
        session = self._issued(row, user_id, token, now_ms)
        self._clean_up.after_write()
        return session

    def verify(self, payload: Mapping[str, Any], token: str, *, check_database: bool) -> EngineSession:
        """Return the session of an access token whose signature was verified (docs/protocol.md, rule 6.4).

        The first use of a token from a refresh confirms that refresh, and gives the session a new access token. Raises
        UnauthorisedError if the session is gone; never reports theft.
        """
        session = None if check_database else confirmed_session(payload, token)
        if session is not None:
            return session
        pairing = pairing_of(payload)
        now_ms = self._clock.now_ms()
        row = self._used(payload["sessionHandle"], pairing, now_ms)
        paired = pairing.parent_hash1 is not None and rotation.is_confirmed(row, hex_hash(pairing.hash1))
        if not paired and not (check_database and claims_differ(payload, row.payload)):
            return session_of(payload, token, updated=False)
        confirmed = Pairing(pairing.hash1, None, pairing.anti_csrf_token)
        expires_ms = self._lifetimes.access_expiry(now_ms, row.created_at)
        fresh = access_payload(row, payload["sub"], confirmed, issued_ms=now_ms, expires_ms=expires_ms)
        return self._signed(row, fresh)

    def refresh(
        self,
        refresh_token: str,
        *,
        anti_csrf_token: str | None,
        check_anti_csrf: bool,
        anti_csrf: bool,
        static: bool | None,
    ) -> EngineSession:
        """Spend a refresh token and return the session with new tokens (docs/protocol.md, rule 6.5).

        `anti_csrf` demands a new anti-CSRF token, `static` a kind of signing key (None: as stored). Raises
        UnauthorisedError, or TokenTheftError if the token is neither the confirmed one nor its child.
        """
        token = self._chain().read(refresh_token)
        if check_anti_csrf:
            self._check_anti_csrf(token, anti_csrf_token)
        now_ms = self._clock.now_ms()
        row, user_id = self._database.write(lambda connection: self._spend(connection, token, static, now_ms))
        if not rotation.is_confirmed(row, token.hash2):
            raise TokenTheftError(user_id, RecipeUserId(row.recipe_user_id), row.handle)
        if not from_json(row.payload).keys().isdisjoint(PROTECTED):
            raise UnauthorisedError("the stored payload of the session contains a protected field")
        child = self._chain().child(token, bytes.fromhex(row.salt), anti_csrf=anti_csrf)
        return self._issued(row, user_id, child, now_ms)

    def tenant_of(self, refresh_token: str) -> str:
        """Return the tenant of a refresh token, spent or not; UnauthorisedError if it is no token of ours."""
        return self._chain().read(refresh_token).tenant_id

    def regenerate(
        self, token: str, payload: Mapping[str, Any] | None
    ) -> tuple[EngineSession, TokenInfo | None] | None:
        """Replace the custom claims of the session of an access token, and mint a new token with them.

        The new token keeps expiry and pairing. If the old token has expired, the claims are stored, but no token is
        minted. Returns None if there is no such session. Raises ProtectedClaimError.
        """
        refuse_protected(payload or {})
        claims, text, now_ms = read_unverified(token), to_json(payload), self._clock.now_ms()

        def work(connection: Connection) -> SessionRow | None:
            handle = claims["sessionHandle"]
            stored = session_rows.set_payload(connection, handle, text, at_ms=now_ms)
            return session_rows.find(connection, handle, at_ms=now_ms) if stored else None

        row = self._database.write(work)
        if row is None:
            return None
        expires_ms = int(claims["exp"]) * 1000
        fresh = access_payload(row, claims["sub"], pairing_of(claims), issued_ms=now_ms, expires_ms=expires_ms)
        if expires_ms <= now_ms:
            return session_of(fresh, token, updated=False), None
        session = self._signed(row, fresh)
        return session, TokenInfo(session.access_token, expires_ms, fresh["iat"] * 1000)

    def information(self, handle: str) -> SessionInformation | None:
        """Return what is stored about a session, None if there is no such session."""
        now_ms = self._clock.now_ms()

        def work(connection: Connection) -> SessionInformation | None:
            row = session_rows.find(connection, handle, at_ms=now_ms)
            if row is None:
                return None
            return SessionInformation(
                session_handle=row.handle,
                user_id=self._directory.primary_id(connection, row.recipe_user_id),
                recipe_user_id=row.recipe_user_id,
                session_data_in_database=from_json(row.session_data),
                expiry=row.expires_at,
                custom_claims_in_access_token_payload=without_protected(from_json(row.payload)),
                time_created=row.created_at,
                tenant_id=row.tenant_id,
            )

        return self._database.read(work)

    def update_data(self, handle: str, data: Mapping[str, Any] | None) -> bool:
        """Replace the data of a session, by `{}` if None is given; False if there is no such session."""
        text, now_ms = to_json(data), self._clock.now_ms()
        return self._database.write(lambda connection: session_rows.set_data(connection, handle, text, at_ms=now_ms))

    def merge_payload(self, handle: str, update: Mapping[str, Any]) -> bool:
        """Change the custom claims by `update`, in which None removes a key; False if there is no such session.

        Raises ProtectedClaimError.
        """
        now_ms = self._clock.now_ms()

        def change(stored: str) -> str:
            return to_json(merged(from_json(stored), update))

        return self._database.write(
            lambda connection: session_rows.alter_payload(connection, handle, change, at_ms=now_ms)
        )

    def handles_of(self, user_id: str, *, linked: bool, tenant_id: str | None) -> list[str]:
        """Return the handles of a user's sessions, oldest first; with `linked`, of all login methods of that user."""
        now_ms = self._clock.now_ms()
        return self._database.read(lambda connection: self._handles(connection, user_id, linked, tenant_id, now_ms))

    def revoke(self, handle: str) -> bool:
        """Delete a session; False if there was none (an expired one counts)."""
        return self._database.write(lambda connection: session_rows.remove(connection, handle))

    def revoke_many(self, handles: Iterable[str]) -> list[str]:
        """Delete sessions and return the handles of those that existed."""
        wanted = list(handles)
        return self._database.write(lambda connection: session_rows.remove_many(connection, wanted))

    def revoke_all(self, user_id: str, *, linked: bool, tenant_id: str | None) -> list[str]:
        """Delete the sessions that `handles_of` lists and return their handles."""
        now_ms = self._clock.now_ms()

        def work(connection: Connection) -> list[str]:
            handles = self._handles(connection, user_id, linked, tenant_id, now_ms)
            return session_rows.remove_many(connection, handles)

        return self._database.write(work)

    def clean_up(self) -> int:
        """Delete every expired session and return how many there were."""
        return self._clean_up.run()

    def seed_rows(self, connection: Connection) -> None:
        """Store the present time as that of the last clean-up, in a database that has none."""
        self._clean_up.seed_row(connection)

    def _chain(self) -> RefreshTokens:
        # Two threads may both derive the keys; the results are equal.
        if self._refresh_tokens is None:
            self._refresh_tokens = RefreshTokens(self._keys.master_secret())
        return self._refresh_tokens

    def _add(self, connection: Connection, row: SessionRow) -> str:
        session_rows.add(connection, row)
        return self._directory.primary_id(connection, row.recipe_user_id)

    def _used(self, handle: str, pairing: Pairing, now_ms: int) -> SessionRow:
        def decide(row: SessionRow) -> SessionRow:
            expires_at = self._lifetimes.refresh_expiry(now_ms, row.created_at)
            return rotation.confirmed(row, pairing.hash1, pairing.parent_hash1, expires_at=expires_at)

        transaction = self._database.write if pairing.parent_hash1 else self._database.read
        row = transaction(lambda connection: session_rows.settle(connection, handle, decide, at_ms=now_ms))
        if row is None:
            raise UnauthorisedError("the session does not exist")
        return row

    def _spend(
        self, connection: Connection, token: RefreshToken, static: bool | None, now_ms: int
    ) -> tuple[SessionRow, str]:
        def decide(row: SessionRow) -> SessionRow:
            expires_at = self._lifetimes.refresh_expiry(now_ms, row.created_at)
            return rotation.spent(row, token, static=static, now_ms=now_ms, expires_at=expires_at)

        row = session_rows.settle(connection, token.handle, decide, at_ms=now_ms)
        if row is None:
            raise UnauthorisedError("the session does not exist or has expired")
        return row, self._directory.primary_id(connection, row.recipe_user_id)

    def _check_anti_csrf(self, token: RefreshToken, given: str | None) -> None:
        expected = self._chain().anti_csrf_token(token)
        if expected is not None and not hmac.compare_digest(expected.encode(), (given or "").encode(errors="replace")):
            raise UnauthorisedError("the anti-csrf token is missing or wrong")

    def _issued(self, row: SessionRow, user_id: str, token: RefreshToken, now_ms: int) -> EngineSession:
        pairing = Pairing(token.hash1, token.parent_hash1, self._chain().anti_csrf_token(token))
        expires_ms = self._lifetimes.access_expiry(now_ms, row.created_at)
        payload = access_payload(row, user_id, pairing, issued_ms=now_ms, expires_ms=expires_ms)
        expiry = self._lifetimes.refresh_expiry(now_ms, row.created_at)
        return self._signed(row, payload, TokenInfo(token.text, expiry, now_ms))

    def _signed(
        self, row: SessionRow, payload: Mapping[str, Any], refresh_token: TokenInfo | None = None
    ) -> EngineSession:
        token = self._access_tokens.mint(payload, static=row.use_static_key)
        return session_of(payload, token, updated=True, refresh_token=refresh_token)

    def _handles(
        self, connection: Connection, user_id: str, linked: bool, tenant_id: str | None, now_ms: int
    ) -> list[str]:
        ids = [user_id]
        if linked:
            ids = list(dict.fromkeys([user_id, *self._directory.login_method_ids(connection, user_id)]))
        return session_rows.handles_of(connection, ids, tenant_id=tenant_id, at_ms=now_ms)
