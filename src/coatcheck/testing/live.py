"""A server on a free port for as long as a block lasts: real HTTP, for browsers and for whatever runs elsewhere."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..claims.clock import current_clock
from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..server.address import bound, listen
from .live_servers import ASGIServer, WSGIServer
from .served import Application, LiveServer, Served

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
