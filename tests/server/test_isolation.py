"""What belongs to one App, one request or one user stays there; and whatever is sent, nothing breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import jwt
import pytest
from hypothesis import given, settings, strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from coatcheck import App, InputAppInfo, RecipeUserId, current_app
from coatcheck.recipes import emailpassword, session
from coatcheck.recipes.exceptions import TryRefreshTokenError
from coatcheck.recipes.session import InputOverrideConfig
from coatcheck.server import create_app
from coatcheck.server.asgi import verify_session

from ..kit import API, WEBSITE, Make, Serve


def test_attack_the_token_of_another_app(make_app: Make) -> None:
    """A token of one App is refused by another in the same process, also after the first has verified it (rule 3.5)."""
    one, two = make_app(), make_app()
    with one.active():
        token = session.sync.create_new_session_without_request_response(
            "public", RecipeUserId("u1")
        ).get_access_token()
        for _ in range(2):
            assert session.sync.get_session_without_request_response(token)
    with two.active():
        session.sync.create_new_session_without_request_response("public", RecipeUserId("u1"))
        with pytest.raises(TryRefreshTokenError):
            session.sync.get_session_without_request_response(token)
    with one.active():
        assert session.sync.get_session_without_request_response(token)


def modulus(app: App) -> str:
    """Sign something, and return the modulus of the key that verifies it."""
    kid = jwt.get_unverified_header(app.keys.sign({}, static=False))["kid"]
    return next(key["n"] for key in app.keys.jwks() if key["kid"] == kid)


def test_attack_a_lent_key_that_a_database_has_kept(make_app: Make, tmp_path: Path) -> None:
    """What an App for tests leaves in a file is not lent to others, who could sign for the App served from it then.

    See docs/protocol.md, rule 12.13.
    """
    url = f"sqlite:///{tmp_path}/kept.db"
    earlier = make_app(database=url)
    kept = modulus(earlier)
    earlier.close()
    real = App(app_info=InputAppInfo("Real", API, website_domain=WEBSITE), recipe_list=[session.init()], database=url)
    try:
        assert modulus(real) == kept
        assert [modulus(app) for app in (make_app(), make_app()) if modulus(app) == kept] == []
        assert modulus(earlier) == kept
    finally:
        real.close()


def test_an_app_that_is_used_after_it_was_closed_has_another_key(make_app: Make) -> None:
    """A key that was given back is not used any more, not even by who remembers it (docs/protocol.md, rule 12.13)."""
    closed = make_app()
    given_back = modulus(closed)
    closed.close()
    borrower = make_app()
    assert modulus(borrower) == given_back
    assert modulus(closed) != given_back


def test_two_apps_do_not_see_each_other(make_app: Make, serve: Serve) -> None:
    """Users, sessions, outbox and current App are those of the App that serves the request."""

    async def which(request: Request) -> Response:
        return JSONResponse({"name": id(current_app())})

    apps = [make_app(), make_app()]
    clients = [serve(app, [Route("/which", which)]) for app in apps]
    body = {"formFields": [{"id": "email", "value": "a@b.co"}, {"id": "password", "value": "password 1"}]}
    for app, client in zip(apps, clients, strict=True):
        assert client.post("/auth/signup", json=body).json()["status"] == "OK"
        assert client.get("/which").json() == {"name": id(app)}


def test_overlapping_requests_share_nothing(make_app: Make) -> None:
    """Requests that overlap see their own user context, request and tokens, whatever waits in between (rule 16.2)."""
    arrived: list[asyncio.Event] = []

    def functions(original: Any) -> Any:
        create = original.create_new_session

        async def create_new_session(**kwargs: Any) -> Any:
            context = kwargs["user_context"]
            name = context["_default"]["request"].query_params["user"]
            context["name"] = name
            mine = asyncio.Event()
            arrived.append(mine)
            if len(arrived) == 3:
                for event in arrived:
                    event.set()
            await mine.wait()
            assert context["name"] == context["_default"]["request"].query_params["user"] == name
            return await create(**kwargs)

        original.create_new_session = create_new_session
        return original

    async def sign_in(request: Request) -> Response:
        made = await session.create_new_session(request, "public", RecipeUserId(request.query_params["user"]))
        return JSONResponse({"userId": made.get_user_id()})

    async def me(request: Request) -> Response:
        found = await verify_session(user_context={"shared": []})(request)
        await asyncio.sleep(0)
        return JSONResponse({"userId": found.get_user_id()})

    async def story() -> None:
        app = make_app(override=InputOverrideConfig(functions=functions))
        served = create_app(app, [Route("/sign-in", sign_in, methods=["POST"]), Route("/me", me)])
        transport = httpx.ASGITransport(app=served)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3567") as client:
            users = ["a", "b", "c"]
            made = await asyncio.gather(*(client.post("/sign-in", params={"user": user}) for user in users))
            assert [answer.json()["userId"] for answer in made] == users
            tokens = [answer.headers["st-access-token"] for answer in made]
            assert len(set(tokens)) == 3
            found = await asyncio.gather(
                *(client.get("/me", headers={"authorization": f"Bearer {token}"}) for token in tokens)
            )
            assert [answer.json()["userId"] for answer in found] == users

    asyncio.run(story())


# Whatever is sent


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[TestClient]:
    """Return a client on an App whose server errors are answers."""

    async def me(request: Request) -> Response:
        found = await verify_session(session_required=False)(request)
        return JSONResponse({"userId": found and found.get_user_id()})

    app = App(
        app_info=InputAppInfo("Fuzzed", "http://localhost:3567", website_domain="http://localhost:3000"),
        recipe_list=[session.init(anti_csrf="VIA_TOKEN", older_cookie_domain=""), emailpassword.init()],
        database="sqlite://",
        unsafe_for_tests=True,
    )
    routes = [Route("/me", me, methods=["GET", "POST"])]
    with TestClient(create_app(app, routes), base_url="http://localhost:3567", raise_server_exceptions=False) as client:
        yield client
    app.close()


PATHS = [
    "/me", "/auth/signup", "/auth/signin", "/auth/signout", "/auth/session/refresh", "/auth/user/password/reset",
    "/auth/user/password/reset/token", "/auth/emailpassword/email/exists", "/auth/loginmethods",
    "/auth/public/signup/email/exists", "/auth/jwt/jwks.json",
]  # fmt: skip
header_text = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
cookie_text = st.lists(
    st.tuples(st.sampled_from(["sAccessToken", "sRefreshToken", "sIdRefreshToken", "x"]), header_text), max_size=4
).map(lambda pairs: "; ".join(f"{name}={value}" for name, value in pairs))
headers_sent = st.fixed_dictionaries(
    {},
    optional={
        "authorization": st.one_of(header_text, header_text.map(lambda text: f"Bearer {text}")),
        "cookie": cookie_text,
        "rid": header_text,
        "fdi-version": header_text,
        "st-auth-mode": header_text,
        "anti-csrf": header_text,
    },
)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
form_fields = st.lists(
    st.fixed_dictionaries({"id": st.sampled_from(["email", "password", "x"]), "value": any_json}), max_size=3
)
bodies = st.one_of(
    st.binary(max_size=40),
    any_json.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"formFields": form_fields}, optional={"token": any_json, "shouldTryLinkingWithSessionUser": any_json}
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=250)
@given(
    method=st.sampled_from(["GET", "POST"]),
    path=st.sampled_from(PATHS),
    headers=headers_sent,
    body=bodies,
    query=st.dictionaries(st.sampled_from(["email", "clientType", "x"]), st.text(max_size=20), max_size=2),
)
def test_nothing_that_is_sent_breaks_the_server(
    fuzzed: TestClient, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, str]
) -> None:
    """Random cookies, headers, bodies and queries on every route are answered, never with a 5xx."""
    fuzzed.cookies.clear()
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    with contextlib.suppress(UnicodeEncodeError):  # A query with half a surrogate pair cannot be sent at all.
        answer = fuzzed.request(method, path, headers=raw, content=body, params=query)
        linking = answer.status_code == 500 and "linking accounts" in answer.text
        assert answer.status_code < 500 or linking, answer.text


@pytest.mark.parametrize("value", ["\ud800", "a\0b", "x" * 100_000, [[[[[]]]]], {"a": {}}, -1, 1e308, True])
@pytest.mark.parametrize("path", ["/auth/signup", "/auth/signin", "/auth/user/password/reset/token"])
def test_odd_values_in_forms(fuzzed: TestClient, path: str, value: Any) -> None:
    """Half surrogate pairs, NUL, huge texts, nesting and wrong types are refused, not stumbled over."""
    for field in ("email", "password"):
        other = {"email": "a@b.co", "password": "password 1"} | {field: value}
        body = {"formFields": [{"id": name, "value": given} for name, given in other.items()]}
        answer = fuzzed.post(path, content=json.dumps(body))
        assert answer.status_code < 500


def test_deep_nesting_is_refused(fuzzed: TestClient) -> None:
    """A body nested a hundred thousand levels deep is malformed, not a crash."""
    answer = fuzzed.post("/auth/signin", content=b"[" * 100_000)
    assert answer.status_code == 400
