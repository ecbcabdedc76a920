"""Apps for tests: what `make_app` gives, and how their databases are copied and their keys lent."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import threading
import unittest
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import jwt
import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, create_engine, func, insert, inspect, select

from coatcheck import App, InputAppInfo, RecipeUserId, current_app
from coatcheck.claims import Clock, ManualClock
from coatcheck.claims.clock import current_clock
from coatcheck.recipes import emailpassword, session, thirdparty
from coatcheck.recipes.app import default_app
from coatcheck.recipes.emailpassword.recipe import EmailPasswordRecipe
from coatcheck.recipes.exceptions import ConfigurationError, NotInitialisedError, TryRefreshTokenError
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.recipes.thirdparty import SignInAndUpFeature
from coatcheck.server.stub import provider_of, stub
from coatcheck.sessions import key_store, schema, signing_key
from coatcheck.sessions.database import Database
from coatcheck.sessions.key_store import Cipher
from coatcheck.sessions.keys import KeyRing
from coatcheck.testing import APP_INFO, client, make_app, sign_in
from coatcheck.testing.app import KEPT, CopiedDatabase, LentKeys

from ..kit import python

FORM = {"formFields": [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]}


def test_an_app_is_current_for_as_long_as_the_block_runs() -> None:
    """Within the block everything finds the App and its clock; outside nothing is left behind, the default included."""
    with make_app() as app:
        assert current_app() is app
        assert current_clock.get() is app.clock
        assert default_app() is None
    assert current_clock.get() is not app.clock
    with pytest.raises(NotInitialisedError):
        current_app()


def test_calls_without_a_context_belong_to_the_app_of_the_test() -> None:
    """Threads of the application's own find the App of the test, not the one that it has made at import."""

    def elsewhere() -> App:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(current_app).result()

    made = App(app_info=APP_INFO, recipe_list=[session.init()], unsafe_for_tests=True)
    set_default_services(made)
    try:
        with make_app() as app:
            assert elsewhere() is app
            with make_app(), pytest.raises(NotInitialisedError, match="several Apps are open in tests"):
                elsewhere()
            assert elsewhere() is app
        assert elsewhere() is made
    finally:
        set_default_services(None)
        made.close()


def test_an_app_stands_at_the_present_second() -> None:
    """The clock is a ManualClock that starts now, at a whole second."""
    before = Clock().now_ms() // 1000 * 1000
    with make_app() as app:
        assert isinstance(app.clock, ManualClock)
        assert before <= app.clock.now_ms() <= Clock().now_ms()
        assert app.clock.now_ms() % 1000 == 0


def test_an_app_has_the_recipes_of_a_small_service() -> None:
    """Without a list of its own, an App has sessions, e-mail and password, and user metadata."""
    with make_app() as app:
        assert {"session", "emailpassword", "usermetadata"} <= {recipe.recipe_id for recipe in app.recipes}
        assert not app.has_recipe("thirdparty")


def test_passwords_cost_nothing_in_an_app_for_tests() -> None:
    """Whatever else is configured, an App of the kit hashes fast."""
    for recipes in (None, [session.init(), emailpassword.init()]):
        with make_app(recipes) as app:
            assert EmailPasswordRecipe.of(app).hasher.is_fast


def test_recipes_and_configuration_can_be_those_of_the_application() -> None:
    """A recipe list, and every keyword of App, replace what the kit would take."""
    info = InputAppInfo("Mine", "https://api.example.com", website_domain="https://example.com")
    clock = ManualClock(0)
    with make_app([session.init()], app_info=info, clock=clock, sync_overrides="loop") as app:
        assert app.info.app_name == "Mine"
        assert app.clock is clock
        assert not app.has_recipe("emailpassword")


def test_an_app_for_tests_is_always_marked_as_one() -> None:
    """`unsafe_for_tests` is not for the caller to choose."""
    options: dict[str, Any] = {"unsafe_for_tests": False}
    with pytest.raises(TypeError, match="unsafe_for_tests"), make_app(**options):
        raise AssertionError("unreachable")


def test_a_wrong_configuration_is_said_at_once() -> None:
    """The kit hides none of the errors that an App makes of its configuration."""
    with pytest.raises(ConfigurationError, match="recipe_list is empty"), make_app([]):
        raise AssertionError("unreachable")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recipe_list": [emailpassword.init()]}, r"add session.init\(\) to recipe_list"),
        ({"recipe_list": session.init()}, r"recipe_list must be a list, such as \[session.init\(\)\]"),
        ({"unsafe_for_tests": "false"}, "unsafe_for_tests must be True or False, not 'false'"),
        ({"database": ""}, "database is empty"),
    ],
)
def test_what_would_go_wrong_later_is_said_when_an_app_is_made(options: dict[str, Any], said: str) -> None:
    """Half a configuration is found before anybody signs up, and no variable that is unset loses data."""
    with pytest.raises(ConfigurationError, match=said):
        App(**{"app_info": APP_INFO, "recipe_list": [session.init()], **options})


def test_an_app_writes_no_warning_about_its_memory(caplog: pytest.LogCaptureFixture) -> None:
    """That sessions are kept in memory goes without saying in a test."""
    with make_app():
        assert caplog.records == []


def test_an_error_closes_the_app() -> None:
    """However the block ends, the App is no longer the current one, and its database is gone."""
    apps: list[App] = []
    with pytest.raises(KeyError), make_app() as app:
        apps.append(app)
        sign_in(app, "u1")
        raise KeyError
    with apps[0].active():
        assert session.sync.get_all_session_handles_for_user("u1") == []
    with pytest.raises(NotInitialisedError):
        current_app()


def test_users_and_sessions_belong_to_one_app() -> None:
    """What one App knows, another has never heard of, made before, after or within its time."""
    with make_app() as one:
        signed_in = sign_in(one, "ann@example.com")
        with make_app() as other:
            assert other.users is not one.users
            assert client(other).post("/auth/signin", json=FORM).json()["status"] == "WRONG_CREDENTIALS_ERROR"
            assert session.sync.get_session_information(signed_in.session_handle) is None
        assert session.sync.get_session_information(signed_in.session_handle) is not None
    with make_app():
        assert session.sync.get_session_information(signed_in.session_handle) is None


def test_outbox_and_clock_belong_to_one_app() -> None:
    """Mails reach, and time passes in, the App in which a test makes them."""
    with make_app(clock=ManualClock(0)) as one, make_app(clock=ManualClock(0)) as other:
        browser = client(one)
        browser.post("/auth/signup", json=FORM)
        browser.post("/auth/user/password/reset/token", json={"formFields": FORM["formFields"][:1]})
        assert [len(app.outbox) for app in (one, other)] == [1, 0]
        assert isinstance(one.clock, ManualClock)
        one.clock.advance(5)
        assert [app.clock.now_ms() for app in (one, other)] == [5_000, 0]


def test_a_verified_token_is_remembered_by_one_app_only() -> None:
    """What one App has verified is unknown to another at the same moment, and to the next one with the same RSA key."""
    clock = ManualClock()
    with make_app(clock=clock) as one:
        token = sign_in(one, RecipeUserId("u1")).access_token
        assert session.sync.get_session_without_request_response(token)
        with make_app(clock=clock) as other, pytest.raises(TryRefreshTokenError):
            sign_in(other, RecipeUserId("u1"))
            session.sync.get_session_without_request_response(token)
        modulus = one.keys.jwks()[0]["n"]
        with make_app(clock=clock) as other:
            assert other.keys.jwks()[0]["n"] != modulus
    with make_app(clock=clock) as later:
        assert later.keys.jwks()[0]["n"] == modulus
        with pytest.raises(TryRefreshTokenError):
            session.sync.get_session_without_request_response(token)


def test_what_a_stub_was_told_ends_with_the_app() -> None:
    """A plan that a test did not use is not there for the next App, though the stub is the same object."""
    google = stub("google")
    recipes = [session.init(), thirdparty.init(SignInAndUpFeature([google]))]
    script = provider_of(google).script
    with make_app(recipes):
        script.next_error("server_error")
    with make_app(recipes):
        assert script.take_error(["server_error"]) is None


def test_a_coroutine_finds_the_app() -> None:
    """An asynchronous test that starts within the block works on the App."""

    async def name() -> str:
        await asyncio.sleep(0)
        return current_app().info.app_name

    with make_app():
        assert asyncio.run(name()) == APP_INFO.app_name


def test_unittest_needs_no_plugin() -> None:
    """A TestCase enters an App as a context, and has it in every method, asynchronous ones included."""

    class Case(unittest.IsolatedAsyncioTestCase):
        app: App

        def setUp(self) -> None:
            self.app = self.enterContext(make_app())

        def test_plain(self) -> None:
            """What cannot await finds the App."""
            assert current_app() is self.app
            assert emailpassword.sync.sign_up("public", "ann@example.com", "correct horse 1")

        async def test_async(self) -> None:
            """So does a coroutine, and a client in it."""
            assert current_app() is self.app
            await emailpassword.sign_up("public", "ann@example.com", "correct horse 1")
            assert client(self.app).post("/auth/signin", json=FORM).json()["status"] == "OK"

    result = unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(unittest.TestResult())
    assert (result.testsRun, result.failures, result.errors) == (2, [], [])


@contextmanager
def prepared() -> Iterator[Database]:
    """Yield a database that begins as a copy."""
    with closing(CopiedDatabase(clock=ManualClock())) as database:
        yield database


def secret_of(database: Database) -> str | None:
    """Return what one database holds and another must not."""
    return database.read(key_store.load_master)


def test_a_copy_has_every_table_at_this_version() -> None:
    """Nothing has to be brought up to date in a copy."""
    with prepared() as database:
        assert database.read(schema.is_current)


def test_copies_share_nothing() -> None:
    """What is written into one copy is in no other, made earlier or later."""
    with prepared() as one, prepared() as two:
        assert secret_of(two) is None
        one.write(lambda connection: key_store.add_master(connection, "one", created_ms=0))
        with prepared() as three:
            assert [secret_of(database) for database in (one, two, three)] == ["one", None, None]


def test_a_closed_copy_begins_anew() -> None:
    """A database in memory ends with its connection, and the next use finds the tables, empty."""
    with prepared() as database:
        database.write(lambda connection: key_store.add_master(connection, "lost", created_ms=0))
        database.close()
        assert secret_of(database) is None


def test_a_copy_begins_with_the_rows_of_its_seed() -> None:
    """What `seed` adds is there at the first use, once, and again after a close."""

    def seed(connection: Connection) -> None:
        key_store.add_master(connection, "first", created_ms=0)

    with closing(CopiedDatabase(clock=ManualClock(), seed=seed)) as database:
        assert [secret_of(database), secret_of(database)] == ["first", "first"]
        database.close()
        assert secret_of(database) == "first"


def test_a_key_ring_starts_with_a_key_and_a_secret() -> None:
    """In a copy, key and master secret are made with the first use, and anew for the database after a close."""
    with closing(CopiedDatabase(clock=ManualClock(), seed=lambda connection: rings.seed_rows(connection))) as database:
        lent = LentKeys()
        rings = KeyRing(
            database,
            database.clock,
            access_token_validity_ms=3_600_000,
            rotation_ms=604_800_000,
            cipher=Cipher("a secret of enough characters"),
            source=signing_key.KeySource(lent.generate),
        )
        for _ in range(2):
            database.ping()
            assert [key.status for key in rings.list()] == ["signing"]
            stored = secret_of(database)
            assert stored is not None
            assert Cipher("a secret of enough characters").open(stored, bound_to="master") == rings.master_secret()
            token = rings.sign({"a": 1}, static=False)
            key = rings.look_up(jwt.get_unverified_header(token)["kid"])
            assert key is not None
            assert signing_key.verify(token, key) == b'{"a":1}'
            database.close()
        lent.give_back()


def test_tables_declared_later_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe imported late finds its tables, in copies made before and after."""
    declared = MetaData()
    for table in schema.metadata.sorted_tables:
        table.to_metadata(declared)
    monkeypatch.setattr(schema, "metadata", declared)
    with prepared() as before:
        before.ping()
        late = Table("coatcheck_late", declared, Column("id", Integer, primary_key=True))
        with prepared() as after:
            for database in (before, after):
                database.write(lambda connection: connection.execute(insert(late), {"id": 1}))
                assert database.read(lambda connection: connection.execute(select(late.c.id)).scalars().all()) == [1]


def in_use(database: Database) -> sqlite3.Connection:
    """Return the connection that a database works with."""
    raw: sqlite3.Connection = database.read(lambda connection: connection.connection.dbapi_connection)  # type: ignore[assignment]
    return raw


def rows_of(database: Database) -> dict[str, int]:
    """Return how many rows there are in each table."""
    counts = {table.name: select(func.count()).select_from(table) for table in schema.metadata.sorted_tables}
    return database.read(lambda connection: {name: connection.execute(q).scalar_one() for name, q in counts.items()})


def test_a_copy_is_emptied_before_another_gets_it() -> None:
    """The connection of a closed database serves the next one, in which there is no row of the earlier."""
    with prepared() as one:
        first = in_use(one)
        one.write(lambda connection: key_store.add_master(connection, "one", created_ms=0))
    with prepared() as two:
        assert in_use(two) is first
        assert {name for name, count in rows_of(two).items() if count} == {schema.schema_table.name}
        with prepared() as three:
            assert in_use(three) is not first


def test_a_copy_that_was_changed_is_not_kept() -> None:
    """Where somebody has altered the tables, or left a transaction open, the connection ends with its database."""
    for statement in ("CREATE TABLE left_behind (id INTEGER)", "DROP TABLE coatcheck_sessions", "BEGIN"):
        with prepared() as one:
            changed = in_use(one)
            changed.execute(statement).close()
        with prepared() as two:
            assert in_use(two) is not changed
            assert two.read(schema.is_current)
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            changed.execute("SELECT 1")


def test_few_copies_are_kept() -> None:
    """Of many databases that close at the same time, some connections are kept and the others closed."""
    databases = [CopiedDatabase(clock=ManualClock()) for _ in range(KEPT + 3)]
    connections = {in_use(database) for database in databases}
    assert len(connections) == KEPT + 3
    for database in databases:
        database.close()
    with_another = [CopiedDatabase(clock=ManualClock()) for _ in range(KEPT + 3)]
    assert len({in_use(database) for database in with_another} & connections) == KEPT
    for database in with_another:
        database.close()


def test_a_forgotten_database_gives_its_copy_back() -> None:
    """A database that nobody closed is emptied, too, once it is gone."""
    forgotten = CopiedDatabase(clock=ManualClock())
    connection = in_use(forgotten)
    forgotten.write(lambda connection: key_store.add_master(connection, "lost", created_ms=0))
    del forgotten
    gc.collect()
    with prepared() as database:
        assert in_use(database) is connection
        assert secret_of(database) is None


def test_other_databases_are_not_copies(tmp_path: os.PathLike[str]) -> None:
    """A file, or an engine of the application's own, is brought up to date as ever, and gets none of the lent keys."""
    engine = create_engine(f"sqlite:///{tmp_path}/own.db")
    for given in (f"sqlite:///{tmp_path}/kept.db", engine):
        with make_app(database=given) as app:
            assert app.key_source is signing_key.GENERATED
            assert app.database.read(key_store.load) == ()
            assert "coatcheck_sessions" in app.database.read(lambda connection: inspect(connection).get_table_names())
    engine.dispose()


def test_threads_make_copies_at_the_same_time() -> None:
    """Copies made by several threads at once are all complete."""
    complete: list[bool] = []
    barrier = threading.Barrier(4)

    def make() -> None:
        barrier.wait()
        with prepared() as database:
            complete.append(database.read(schema.is_current))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert complete == [True] * 4


FORKED = """
import os
from coatcheck.claims.clock import ManualClock
from coatcheck.sessions import schema
from coatcheck.testing.app import CopiedDatabase

def complete():
    database = CopiedDatabase(clock=ManualClock())
    whole = database.read(schema.is_current)
    database.close()
    return whole

assert complete()
child = os.fork()
if not child:
    os._exit(0 if complete() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("both")
"""


@pytest.mark.slow
def test_a_forked_process_prepares_its_own() -> None:
    """What the parent has open is left alone by its children."""
    ran = python("-W", "error", "-c", FORKED)
    assert ran.stdout.strip() == "both", ran.stderr
