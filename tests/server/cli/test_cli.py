"""The command line: what it prints, and that everything wrong is one clear line without a traceback."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from coatcheck import App, InputAppInfo
from coatcheck.recipes import session
from coatcheck.server.cli import run
from coatcheck.server.cli.settings import misspelt

from ...kit import python

CONFIG = """
from coatcheck import App, InputAppInfo
from coatcheck.claims import ManualClock
from coatcheck.recipes import emailpassword, session

def functions(original):
    create_new_session = original.create_new_session
    async def mine(*args, **kwargs):
        return await create_new_session(*args, **kwargs)
    original.create_new_session = mine
    return original

def misspelt(original):
    original.create_new_sesion = None
    return original

def failing(original):
    raise KeyError("secret")

def listed(override):
    return [session.init(override=session.InputOverrideConfig(functions=override)), emailpassword.init()]

recipes = listed(functions)
misspelt_override = listed(misspelt)
failing_override = listed(failing)
info = InputAppInfo(app_name="Mine", api_domain="http://localhost:9", website_domain="http://localhost:3000")
app = App(app_info=info, recipe_list=recipes, database="sqlite:///mine.db")
for_tests = App(app_info=info, recipe_list=recipes, database="sqlite:///mine.db", unsafe_for_tests=True)
manual = App(
    app_info=info, recipe_list=recipes, database="sqlite:///mine.db", unsafe_for_tests=True, clock=ManualClock()
)
number = 7

def crash():
    return 1 / 0
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty directory, without variables of this machine, and forget the modules imported there."""
    for name in [name for name in os.environ if name.startswith("COATCHECK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("config", "typo", "missing", "option"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: exit code, standard output, standard error."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write the module `config` into the current directory."""
    path = tmp_path / "config.py"
    path.write_text(CONFIG)
    return path


def process(*arguments: str, **variables: str) -> tuple[int, str]:
    """Run a command as a process: exit code, standard error."""
    done = python("-m", "coatcheck", *arguments, env={**os.environ, **variables})
    return done.returncode, done.stderr


def one_line(text: str) -> str:
    """Return the line that is all there is on standard error."""
    assert text.startswith("coatcheck: ")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert "Traceback" not in text
    return text.removeprefix("coatcheck: ").strip()


def line_of(text: str, source: str = CONFIG) -> int:
    return source[: source.index(text)].count("\n") + 1


# Options


@pytest.mark.slow
def test_the_version_is_that_of_the_package() -> None:
    """`coatcheck --version` prints name and version."""
    done = python("-m", "coatcheck", "--version")
    assert re.fullmatch(r"coatcheck \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("group", [(), ("keys",)])
def test_alone_a_group_prints_its_help(here: Run, group: tuple[str, ...]) -> None:
    """Without a command, the commands are listed."""
    code, out, err = here(*group)
    assert (code, err) == (0, "")
    assert "Commands:" in out


def test_help_names_the_variable_of_every_option(here: Run) -> None:
    """Every option of `serve` can be set by a variable, and the help says by which."""
    _, out, _ = here("serve", "--help")
    options = re.findall(r"^  --([a-z-]+)", out, re.MULTILINE)
    assert len(options) == 12
    for option in options:
        assert f"COATCHECK_{option.upper().replace('-', '_')}" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("serve", "--databse", "sqlite://"), "--database"),
        (("serv",), "serve"),
        (("keys", "rotat"), "rotate"),
        (("serve", "--port", "99999"), "99999"),
        (("serve", "--workers", "0"), "--workers"),
        (("serve", "--log-level", "loud"), "debug"),
        (("explain",), "OPERATION"),
    ],
)
def test_misspelt_commands_and_options_are_one_line(here: Run, arguments: tuple[str, ...], said: str) -> None:
    """What was not understood is named, with what may have been meant, and the exit code is 2."""
    code, _, err = here(*arguments)
    assert code == 2
    assert said in one_line(err)


def test_a_variable_of_the_wrong_type_is_named(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad value from the environment is told with the variable it came from."""
    monkeypatch.setenv("COATCHECK_PORT", "web")
    code, _, err = here("serve")
    assert code == 2
    assert "COATCHECK_PORT" in one_line(err)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("COATCHECK_DATABASE_URL", "COATCHECK_DATABASE"),
        ("COATCHECK_LOGLEVEL", "COATCHECK_LOG_LEVEL"),
        ("coatcheck_port", "COATCHECK_PORT"),
        ("COATCHECK_ENCRYPTIONKEY", "COATCHECK_ENCRYPTION_KEY"),
    ],
)
def test_a_misspelt_variable_is_warned_about(name: str, meant: str) -> None:
    """A variable close to a known one is told, since it would otherwise be ignored without a word."""
    (warning,) = misspelt([name])
    assert name in warning
    assert meant in warning


def test_other_variables_are_left_alone() -> None:
    """Known variables, and those that resemble none, cause no warning."""
    names = ["COATCHECK_DATABASE", "COATCHECK_ENCRYPTION_KEY", "COATCHECK_TEST_POSTGRES", "DATABASE_URL", "PATH"]
    assert list(misspelt(names)) == []


# serve refuses


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--database", "coatcheck.db"), "not a database URL"),
        (("--database", "mysql://root@localhost/x"), "mysql"),
        (("--database", "sqlite:///nowhere/x.db"), "unable to open database file"),
        (("--api-domain", "::::"), "api_domain"),
        (("--website-domain", "ftp://example.com"), "website_domain"),
        (("--host", "192.0.2.1"), "192.0.2.1 is not an address of this machine"),
        (("--workers", "2", "--database", "sqlite://"), "database in memory"),
        (("--recipes", "config:app", "--database", "sqlite:///other.db"), "sqlite:///mine.db"),
        (("--recipes", "config:app", "--api-domain", "http://localhost:10"), "http://localhost:9"),
        (("--recipes", "config:for_tests", "--host", "0.0.0.0"), "unsafe_for_tests"),
        (("--recipes", "config:manual", "--workers", "2"), "manual clock"),
        (("--manual-clock", "--host", "0.0.0.0"), "--allow-unsafe-host"),
        (("--manual-clock", "--workers", "2"), "--workers"),
        (("--manual-clock", "--recipes", "config:for_tests"), "clock=ManualClock()"),
    ],
)
def test_serve_refuses_what_cannot_work(
    here: Run, config: Path, unconfigured_logging: None, options: tuple[str, ...], said: str
) -> None:
    """A configuration that cannot work is one line and exit code 1, and leaves no database behind."""
    code, _, err = here("serve", "--port", "0", *options)
    assert code == 1
    assert said in one_line(err)
    assert not [*config.parent.glob("*.db")]


@pytest.fixture
def unconfigured_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a command from replacing the log handlers of the test run."""
    monkeypatch.setattr("coatcheck.server.cli.serve.configure_logging", lambda level: None)


def test_a_testing_token_that_could_be_guessed_is_refused(
    here: Run, unconfigured_logging: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token too short to be one ends the start, and is not repeated in what is said about it."""
    monkeypatch.setenv("COATCHECK_TESTING_TOKEN", "abc123")
    code, _, err = here("serve", "--port", "0", "--manual-clock")
    assert code == 1
    assert "COATCHECK_TESTING_TOKEN" in one_line(err)
    assert "abc123" not in err


@pytest.mark.parametrize("given", ["a-token-of-my-own", None])
@pytest.mark.parametrize("options", [(), ("--recipes", "config:manual")])
def test_the_testing_token_is_the_one_given_or_one_that_is_printed(
    here: Run,
    config: Path,
    unconfigured_logging: None,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    given: str | None,
) -> None:
    """A token from the environment is demanded and not printed; without one, the token printed is demanded."""
    served: list[ASGIApp] = []
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: served.append(server.config.app))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    if given is not None:
        monkeypatch.setenv("COATCHECK_TESTING_TOKEN", given)
    code, out, _ = here("serve", "--port", "0", "--manual-clock", *options)
    assert code == 0
    printed = re.fullmatch(r"x-coatcheck-testing: (\S+)\n", out)
    assert (printed is None) is (given is not None)
    client = TestClient(served[0], base_url="http://localhost")
    headers = {"x-coatcheck-testing": given or (printed or [""])[1]}
    assert client.get("/auth/testing/clock", headers=headers).json()["manual"] is True


@pytest.mark.slow
def test_a_port_in_use_is_told_before_a_database_is_made(tmp_path: Path) -> None:
    """Somebody else's port is one line naming it and the option; no database file appears."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        code, err = process("serve", "--port", str(port))
    assert code == 1
    assert one_line(err) == f"port {port} of 127.0.0.1 is in use by another process: choose another with --port"
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_an_unreachable_database_is_told_without_its_password(tmp_path: Path) -> None:
    """A database that does not answer ends the start, in one line in which the password is masked."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else answers there either
        url = f"postgresql+psycopg://joe:pa55word@127.0.0.1:{taken.getsockname()[1]}/x"
        code, err = process("serve", "--port", "0", COATCHECK_DATABASE=url)
    assert code == 1
    assert "joe:***@127.0.0.1" in one_line(err)
    assert "pa55word" not in err


# --recipes


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("config", "must read module:attribute"),
        ("config.py:recipes", "name the module, config, not its file"),
        ("nowhere:recipes", "there is no module 'nowhere' in"),
        ("config:recipe", "did you mean 'recipes'?"),
        ("config:number", "not 7"),
        ("config:crash", f"config.py:{line_of('return 1 / 0')}: ZeroDivisionError: division by zero"),
        ("config:failing_override", f"config.py:{line_of('raise KeyError')}: KeyError: 'secret'"),
        ("config:misspelt_override", "did you mean 'create_new_session'?"),
    ],
)
def test_recipes_that_cannot_be_had_are_one_line(here: Run, config: Path, reference: str, said: str) -> None:
    """Whatever is wrong with --recipes is told with what was asked for, or with the user's file and line."""
    code, _, err = here("explain", "session.get_session", "--recipes", reference)
    assert code == 1
    assert said in one_line(err)


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("typo", "recipes = [\n", "typo.py:1: SyntaxError"),
        ("missing", "\nimport not_installed_here\n", "missing.py:2: ModuleNotFoundError"),
        (
            "option",
            "from coatcheck.recipes import session\n\nrecipes = [session.init(anti_csrf='SOME')]\n",
            "option.py:3: session.init: anti_csrf must be one of",
        ),
    ],
)
def test_a_module_that_fails_on_import_is_told_with_its_line(
    here: Run, tmp_path: Path, module: str, source: str, said: str
) -> None:
    """The user's own line is named, also where a library that it calls raises."""
    (tmp_path / f"{module}.py").write_text(source)
    code, _, err = here("explain", "session.get_session", "--recipes", f"{module}:recipes")
    assert code == 1
    assert said in one_line(err)


@pytest.mark.slow
def test_with_log_level_debug_the_traceback_is_shown(config: Path) -> None:
    """Who asks for it sees the whole traceback of their module, and the same line last."""
    code, err = process("serve", "--port", "0", "--recipes", "config:crash", "--log-level", "debug")
    assert code == 1
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("coatcheck: --recipes config:crash: config.py:")


# explain


def test_explain_shows_the_layers_of_the_recipes_named(here: Run, config: Path) -> None:
    """The override is listed with its place; no database is made or opened."""
    code, out, err = here("explain", "session.create_new_session", "--recipes", "config:recipes")
    assert (code, err) == (0, "")
    assert "1 layer over the implementation" in out
    assert f"config.py:{line_of('async def mine')}" in out
    assert not [*config.parent.glob("*.db")]


def test_explain_accepts_an_app(here: Run, config: Path) -> None:
    """An App is explained as it is, whatever its database, which is not touched."""
    code, out, _ = here("explain", "session.create_new_session", "--recipes", "config:app")
    assert code == 0
    assert "1 layer over the implementation" in out
    assert not [*config.parent.glob("*.db")]


def test_explain_without_recipes_shows_the_defaults(here: Run) -> None:
    """Without --recipes, the recipes that `serve` would use are explained."""
    assert "not overridden" in here("explain", "emailpassword.sign_up")[1]


@pytest.mark.parametrize("operation", ["session.create_sesion", "sesion.get_session", "session"])
def test_an_unknown_operation_is_one_line(here: Run, operation: str) -> None:
    """An operation nobody knows is refused in one line."""
    code, _, err = here("explain", operation)
    assert code == 1
    one_line(err)


# keys


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Make a database file with one dynamic key in it and return its URL."""
    url = f"sqlite:///{tmp_path / 'keys.db'}"
    info = InputAppInfo(app_name="Mine", api_domain="http://localhost:9", website_domain="http://localhost:3000")
    with closing(App(app_info=info, recipe_list=[session.init()], database=url)) as app:
        app.keys.sign({"sub": "u"}, static=False)
    return url


def listed(out: str) -> list[list[str]]:
    """Return the rows of a table, headings left out, kinds and states only."""
    rows = [row.split() for row in out.splitlines()[1:]]
    return [[row[1], row[-1]] for row in rows]


def test_keys_are_listed_as_a_table(here: Run, database: str) -> None:
    """Key id, kind, date in GMT and state of each key stand in columns."""
    code, out, _ = here("keys", "list", "--database", database)
    assert code == 0
    heading, row = out.splitlines()
    assert re.fullmatch(r"KID +KIND +CREATED \(GMT\) +STATE", heading)
    assert re.fullmatch(r"d-\d+ +dynamic +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ +signing", row)


def test_keys_rotate_publishes_a_key_that_does_not_sign_yet(
    here: Run, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rotation the old key signs on until everybody has had time to fetch the new one."""
    monkeypatch.setenv("COATCHECK_DATABASE", database)
    assert here("keys", "rotate")[0] == 0
    assert listed(here("keys", "list")[1]) == [["dynamic", "published"], ["dynamic", "signing"]]


def test_keys_rotate_revoke_leaves_only_the_new_key(here: Run, database: str) -> None:
    """With --revoke the new key signs at once and the others are no longer trusted."""
    code, out, _ = here("keys", "rotate", "--revoke", "--database", database)
    assert code == 0
    assert "revoked" in out
    assert listed(here("keys", "list", "--database", database)[1]) == [["dynamic", "signing"], ["dynamic", "revoked"]]


def test_keys_rotate_seals_the_new_key_with_the_encryption_key(
    here: Run, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COATCHECK_ENCRYPTION_KEY is used by `keys` as it is by `serve`."""
    monkeypatch.setenv("COATCHECK_ENCRYPTION_KEY", "0123456789abcdef0123456789abcdef")
    assert here("keys", "rotate", "--database", database)[0] == 0
    assert b"aes256gcm:" in b"".join(file.read_bytes() for file in tmp_path.glob("keys.db*"))


@pytest.mark.parametrize("key", [None, "another key, also long enough"])
@pytest.mark.parametrize("command", [("keys", "rotate"), ("serve", "--port", "0")])
def test_encrypted_keys_need_the_key_they_were_sealed_with(
    here: Run,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    unconfigured_logging: None,
    command: tuple[str, ...],
    key: str | None,
) -> None:
    """Without it, or with another, nothing starts and no key is stored in the clear; the variable is named."""
    monkeypatch.setenv("COATCHECK_ENCRYPTION_KEY", "0123456789abcdef0123456789abcdef")
    assert here("keys", "rotate", "--revoke", "--database", database)[0] == 0
    monkeypatch.delenv("COATCHECK_ENCRYPTION_KEY")
    if key is not None:
        monkeypatch.setenv("COATCHECK_ENCRYPTION_KEY", key)
    code, _, err = here(*command, "--database", database)
    assert code == 1
    assert "COATCHECK_ENCRYPTION_KEY" in one_line(err)
    assert len(listed(here("keys", "list", "--database", database)[1])) == 2


@pytest.mark.parametrize("command", ["list", "rotate"])
def test_keys_make_no_database(here: Run, tmp_path: Path, command: str) -> None:
    """A database that is not there is a mistake in its name, and is not made."""
    code, _, err = here("keys", command, "--database", "sqlite:///mispelt.db")
    assert code == 1
    assert "there is no database" in one_line(err)
    assert not [*tmp_path.iterdir()]


def test_keys_of_a_database_in_memory_are_refused(here: Run) -> None:
    """A database in memory would be empty by its nature."""
    code, _, err = here("keys", "list", "--database", "sqlite://")
    assert code == 1
    assert "in memory" in one_line(err)
