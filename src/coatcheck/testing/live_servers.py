"""The servers behind `live_server`: each serves a listening socket in a thread until it is told to stop."""

from __future__ import annotations

import contextvars
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref import simple_server

import uvicorn
from starlette.types import ASGIApp

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

STOP_S = 5
"""How long requests under way may take once the server has been told to stop."""

_POLL_S = 0.02

logger = logging.getLogger("coatcheck.server")


class ASGIServer(uvicorn.Server):
    """Serves an ASGI application; `ready` once it answers, or once `failure` says why it does not."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                timeout_graceful_shutdown=STOP_S,
            )
        )
        self.ready = threading.Event()
        self.failure: BaseException | None = None

    def serve_in(self, taken: socket.socket) -> None:
        """Serve until told to stop."""
        try:
            self.run(sockets=[taken])
        except BaseException as error:  # SystemExit, too, by which uvicorn reports a startup that failed
            self.failure = error
        finally:
            self.ready.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.ready.set()

    def stop(self) -> None:
        """Stop as soon as what is under way has been answered."""
        self.should_exit = True


class WSGIServer(ThreadingMixIn, simple_server.WSGIServer):
    """Serves a WSGI application, each connection in a thread of its own that ends with the server."""

    def __init__(self, app: WSGIApplication) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.set_app(app)
        self.ready = threading.Event()
        self.failure: BaseException | None = None
        self._open: set[Any] = set()

    def serve_in(self, taken: socket.socket) -> None:
        """Serve until told to stop."""
        self.socket = taken
        self.server_name, self.server_port = taken.getsockname()[:2]
        self.setup_environ()
        self._context = contextvars.copy_context()
        self.ready.set()
        self.serve_forever(_POLL_S)
        for connection in list(self._open):  # browsers keep some open on which they have nothing to say
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        self.server_close()

    def stop(self) -> None:
        """Stop as soon as what is under way has been answered."""
        self.shutdown()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin to serve one connection."""
        self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, in the context of the server."""
        serve: Callable[[Any, Any], None] = super().process_request_thread
        self._context.copy().run(serve, request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close one connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what the connection broke with."""
        logger.debug("a connection broke", exc_info=True)


class _Handler(simple_server.WSGIRequestHandler):
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:
        """Leave standard error to the tests."""
        logger.debug(format, *args)

    def address_string(self) -> str:
        return str(self.client_address[0])
