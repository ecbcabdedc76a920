"""The testing route of the clock: what time it is, and moving it forward."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ...claims.clock import Clock, ManualClock
from ...recipes.exceptions import BadInputError
from ...recipes.kit.routing import ApiResponse
from ...recipes.kit.services import current_app
from .body import LATEST_MS, ClockMove, NoQuery, body_of, only_one, query_of

logger = logging.getLogger("coatcheck.server")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ClockRoute(HTTPEndpoint):
    """`GET clock`, `POST clock`."""

    async def get(self, request: Request) -> Response:
        """Answer with the time of the App."""
        query_of(request, NoQuery)
        return _time(current_app().clock)

    async def post(self, request: Request) -> Response:
        """Move the clock by seconds or to a time, never backwards."""
        query_of(request, NoQuery)
        move = await body_of(request, ClockMove)
        only_one(move, "advance_seconds", "now_ms")
        clock = current_app().clock
        if not isinstance(clock, ManualClock):
            raise HTTPException(
                409, "this App follows the clock of the system: serve it with --manual-clock, or give it a ManualClock"
            )
        clock.advance(_seconds(move, clock.now_ms()))
        logger.info("the clock was moved to %s", _text(clock.now_ms()))
        return _time(clock)


def _seconds(move: ClockMove, now_ms: int) -> float:
    if move.now_ms is not None and move.now_ms < now_ms:
        raise BadInputError(f"now_ms is {move.now_ms}, but it is {now_ms} already, and time only moves forward")
    seconds = (move.now_ms - now_ms) / 1000 if move.now_ms is not None else move.advance_seconds or 0.0
    if now_ms + seconds * 1000 > LATEST_MS:
        raise BadInputError(f"that is beyond the last moment the clock can show, {_text(LATEST_MS)}")
    return seconds


def _time(clock: Clock) -> Response:
    now_ms = clock.now_ms()
    manual = isinstance(clock, ManualClock)
    return ApiResponse({"status": "OK", "now_ms": now_ms, "now": _text(now_ms), "manual": manual})


def _text(ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
