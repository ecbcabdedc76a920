"""What an installation weighs, that nothing is sent anywhere, and that frameworks are optional."""

from __future__ import annotations

import importlib.metadata
import json
import re

import pytest

from ..kit import python

NO_NETWORK = """
import socket

def refuse(*_):
    raise AssertionError("something connected")

socket.socket.connect = refuse
socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse

from coatcheck import App, InputAppInfo, RecipeUserId
from coatcheck.recipes import emailpassword, session
from coatcheck.server import create_app

app = App(
    app_info=InputAppInfo("Quiet", "https://api.example.co.uk", website_domain="https://www.example.co.uk"),
    recipe_list=[session.init(), emailpassword.init()],
)
create_app(app)
with app.active():
    made = session.sync.create_new_session_without_request_response("public", RecipeUserId("u1"))
    assert session.sync.get_session_without_request_response(made.get_access_token())
print("quiet")
"""


def requirements(distribution: str) -> set[str]:
    """Return the names of all distributions that one needs, itself left out; extras are not followed."""
    found: set[str] = set()
    waiting = [distribution]
    while waiting:
        for text in importlib.metadata.requires(waiting.pop()) or []:
            name, _, marker = text.partition(";")
            bare = re.split(r"[\s<>=!~\[(]", name.strip())[0].lower().replace("_", "-")
            if "extra" in marker or bare in found:
                continue
            try:
                importlib.metadata.distribution(bare)
            except importlib.metadata.PackageNotFoundError:
                continue  # Its marker excludes this platform.
            found.add(bare)
            waiting.append(bare)
    return found


def test_an_app_without_providers_loads_no_http_client() -> None:
    """Neither an App, nor serving it, nor a test App loads httpx2; the third-party recipe does."""
    code = (
        "import sys; from coatcheck import App; from coatcheck.server import create_app; "
        "from coatcheck.testing import make_app; before = 'httpx2' in sys.modules; "
        "from coatcheck.recipes import thirdparty; print(before, 'httpx2' in sys.modules)"
    )
    assert python("-c", code).stdout.strip() == "False True"


def test_the_base_installation_is_small() -> None:
    """The base install is at most 25 packages."""
    needed = requirements("coatcheck")
    assert {"sqlalchemy", "starlette", "pyjwt", "cryptography", "pydantic"} <= needed
    assert len(needed) + 1 <= 25, sorted(needed)


@pytest.mark.slow
def test_import_init_and_verify_touch_no_network() -> None:
    """Importing, making an App and an ASGI application, and verifying a session connect to nothing."""
    ran = python("-I", "-c", NO_NETWORK)
    assert ran.stdout.strip() == "quiet", ran.stderr


ABSENT = """
import importlib, json, sys
for name in ("fastapi", "flask", "django", "rest_framework"):
    sys.modules[name] = None  # as if it were not installed
told = {}
for adapter in ("fastapi", "flask", "django", "drf"):
    try:
        importlib.import_module(f"coatcheck.server.{adapter}")
        told[adapter] = None
    except ImportError as error:
        told[adapter] = str(error)
from coatcheck import App, InputAppInfo
from coatcheck.recipes import emailpassword, session, thirdparty
from coatcheck.server import asgi, create_app, doctor, wsgi
info = InputAppInfo(app_name="T", api_domain="http://localhost:3567", website_domain="http://localhost:3000")
create_app(App(app_info=info, recipe_list=[session.init(), emailpassword.init()]))
print(json.dumps(told))
"""


@pytest.mark.slow
def test_import_works_with_every_framework_absent_and_an_adapter_names_its_extra() -> None:
    """Without FastAPI, Flask and Django all else works, and importing an adapter says what to install."""
    ran = python("-c", ABSENT)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told == {
        "fastapi": "coatcheck.server.fastapi needs FastAPI: pip install 'coatcheck[fastapi]'",
        "flask": "coatcheck.server.flask needs Flask: pip install 'coatcheck[flask]'",
        "django": "coatcheck.server.django needs Django: pip install 'coatcheck[django]'",
        "drf": "coatcheck.server.drf needs Django REST framework: pip install 'coatcheck[django]' djangorestframework",
    }
