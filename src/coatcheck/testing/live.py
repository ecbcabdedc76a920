"""A server on a free port while a block runs: real HTTP, for browsers and for programs outside this process."""

from __future__ import annotations

import contextvars
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref import simple_server

import uvicorn
from starlette.types import ASGIApp

from ..claims.clock import current_clock
from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..server.address import bound, listen
from .server_under_test import Application, LiveServer, ServerUnderTest

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


_STOP_S = 5
"""How many seconds running requests have to end after `stop`."""

_START_S = 30
"""How many seconds the startup of the application may take."""

_POLL_S = 0.02
_logger = logging.getLogger("coatcheck.server")


@contextmanager
def live_server(
    app: Application | None = None,
    *,
    build: Callable[[str], Application] | None = None,
    coatcheck: App | None = None,
    host: str = "localhost",
) -> Iterator[LiveServer]:
    """Serve an application on a free port of this machine until the block ends.

    `app` is anything that `client` takes, too. uvicorn serves ASGI, the standard library serves WSGI, each in a thread
    that ends with the block. If the App must know its address (`api_domain`), pass `build`, a function that gets the
    address and returns the application. RuntimeError if the application does not start.
    """
    if (app is None) == (build is None):
        raise ConfigurationError("live_server needs either an application or build=..., a function of its address")
    with bound(host, 0) as listening:
        url = f"http://{host}:{listening.getsockname()[1]}"
        under_test = ServerUnderTest.of(app if build is None else build(url), coatcheck)
        server = ASGIServer(under_test.application) if under_test.is_asgi else WSGIServer(under_test.application)
        listen(listening)
        context = contextvars.copy_context()
        context.run(current_clock.set, under_test.coatcheck.clock)
        thread = threading.Thread(
            target=context.run, args=(server.serve_on, listening), name="coatcheck-live", daemon=True
        )
        thread.start()
        try:
            if not server.ready.wait(_START_S) or server.failure is not None:
                raise RuntimeError("the application did not start: its log says why") from server.failure
            yield LiveServer(url, under_test.coatcheck)
        finally:
            server.stop()
            thread.join()


class ASGIServer(uvicorn.Server):
    """Serves an ASGI application; `ready` is set when it answers, or when `failure` holds the reason why not."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_STOP_S,
            )
        )
        self.ready = threading.Event()
        self.failure: BaseException | None = None

    def serve_on(self, listening: socket.socket) -> None:
        """Serve until `stop` is called."""
        try:
            self.run(sockets=[listening])
        except BaseException as error:  # uvicorn reports a failed startup by SystemExit
            self.failure = error
        finally:
            self.ready.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and set `ready`."""
        await super().startup(sockets)
        self.ready.set()

    def stop(self) -> None:
        """Stop when the running requests are answered."""
        self.should_exit = True


class WSGIServer(ThreadingMixIn, simple_server.WSGIServer):
    """Serves a WSGI application, each connection in its own thread, which ends with the server."""

    def __init__(self, app: WSGIApplication) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.set_app(app)
        self.ready = threading.Event()
        self.failure: BaseException | None = None
        self._open: set[Any] = set()

    def serve_on(self, listening: socket.socket) -> None:
        """Serve until `stop` is called."""
        self.socket = listening
        self.server_name, self.server_port = listening.getsockname()[:2]
        self.setup_environ()
        self._context = contextvars.copy_context()
        self.ready.set()
        self.serve_forever(_POLL_S)
        for connection in list(self._open):  # browsers keep idle connections open
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        self.server_close()

    def stop(self) -> None:
        """Stop when the running requests are answered."""
        self.shutdown()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start to serve one connection."""
        self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection in the context of the server."""
        serve: Callable[[Any, Any], None] = super().process_request_thread
        self._context.copy().run(serve, request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close one connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the error that broke the connection."""
        _logger.debug("a connection broke", exc_info=True)


class _Handler(simple_server.WSGIRequestHandler):
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:
        """Log, and write nothing to standard error."""
        _logger.debug(format, *args)

    def address_string(self) -> str:
        return str(self.client_address[0])
