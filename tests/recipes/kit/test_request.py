"""The user context of a request: one object, from the HTTP API to the last claim, and no one else's."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coatcheck import RecipeUserId, get_request_from_user_context
from coatcheck.claims import BooleanClaim, ManualClock
from coatcheck.recipes import session
from coatcheck.recipes.kit.request import request_context, with_request
from coatcheck.recipes.session import InputOverrideConfig, SessionContainer
from coatcheck.server.asgi import verify_session

from ...kit import Make, Serve


def a_request(path: str = "/") -> Request:
    """Make a request."""
    return Request({"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""})


def test_the_request_can_be_found_again() -> None:
    """A function of the application's finds the request in the user context, None outside one (rule 16.2)."""
    request = a_request()
    assert get_request_from_user_context(request_context(request)) is request
    others: list[Any] = [None, {}, {"_default": None}, {"_default": {}}, {"_default": {"request": "/"}}]
    for context in others:
        assert get_request_from_user_context(context) is None


def test_a_context_that_is_given_is_the_one_that_is_used() -> None:
    """Putting the request into a context keeps the object and everything else in it (rule 16.1)."""
    first, second, given = a_request(), a_request(), {"mine": 1}
    assert with_request(given, first) is given
    assert with_request(given, second) is given
    assert get_request_from_user_context(given) is second
    assert given["mine"] == 1


def test_a_default_entry_of_another_kind_is_left_alone() -> None:
    """Where the application uses the reserved entry for something else, nothing breaks and nothing is overwritten."""
    context: dict[str, Any] = {"_default": "mine"}
    assert with_request(context, a_request()) == {"_default": "mine"}


def test_a_context_of_a_route_is_copied_for_each_request() -> None:
    """What one request puts into its context is not seen by the next (rule 16.2)."""
    given: dict[str, Any] = {"mine": 1}
    one, two = request_context(a_request(), given), request_context(a_request(), given)
    one["theirs"] = 2
    assert two == {"mine": 1, "_default": two["_default"]}
    assert given == {"mine": 1}
    assert one["_default"] is not two["_default"]


def test_a_stale_request_is_not_inherited() -> None:
    """A context that once belonged to another request brings that request along no longer."""
    used = request_context(a_request("/before"))
    request = a_request("/now")
    assert get_request_from_user_context(request_context(request, used)) is request
    found = get_request_from_user_context(used)
    assert found is not None
    assert found.url.path == "/before"


def test_the_request_is_the_one_that_was_asked_with() -> None:
    """A middleware's own object for the request makes way for the route's, whose body can still be read."""
    first = a_request()
    context = request_context(first)
    second = Request(first.scope)
    assert request_context(second) is context
    assert get_request_from_user_context(context) is second


def recording(seen: list[Any]) -> tuple[BooleanClaim, InputOverrideConfig]:
    """Return a claim and overrides that note the user context they are given."""

    def fetch_value(user_id: str, tenant_id: str, user_context: Any) -> bool:
        seen.append(user_context)
        return True

    claim = BooleanClaim("st-true", fetch_value)

    def functions(original: Any) -> Any:
        def noting(name: str) -> Any:
            function = getattr(original, name)

            async def noted(**kwargs: Any) -> Any:
                seen.append(kwargs["user_context"])
                return await function(**kwargs)

            return noted

        for name in ("create_new_session", "get_session", "validate_claims", "regenerate_access_token"):
            setattr(original, name, noting(name))

        def validators(**kwargs: Any) -> Any:
            seen.append(kwargs["user_context"])
            return [claim.validators.is_true(max_age=0)]

        original.get_global_claim_validators = validators
        return original

    return claim, InputOverrideConfig(functions=functions)


def test_one_object_goes_through_everything(make_app: Make, serve: Serve, clock: ManualClock) -> None:
    """Verifying, validating, fetching and storing see one context: that of the request, with what the route gave."""
    seen: list[Any] = []
    claim, override = recording(seen)

    async def create(request: Request) -> Response:
        context = {"from": "create"}
        made = await session.create_new_session(request, "public", RecipeUserId("u1"), user_context=context)
        assert all(one is context for one in seen)
        assert len(seen) == 2  # fetch_value, create_new_session
        return JSONResponse({"userId": made.get_user_id()})

    async def guarded(request: Request) -> Response:
        seen.clear()
        await verify_session(user_context={"from": "route"})(request)
        assert len(seen) == 5  # get_session, validators, validate_claims, fetch_value, regenerate
        assert all(one is seen[0] for one in seen)
        assert seen[0]["from"] == "route"
        assert seen[0]["_default"]["request"] is request
        return JSONResponse({})

    client = serve(
        make_app(override=override, claims=[claim]), [Route("/create", create, methods=["POST"]), Route("/g", guarded)]
    )
    token = client.post("/create").headers["st-access-token"]
    clock.advance(1)
    assert client.get("/g", headers={"authorization": f"Bearer {token}"}).status_code == 200


def test_without_a_context_every_call_makes_its_own(make_app: Make) -> None:
    """Functions called outside a request share nothing between calls (rule 16.1)."""
    seen: list[Any] = []
    _claim, override = recording(seen)
    with make_app(override=override).active():
        for user in ("a", "b"):
            session.sync.create_new_session_without_request_response("public", RecipeUserId(user))
    assert seen == [{}, {}]
    assert seen[0] is not seen[1]


def test_an_api_override_may_replace_the_context(make_app: Make, serve: Serve) -> None:
    """Everything below an API sees the dictionary that its override passes on."""
    seen: list[Any] = []
    mine: dict[str, Any] = {"replaced": True}

    def apis(original: Any) -> Any:
        refresh_post = original.refresh_post

        async def replaced(api_options: Any, user_context: Any) -> SessionContainer:
            assert "replaced" not in user_context
            refreshed: SessionContainer = await refresh_post(api_options, mine)
            return refreshed

        original.refresh_post = replaced
        return original

    def functions(original: Any) -> Any:
        refresh_session = original.refresh_session

        async def noted(**kwargs: Any) -> Any:
            seen.append(kwargs["user_context"])
            return await refresh_session(**kwargs)

        original.refresh_session = noted
        return original

    app = make_app(override=InputOverrideConfig(functions=functions, apis=apis))
    with app.active():
        made = session.sync.create_new_session_without_request_response("public", RecipeUserId("u1"))
    refresh_token = made.get_all_session_tokens_dangerously()["refreshToken"]
    refreshed = serve(app).post("/auth/session/refresh", headers={"authorization": f"Bearer {refresh_token}"})
    assert refreshed.status_code == 200
    assert seen[0] is mine
    assert "request" in mine["_default"]


@pytest.mark.parametrize("required", [True, False])
def test_the_session_of_the_request_is_in_its_state(make_app: Make, serve: Serve, required: bool) -> None:
    """`request.state.supertokens` is the session of the request, None where it has none."""

    async def endpoint(request: Request) -> Response:
        made = await session.create_new_session(request, "public", RecipeUserId("u1")) if required else None
        if made is None:
            await verify_session(session_required=False)(request)
        assert request.state.supertokens is made
        return JSONResponse({})

    assert serve(make_app(), [Route("/", endpoint)]).get("/").status_code == 200
