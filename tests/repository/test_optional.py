"""Frameworks are optional: what needs one says so, and nothing else does."""

from __future__ import annotations

import json
import subprocess
import sys

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


def test_import_works_with_every_framework_absent_and_an_adapter_names_its_extra() -> None:
    """Without FastAPI, Flask and Django all else works, and importing an adapter says what to install."""
    ran = subprocess.run([sys.executable, "-c", ABSENT], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told == {
        "fastapi": "coatcheck.server.fastapi needs FastAPI: pip install 'coatcheck[fastapi]'",
        "flask": "coatcheck.server.flask needs Flask: pip install 'coatcheck[flask]'",
        "django": "coatcheck.server.django needs Django: pip install 'coatcheck[django]'",
        "drf": "coatcheck.server.drf needs Django REST framework: pip install 'coatcheck[django]' djangorestframework",
    }
