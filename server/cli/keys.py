"""The signing keys of a database, for the command line: checks before use, a table, the outcome of a rotation."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from ...recipes.app import ENCRYPTION_KEY_VARIABLE, App
from ...sessions.engines import parse_url
from ...sessions.exceptions import SigningKeyError
from ...sessions.key_store import DYNAMIC
from ...sessions.keys import OVERLAP_MS, KeyInfo
from ..exceptions import EncryptionKeyError, NoDatabaseError

_HEADINGS = ("KID", "KIND", "CREATED (GMT)", "STATE")


def require_database(app: App) -> None:
    """Raise NoDatabaseError if using the App's database would make a new, empty one."""
    if app.database.inline:
        raise NoDatabaseError("a database in memory has no keys to look at: name the one that is served, --database")
    url = parse_url(app.database.url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise NoDatabaseError(f"there is no database {Path(url.database or '').absolute()}: check --database")


def require_encryption_key(app: App) -> None:
    """Raise EncryptionKeyError if the database's secrets cannot be opened.

    Otherwise the database could end up with unencrypted keys among encrypted ones.
    """
    try:
        app.keys.master_secret()
        for key in app.keys.list():
            if key.status == "signing":
                app.keys.sign({}, static=not _is_dynamic(key))
    except SigningKeyError as error:
        raise EncryptionKeyError(f"{error} (it is read from {ENCRYPTION_KEY_VARIABLE})") from error


def table(keys: Iterable[KeyInfo]) -> str:
    """Return the keys as a table with aligned columns."""
    rows = [_HEADINGS, *(_row(key) for key in keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def outcome(key: KeyInfo, *, revoke: bool) -> str:
    """Return a sentence that says what a rotation that made `key` means for the tokens in use."""
    if revoke:
        return (
            f"{key.kid} signs from now on. All earlier keys are revoked: running servers stop trusting them within a "
            "minute, and clients then refresh their sessions."
        )
    minutes = OVERLAP_MS // 60_000
    return f"{key.kid} is published and will sign in {minutes} minutes at the latest; earlier keys go on verifying."


def _is_dynamic(key: KeyInfo) -> bool:
    return key.kid.startswith(f"{DYNAMIC}-")


def _row(key: KeyInfo) -> tuple[str, str, str, str]:
    kind = "dynamic" if _is_dynamic(key) else "static"
    created = datetime.fromtimestamp(key.created_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (key.kid, kind, created, key.status)
