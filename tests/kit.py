"""What tests share: addresses, bodies, journeys to providers, calls at the same moment, connections by hand."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from starlette.datastructures import Headers
from starlette.routing import BaseRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message

from coatcheck import App, InputAppInfo
from coatcheck.claims import Clock
from coatcheck.recipes import emailpassword, session, usermetadata
from coatcheck.recipes.app import default_app
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.recipes.thirdparty.config import ProviderInput
from coatcheck.server import create_app
from coatcheck.server.stub import Persona, provider_of
from coatcheck.sessions.schema import metadata, schema_table
from coatcheck.testing.app import FastApp

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
API = "http://localhost:3567"
WEBSITE = "http://localhost:3000"
POSTGRES = os.environ.get("COATCHECK_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/")
LIMIT_S = 300
"""How long a process, a server or another thread may take: a slow machine fails no test."""
ADA = Persona("1001", "ada@example.com")
DISCONNECT: Message = {"type": "http.disconnect"}
CONNECT: Message = {"type": "websocket.connect"}

Make = Callable[..., App]
"""The fixture `make_app`."""
Serve = Callable[..., TestClient]
"""The fixture `serve`."""


@contextmanager
def http_clients() -> Iterator[Callable[..., TestClient]]:
    """Yield what opens HTTP clients on Apps, and close them at the end."""
    with ExitStack() as clients:

        def open_client(app: App, routes: Sequence[BaseRoute] = (), base_url: str = API) -> TestClient:
            client = TestClient(create_app(app, [*routes]), base_url=base_url, raise_server_exceptions=False)
            return clients.enter_context(closing(client))

        yield open_client


def app_of(
    clock: Clock,
    *,
    recipes: list[Any] | None = None,
    api_domain: str = API,
    website_domain: str = WEBSITE,
    api_base_path: str = "/auth",
    api_gateway_path: str = "",
    database: Any = None,
    unsafe_for_tests: bool = True,
    **options: Any,
) -> App:
    """Make an App, in memory by default; keywords go to `session.init`, except those an App takes itself."""
    return FastApp(
        app_info=InputAppInfo(
            app_name="Test",
            api_domain=api_domain,
            website_domain=website_domain,
            api_base_path=api_base_path,
            api_gateway_path=api_gateway_path,
        ),
        recipe_list=[
            session.init(**options),
            *([emailpassword.init(), usermetadata.init()] if recipes is None else recipes),
        ],
        database="sqlite://" if database is None else database,
        clock=clock,
        unsafe_for_tests=unsafe_for_tests,
    )


def python(
    *arguments: str | Path, cwd: Path | str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a Python process to its end; the environment is this one's by default."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, timeout=LIMIT_S)


def plain_environment(**variables: str) -> dict[str, str]:
    """Return the variables of this process without settings of coatcheck, and some more."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}, **variables}


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def awaited(look: Callable[[], T | None], log: Path, process: subprocess.Popen[bytes] | None = None) -> T:
    """Return what `look` finds in the end; the test fails with the log if the process ends or the limit is reached."""
    deadline, pause = time.monotonic() + LIMIT_S, threading.Event()
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        if (found := look()) is not None:
            return found
        pause.wait(0.02)
    pytest.fail(f"it did not get ready:\n{log.read_text()}")


def form(**fields: Any) -> dict[str, Any]:
    """Return the body of a form with these fields."""
    return {"formFields": [{"id": name, "value": value} for name, value in fields.items()]}


def together(*functions: Callable[..., Any]) -> list[Any]:
    """Call functions at the same moment, each in a thread of its own, and return what they return."""
    barrier = threading.Barrier(len(functions))

    def wait_and_call(function: Callable[..., Any]) -> Any:
        barrier.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as threads:
        return list(threads.map(wait_and_call, functions))


class Journey:
    """A browser on its way to a stub provider and back, step by step."""

    def __init__(self, client: TestClient, provider: ProviderInput) -> None:
        self.client = client
        self.id = provider.config.third_party_id
        self.stub = provider_of(provider)
        self.landing = f"http://localhost:3000/auth/callback/{self.id}"
        client.follow_redirects = False

    def leave(self, **query: str) -> dict[str, Any]:
        """Ask where to go."""
        asked = {"thirdPartyId": self.id, "redirectURIOnProviderDashboard": self.landing, **query}
        body: dict[str, Any] = self.client.get("/auth/authorisationurl", params=asked).json()
        return body

    def come_back(self, url: str, persona: Persona = ADA) -> dict[str, str]:
        """Go there, sign in, and return what the callback is told."""
        self.stub.script.next_persona(persona)
        response = self.client.get(f"{url}&state=s")
        assert response.status_code == 303, response.text
        return dict(parse_qsl(urlsplit(response.headers["location"]).query))

    def hand_in(self, params: dict[str, str], verifier: str | None, **others: Any) -> Any:
        """Hand in what the callback was told, as the website does."""
        info = {"redirectURIOnProviderDashboard": self.landing, "redirectURIQueryParams": params}
        if verifier is not None:
            info["pkceCodeVerifier"] = verifier
        body = {"thirdPartyId": self.id, "redirectURIInfo": info}
        return self.client.post("/auth/signinup", json={**body, **others.pop("body", {})}, **others)

    def sign_in(self, persona: Persona = ADA, **others: Any) -> Any:
        """Go the whole way."""
        left = self.leave()
        assert left["status"] == "OK", left
        params = self.come_back(left["urlWithQueryParams"], persona)
        return self.hand_in(params, left.get("pkceCodeVerifier"), **others)


@dataclass
class Wire:
    """What a server and an application say to each other over one connection; `heard` is called with each message.

    After `said`, the client stays connected until `hang_up` is called.
    """

    path: str = "/"
    kind: str = "http"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()
    said: list[Message] = field(default_factory=lambda: [{"type": "http.request", "body": b"", "more_body": False}])
    heard: Callable[[Message], Awaitable[object]] | None = None
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._gone = asyncio.Event()
        if self.kind == "websocket":
            self.said = [CONNECT]

    def hang_up(self) -> None:
        """Disconnect."""
        self._gone.set()

    async def run(self, app: ASGIApp) -> Wire:
        """Let an application serve the connection to its end."""
        await asyncio.wait_for(app(self._scope(), self._receive, self._send), LIMIT_S)
        return self

    @property
    def status(self) -> int:
        """The status of the answer."""
        status: int = self.messages[0]["status"]
        return status

    @property
    def response_headers(self) -> Headers:
        """The headers of the first message."""
        return Headers(raw=list(self.messages[0].get("headers", [])))

    @property
    def body(self) -> bytes:
        """The body of the answer."""
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    def _scope(self) -> dict[str, Any]:
        scope: dict[str, Any] = {
            "type": self.kind,
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "http" if self.kind == "http" else "ws",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in self.headers.items()],
            "server": ("localhost", 3567),
            "client": ("127.0.0.1", 1),
            "extensions": {name: {} for name in self.extensions},
            "state": {},
        }
        if self.kind == "http":
            scope["method"] = self.method
        return scope

    async def _receive(self) -> Message:
        if self.said:
            return self.said.pop(0)
        await self._gone.wait()
        return DISCONNECT

    async def _send(self, message: Message) -> None:
        self.messages.append(message)
        if self.heard is not None:
            await self.heard(message)


class PostgresSchemas:
    """Schemas of one PostgreSQL database, which tests borrow: creating the tables anew takes longer than most tests."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._engine: Engine = create_engine(url, isolation_level="AUTOCOMMIT")
        self._free: list[str] = []

    def borrow(self, *, tables_exist: bool) -> str:
        """Return a schema without rows; whether there are tables depends on who had it before."""
        if tables_exist and self._free:
            return self._free.pop()
        name = f"t_{secrets.token_hex(6)}"
        self._execute(f"CREATE SCHEMA {name}")
        return name

    def give_back(self, name: str) -> None:
        """Delete all rows, and keep the schema for the next test if it has no tables but those of the library."""
        tables = [table.name for table in reversed(metadata.sorted_tables)]
        with self._engine.connect() as connection:
            found = text("SELECT tablename FROM pg_tables WHERE schemaname = :name")
            present = set(connection.execute(found, {"name": name}).scalars())
        if present and present <= set(tables):
            kept = schema_table.name
            self._execute(*(f"DELETE FROM {name}.{table}" for table in tables if table in present - {kept}))
            self._free.append(name)

    def url(self, name: str) -> str:
        """Return the URL of a schema."""
        url = self._url.update_query_dict({"options": f"-csearch_path={name}"})
        return url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _execute(self, *statements: str) -> None:
        with self._engine.connect() as connection:
            connection.exec_driver_sql("; ".join(("SET lock_timeout = '10s'", *statements)))


@contextmanager
def new_postgres_database() -> Iterator[PostgresSchemas]:
    """Yield the schemas of a new PostgreSQL database, dropped at the end; without a server the test is skipped."""
    admin = create_engine(make_url(POSTGRES).set(database="postgres"), isolation_level="AUTOCOMMIT")
    name = f"coatcheck_test_{secrets.token_hex(6)}"
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
            # Nothing here is to outlive a crash of the server.
            connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    except OperationalError:
        if "CI" in os.environ:
            raise
        pytest.skip(f"PostgreSQL is not reachable at {admin.url!r}")
    schemas = PostgresSchemas(make_url(POSTGRES).set(database=name))
    yield schemas
    schemas.close()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@contextmanager
def without_default_app() -> Iterator[None]:
    """Leave the process without a default App, before and after."""
    set_default_services(None)
    yield
    left = default_app()
    set_default_services(None)
    if left is not None:
        left.close()
