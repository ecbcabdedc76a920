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
from .greeting import startup_lines, startup_warnings
from .keys import require_encryption_key
from .settings import Settings

LEVELS = ("critical", "error", "warning", "info", "debug")

_GRACE_S = 20
"""How long running requests may still take after the server was told to stop."""

_STARTUP_FAILURE = 3  # with this exit code of a worker, uvicorn does not start another one in its place
_WORKER_APP = "coatcheck.server.cli.serve:worker_app"

logger = logging.getLogger("coatcheck.server")


def run_server(settings: Settings) -> None:
    """Serve until a signal arrives, then let running requests finish; a CoatcheckError if it cannot start."""
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
    """Return the application of one worker process; its settings come from the environment."""
    settings = Settings.from_environment(os.environ)
    configure_logging(settings.log_level)
    try:
        return create_app(build_app(settings))
    except CoatcheckError as error:
        logger.critical("%s", error)
        sys.exit(_STARTUP_FAILURE)


def configure_logging(level: str) -> None:
    """Write the log to standard error, times in GMT; `level` is for this library; others never log below info."""
    number = logging.getLevelNamesMapping()[level.upper()]
    formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=max(number, logging.INFO), handlers=[handler], force=True)
    logging.getLogger("coatcheck").setLevel(number)


def _greet(app: App, settings: Settings) -> None:
    for line in startup_lines(app, settings):
        logger.info("%s", line)
    for line in startup_warnings(app, settings):
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
    """Return the token of the testing routes, None if there are none; a newly drawn token is printed once."""
    if not settings.manual_clock or given is not None:
        return given
    token = drawn_token()
    # To standard output: a log may be kept, and its level may leave this line out.
    click.echo(f"{TESTING_HEADER}: {token}")
    return token


def _serve_here(app: App, settings: Settings, taken: socket.socket, *, testing_token: str | None) -> None:
    # When all is done, uvicorn sends itself the signal that stopped it again; the exit code should be 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    server = uvicorn.Server(uvicorn.Config(create_app(app, testing_token=testing_token), **_options(settings)))
    try:
        server.run(sockets=[taken])
    finally:
        app.close()
        logger.info("stopped")


WORKER_ANSWER_S = 60
"""How long a worker may take to answer its supervisor before it is replaced; a busy machine needs more than 5 s."""


class NoDelayProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # a variable, because httptools may be missing
    """HTTP with TCP_NODELAY: the second packet does not wait until the client confirms the first, which takes 40 ms.

    asyncio sets this by itself, but not on the sockets that uvicorn opens for several workers.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set TCP_NODELAY (RFC 1122, section 4.2.3.4) and go on."""
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)


def _serve_in_workers(settings: Settings) -> None:
    settings.to_environment(os.environ)
    uvicorn.run(
        _WORKER_APP,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        timeout_worker_healthcheck=WORKER_ANSWER_S,
        http=NoDelayProtocol,
        **_options(settings),
    )


def _options(settings: Settings) -> dict[str, Any]:
    debug = settings.log_level == "debug"
    return {
        "log_config": None,
        # For one process our own lines say everything; for several, uvicorn says which of them died.
        "log_level": "debug" if debug else "info" if settings.workers > 1 else "warning",
        # Queries hold e-mail addresses and sign-in codes, which must not stay in a log.
        "access_log": debug,
        "ws": "none",
        # Behind a proxy, --api-domain gives the address; forged forwarding headers must not decide anything.
        "proxy_headers": False,
        "server_header": False,
        "timeout_graceful_shutdown": _GRACE_S,
    }


def _end(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)
