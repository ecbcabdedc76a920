"""What `coatcheck keys` shows and does: the signing keys of a database that is there already."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from ..recipes.app import App
from ..sessions.database_url import parse_url
from ..sessions.key_schedule import OVERLAP_MS
from ..sessions.key_store import DYNAMIC
from ..sessions.keys import KeyInfo
from .exceptions import NoDatabaseError

_HEADINGS = ("KID", "KIND", "CREATED (GMT)", "STATE")


def require_database(app: App) -> None:
    """Raise NoDatabaseError where using the App's database would make a new, empty one."""
    if app.database.inline:
        raise NoDatabaseError("a database in memory has no keys to look at: name the one that is served, --database")
    url = parse_url(app.database.url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise NoDatabaseError(f"there is no database {Path(url.database or '').absolute()}: check --database")


def table(keys: Iterable[KeyInfo]) -> str:
    """Return the keys as a table with aligned columns."""
    rows = [_HEADINGS, *(_row(key) for key in keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def outcome(key: KeyInfo, *, revoke: bool) -> str:
    """Return what a rotation that made `key` means for the tokens in use."""
    if revoke:
        return (
            f"{key.kid} signs from now on. All earlier keys are revoked: running servers stop trusting them within a "
            "minute, and clients then refresh their sessions."
        )
    minutes = OVERLAP_MS // 60_000
    return f"{key.kid} is published and will sign in {minutes} minutes at the latest; earlier keys go on verifying."


def _row(key: KeyInfo) -> tuple[str, str, str, str]:
    kind = "dynamic" if key.kid.startswith(f"{DYNAMIC}-") else "static"
    created = datetime.fromtimestamp(key.created_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (key.kid, kind, created, key.status)
