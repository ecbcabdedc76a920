"""Databases of all kinds, key rings and session engines, and keys that need not be generated for each test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from sqlalchemy import Connection

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions import rows, signing_key
from coatcheck.sessions.access_token import AccessTokens
from coatcheck.sessions.database import Database
from coatcheck.sessions.engine import SessionEngine
from coatcheck.sessions.exceptions import UnauthorisedError
from coatcheck.sessions.key_store import Cipher
from coatcheck.sessions.keys import KeyRing
from coatcheck.sessions.rows import SessionRow
from coatcheck.sessions.session import EngineSession
from coatcheck.testing.app import CopiedDatabase

VALIDITY_MS = 3_600_000
ROTATION_MS = 604_800_000

MakeKey = Callable[[], RSAPrivateKey]
MakeRing = Callable[..., KeyRing]
MakeEngine = Callable[..., SessionEngine]


@pytest.fixture(params=["memory", "file", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database of each kind."""
    if request.param == "memory":
        return "sqlite://"
    if request.param == "file":
        return f"sqlite:///{tmp_path / 'coatcheck.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database(database_url: str, clock: ManualClock, tables_exist: bool) -> Iterator[Database]:
    """Yield an empty database of each kind."""
    fast = tables_exist and database_url == "sqlite://"
    with closing(CopiedDatabase(clock=clock) if fast else Database(database_url, clock=clock)) as database:
        yield database


@pytest.fixture(params=["file", "postgres"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database of each kind that several processes can share."""
    if request.param == "file":
        return f"sqlite:///{tmp_path / 'shared.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def memory(clock: ManualClock, tables_exist: bool) -> Iterator[Database]:
    """Yield an empty database in memory, for what does not depend on the kind of database."""
    with closing(CopiedDatabase(clock=clock) if tables_exist else Database("sqlite://", clock=clock)) as database:
        yield database


@pytest.fixture(scope="session")
def _rsa_keys() -> list[RSAPrivateKey]:
    return [signing_key.generate() for _ in range(6)]


@pytest.fixture
def make_key(_rsa_keys: list[RSAPrivateKey]) -> MakeKey:
    """Return a generator of RSA keys that takes no time: six keys of the session, in turn."""
    keys = itertools.cycle(_rsa_keys)
    return lambda: next(keys)


@pytest.fixture
def make_ring(clock: ManualClock, make_key: MakeKey) -> MakeRing:
    """Return a maker of key rings over a database; keywords replace those of KeyRing."""

    def make(database: Database, **changes: object) -> KeyRing:
        settings: dict[str, object] = {
            "access_token_validity_ms": VALIDITY_MS,
            "rotation_ms": ROTATION_MS,
            "cipher": Cipher(None),
            "source": signing_key.KeySource(make_key),
            **changes,
        }
        return KeyRing(database, clock, **settings)  # type: ignore[arg-type]

    return make


@pytest.fixture
def ring(memory: Database, make_ring: MakeRing) -> KeyRing:
    """Return a key ring over an empty database in memory."""
    return make_ring(memory)


class Unlinked:
    """The directory of an application without linked accounts: every login method is a user."""

    def primary_id(self, connection: Connection, recipe_user_id: str) -> str:
        """Return the id given."""
        return recipe_user_id

    def login_method_ids(self, connection: Connection, user_id: str) -> Sequence[str]:
        """Return the id given, alone."""
        return [user_id]


@pytest.fixture
def make_engine(database: Database, clock: ManualClock, make_ring: MakeRing) -> MakeEngine:
    """Return a maker of session engines, each with a key ring of its own as in a process of its own.

    `keys` and `on`, another database, may be given; other keywords replace those of SessionEngine.
    """

    def make(*, on: Database = database, keys: KeyRing | None = None, **changes: object) -> SessionEngine:
        ring = keys or make_ring(on)
        settings: dict[str, object] = {
            "directory": Unlinked(),
            "access_token_validity_ms": VALIDITY_MS,
            "refresh_token_validity_ms": 8_640_000_000,
            **changes,
        }
        return SessionEngine(on, clock, keys=ring, tokens=AccessTokens(ring, clock), **settings)  # type: ignore[arg-type]

    return make


@pytest.fixture
def engine(make_engine: MakeEngine) -> SessionEngine:
    """Return a session engine over an empty database of each kind."""
    return make_engine()


def created(engine: SessionEngine, user: str = "u1", **options: Any) -> EngineSession:
    """Create a session with defaults for what a test does not care about."""
    values: dict[str, Any] = {"payload": {"iss": "https://api"}, "data": {}, "anti_csrf": False, "static": False}
    return engine.create(**{"tenant_id": "public", "recipe_user_id": user, **values, **options})


def token_of(session: EngineSession) -> str:
    """Return the text of the refresh token."""
    assert session.refresh_token is not None
    return session.refresh_token.token


def refreshed(engine: SessionEngine, by: EngineSession | str, **options: Any) -> EngineSession:
    """Refresh with a session's refresh token or with a text, without anti-CSRF unless asked for."""
    values: dict[str, Any] = {"anti_csrf_token": None, "check_anti_csrf": False, "anti_csrf": False, "static": None}
    return engine.refresh(by if isinstance(by, str) else token_of(by), **{**values, **options})


def verified(engine: SessionEngine, session: EngineSession, *, check_database: bool = False) -> EngineSession:
    """Verify the access token of `session`."""
    return engine.verify(session.payload, session.access_token, check_database=check_database)


def refused(engine: SessionEngine, token: str) -> bool:
    """Whether refreshing with `token` is unauthorised."""
    try:
        refreshed(engine, token)
    except UnauthorisedError:
        return True
    return False


def stored(database: Database, clock: ManualClock, session: EngineSession) -> SessionRow:
    """Return the row of a session."""
    row = database.read(lambda connection: rows.find(connection, session.handle, at_ms=clock.now_ms()))
    assert row is not None
    return row


def pairing(session: EngineSession) -> tuple[Any, Any]:
    """Return hash1 and the parent of an access token."""
    return session.payload["refreshTokenHash1"], session.payload["parentRefreshTokenHash1"]
