"""The testing routes under any input: it is understood or refused, and nothing breaks."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, strategies as st
from pydantic import ValidationError
from starlette.testclient import TestClient

from coatcheck import App, InputAppInfo
from coatcheck.claims import ManualClock
from coatcheck.recipes import emailpassword, session, thirdparty
from coatcheck.server import create_app
from coatcheck.server.stub import stub
from coatcheck.server.testing.commands import codes_in, parameters_of
from coatcheck.server.testing.guard import LATEST_MS, ClockMove, OutboxQuery, Plan

from ...kit import API, Make

TOKEN = "a-token-for-tests"


HEADERS = {"x-coatcheck-testing": TOKEN}


CLOCK, PROVIDERS = "/auth/testing/clock", "/auth/testing/providers"
SCRIPT = f"{PROVIDERS}/google/script"


@pytest.fixture
def app(make_app: Make) -> App:
    """Make an App with passwords and two stub providers."""
    providers = [stub("google"), stub("github")]
    third = thirdparty.init(thirdparty.SignInAndUpFeature(providers=providers))
    return make_app(recipes=[emailpassword.init(), third])


@pytest.fixture
def client(app: App) -> TestClient:
    """Open a client that knows the token."""
    return client_of(app)


def client_of(app: App) -> TestClient:
    served = create_app(app, testing_token=TOKEN)
    return TestClient(served, base_url=API, headers=HEADERS, raise_server_exceptions=False, follow_redirects=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


FIELDS = st.sampled_from(["advance_seconds", "now_ms", "persona", "error", "at", "user_id", "email", "to"])


BODIES = st.dictionaries(FIELDS | st.text(max_size=8), JSON, max_size=3)


@given(BODIES)
def test_any_body_is_understood_or_refused(body: dict[str, Any]) -> None:
    """Whatever is parsed, the outcome is a value within its bounds or a validation error, nothing else."""
    for kind in (ClockMove, OutboxQuery, Plan):
        try:
            kind.model_validate(body)
        except ValidationError:
            continue
    try:
        move = ClockMove.model_validate(body)
    except ValidationError:
        return
    assert 0 <= (move.advance_seconds or 0) <= LATEST_MS / 1000
    assert 0 <= (move.now_ms or 0) <= LATEST_MS


@pytest.fixture(scope="module")
def any_app() -> TestClient:
    """Open one client for many requests, on an App with a stub."""
    app = App(
        app_info=InputAppInfo("Any", API, website_domain="http://localhost:3000"),
        recipe_list=[session.init(), thirdparty.init(thirdparty.SignInAndUpFeature(providers=[stub("google")]))],
        database="sqlite://",
        clock=ManualClock(),
        unsafe_for_tests=True,
    )
    return client_of(app)


@given(
    raw=st.binary(max_size=64) | BODIES.map(lambda body: json.dumps(body).encode()),
    path=st.sampled_from([CLOCK, SCRIPT]),
)
def test_no_body_breaks_the_routes(any_app: TestClient, raw: bytes, path: str) -> None:
    """Any bytes are answered with 200 or 400, and 400 with a message."""
    answer = any_app.post(path, content=raw)
    assert answer.status_code in (200, 400)
    assert answer.status_code == 200 or answer.json()["message"]


@given(name=st.text(min_size=1, max_size=12), query=st.text(max_size=12))
def test_no_path_or_query_breaks_the_routes(any_app: TestClient, name: str, query: str) -> None:
    """Any name of a user, a session or a provider, and any query, is answered without an error of the server."""
    for path in (f"users/{quote(name, safe='')}/sessions", f"providers/{quote(name, safe='')}/requests", "outbox"):
        answer = any_app.get(f"/auth/testing/{path}?{quote(query, safe='=&%')}")
        assert answer.status_code < 500


@given(st.text())
def test_codes_are_digits_of_the_text(text: str) -> None:
    """Whatever the mail says, every code is four to eight digits that stand in it."""
    for code in codes_in(text):
        assert code.isascii()
        assert code.isdecimal()
        assert 4 <= len(code) <= 8
        assert code in text


@given(
    st.from_regex(r"[0-9]{4,8}", fullmatch=True),
    st.sampled_from(["{}", "Your code: {}.", "{} is it", "({})", "a\n{}\nb"]),
)
def test_a_code_that_stands_alone_is_found(code: str, sentence: str) -> None:
    """A code by itself, in brackets or at the end of a sentence is found."""
    assert codes_in(sentence.format(code)) == [code]


@given(st.text() | st.text(alphabet="htps:/[]?#=&%.a1@", max_size=24))
@example("https://[")
def test_any_link_is_taken_apart_or_has_no_parameters(url: str) -> None:
    """A link that an application wrote never breaks the answer."""
    assert all(isinstance(value, str) for value in parameters_of(url).values())
