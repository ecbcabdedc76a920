"""The pytest plugin: its fixtures at work in another project, and its weight where nobody asks for them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from coatcheck import testing

from ..kit import python

CONFTEST = """
import pytest
from coatcheck import InputAppInfo
from coatcheck.claims import BooleanClaim
from coatcheck.recipes import emailpassword, session, thirdparty
from coatcheck.recipes.thirdparty import SignInAndUpFeature
from coatcheck.server.stub import stub

SecondFactorClaim = BooleanClaim("2fa-completed", lambda *_: False)
GOOGLE = stub("google", api_base_path="/api")

@pytest.fixture
def coatcheck_recipes():
    return [
        session.init(claims=[SecondFactorClaim]),
        emailpassword.init(),
        thirdparty.init(SignInAndUpFeature([GOOGLE])),
    ]

@pytest.fixture
def coatcheck_config():
    return {
        "app_info": InputAppInfo(
            "Mine", "https://api.example.com", website_domain="https://example.com", api_base_path="/api"
        )
    }

@pytest.fixture
def second_factor():
    return SecondFactorClaim
"""

SUITE = """
import asyncio
import unittest
from datetime import timedelta

import pytest

from coatcheck import current_app
from coatcheck.recipes import session
from coatcheck.recipes.app import default_app
from coatcheck.testing import Mailbox, Providers, assert_session, client, make_app, sign_in as mint

FORM = {"formFields": [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]}

@pytest.mark.parametrize("turn", range(8))
def test_every_app_is_fresh(coatcheck_app, clock, outbox, providers, sign_in, turn):
    assert current_app() is coatcheck_app and default_app() is None
    assert coatcheck_app.info.app_name == "Mine" and coatcheck_app.clock is clock
    assert_session(client(coatcheck_app).post("/api/signup", json=FORM)).created()
    client(coatcheck_app).post("/api/user/password/reset/token", json={"formFields": FORM["formFields"][:1]})
    assert len(outbox) == 1 and outbox.last.token
    assert providers["google"].requests == [] and providers["google"].stub.script.take_error(["server_error"]) is None
    providers["google"].next_error("server_error")
    before = clock.now_ms()
    clock.advance(turn)
    assert clock.now_ms() == before + turn * 1000

def test_a_session_is_minted(coatcheck_app, sign_in, second_factor):
    signed_in = sign_in("ann@example.com", claims={second_factor: True}, age=timedelta(minutes=1))
    assert signed_in.payload["2fa-completed"]["v"] is True
    assert_session(signed_in.client(coatcheck_app, mode="header").refresh()).refreshed()

def test_an_asynchronous_test_finds_the_app(coatcheck_app, sign_in):
    async def handles():
        return await session.get_all_session_handles_for_user(sign_in("ann@example.com").user_id)
    assert len(asyncio.run(handles())) == 1

def test_nothing_is_current_without_a_fixture():
    with pytest.raises(Exception, match="Initialisation not done"):
        current_app()

class Case(unittest.TestCase):
    def setUp(self):
        self.app = self.enterContext(make_app())

    def test_plain_functions(self):
        signed_in = mint(self.app, "ann@example.com")
        assert signed_in.client(self.app).sign_out().json() == {"status": "OK"}
        assert len(Mailbox(self.app.outbox)) == len(Providers(self.app)) == 0

    def test_a_fresh_app(self):
        assert mint(self.app, "ann@example.com")
"""
TESTS = 8 + 4 + 1


def project(folder: Path, **files: str) -> Path:
    """Write the files of another project."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def strictly(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in another project, warnings being errors."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COATCHECK", "COV"))}
    return python("-W", "error", *arguments, cwd=cwd, env=clean)


@pytest.mark.slow
def test_the_fixtures_at_work(tmp_path: Path) -> None:
    """Plain functions and TestCases, in any order and in several processes, each have an App of their own."""
    project(tmp_path, conftest=CONFTEST, test_suite=SUITE)
    options = ["--random-order", "-n", "2"]
    ran = strictly("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *options, cwd=tmp_path)
    assert f"{TESTS} passed" in ran.stdout, ran.stdout + ran.stderr


def modules_after(folder: Path, *options: str) -> set[str]:
    """Return the modules that are loaded after pytest has run a test that uses no fixture of ours."""
    project(folder, test_suite="def test_nothing():\n    pass\n")
    code = (
        "import json, sys, pytest; "
        f"status = pytest.main(['-q', '-p', 'no:cacheprovider', *{list(options)!r}]); "
        "print(json.dumps([int(status), sorted(sys.modules)]))"
    )
    ran = strictly("-c", code, cwd=folder)
    status, modules = json.loads(ran.stdout.splitlines()[-1])
    assert status == 0, ran.stdout
    return set(modules)


@pytest.mark.slow
def test_the_plugin_is_inert_until_a_fixture_is_asked_for(tmp_path: Path) -> None:
    """In a run that does not use it, the plugin loads itself and nothing that has to be installed."""
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    added = modules_after(tmp_path / "with") - modules_after(tmp_path / "without", "-p", "no:coatcheck")
    ours = {name for name in added if name.partition(".")[0] == "coatcheck"}
    assert ours == {"coatcheck", "coatcheck.testing", "coatcheck.testing.plugin"}
    assert {name.partition(".")[0] for name in added - ours} <= sys.stdlib_module_names


@pytest.mark.slow
def test_unittest_does_without_pytest(tmp_path: Path) -> None:
    """Where pytest is not installed, the plain functions work."""
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "from coatcheck.testing import make_app, sign_in\n"
        "with make_app() as app: print(sign_in(app, 'u1').user_id)"
    )
    ran = strictly("-c", code, cwd=tmp_path)
    assert ran.stdout == "u1\n", ran.stderr


def test_pytest_finds_the_plugin() -> None:
    """The installed distribution says that pytest should load the kit."""
    (found,) = entry_points(group="pytest11", name="coatcheck")
    assert found.value == "coatcheck.testing.plugin"


def test_the_kit_names_what_it_lists() -> None:
    """`__all__`, the lazy table and the names for type checkers are the same, and every name can be had."""
    source = ast.parse(Path(testing.__file__).read_text())
    block = next(node for node in source.body if isinstance(node, ast.If))  # TYPE_CHECKING
    checked = sorted(alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names)
    assert testing.__all__ == sorted(testing._HOME) == checked
    for name in testing.__all__:
        assert getattr(testing, name).__class__ is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = testing.nonsense  # type: ignore[attr-defined]
