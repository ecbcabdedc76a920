"""A server on a free port for as long as a block lasts: real HTTP, for browsers and for whatever runs elsewhere."""

from __future__ import annotations

import contextvars
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from inspect import iscoroutinefunction, signature
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, TypeAlias
from wsgiref import simple_server

import httpx2
import uvicorn
from starlette.types import ASGIApp

from ..claims.clock import current_clock
from ..recipes.app import App, current_app
from ..recipes.exceptions import ConfigurationError, NotInitialisedError
from ..server.address import bound, listen
from ..server.app import create_app
from .asgi import ASGITransport
from .wsgi import WSGITransport

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


Application: TypeAlias = Any
"""An App; a Starlette, FastAPI or other ASGI application; a Flask or other WSGI application; Django's handlers."""

_ADVICE = (
    "no App was found behind {app!r}: let the test ask for the fixture coatcheck_app (or sign_in), call init(...) "
    "before, or name it: client(application, coatcheck=app); an App itself can be given as well"
)


@dataclass(frozen=True, slots=True)
class Served:
    """An application, the convention it is called by, and the App that looks after its sessions."""

    application: Any
    is_asgi: bool
    coatcheck: App

    @classmethod
    def of(cls, given: Application, coatcheck: App | None = None) -> Served:
        """Find out what was given; ConfigurationError where it cannot be served."""
        if isinstance(given, App):
            return cls(create_app(given), True, given)
        application = _behind_test_client(given)
        if not callable(application):
            raise ConfigurationError(f"{given!r} is neither an App nor an ASGI or WSGI application")
        return cls(application, _is_asgi(application), coatcheck or _app_of(application))

    def transport(self, *, raises: bool) -> httpx2.BaseTransport:
        """Return a transport that calls the application in this process."""
        kind = ASGITransport if self.is_asgi else WSGITransport
        return kind(self.application, raises=raises, gateway=self.coatcheck.info.api_gateway_path)


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A running server: where it is, and the App that looks after its sessions."""

    url: str
    coatcheck: App


def _behind_test_client(given: Any) -> Any:
    module = type(given).__module__
    if module in ("flask.testing", "werkzeug.test"):
        return given.application
    if module == "starlette.testclient":
        return given.app
    if module == "django.test.client":
        return import_module("django.core.wsgi").get_wsgi_application()
    return given


def _is_asgi(application: Any) -> bool:
    if iscoroutinefunction(application) or iscoroutinefunction(type(application).__call__):
        return True
    try:
        signature(application).bind("environ", "start_response")
    except TypeError:  # It takes three, and returns what has to be awaited.
        return True
    except ValueError:
        return False
    return False


def _app_of(application: Any) -> App:
    """Return the App that an application was told to use, else the current one."""
    middleware: Iterable[Any] = getattr(application, "user_middleware", ())  # Starlette, FastAPI
    told: list[Any] = [entry.kwargs.get("coatcheck") for entry in middleware]
    extension = getattr(application, "extensions", None)  # Flask
    if isinstance(extension, dict) and "coatcheck" in extension:
        told.append(extension["coatcheck"].coatcheck)
    named = next((app for app in told if isinstance(app, App)), None)
    if named is not None:
        return named
    try:
        return current_app()
    except NotInitialisedError:
        raise ConfigurationError(_ADVICE.format(app=application)) from None


START_S = 30
"""How long the application's startup may take."""


@contextmanager
def live_server(
    app: Application | None = None,
    *,
    build: Callable[[str], Application] | None = None,
    coatcheck: App | None = None,
    host: str = "localhost",
) -> Iterator[LiveServer]:
    """Serve an application on a free port of this machine until the block ends.

    `app` is anything that `client` takes, too: uvicorn serves ASGI, the standard library WSGI, each in a thread of its
    own that ends with the block. Where the App has to know its address (`api_domain`), `build` is called with it and
    returns the application. RuntimeError where the application does not start.
    """
    if (app is None) == (build is None):
        raise ConfigurationError("live_server needs either an application or build=..., a function of its address")
    with bound(host, 0) as taken:
        url = f"http://{host}:{taken.getsockname()[1]}"
        served = Served.of(app if build is None else build(url), coatcheck)
        server = ASGIServer(served.application) if served.is_asgi else WSGIServer(served.application)
        listen(taken)
        context = contextvars.copy_context()
        context.run(current_clock.set, served.coatcheck.clock)
        thread = threading.Thread(target=context.run, args=(server.serve_in, taken), name="coatcheck-live", daemon=True)
        thread.start()
        try:
            if not server.ready.wait(START_S) or server.failure is not None:
                raise RuntimeError("the application did not start: its log says why") from server.failure
            yield LiveServer(url, served.coatcheck)
        finally:
            server.stop()
            thread.join()
