"""Attacks over HTTP, each named after what is tried, and raw requests that no client library would send."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import jwt
import pytest
from hypothesis import given, settings, strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message, Scope
from starlette.websockets import WebSocket

from coatcheck import App, InputAppInfo, RecipeUserId, current_app
from coatcheck.recipes import emailpassword, session
from coatcheck.recipes.kit.request import app_of
from coatcheck.server import create_app
from coatcheck.server.asgi import AuthMiddleware, verify_session

from ..kit import Make, Serve

UNAUTHORISED = {"message": "unauthorised"}
TRY_REFRESH = {"message": "try refresh token"}


async def create(request: Request) -> Response:
    """Sign somebody in."""
    await session.create_new_session(request, "public", RecipeUserId(request.query_params.get("user", "u1")))
    return JSONResponse({})


async def me(request: Request) -> Response:
    """Tell whose session it is."""
    found = await verify_session()(request)
    return JSONResponse({"userId": found.get_user_id()})


ROUTES = [Route("/create", create, methods=["POST"]), Route("/me", me, methods=["GET", "POST"])]


@pytest.fixture
def client(make_app: Make, serve: Serve) -> TestClient:
    """Return a client on an App with a route to sign in and a guarded one."""
    return serve(make_app(), ROUTES)


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"authorization": f"Bearer {token}"}


def segment(content: Any) -> str:
    """Return a JSON object as a segment of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def altered(token: str, header: dict[str, Any] | None = None, payload: dict[str, Any] | None = None) -> str:
    """Return a token with another header or payload and the old signature."""
    new_header = {**jwt.get_unverified_header(token), **(header or {})}
    new_payload = {**jwt.decode(token, options={"verify_signature": False}), **(payload or {})}
    return f"{segment(new_header)}.{segment(new_payload)}.{token.rpartition('.')[2]}"


def test_attack_another_user_in_the_payload(client: TestClient) -> None:
    """A payload that was changed asks for a refresh, no more (docs/protocol.md, rule 3.5)."""
    token = client.post("/create").headers["st-access-token"]
    for change in ({"sub": "admin"}, {"exp": 9_999_999_999}, {"role": "admin"}):
        assert client.get("/me", headers=bearer(altered(token, payload=change))).json() == TRY_REFRESH


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS512", "PS256", "ES256"])
def test_attack_another_algorithm(client: TestClient, algorithm: str) -> None:
    """A token that names another algorithm is none of ours (rules 3.4 and 3.5)."""
    token = client.post("/create").headers["st-access-token"]
    assert client.get("/me", headers=bearer(altered(token, header={"alg": algorithm}))).json() == UNAUTHORISED


def test_attack_the_public_key_as_a_secret(client: TestClient) -> None:
    """A token signed with HMAC under the published key is refused, whatever its header says (rule 3.5)."""
    token = client.post("/create").headers["st-access-token"]
    header = jwt.get_unverified_header(token)
    key = next(k for k in client.get("/auth/jwt/jwks.json").json()["keys"] if k["kid"] == header["kid"])
    payload = jwt.decode(token, options={"verify_signature": False})
    forged = jwt.encode(payload, key["n"], algorithm="HS256", headers={"kid": header["kid"], "version": "5"})
    signed, signature = forged.rsplit(".", 1)
    claims_rs256 = f"{segment(header)}.{signed.split('.')[1]}.{signature}"
    assert client.get("/me", headers=bearer(forged)).json() == UNAUTHORISED
    assert client.get("/me", headers=bearer(claims_rs256)).json() == TRY_REFRESH


def test_attack_a_key_of_ones_own_in_the_header(client: TestClient) -> None:
    """A header that brings its own key, or says where to find one, is not believed (rule 3.5)."""
    token = client.post("/create").headers["st-access-token"]
    for extra in (
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jku": "http://evil.example/keys"},
        {"kid": "../../etc/passwd"},
    ):
        assert client.get("/me", headers=bearer(altered(token, header=extra))).json() == TRY_REFRESH


def test_attack_one_kind_of_token_in_place_of_the_other(client: TestClient) -> None:
    """A refresh token opens no route, and an access token refreshes nothing (rules 3.4 and 5.3)."""
    made = client.post("/create").headers
    assert client.get("/me", headers=bearer(made["st-refresh-token"])).json() == UNAUTHORISED
    assert client.post("/auth/session/refresh", headers=bearer(made["st-access-token"])).json() == UNAUTHORISED


def test_attack_a_refresh_token_altered_anywhere(client: TestClient) -> None:
    """A refresh token with one character changed, lost or added is unauthorised, and no theft (rule 5.3)."""
    token = client.post("/create").headers["st-refresh-token"]
    changed = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(0, len(token), 7)]
    for forged in (*changed, token[:-1], token + "A", token + ".", "." + token, token.replace(".", "%2E")):
        assert client.post("/auth/session/refresh", headers=bearer(forged)).json() == UNAUTHORISED
    assert client.post("/auth/session/refresh", headers=bearer(token)).status_code == 200


def test_attack_session_fixation(client: TestClient) -> None:
    """Signing in with somebody's tokens at hand gives new ones, of a new session (rule 14.2)."""
    planted = client.post("/create?user=attacker").headers
    made = client.post("/create?user=victim", headers=bearer(planted["st-access-token"])).headers
    old, new = (jwt.decode(h["st-access-token"], options={"verify_signature": False}) for h in (planted, made))
    assert new["sub"] == "victim"
    assert old["sessionHandle"] != new["sessionHandle"]
    assert old["refreshTokenHash1"] != new["refreshTokenHash1"]


def test_attack_a_form_of_another_site(make_app: Make, serve: Serve) -> None:
    """Where cookies travel between sites, a form, which can send no header, neither acts nor refreshes (rule 7.3)."""
    app = make_app(api_domain="https://api.example.com", website_domain="https://shop.example.org")
    client = serve(app, ROUTES, base_url="https://api.example.com")
    client.post("/create", headers={"st-auth-mode": "cookie"})
    form = {"origin": "https://evil.example", "content-type": "application/x-www-form-urlencoded"}
    assert client.post("/me", headers=form).json() == TRY_REFRESH
    assert client.post("/auth/signout", headers=form).json() == TRY_REFRESH
    assert client.get("/me").json() == {"userId": "u1"}


@pytest.mark.parametrize("origin", ["null", "http://localhost:3000.evil.example", "http://LOCALHOST:30000", "*", ""])
def test_attack_an_origin_that_resembles_the_websites(client: TestClient, origin: str) -> None:
    """CORS allows exactly the website's origin (rule 18.5)."""
    response = client.post("/auth/session/refresh", headers={"origin": origin})
    assert "access-control-allow-origin" not in response.headers
    preflight = {"origin": origin, "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in client.options("/auth/signin", headers=preflight).headers


@pytest.mark.parametrize(
    "path",
    [
        "/auth/%2e%2e/signout",
        "/auth//signout",
        "/auth/signout%00",
        "/auth/a/b/signout",
        "/auth/signout%3Fx",
        "//auth/signout",
    ],
)
def test_attack_a_path_in_disguise(client: TestClient, path: str) -> None:
    """A path is compared as it is after decoding once: nothing else leads to an API (rule 18.1)."""
    assert client.post(path).status_code == 404


def test_attack_a_token_in_the_wrong_dress(client: TestClient) -> None:
    """Only `Bearer `, spelt so, carries a token (rule 2.3)."""
    token = client.post("/create").headers["st-access-token"]
    for value in (
        f"bearer {token}",
        f"BEARER {token}",
        f"Bearer{token}",
        f"Basic {token}",
        token,
        f"Bearer  {token} x",
    ):
        assert client.get("/me", headers={"authorization": value}).json() == UNAUTHORISED
    assert client.get("/me", headers={"authorization": f"Bearer   {token}  "}).status_code == 200


def test_attack_a_response_split_by_a_user_id(make_app: Make, serve: Serve) -> None:
    """Line breaks in a user id reach no header as such: tokens are encoded, front tokens are base64 (rule 4.1)."""
    client = serve(make_app(), ROUTES)
    response = client.post("/create", params={"user": "u\r\nset-cookie: evil=1"}, headers={"st-auth-mode": "cookie"})
    assert [header.partition("=")[0] for header in response.headers.get_list("set-cookie")] == [
        "sAccessToken",
        "sRefreshToken",
    ]
    assert json.loads(base64.b64decode(response.headers["front-token"]))["uid"] == "u\r\nset-cookie: evil=1"


def test_attack_a_page_that_the_origin_function_does_not_know(serve: Serve) -> None:
    """Cookies set for a website across sites stay protected, whatever a function answers a foreign page (rule 7.1)."""
    partner, own = "https://partner.org", "https://app.example.com"

    def origin(request: Request | None, _context: Any) -> str:
        asked = None if request is None else request.headers.get("origin")
        return partner if asked == partner else own

    info = InputAppInfo("Test", "https://api.example.com", origin=origin)
    with closing(App(app_info=info, recipe_list=[session.init()], database="sqlite://", unsafe_for_tests=True)) as app:
        client = serve(app, ROUTES, base_url="https://api.example.com")
        made = client.post("/create", headers={"origin": partner, "st-auth-mode": "cookie"})
        assert "SameSite=none" in made.headers["set-cookie"] or "SameSite=None" in made.headers["set-cookie"]
        assert client.post("/me", headers={"origin": "https://evil.example"}).json() == TRY_REFRESH
        assert client.post("/me", headers={"origin": partner, "rid": "anti-csrf"}).status_code == 200


async def anyone(request: Request) -> Response:
    """Tell whether there is a session."""
    found = await verify_session(session_required=False)(request)
    return JSONResponse({"userId": found and found.get_user_id()})


async def open_session(request: Request) -> Response:
    """Sign u1 in."""
    await session.create_new_session(request, "public", RecipeUserId("u1"))
    return JSONResponse({})


@pytest.fixture(scope="module")
def raw() -> Iterator[Callable[..., int]]:
    """Return a function that sends a raw request and returns the status of the answer."""
    app = App(
        app_info=InputAppInfo("Raw", "http://localhost:3567", website_domain="http://localhost:3000"),
        recipe_list=[session.init(anti_csrf="VIA_TOKEN", older_cookie_domain=""), emailpassword.init()],
        database="sqlite://",
        unsafe_for_tests=True,
    )
    served = create_app(
        app, [Route("/me", anyone, methods=["GET", "POST"]), Route("/create", open_session, methods=["GET", "POST"])]
    )

    def send(method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> int:
        return asyncio.run(_status(served, method, path, query, headers, body))

    yield send
    app.close()


async def _status(
    served: Starlette, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> int:
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "root_path": "",
        "query_string": query,
        "headers": headers,
        "server": ("127.0.0.1", 3567),
        "client": ("127.0.0.1", 1),
        "state": {},
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await served(scope, receive, send)
    return int(sent[0]["status"])


BELOW = [
    "signup",
    "signin",
    "signout",
    "session/refresh",
    "loginmethods",
    "jwt/jwks.json",
    "emailpassword/email/exists",
]
paths = st.one_of(
    st.sampled_from(["/me", "/create"]),
    st.sampled_from(BELOW).map(lambda path: f"/auth/{path}"),
    st.tuples(st.text(max_size=8), st.sampled_from(BELOW)).map(lambda parts: f"/auth/{parts[0]}/{parts[1]}"),
    st.text(max_size=20).map(lambda text: f"/{text}"),
)
names = st.sampled_from(
    [b"host", b"authorization", b"cookie", b"rid", b"fdi-version", b"st-auth-mode", b"anti-csrf", b"origin",
     b"content-type", b"content-length", b"access-control-request-method"]
)  # fmt: skip
values = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"Bearer ", b"Bearer a.b.c", b"cookie", b"header", b"[", b"http://localhost:3000", b"4.2,9" * 9]),
    st.binary(max_size=30).map(lambda value: b"sAccessToken=" + value + b"; sRefreshToken=" + value),
)


@settings(max_examples=300)
@given(
    method=st.sampled_from(["GET", "POST", "get", "HEAD", "OPTIONS", "PUT", "TRACE", "X"]),
    path=paths,
    query=st.binary(max_size=20),
    headers=st.lists(st.tuples(names, values), max_size=6),
    body=st.binary(max_size=30),
)
def test_no_raw_request_breaks_the_server(
    raw: Callable[..., int], method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """Any bytes in path, query, headers (repeated ones too) and body are answered, never with a 5xx."""
    assert raw(method, path, query, headers, body) < 500


@pytest.mark.parametrize("path", ["/auth/jwt/jwks.json", "/me", "/auth/loginmethods", "/nowhere"])
def test_a_query_that_is_not_utf_8(raw: Callable[..., int], path: str) -> None:
    """Bytes that are no UTF-8 in a query, which servers pass on, do no harm."""
    assert raw("GET", path, b"clientType=\xff\xfe&email=\x80", []) == (404 if path == "/nowhere" else 200)


@pytest.mark.parametrize("host", [b"[", b"", b"a b", b"\xff", b"localhost:99999", b"[::1"])
def test_a_host_that_is_none(raw: Callable[..., int], host: bytes) -> None:
    """Whatever the Host header holds, a request is answered by its path."""
    assert raw("GET", "/auth/jwt/jwks.json", b"", [(b"host", host)]) == 200
    assert raw("POST", "/create", b"", [(b"host", host), (b"st-auth-mode", b"cookie")]) == 200


# What is not HTTP


def test_a_websocket_passes(make_app: Make) -> None:
    """A websocket goes through the middleware untouched, with its App at hand."""
    coatcheck = make_app()

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json({"mine": current_app() is coatcheck})
        await websocket.close()

    app = Starlette(routes=[WebSocketRoute("/ws", endpoint)])
    app.add_middleware(AuthMiddleware, coatcheck=coatcheck)
    with TestClient(app) as client, client.websocket_connect("/ws") as websocket:
        assert websocket.receive_json() == {"mine": True}


def test_a_websocket_passes_the_complete_application(make_app: Make, serve: Serve) -> None:
    """The same holds through CORS and error handling."""

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    routes: list[Any] = [WebSocketRoute("/auth/signout", endpoint)]
    with serve(make_app(), routes).websocket_connect("/auth/signout") as websocket:
        assert websocket.receive_text() == "hello"


def test_the_lifespan_of_the_application_runs(make_app: Make) -> None:
    """Start-up and shutdown reach the application below."""
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        seen.append("up")
        yield
        seen.append("down")

    app = Starlette(lifespan=lifespan)
    with TestClient(AuthMiddleware(app, coatcheck=make_app())):
        assert seen == ["up"]
    assert seen == ["up", "down"]


def test_tokens_travel_although_the_scope_was_copied(make_app: Make) -> None:
    """A middleware in between that hands on a copy of the scope loses nothing (docs/protocol.md, rule 10.1)."""
    coatcheck = make_app()
    inner = Starlette(routes=[Route("/create", open_session, methods=["POST"])])

    async def copying(scope: Scope, receive: Any, send: Any) -> None:
        await inner({**scope}, receive, send)

    with TestClient(AuthMiddleware(copying, coatcheck=coatcheck)) as client:
        assert client.post("/create").headers["st-access-token"]


def test_the_app_of_a_request_is_known(make_app: Make, serve: Serve) -> None:
    """Functions that are given a request use the App that serves it, whatever the default is."""
    coatcheck = make_app()

    async def endpoint(request: Request) -> Response:
        assert app_of(request) is coatcheck
        with make_app().active():
            made = await session.create_new_session(request, "public", RecipeUserId("u1"))
        assert await session.get_session_information(made.get_handle()) is not None
        return JSONResponse({})

    assert serve(coatcheck, [Route("/", endpoint)]).get("/").status_code == 200
