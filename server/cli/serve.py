"""`coatcheck serve`: build the App, take the port, reach the database, and only then listen."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from typing import Any, NoReturn

import click
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from ...claims.clock import ManualClock
from ...claims.exceptions import CoatcheckError
from ...recipes.app import App
from ..address import bound, listen
from ..app import create_app
from ..exceptions import OptionsError
from ..stub import stub_providers
from ..testing.guard import TESTING_HEADER, drawn_token, token_of
from .build import build_app, permits_unsafe
from .greeting import cautions, facts
from .keys import require_encryption_key
from .settings import Settings

LEVELS = ("critical", "error", "warning", "info", "debug")


def configure_logging(level: str) -> None:
    """Write the log to standard error, times in GMT; `level` is for this library, others are never below info."""
    number = logging.getLevelNamesMapping()[level.upper()]
    formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=max(number, logging.INFO), handlers=[handler], force=True)
    logging.getLogger("coatcheck").setLevel(number)


GRACE_S = 20
"""How long requests under way may take once the server has been told to stop."""

_STARTUP_FAILURE = 3  # The exit code by which uvicorn knows that starting a worker again would not help.
_WORKER_APP = "coatcheck.server.cli.serve:worker_app"

logger = logging.getLogger("coatcheck.server")


class Undelayed(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # a variable, as httptools may be missing
    """HTTP on connections whose second packet does not wait until the client confirms the first, which takes 40 ms.

    asyncio does this by itself, but not on the sockets that uvicorn opens for several workers.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set TCP_NODELAY (RFC 1122, section 4.2.3.4) and go on."""
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)


def run_server(settings: Settings) -> None:
    """Serve until a signal ends it, and then let requests under way finish; a CoatcheckError if it cannot start."""
    configure_logging(settings.log_level)
    with bound(settings.host, settings.port) as taken:
        settings = replace(settings, port=taken.getsockname()[1])
        app = build_app(settings)
        _refuse_unfit(app, settings)
        given_token = token_of(os.environ) if settings.manual_clock else None
        app.database.ping()
        require_encryption_key(app)
        if settings.workers == 1:
            listen(taken)
        _greet(app, settings)
        if settings.workers == 1:
            _serve_here(app, settings, taken, testing_token=_testing_token(settings, given_token))
    if settings.workers > 1:
        app.close()
        _serve_in_workers(settings)


def worker_app() -> Starlette:
    """Return what one worker process serves; its settings come through the environment."""
    settings = Settings.from_environment(os.environ)
    configure_logging(settings.log_level)
    try:
        return create_app(build_app(settings))
    except CoatcheckError as error:
        logger.critical("%s", error)
        sys.exit(_STARTUP_FAILURE)


def _greet(app: App, settings: Settings) -> None:
    for line in facts(app, settings):
        logger.info("%s", line)
    for line in cautions(app, settings):
        logger.warning("%s", line)


def _refuse_unfit(app: App, settings: Settings) -> None:
    if settings.workers > 1 and app.database.inline:
        raise OptionsError("several workers cannot share a database in memory: name a file or PostgreSQL")
    if app.unsafe_for_tests and not permits_unsafe(settings):
        raise OptionsError(
            f"--recipes {settings.recipes} is an App made with unsafe_for_tests=True: "
            f"serve it on 127.0.0.1 only, not on {settings.host}"
        )
    if settings.workers > 1 and isinstance(app.clock, ManualClock):
        raise OptionsError("a manual clock is moved in one process: leave --workers at 1")
    if settings.workers > 1 and stub_providers(app):
        raise OptionsError("stub providers keep their codes in one process: leave --workers at 1")


def _testing_token(settings: Settings, given: str | None) -> str | None:
    """Return the token of the testing routes, None where there are none; one that was drawn is printed, once."""
    if not settings.manual_clock or given is not None:
        return given
    token = drawn_token()
    # To standard output: a log may be kept, and may be set to a level at which this line would be missing.
    click.echo(f"{TESTING_HEADER}: {token}")
    return token


def _serve_here(app: App, settings: Settings, taken: socket.socket, *, testing_token: str | None) -> None:
    # uvicorn sends itself the signal that stopped it once more when all is done; a normal end is what was asked for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    server = uvicorn.Server(uvicorn.Config(create_app(app, testing_token=testing_token), **_options(settings)))
    try:
        server.run(sockets=[taken])
    finally:
        app.close()
        logger.info("stopped")


def _serve_in_workers(settings: Settings) -> None:
    settings.to_environment(os.environ)
    uvicorn.run(
        _WORKER_APP,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http=Undelayed,
        **_options(settings),
    )


def _options(settings: Settings) -> dict[str, Any]:
    debug = settings.log_level == "debug"
    return {
        "log_config": None,
        # Of one process uvicorn has nothing to tell that is not told here; of several, which of them died.
        "log_level": "debug" if debug else "info" if settings.workers > 1 else "warning",
        # Queries hold e-mail addresses and sign-in codes, which are nobody's business in a log that is kept.
        "access_log": debug,
        "ws": "none",
        # Who sits behind a proxy says so with --api-domain; forged forwarding headers must not decide anything.
        "proxy_headers": False,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE_S,
    }


def _end(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)
