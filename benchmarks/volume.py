"""What each operation costs with many stored sessions, compared with few: the same code, two databases."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from apps import active_app, databases, new_session
from lifecycle import refresh_tokens
from measure import Contender, Size, race, ratio, seconds
from sqlalchemy import create_engine, insert
from table import Row

from coatcheck import App
from coatcheck.recipes import session
from coatcheck.sessions.rows import table

GROUP = "volume"
BATCH = 10_000
DAY_MS = 86_400_000


def measured(size: Size, *, rows: Sequence[int], postgres: str | None) -> Iterable[Row]:
    """Yield the rows of this group: `rows` are the numbers of sessions, the first is what others are compared with."""
    with databases(postgres) as small:
        for name in small:
            if name != "memory":
                yield from _measured(size, name, rows, postgres)


def _measured(size: Size, database: str, rows: Sequence[int], postgres: str | None) -> Iterable[Row]:
    with ExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for number in rows:
            url = stack.enter_context(databases(postgres))[database]
            app = stack.enter_context(active_app(url))
            fill(app, number)
            settle(url)
            contenders |= {f"{name} {number}": one for name, one in _operations(app, size.slow).items()}
        laps = race(contenders, rounds=size.rounds)
    few = rows[0]
    for many in rows[1:]:
        for name in ("create", "verify", "refresh", "revoke"):
            subject, yardstick = f"{name} {many}", f"{name} {few}"
            against = f"with {few:,} sessions"
            what = f"{name} with {many:,} sessions, {database}"
            yield Row(GROUP, what, seconds(laps, subject), ratio(laps, subject, yardstick), against, most=1.3)


def _operations(app: App, count: int) -> dict[str, Contender]:
    verify, revoke = session.sync.get_session_without_request_response, session.sync.revoke_session

    def of(app: App, function: Any) -> Any:
        def act(item: Any) -> Any:
            with app.active():
                return function(item)

        return act

    def handles(number: int) -> list[str]:
        return [new_session().session_handle for _ in range(number)]

    def tokens_to_confirm(number: int) -> list[str]:
        return [one.access_token for one in map(session.sync.refresh_session_without_request_response, _first(number))]

    return {
        "create": Contender(of(app, new_session), count),
        "verify": Contender(of(app, verify), count, of(app, tokens_to_confirm)),
        "refresh": Contender(
            of(app, session.sync.refresh_session_without_request_response), count, of(app, refresh_tokens)
        ),
        "revoke": Contender(of(app, revoke), count, of(app, handles)),
    }


def _first(number: int) -> Iterator[str]:
    for _ in range(number):
        yield new_session().get_all_session_tokens_dangerously()["refreshToken"]


def fill(app: App, number: int) -> None:
    """Store `number` sessions of as many users, written straight into the table and spread over a hundred days."""
    now_ms = app.clock.now_ms()
    app.database.ping()
    for start in range(0, number, BATCH):
        batch = [_row(now_ms, index) for index in range(start, min(start + BATCH, number))]
        app.database.write(lambda connection, batch=batch: connection.execute(insert(table), batch))


def settle(url: str) -> None:
    """Let the database do now what it would otherwise do in the background, while the race is on."""
    statements = (
        ("ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)") if url.startswith("sqlite") else ("VACUUM ANALYZE", "CHECKPOINT")
    )
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def _row(now_ms: int, index: int) -> dict[str, Any]:
    created = now_ms - index % 100 * DAY_MS
    return {
        "handle": f"{secrets.token_hex(4)}-0000-4000-8000-{index:012d}",
        "tenant_id": "public",
        "recipe_user_id": f"user-{index}",
        "cur": secrets.token_hex(32),
        "salt": "",
        "salt_drawn_at": 0,
        "session_data": "{}",
        "payload": '{"iss":"http://localhost:3567/auth","2fa-completed":{"v":false,"t":1700000000000}}',
        "expires_at": created + 100 * DAY_MS + 3_600_000,
        "created_at": created,
        "use_static_key": False,
    }
