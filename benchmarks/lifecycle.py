"""What it costs to create and to refresh a session on each kind of database, compared with one RSA-2048 signature.

Each of them signs one access token; a refresh reads and writes the session's row as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apps import PAYLOAD, active_app, bare_sign, databases, new_session
from measure import Contender, Size, race, ratio, seconds
from table import Row

from coatcheck import RecipeUserId
from coatcheck.recipes import session

GROUP = "sessions"
SIGN = "RSA sign"
REFRESH_TARGETS = {"memory": 2.0, "SQLite file": 2.6}


def measured(size: Size, *, postgres: str | None) -> Iterable[Row]:
    """Yield the rows of this group."""
    with databases(postgres) as urls:
        for name, url in urls.items():
            with active_app(url):
                yield from _measured(size, name)


def _measured(size: Size, database: str) -> Iterable[Row]:
    count = size.slow
    plain, awaited = session.sync, session
    create, refresh = "create_new_session", "refresh_session"
    contenders = {
        SIGN: bare_sign(count),
        f"{create} .sync": Contender(_creating(plain.create_new_session_without_request_response), count),
        f"{create} async": Contender(
            _creating(awaited.create_new_session_without_request_response), count, is_async=True
        ),
        f"{refresh} .sync": Contender(plain.refresh_session_without_request_response, count, refresh_tokens),
        f"{refresh} async": Contender(awaited.refresh_session_without_request_response, count, refresh_tokens, True),
    }
    laps = race(contenders, rounds=size.rounds)
    for name in contenders:
        if name == SIGN:
            continue
        target = REFRESH_TARGETS.get(database) if name == f"{refresh} .sync" else None
        yield Row(GROUP, f"{name}, {database}", seconds(laps, name), ratio(laps, name, SIGN), SIGN, most=target)


def _creating(function: Any) -> Any:
    user = RecipeUserId("user")
    return lambda _: function("public", user, PAYLOAD)


def refresh_tokens(count: int) -> list[str]:
    """Return refresh tokens to spend, each the child of a spent one: the usual case, which confirms its parent."""
    spent = [new_session().get_all_session_tokens_dangerously()["refreshToken"] for _ in range(count)]
    refreshed = (session.sync.refresh_session_without_request_response(token) for token in spent)
    return [one.get_all_session_tokens_dangerously()["refreshToken"] for one in refreshed]
