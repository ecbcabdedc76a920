"""Apps for tests: each one new and in memory, with a clock that the test moves and fast password hashes.

They are made in milliseconds, because their database is a copy that has every table from its first connection on, and
because signing keys are used again: a key belongs to one App at a time (docs/protocol.md, rule 12.13).
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from sqlalchemy import URL, Connection, Engine, QueuePool

from ..claims.clock import Clock, ManualClock, system_clock
from ..recipes import emailpassword, session, usermetadata
from ..recipes.app import App
from ..recipes.kit.app_info import InputAppInfo
from ..recipes.kit.recipe import RecipeSpecification
from ..recipes.kit.services import substitute_default
from ..server.stub import stub_providers
from ..sessions import schema
from ..sessions.database import Database, Work
from ..sessions.engines import is_memory, make_engine, parse_url
from ..sessions.signing_key import KeySource, generate

APP_INFO = InputAppInfo("Test", "http://localhost:3567", website_domain="http://localhost:3000")
"""The name and the addresses of an App for tests, unless the test gives others."""

KEPT = 8
"""How many emptied copies are kept for later Apps."""


@cache
def default_recipes() -> tuple[RecipeSpecification, ...]:
    """Return the recipes of an App that gets none: sessions, e-mail and password, user metadata."""
    return session.init(), emailpassword.init(), usermetadata.init()


@contextmanager
def make_app(recipe_list: Sequence[RecipeSpecification] | None = None, **config: Any) -> Iterator[App]:
    """Yield a new App, which is the current one in every thread while the block runs, and close it afterwards.

    `config` holds keywords of App. They replace these defaults: APP_INFO, a database in memory, a ManualClock at the
    present second. `unsafe_for_tests` is always set, and the mails of an SMTPService go to the outbox. At the end, stub
    providers forget what the test planned and did not use.
    """
    given = {"app_info": APP_INFO, "database": "sqlite://", "clock": _clock(), **config}
    app = FastApp(**given, recipe_list=default_recipes() if recipe_list is None else recipe_list, unsafe_for_tests=True)
    app.outbox.replaces_smtp = True
    try:
        with app.active(), standing_in(app):
            yield app
    finally:
        for provider in stub_providers(app):
            provider.script.clear()
        app.close()


def _clock() -> ManualClock:
    # `exp` and `iat` are whole seconds; a clock at a whole second makes them easy to compute.
    return ManualClock(system_clock.now_ms() // 1000 * 1000)


class FastApp(App):
    """An App that is fast if its database is in memory."""

    _lent: LentKeys | None = None

    def _open_database(self, target: str | Engine) -> Database:
        if not (isinstance(target, str) and is_memory(parse_url(target))):
            # A database that outlives the App must not hold a key that other Apps use.
            return super()._open_database(target)
        self._lent = LentKeys()
        self.key_source = KeySource(self._lent.generate, self._lent.mark)
        return CopiedDatabase(clock=self.clock, seed=self._seed)

    def _seed(self, connection: Connection) -> None:
        self.keys.seed_rows(connection)
        self.engine.seed_rows(connection)

    def close(self) -> None:
        """End the database and give the keys back."""
        super().close()
        if self._lent is not None:
            self.keys.forget()
            self._lent.give_back()


_open: list[App] = []
_open_lock = threading.Lock()


@contextmanager
def standing_in(app: App) -> Iterator[None]:
    """Make `app` the App of calls without a context, such as those of a test's own threads, while the block runs."""
    with _open_lock:
        _open.append(app)
        substitute_default(*_open)
    try:
        yield
    finally:
        with _open_lock:
            _open.remove(app)
            substitute_default(*_open)


class LentKeys:
    """The keys of one App for tests, which come from earlier Apps of the process and go to later ones.

    They are given back by `give_back`, or when this object is garbage. `mark` ends the ids of the keys, so that an App
    refuses a token that an earlier App signed with the same key at the same moment.
    """

    _spare: ClassVar[list[RSAPrivateKey]] = []

    def __init__(self) -> None:
        self.mark = f"-{secrets.token_hex(4)}"
        self._lent: list[RSAPrivateKey] = []
        weakref.finalize(self, _move, self._lent, self._spare)

    def generate(self) -> RSAPrivateKey:
        """Return a key that no other App has at present, if need be a new one."""
        try:
            key = self._spare.pop()
        except IndexError:
            key = generate()
        self._lent.append(key)
        return key

    def give_back(self) -> None:
        """Let other Apps have the keys."""
        _move(self._lent, self._spare)


def _move(keys: list[RSAPrivateKey], target: list[RSAPrivateKey]) -> None:
    while keys:
        target.append(keys.pop())


class CopiedDatabase(Database):
    """A database in memory that has its tables from the beginning; `seed` adds rows before the first use.

    One transaction of `seed` replaces those in which an App would make its keys one by one.
    """

    def __init__(self, *, clock: Clock, seed: Work[None] | None = None) -> None:
        self._seed = seed
        super().__init__("sqlite://", clock=clock)

    def _make_engine(self, url: URL) -> Engine:
        template = _template()
        return Engine(
            QueuePool(_connect, pool_size=1, max_overflow=0, dialect=template.dialect),
            template.dialect,
            url,
            hide_parameters=True,
            execution_options={"compiled_cache": template.compiled},
        )

    def _ensure_tables(self) -> None:
        if self._tables_ensured:  # A recipe that was imported later has brought more tables.
            super()._ensure_tables()
        elif self._seed is not None:
            self._retried(self._seed, write=True)


def _connect() -> Any:
    return _template().copy()


class Copy(sqlite3.Connection):
    """A connection to a copy; closing it ends the database and gives the emptied copy back to the template."""

    lender: Template | None = None

    def close(self) -> None:
        """End the database."""
        lender, self.lender = self.lender, None
        if lender is None or not lender.take_back(self):
            super().close()


class Template:
    """The database that is copied, and the copies that are free."""

    def __init__(self) -> None:
        engine = make_engine(parse_url("sqlite://"))
        self.dialect = engine.dialect
        self.compiled: dict[Any, Any] = {}
        with engine.connect() as connection:
            schema.ensure(connection)
            connection.commit()
            self._source: Any = connection.connection.dbapi_connection
        kept = [table.name for table in schema.metadata.sorted_tables if table is not schema.schema_table]
        self._emptying = [f"DELETE FROM {name}" for name in kept]  # noqa: S608 - the names are ours
        self._free: list[Copy] = []
        self._lock = threading.Lock()
        self._version: int | None = None
        weakref.finalize(self, _close, engine, self._free)

    def copy(self) -> Copy:
        """Return a connection to a database that has every table and no row."""
        try:
            copy = self._free.pop()
        except IndexError:
            copy = self._new_copy()
        copy.lender = self
        return copy

    def take_back(self, copy: Copy) -> bool:
        """Empty a copy and keep it; False if enough are kept, or if its tables were changed."""
        if len(self._free) >= KEPT or self is not _template():
            return False
        try:
            if copy.in_transaction or _schema_version(copy) != self._version:
                return False
            copy.execute("BEGIN").close()
            for statement in self._emptying:
                copy.execute(statement).close()
            copy.commit()
        except sqlite3.Error:
            return False
        self._free.append(copy)
        return True

    def _new_copy(self) -> Copy:
        copy = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None, factory=Copy)
        with self._lock:
            self._source.backup(copy)
        self._version = _schema_version(copy)
        return copy


def _schema_version(connection: sqlite3.Connection) -> int:
    """Return a number that changes with every change to the tables."""
    version: int = connection.execute("PRAGMA schema_version").fetchone()[0]
    return version


def _close(engine: Engine, free: list[Copy]) -> None:
    engine.dispose()
    while free:
        free.pop().close()


def _template() -> Template:
    # A recipe that is imported later brings more tables, and a forked process needs a template of its own.
    return _made_template(len(schema.metadata.tables), os.getpid())


@lru_cache(maxsize=1)
def _made_template(_tables: int, _process: int) -> Template:
    return Template()
