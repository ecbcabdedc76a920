"""The shim is opt-in: it shadows, says what it lacks, and leaves nothing behind."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from coatcheck import shim

from ..kit import python

ROOT = Path(__file__).parents[2]


@pytest.fixture
def real_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install a package of the SDK's name, with a module that only it has."""
    package = tmp_path / "supertokens_python"
    package.mkdir()
    (package / "__init__.py").write_text("NAME = 'the real one'\n")
    (package / "constants.py").write_text("VERSION = '0'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    shim.uninstall()
    for name in [name for name in sys.modules if name.partition(".")[0] == "supertokens_python"]:
        del sys.modules[name]


def sdk(path: str = "") -> ModuleType:
    """Import a module of the SDK."""
    return importlib.import_module(f"supertokens_python{path}")


@pytest.mark.slow
def test_importing_the_shim_changes_nothing() -> None:
    """Only `install` installs: the import system is as it was, and the SDK's name means nothing."""
    code = (
        "import sys; before = list(sys.meta_path); import coatcheck.shim; assert sys.meta_path == before; "
        "import supertokens_python"
    )
    result = python("-c", code)
    assert "No module named 'supertokens_python'" in result.stderr


@pytest.mark.slow
def test_the_shim_itself_loads_only_the_standard_library() -> None:
    """Installing loads nothing that has to be installed; that comes with the names an application asks for."""
    code = (
        "import sys; before = set(sys.modules); import coatcheck.shim; coatcheck.shim.install(); "
        "import supertokens_python.recipe.session.asyncio, supertokens_python.framework.flask; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names) - {'coatcheck', 'supertokens_python'}))"
    )
    assert python("-c", code).stdout.strip() == "[]"


def test_names_are_coatchecks_own(shimmed: None) -> None:
    """What an application imports from the SDK's paths are the very objects of coatcheck."""
    from coatcheck import claims, exceptions
    from coatcheck.recipes import session

    assert sdk(".recipe.session.claims").BooleanClaim is claims.BooleanClaim
    assert sdk(".recipe.session.interfaces").RecipeInterface is session.RecipeInterface
    assert sdk(".recipe.session.asyncio").get_session is session.get_session
    assert sdk(".recipe.session.syncio").get_session is session.sync.get_session
    assert sdk(".exceptions").SuperTokensError is exceptions.CoatcheckError


def test_requests_and_responses_are_where_applications_look_for_them(shimmed: None) -> None:
    """`framework.request` and `framework.response` have what `framework` has."""
    assert sdk(".framework.request").BaseRequest is sdk(".framework").BaseRequest
    assert sdk(".framework.response").BaseResponse is sdk(".framework").BaseResponse


def test_a_module_can_be_reached_without_importing_it_by_name(shimmed: None) -> None:
    """Submodules are attributes of their package, and `*` takes its names."""
    assert sdk().recipe.session.exceptions.UnauthorisedError("x").clear_tokens
    assert "asyncio" in dir(sdk().recipe.session)
    taken: dict[str, object] = {}
    exec("from supertokens_python.recipe.session.claims import *", taken)
    assert {"BooleanClaim", "PrimitiveClaim", "PrimitiveArrayClaim", "SessionClaim"} <= set(taken)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("from supertokens_python import nonsense", ["'nonsense' in supertokens_python.", "InputAppInfo"]),
        ("from supertokens_python.recipe import passwordless", ["no passwordless sign-in yet", "emailpassword"]),
        ("import supertokens_python.recipe.userroles.asyncio", ["'userroles'", "no roles yet", "usermetadata"]),
        ("from supertokens_python.recipe.session.asyncio import get_sesion", ["'get_sesion'", "get_session,"]),
        ("from supertokens_python.recipe.jwt import init", ["belong to the session recipe", "asyncio"]),
        ("from supertokens_python.recipe.multitenancy.asyncio import create_or_update_tenant", ["one tenant"]),
        ("from supertokens_python.syncio import get_user_id_mapping", ["not mapped", "get_user,"]),
        ("from supertokens_python.process_state import ProcessState", ["no core server", "Supertokens.reset()"]),
        ("from supertokens_python.querier import Querier", ["no core server", "Supertokens.reset()"]),
        ("from supertokens_python.recipe.jwt.recipe import JWTRecipe", ["belong to the session recipe", "asyncio"]),
        (
            "from supertokens_python.recipe.emailpassword.exceptions import SomeError",
            ["no errors of its own", "EmailPasswordRecipe", "interfaces"],
        ),
        (
            "from supertokens_python.recipe.thirdparty.providers import Google",
            ["ProviderConfig(third_party_id=", "init"],
        ),
        ("import supertokens_python.framework.fastapi.inside", ["'inside' in supertokens_python.", "get_middleware"]),
    ],
)
def test_a_missing_name_is_an_import_error_that_lists_what_there_is(
    shimmed: None, statement: str, told: list[str]
) -> None:
    """The message names what is missing, says why where that is known, and lists what the module has."""
    with pytest.raises(ImportError) as caught:
        exec(statement)
    assert not isinstance(caught.value, ModuleNotFoundError)
    assert [part for part in told if part not in str(caught.value)] == []


def test_a_missing_attribute_is_an_attribute_error_with_the_same_words(shimmed: None) -> None:
    """Asking a module for an attribute behaves as with any module: `hasattr` and `getattr` with a default work."""
    session = sdk(".recipe.session")
    assert not hasattr(session, "nonsense")
    assert getattr(session, "__file__", None) is None
    with pytest.raises(AttributeError, match=r"no 'nonsense' in supertokens_python\.recipe\.session"):
        _ = session.nonsense


def test_uninstall_puts_everything_back() -> None:
    """Afterwards neither the hook nor a module of the shim is left; both calls may be repeated."""
    path, modules = list(sys.meta_path), {n for n in sys.modules if n.startswith("supertokens_python")}
    shim.install()
    shim.install()
    assert shim.is_installed()
    sdk(".recipe.session.claims")
    shim.uninstall()
    shim.uninstall()
    assert not shim.is_installed()
    assert sys.meta_path == path
    assert {n for n in sys.modules if n.startswith("supertokens_python")} == modules == set()


def test_the_real_package_is_shadowed_only_while_installed(real_package: Path) -> None:
    """Where the SDK is installed it is what it was before `install` and after `uninstall`."""
    shim.install()
    assert not hasattr(sdk(), "NAME")
    with pytest.raises(ImportError, match=r"coatcheck\.shim has no 'constants'"):
        sdk(".constants")
    shim.uninstall()
    assert sdk().NAME == "the real one"
    assert sdk(".constants").VERSION == "0"


def test_a_real_package_that_was_imported_before_comes_back_as_it_was(
    real_package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its modules are put aside, of which a WARNING tells, and are the same objects afterwards."""
    real, constants = sdk(), sdk(".constants")
    shim.install()
    assert sdk() is not real
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "imported before install()" in caplog.text
    shim.uninstall()
    assert sdk() is real
    assert sdk(".constants") is constants


def test_without_a_real_package_nothing_is_put_aside(shimmed: None, caplog: pytest.LogCaptureFixture) -> None:
    """Installing is silent."""
    assert caplog.record_tuples == []
    assert logging.getLogger("coatcheck.shim").handlers == []


def test_an_adapter_whose_framework_is_missing_says_so_itself(shimmed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path can be imported; the first name taken from it raises the adapter's own ImportError."""
    monkeypatch.setitem(sys.modules, "flask", None)
    monkeypatch.delitem(sys.modules, "coatcheck.server.flask", raising=False)
    module = sdk(".framework.flask")
    with pytest.raises(ImportError, match=r"coatcheck\[flask\]"):
        _ = module.Middleware
    with pytest.raises(ImportError, match=r"coatcheck\[flask\]"):
        exec("from supertokens_python.recipe.session.framework.flask import verify_session")


# Ways of installing


@pytest.mark.slow
def test_running_a_module_or_a_script(tmp_path: Path) -> None:
    """`python -m coatcheck.shim` runs either with its arguments, its own folder first on the path."""
    (tmp_path / "beside.py").write_text("HERE = True\n")
    (tmp_path / "program.py").write_text(
        "import sys, beside\n"
        "from supertokens_python.recipe.session.claims import BooleanClaim\n"
        "print(__name__, sys.argv[1:], BooleanClaim.__module__, beside.HERE)\n"
    )
    expected = "__main__ ['--flag', 'x'] coatcheck.claims.primitive True"
    script = python("-m", "coatcheck.shim", str(tmp_path / "program.py"), "--flag", "x")
    module = python("-m", "coatcheck.shim", "program", "--flag", "x", cwd=tmp_path)
    assert script.stdout.strip() == module.stdout.strip() == expected, script.stderr + module.stderr
    assert "usage: python -m coatcheck.shim" in python("-m", "coatcheck.shim").stderr


CONFTEST = "from supertokens_python.recipe.session.claims import BooleanClaim\n"
TEST = "from supertokens_python import types\n\ndef test_it():\n    assert 'User' in dir(types)\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [["-m", "coatcheck.shim", "pytest", "-p", "xdist", "-n", "1"], ["-m", "pytest", "-p", "coatcheck.shim"]],
    ids=["runner", "plugin"],
)
def test_pytest_has_it_before_the_first_conftest(tmp_path: Path, how: list[str]) -> None:
    """Both ways install before any conftest.py is read, the runner also in the workers of pytest-xdist."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    bare = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    result = python(*how, "-q", "-p", "no:cacheprovider", cwd=tmp_path, env={**os.environ, **bare})
    assert "1 passed" in result.stdout, result.stdout + result.stderr
