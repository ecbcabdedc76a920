"""What can be done with stored sessions without their tokens: read, change, list, revoke, clean up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from ..claims.clock import Clock
from ..claims.payload import merged, refuse_protected, without_protected
from . import rows as session_rows
from .clean_up import CleanUp
from .database import Database
from .engine_payload import from_json, to_json
from .session import Directory, SessionInformation


class SessionRecords:
    """The stored sessions, by handle and by user; a session that has expired is no session."""

    def __init__(self, database: Database, clock: Clock, *, directory: Directory) -> None:
        self._database = database
        self._clock = clock
        self._directory = directory
        self._clean_up = CleanUp(database, clock, kind="sessions", delete_batch=session_rows.remove_expired)

    def begin(self, connection: Connection) -> None:
        """Begin to count the clean-ups of a database in which nobody has, in the caller's transaction."""
        self._clean_up.begin(connection)

    def information(self, handle: str) -> SessionInformation | None:
        """Return what is stored about a session, or None if there is none."""
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

    def update_payload(self, handle: str, payload: Mapping[str, Any] | None) -> bool:
        """Replace the custom claims of a session; False if there is no such session.

        Access tokens already issued keep the old claims. Raises ProtectedClaimError.
        """
        refuse_protected(payload or {})
        text, now_ms = to_json(payload), self._clock.now_ms()
        return self._database.write(lambda connection: session_rows.set_payload(connection, handle, text, at_ms=now_ms))

    def merge_payload(self, handle: str, update: Mapping[str, Any]) -> bool:
        """Lay `update` over the custom claims, None removing a key; False if there is no such session.

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

    def _handles(
        self, connection: Connection, user_id: str, linked: bool, tenant_id: str | None, now_ms: int
    ) -> list[str]:
        ids = [user_id]
        if linked:
            ids = list(dict.fromkeys([user_id, *self._directory.login_method_ids(connection, user_id)]))
        return session_rows.handles_of(connection, ids, tenant_id=tenant_id, at_ms=now_ms)
