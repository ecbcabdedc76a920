"""The testing routes in process: what they do, and what they refuse to be told."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from coatcheck import App, InputAppInfo
from coatcheck.claims import ManualClock
from coatcheck.claims.payload import UserContext
from coatcheck.recipes import emailpassword, session, thirdparty
from coatcheck.recipes.delivery.outbox import Mail
from coatcheck.recipes.exceptions import BadInputError, NotInitialisedError
from coatcheck.server import create_app
from coatcheck.server.stub import stub
from coatcheck.server.testing import TestingMiddleware
from coatcheck.server.testing.commands import mail_json
from coatcheck.server.testing.guard import LATEST_MS, guard_of

from ...kit import API, Make

TOKEN = "a-token-for-tests"
HEADERS = {"x-coatcheck-testing": TOKEN}
CLOCK, OUTBOX, PROVIDERS = "/auth/testing/clock", "/auth/testing/outbox", "/auth/testing/providers"
SCRIPT = f"{PROVIDERS}/google/script"
CALLBACK = "http://localhost:3000/auth/callback/google"


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


def sign_up(client: TestClient, email: str) -> tuple[str, str, str]:
    """Sign somebody up: user id, access token, refresh token."""
    fields = [{"id": "email", "value": email}, {"id": "password", "value": "correct horse 1"}]
    answer = client.post("/auth/signup", json={"formFields": fields}, headers={"st-auth-mode": "header"})
    return answer.json()["user"]["id"], answer.headers["st-access-token"], answer.headers["st-refresh-token"]


def ask_for_reset(client: TestClient, email: str) -> None:
    fields = {"formFields": [{"id": "email", "value": email}]}
    assert client.post("/auth/user/password/reset/token", json=fields).json() == {"status": "OK"}


def refresh(client: TestClient, token: str) -> int:
    headers = {"authorization": f"Bearer {token}", "st-auth-mode": "header"}
    return client.post("/auth/session/refresh", headers=headers).status_code


# The clock


def test_the_clock_tells_the_time_of_the_app(client: TestClient, clock: ManualClock) -> None:
    """The time in ms and as text, and whether it can be moved."""
    told = client.get(CLOCK).json()
    assert told["status"] == "OK"
    assert told["now_ms"] == clock.now_ms()
    assert told["now"].endswith(".000Z")
    assert told["manual"] is True


@pytest.mark.parametrize(("seconds", "ms"), [(3600, 3_600_000), (0.25, 250), (0, 0)])
def test_the_clock_advances_by_seconds(client: TestClient, clock: ManualClock, seconds: float, ms: int) -> None:
    """Whole seconds and fractions; the answer says what time it is now."""
    before = clock.now_ms()
    assert client.post(CLOCK, json={"advance_seconds": seconds}).json()["now_ms"] == clock.now_ms() == before + ms


def test_the_clock_is_set_to_a_time_to_the_millisecond(client: TestClient, clock: ManualClock) -> None:
    """A time in ms is what the clock then shows, exactly."""
    wanted = clock.now_ms() + 86_400_000_001
    assert client.post(CLOCK, json={"now_ms": wanted}).json()["now_ms"] == clock.now_ms() == wanted


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"now_ms": 1000}, "only moves forward"),
        ({"advance_seconds": -1}, "greater than or equal to 0"),
        ({"advance_seconds": "60"}, "valid number"),
        ({"advance_seconds": True}, "valid number"),
        ({"now_ms": 1.5}, "valid integer"),
        ({"advance_seconds": LATEST_MS // 1000}, "last moment"),
        ({"advance_seconds": 1, "now_ms": 2}, "exactly one of advance_seconds and now_ms"),
        ({}, "exactly one of advance_seconds and now_ms"),
        ({"seconds": 60}, "'seconds': extra inputs are not permitted (known fields: advance_seconds, now_ms)"),
        ([], "send a JSON object"),
        (None, "send a JSON object"),
    ],
)
def test_a_clock_that_cannot_move_so_says_why_and_stands(
    client: TestClient, clock: ManualClock, body: Any, said: str
) -> None:
    """Backwards, not a number, both fields, none, unknown ones: 400 with a sentence, and the time is what it was."""
    before = clock.now_ms()
    answer = client.post(CLOCK, json=body)
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert clock.now_ms() == before


@pytest.mark.parametrize(
    "text", ['{"advance_seconds": NaN}', '{"advance_seconds": 1e400}', '{"now_ms":', "", "\ufeff{}"]
)
def test_what_is_not_json_is_refused(client: TestClient, clock: ManualClock, text: str) -> None:
    """Numbers that are none, and texts that are no JSON, are 400."""
    before = clock.now_ms()
    assert client.post(CLOCK, content=text.encode()).status_code == 400
    assert clock.now_ms() == before


def test_an_app_on_the_clock_of_the_system_tells_the_time_but_cannot_move_it() -> None:
    """Reading works; moving is 409 and says how to get a clock that moves."""
    info = InputAppInfo("Real", API, website_domain="http://localhost:3000")
    app = App(app_info=info, recipe_list=[session.init()], database="sqlite://", unsafe_for_tests=True)
    client = client_of(app)
    assert client.get(CLOCK).json()["manual"] is False
    answer = client.post(CLOCK, json={"advance_seconds": 1})
    assert answer.status_code == 409
    assert "--manual-clock" in answer.json()["message"]
    app.close()


def test_what_time_governs_follows(client: TestClient) -> None:
    """A session that is over after a hundred days is over once a test has let them pass."""
    _, _, token = sign_up(client, "ann@example.com")
    client.post(CLOCK, json={"advance_seconds": 99 * 86_400})
    assert refresh(client, token) == 200
    client.post(CLOCK, json={"advance_seconds": 101 * 86_400})
    assert refresh(client, token) == 401


# The outbox


def test_mails_are_told_with_their_links_taken_apart(client: TestClient) -> None:
    """A reset mail has a link whose token sets a new password."""
    sign_up(client, "ann@example.com")
    ask_for_reset(client, "ann@example.com")
    (mail,) = client.get(OUTBOX).json()["mails"]
    assert mail["to"] == "ann@example.com"
    assert "assword" in mail["subject"]
    (link,) = mail["links"]
    assert link["url"] in mail["text"]
    assert mail["html"].startswith("<!doctype html>")
    fields = [{"id": "password", "value": "another horse 2"}]
    body = {"method": "token", "formFields": fields, "token": link["parameters"]["token"]}
    assert client.post("/auth/user/password/reset", json=body).json()["status"] == "OK"


def test_mails_can_be_asked_for_by_recipient_and_forgotten(client: TestClient) -> None:
    """`to` chooses, whatever the letter case; DELETE empties the outbox and says how many mails went."""
    for email in ("ann@example.com", "bob@example.com"):
        sign_up(client, email)
        ask_for_reset(client, email)
    assert [mail["to"] for mail in client.get(OUTBOX, params={"to": "Bob@Example.com"}).json()["mails"]] == [
        "bob@example.com"
    ]
    assert client.get(OUTBOX, params={"to": "nobody@example.com"}).json()["mails"] == []
    assert client.delete(OUTBOX).json() == {"status": "OK", "cleared": 2}
    assert client.get(OUTBOX).json()["mails"] == []


def test_the_codes_of_a_mail_are_told() -> None:
    """Numbers that stand by themselves are codes; those in links are not."""
    text = "Your code is 123456.\nOr open https://example.com/?code=999999 on 2024-01-01, call +1-5550100, pay 1000.50."
    mail = Mail("a@example.com", "Code", text, None, ("https://example.com/?code=999999#x=y",), None)
    told = mail_json(mail)
    assert told["codes"] == ["123456"]
    assert told["links"][0]["parameters"] == {"code": "999999", "x": "y"}


@pytest.mark.parametrize(
    ("method", "query", "said"),
    [
        ("GET", "from=a", "'from'"),
        ("GET", "to=", "at least 1 character"),
        ("GET", "to=a%40b.c&to=d%40e.f", "twice"),
        ("DELETE", "to=a%40b.c", "known fields: none"),
    ],
)
def test_a_query_that_is_not_understood_is_refused(client: TestClient, method: str, query: str, said: str) -> None:
    """An unknown parameter would otherwise be ignored, and mails deleted that nobody named."""
    answer = client.request(method, f"{OUTBOX}?{query}")
    assert answer.status_code == 400
    assert said in answer.json()["message"]


# Stub providers


def test_stub_providers_are_listed_with_their_personas(client: TestClient) -> None:
    """Each stub with its clients and everybody who can sign in there."""
    google, github = client.get(PROVIDERS).json()["providers"]
    assert (google["third_party_id"], github["third_party_id"]) == ("google", "github")
    assert google["client_ids"] == ["stub-google-client"]
    ada = {"user_id": "1001", "email": "ada@example.com", "email_verified": True, "name": "Ada Lovelace"}
    assert google["personas"][0] == ada
    assert google["personas"][3]["email"] is None


def sign_in(client: TestClient) -> tuple[int, dict[str, Any]]:
    """Sign in with Google, without a page to click on."""
    query = {"thirdPartyId": "google", "redirectURIOnProviderDashboard": CALLBACK}
    url = client.get("/auth/authorisationurl", params=query).json()
    page = client.get(url["urlWithQueryParams"])
    assert page.status_code == 303
    returned = dict(parse_qsl(urlsplit(page.headers["location"]).query))
    info = {"redirectURIOnProviderDashboard": CALLBACK, "redirectURIQueryParams": returned}
    info["pkceCodeVerifier"] = url["pkceCodeVerifier"]
    answer = client.post("/auth/signinup", json={"thirdPartyId": "google", "redirectURIInfo": info})
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("persona", "email"),
    [
        ("1001", "ada@example.com"),
        ("grace@example.com", "grace@example.com"),
        ({"user_id": "77", "email": "new@example.com"}, "new@example.com"),
    ],
)
def test_the_next_persona_signs_in_without_a_page(client: TestClient, persona: Any, email: str) -> None:
    """A known persona by id or address, or a new one, is who the next authorization is for."""
    assert client.post(SCRIPT, json={"persona": persona}).json() == {"status": "OK"}
    status, body = sign_in(client)
    assert (status, body["status"]) == (200, "OK")
    assert body["user"]["emails"] == [email]


def test_a_planned_error_happens_once(client: TestClient) -> None:
    """An answer that fails is an error at sign-in; the time after, all is well."""
    client.post(SCRIPT, json={"error": "server_error", "at": "token"})
    for expected in (False, True):
        client.post(SCRIPT, json={"persona": "1001"})
        status, body = sign_in(client)
        assert (status == 200 and body["status"] == "OK") is expected


def test_what_a_provider_was_asked_is_told_without_secrets(client: TestClient) -> None:
    """The token request is there, and its code and secret are not; DELETE forgets it."""
    client.post(SCRIPT, json={"persona": "1001"})
    sign_in(client)
    asked = client.get(f"{PROVIDERS}/google/requests").json()["requests"]
    (token,) = [request for request in asked if request["endpoint"] == "token"]
    assert token["parameters"]["code"] == token["parameters"]["client_secret"] == "***"
    assert client.delete(SCRIPT).json() == {"status": "OK"}
    assert client.get(f"{PROVIDERS}/google/requests").json()["requests"] == []


def test_what_was_planned_can_be_forgotten(client: TestClient) -> None:
    """After DELETE the page is shown again, as if nothing had been planned."""
    client.post(SCRIPT, json={"persona": "1001"})
    client.post(SCRIPT, json={"error": "access_denied"})
    client.delete(SCRIPT)
    query = {"thirdPartyId": "google", "redirectURIOnProviderDashboard": CALLBACK}
    url = client.get("/auth/authorisationurl", params=query).json()["urlWithQueryParams"]
    assert client.get(url).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "exactly one of persona and error"),
        ({"persona": "1001", "error": "slow"}, "exactly one of persona and error"),
        ({"persona": "nobody"}, "it knows 1001 (ada@example.com)"),
        ({"persona": "1001", "at": "token"}, "a persona has no use for it"),
        ({"persona": {"user_id": ""}}, "persona"),
        ({"error": "boredom"}, "'access_denied'"),
        ({"error": "slow", "at": "home"}, "'authorization'"),
        ({"error": "slow", "at": "authorization"}, "would tell nothing"),
        ({"error": "slow", "when": "now"}, "'when'"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(client: TestClient, body: Any, said: str) -> None:
    """Unknown people, errors, places and fields are 400, with what is known."""
    answer = client.post(SCRIPT, json=body)
    assert answer.status_code == 400
    assert said in answer.json()["message"]


def test_an_error_that_a_provider_cannot_make_is_refused(client: TestClient) -> None:
    """GitHub issues no id tokens, so none of them can be wrong."""
    answer = client.post(f"{PROVIDERS}/github/script", json={"error": "alg_none"})
    assert answer.status_code == 400
    assert "no id tokens" in answer.json()["message"]


@pytest.mark.parametrize("name", ["facebook", "%00", "google%2Fscript"])
def test_a_provider_that_is_not_played_is_told_with_those_that_are(client: TestClient, name: str) -> None:
    """404, and the names of the stubs where the path is that of a provider."""
    answer = client.post(f"{PROVIDERS}/{name}/script", json={"persona": "1001"})
    assert answer.status_code == 404
    assert "google" in answer.json()["message"] or "no such testing route" in answer.json()["message"]


def test_without_stub_providers_the_list_is_empty(make_app: Make) -> None:
    """An App without third-party sign-in has none, and says so."""
    client = client_of(make_app())
    assert client.get(PROVIDERS).json() == {"status": "OK", "providers": []}
    assert "there are stubs of: none" in client.post(SCRIPT, json={"persona": "1001"}).json()["message"]


# Sessions


def test_the_sessions_of_a_user_are_listed_and_ended(client: TestClient) -> None:
    """One by its handle, the rest at once; what was ended can no longer be refreshed."""
    user_id, _, first = sign_up(client, "ann@example.com")
    path = f"/auth/testing/users/{user_id}/sessions"
    (handle,) = client.get(path).json()["session_handles"]
    assert client.delete(f"/auth/testing/sessions/{handle}").json() == {"status": "OK", "revoked": True}
    assert client.delete(f"/auth/testing/sessions/{handle}").json() == {"status": "OK", "revoked": False}
    assert refresh(client, first) == 401
    _, _, second = sign_up(client, "bob@example.com")
    assert client.delete(path).json() == {"status": "OK", "revoked": []}
    assert refresh(client, second) == 200


def test_all_sessions_of_a_user_end_together(client: TestClient) -> None:
    """The handles that were ended are told."""
    user_id, _, token = sign_up(client, "ann@example.com")
    path = f"/auth/testing/users/{user_id}/sessions"
    handles = client.get(path).json()["session_handles"]
    assert client.delete(path).json() == {"status": "OK", "revoked": handles}
    assert refresh(client, token) == 401
    assert client.get(path).json()["session_handles"] == []


@pytest.mark.parametrize("path", ["/auth/testing/sessions/%00", "/auth/testing/users/%00/sessions"])
def test_names_that_no_database_holds_are_refused(client: TestClient, path: str) -> None:
    """A NUL character is 400, before a database has to refuse it."""
    assert client.delete(path).status_code == 400


# Paths


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/clock/hands", "//clock", "/outbox/.."])
def test_a_path_that_is_not_there_lists_those_that_are(client: TestClient, path: str) -> None:
    """404 with the routes there are."""
    answer = client.get("http://localhost:3567/auth/testing" + path)
    assert answer.status_code == 404
    assert "POST clock" in answer.json()["message"]


def test_a_method_that_is_not_taken_is_told_with_those_that_are(client: TestClient) -> None:
    """405, with an Allow header and a sentence."""
    answer = client.put(CLOCK, json={})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert "PUT" in answer.json()["message"]


@pytest.mark.parametrize(("base", "gateway"), [("", ""), ("/api/v1", ""), ("/auth", "/gateway")])
def test_the_routes_lie_below_the_base_path_of_the_api(make_app: Make, base: str, gateway: str) -> None:
    """Wherever the API is served; a gateway's part of the path has been taken away before."""
    client = client_of(make_app(api_base_path=base, api_gateway_path=gateway))
    assert client.get(f"{base}/testing/clock").json()["status"] == "OK"
    assert client.get(f"{base}/testing/clock/").json()["status"] == "OK"


# Whatever is sent

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


# What an application's own code does


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (BadInputError("not this one"), 400, "not this one"),
        (NotInitialisedError("nothing is active"), 500, "internal server error"),
        (KeyError("secret"), 500, "internal server error"),
    ],
)
def test_an_override_that_fails_is_told_in_json(make_app: Make, error: Exception, status: int, message: str) -> None:
    """What an override raises is mapped as in the API; what nobody expected is 500 and tells nothing."""

    class Failing(session.FunctionsLayer):
        async def revoke_session(self, session_handle: str, user_context: UserContext) -> bool:
            raise error

    client = client_of(make_app(override=session.InputOverrideConfig(functions=Failing)))
    answer = client.delete("/auth/testing/sessions/some-handle")
    assert (answer.status_code, answer.json()) == (status, {"message": message})


def test_around_another_application(app: App) -> None:
    """Any ASGI application is wrapped: testing routes are answered, guarded, and everything else is its own."""
    inner = PlainTextResponse("the application's own")
    wrapped = TestingMiddleware(inner, coatcheck=app, guard=guard_of(app, TOKEN))
    web = TestClient(wrapped, base_url=API)
    assert web.get(OUTBOX, headers=HEADERS).json() == {"status": "OK", "mails": []}
    assert web.get(OUTBOX).status_code == 401
    assert web.get("/").text == "the application's own"


def test_whatever_is_no_request_passes_by(app: App) -> None:
    """The lifespan of a server goes through to the application."""
    with TestClient(create_app(app, testing_token=TOKEN), base_url=API, headers=HEADERS) as client:
        assert client.get(CLOCK).status_code == 200
