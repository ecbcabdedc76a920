"""`coatcheck doctor`: what it looks at, what it prints, how it ends, and that good configurations pass."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from coatcheck import App, InputAppInfo, get_all_cors_headers
from coatcheck.claims import PrimitiveArrayClaim
from coatcheck.recipes import emailpassword, session, thirdparty, usermetadata
from coatcheck.recipes.app import default_app
from coatcheck.recipes.delivery import EmailDeliveryConfig, SMTPService
from coatcheck.recipes.delivery.smtp import SMTPSettings, SMTPSettingsFrom
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.server.asgi import AuthMiddleware
from coatcheck.server.cli import run
from coatcheck.server.doctor import Diagnosis, Finding, diagnose, examine, report

from ...kit import python

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()

CONFIG = """
from coatcheck import App, InputAppInfo, init
from coatcheck.recipes import emailpassword, session
from coatcheck.server.asgi import AuthMiddleware
from coatcheck.server.wsgi import AuthMiddleware as WSGIMiddleware
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

recipes = [session.init(), emailpassword.init()]

def app():
    info = InputAppInfo(app_name="Mine", api_domain="http://127.0.0.1:8000", website_domain="http://localhost:3000")
    return App(app_info=info, recipe_list=recipes, database="sqlite:///mine.db")

def web():
    made = Starlette()
    made.add_middleware(CORSMiddleware)
    made.add_middleware(AuthMiddleware, coatcheck=app())
    return made

unknown = Starlette()
wsgi = WSGIMiddleware(lambda environ, start_response: [], coatcheck=app())
number = 7
"""
PROJECT = {
    "mysite/__init__.py": "",
    "mysite/settings.py": """
from coatcheck import InputAppInfo, init
from coatcheck.recipes import session

init(
    InputAppInfo(app_name="Mine", api_domain="http://localhost:8000", website_domain="http://localhost:3000"),
    recipe_list=[session.init()],
    database="sqlite:///mine.db",
)
SECRET_KEY = "only for tests"
ROOT_URLCONF = "mysite.urls"
MIDDLEWARE = ["coatcheck.server.django.Middleware", "corsheaders.middleware.CorsMiddleware"]
CORS_ALLOWED_ORIGINS = ["http://localhost:3000"]
""",
    "mysite/urls.py": "urlpatterns = []\n",
    "mysite/wsgi.py": """
import os
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = get_wsgi_application()
""",
}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a directory that holds only the module `config`, without variables of this machine."""
    for name in [name for name in os.environ if name.startswith("COATCHECK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "config", raising=False)
    (tmp_path / "config.py").write_text(CONFIG)


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `coatcheck doctor` in this process: exit code, standard output, standard error."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(["doctor", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return command


# What is right


def test_the_set_up_of_the_readme_is_right() -> None:
    """What a newcomer copies, on localhost and in memory, gets no finding."""
    block = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)[0]
    namespace: dict[str, object] = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), namespace)
    app, asgi = namespace["app"], namespace["asgi"]
    assert isinstance(app, App)
    assert examine(app, asgi) == []


def test_a_deployed_application_that_has_everything_is_right() -> None:
    """Recipes, claims, a mail server, a database server and CORS: nothing is found, and nothing left unchecked."""
    google = thirdparty.ProviderConfig("google", clients=[thirdparty.ProviderClientConfig("id", "secret")])
    sender = SMTPSettingsFrom("Mine", "noreply@example.com")
    settings = SMTPSettings(host="smtp.example.com", port=587, from_=sender, password="p")
    app = App(
        app_info=InputAppInfo("Mine", "https://api.example.com", website_domain="https://www.example.com"),
        recipe_list=[
            session.init(
                cookie_domain=".example.com",
                older_cookie_domain="",
                anti_csrf="VIA_TOKEN",
                claims=[PrimitiveArrayClaim(key="roles", fetch_value=lambda *_: ["admin", "editor"])],
            ),
            emailpassword.init(email_delivery=EmailDeliveryConfig(service=SMTPService(settings))),
            thirdparty.init(thirdparty.SignInAndUpFeature([thirdparty.ProviderInput(google)])),
            usermetadata.init(),
        ],
        database="postgresql+psycopg://joe@127.0.0.1:1/none",
        encryption_key="0123456789abcdef0123456789abcdef",
    )
    web = FastAPI()
    web.add_middleware(AuthMiddleware, coatcheck=app)
    web.add_middleware(
        CORSMiddleware,
        allow_origins=["https://www.example.com"],
        allow_credentials=True,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["content-type", *get_all_cors_headers()],
    )
    assert diagnose(app, web) == Diagnosis((), ())


def test_what_serve_serves_by_default_is_right(doctor: Run) -> None:
    """Without any option, `coatcheck serve` has nothing wrong with it."""
    assert doctor() == (0, "nothing found\n", "")


# What is printed, and the exit code


def test_a_finding_is_printed_with_its_reason_and_its_fix(doctor: Run, tmp_path: Path) -> None:
    """Level and title first, then why, then what to do; an error ends with exit code 1, and no database is made."""
    code, out, err = doctor("--recipes", "config:app")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == "error: browsers take 127.0.0.1 and localhost for different sites"
    assert lines[1].startswith("    The API is http://127.0.0.1:8000")
    assert "    Fix: Call both by one name: api_domain='http://localhost:8000'" in out
    assert "\n1 error\n" in out
    assert "\n\nnot checked: CORS" in out
    assert [path.name for path in tmp_path.glob("*.db*")] == []


def test_without_an_error_the_exit_code_is_zero(doctor: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings and advice let a deployment go on."""
    monkeypatch.setenv("COATCHECK_API_DOMAIN", "https://api.example.com")
    monkeypatch.setenv("COATCHECK_WEBSITE_DOMAIN", "https://example.org")
    code, out, _ = doctor()
    assert code == 0
    assert "\n1 warning, 1 advice\n" in out


def test_a_count_speaks_of_many() -> None:
    """Two of a kind are counted as two."""
    findings = (*[Finding("error", "a", "b.", "c.")] * 2, *[Finding("advice", "a", "b.", "c.")] * 2)
    assert report(Diagnosis(findings, ())).endswith("\n\n2 errors, 2 advice")


def test_lines_are_not_longer_than_a_terminal() -> None:
    """Long texts are wrapped, and addresses in them are not broken."""
    address = "https://a-rather-long-name.example.com"
    text = report(Diagnosis((Finding("error", "x" * 30, f"{address} " * 9, f"{address} " * 9),), (f"{address} " * 9,)))
    assert max(map(len, text.splitlines())) <= 100
    assert text.count(address) == 27


# What is looked at


def test_a_list_is_looked_at_as_serve_would_serve_it(doctor: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of `serve` counts: where the API is, and what is for tests only."""
    assert doctor("--recipes", "config:recipes") == (0, "nothing found\n", "")
    monkeypatch.setenv("COATCHECK_API_DOMAIN", "https://api.example.com")
    monkeypatch.setenv("COATCHECK_WEBSITE_DOMAIN", "https://example.com")
    monkeypatch.setenv("COATCHECK_MANUAL_CLOCK", "1")
    code, out, _ = doctor("--recipes", "config:recipes")
    assert code == 1
    assert "error: a ManualClock" in out
    assert "not checked" not in out


def test_settings_that_contradict_an_app_are_refused_as_serve_refuses_them(
    doctor: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An App says itself where its API is; another answer in the environment is one line and exit code 1."""
    monkeypatch.setenv("COATCHECK_API_DOMAIN", "https://api.example.com")
    code, out, err = doctor("--recipes", "config:app")
    assert (code, out) == (1, "")
    assert "is an App that has http://127.0.0.1:8000" in err


def test_an_application_is_looked_at_with_the_app_it_serves(doctor: Run) -> None:
    """A factory of a Starlette application is called; its CORS is examined along with its App."""
    code, out, _ = doctor("--recipes", "config:web")
    assert code == 1
    assert "error: browsers take 127.0.0.1 and localhost for different sites" in out
    assert "error: CORSMiddleware is inside the auth middleware" in out
    assert "not checked" not in out


def test_a_wsgi_application_is_looked_at_as_far_as_it_can_be(doctor: Run) -> None:
    """Its App is found; what CORS it has cannot be seen."""
    _, out, _ = doctor("--recipes", "config:wsgi")
    assert "error: browsers take 127.0.0.1 and localhost for different sites" in out
    assert "not checked: CORS: the doctor cannot look into AuthMiddleware" in out


def test_the_app_of_an_application_may_be_the_default(doctor: Run) -> None:
    """Where the application names no App it is the one that `init` made; without one, that is told in one line."""
    before = default_app()
    try:
        set_default_services(None)
        code, _, err = doctor("--recipes", "config:unknown")
        assert code == 1
        assert err.startswith("coatcheck: --recipes config:unknown: no App is to be found in this Starlette")
        info = InputAppInfo("Mine", "http://127.0.0.1:8000", website_domain="http://localhost:3000")
        set_default_services(App(app_info=info, recipe_list=[session.init()], database="sqlite:///mine.db"))
        assert "error: browsers take 127.0.0.1" in doctor("--recipes", "config:unknown")[1]
    finally:
        set_default_services(before)


@pytest.mark.parametrize(("name", "said"), [("number", "not 7"), ("nothing", "has no 'nothing'")])
def test_what_is_no_application_is_one_line(doctor: Run, name: str, said: str) -> None:
    """A wrong name, or a wrong kind of thing, is told as by the other commands."""
    code, _, err = doctor("--recipes", f"config:{name}")
    assert code == 1
    assert said in err


def process(*arguments: str) -> str:
    return python(*arguments).stdout


@pytest.mark.slow
def test_a_django_project_is_looked_at_through_its_wsgi_module(tmp_path: Path) -> None:
    """Its settings say in which order the middlewares are, and its `init` which App is served."""
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    out = process("-m", "coatcheck", "doctor", "--recipes", "mysite.wsgi:application")
    assert re.findall(r"^error: (.*)$", out, re.MULTILINE) == [
        "corsheaders.middleware.CorsMiddleware is inside the auth middleware",
        "CORS_ALLOW_CREDENTIALS is not set",
        "CORS_ALLOW_HEADERS lacks rid, fdi-version, st-auth-mode",
    ]


@pytest.mark.slow
def test_no_framework_is_imported_to_look_at_another() -> None:
    """What the application does not bring along, the doctor does not need."""
    out = process(
        "-c",
        "import sys; from coatcheck.server.cli import run; run(['doctor', '--recipes', 'config:web']); "
        "print([name for name in ('fastapi', 'flask', 'flask_cors', 'django', 'corsheaders') if name in sys.modules])",
    )
    assert out.endswith("[]\n")
