"""Sessions minted without HTTP: whose they are, what they claim, how old they are, and where they are good."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Literal

import jwt
import pytest
from starlette.applications import Starlette

from coatcheck import App, InputAppInfo, RecipeUserId, get_user, get_users_oldest_first
from coatcheck.claims import BooleanClaim, Clock, ManualClock
from coatcheck.recipes import emailpassword, session, thirdparty
from coatcheck.recipes.emailpassword import EmailPasswordOverrideConfig
from coatcheck.recipes.exceptions import ConfigurationError, ForeignAwaitError
from coatcheck.recipes.session import InputOverrideConfig
from coatcheck.recipes.thirdparty import SignInAndUpFeature
from coatcheck.server.stub import stub
from coatcheck.testing import (
    SignedIn,
    assert_session,
    async_sign_in,
    client,
    live_server,
    make_app,
    manual_clock,
    sign_in,
)

Site = Callable[[App], Starlette]
Mode = Literal["cookie", "header"]
ISSUER = "http://localhost:3567/auth"
FORM = {"formFields": [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]}


@pytest.fixture
def app() -> Iterator[App]:
    """Yield a fresh App."""
    with make_app() as app:
        yield app


def users_of() -> list[str]:
    """Return the addresses of all users."""
    page = asyncio.run(get_users_oldest_first("public"))
    return [email for user in page.users for email in user.emails]


# Whose


def test_an_unknown_address_is_signed_up(app: App) -> None:
    """Whoever is not known yet becomes a user, as by sign-up, before the session begins."""
    signed_in = sign_in(app, "Ann@example.com")
    user = asyncio.run(get_user(signed_in.user_id))
    assert user is not None
    assert user.emails == ["ann@example.com"]
    assert user.login_methods[0].recipe_id == "emailpassword"
    assert signed_in.recipe_user_id == user.login_methods[0].recipe_user_id


def test_a_known_address_is_the_user_who_has_it(app: App) -> None:
    """An address means the user who signed up with it, however it is written."""
    signed_up = client(app).post("/auth/signup", json=FORM).json()["user"]["id"]
    assert [sign_in(app, email).user_id for email in ("ann@example.com", "ANN@example.com ")] == [signed_up] * 2
    assert users_of() == ["ann@example.com"]


def test_a_user_may_be_given_in_any_form(app: App) -> None:
    """A User, its id and its login method stand for the same person."""
    known = emailpassword.sync.sign_up("public", "ann@example.com", "correct horse 1")
    assert isinstance(known, emailpassword.SignUpOkResult)
    for who in (known.user, known.user.id, known.recipe_user_id):
        signed_in = sign_in(app, who)
        assert (signed_in.user_id, signed_in.recipe_user_id) == (known.user.id, known.recipe_user_id)


def test_an_id_nobody_has_stands_for_itself(app: App) -> None:
    """A session needs no stored user: for back-ends that keep their users elsewhere."""
    assert sign_in(app, "u-17").user_id == "u-17"
    assert sign_in(app, RecipeUserId("ann@elsewhere")).user_id == "ann@elsewhere"
    assert users_of() == []


def test_without_passwords_people_come_from_a_provider() -> None:
    """Where there is ThirdParty only, the user is the one whom the stub takes the owner of the address for."""
    recipes = [session.init(), thirdparty.init(SignInAndUpFeature([stub("google")]))]
    with make_app(recipes) as app:
        for email, third_party_user_id in (("ada@example.com", "1001"), ("bob@example.com", None)):
            user = asyncio.run(get_user(sign_in(app, email).user_id))
            assert user is not None
            assert user.emails == [email]
            assert third_party_user_id in (None, user.third_party[0].user_id)


def test_where_nobody_can_sign_up_that_is_said() -> None:
    """An App without any way to sign up says what to do."""
    with make_app([session.init()]) as app, pytest.raises(ConfigurationError, match="RecipeUserId"):
        sign_in(app, "ann@example.com")
    with make_app([session.init(), thirdparty.init()]) as app, pytest.raises(ConfigurationError, match="no providers"):
        sign_in(app, "ann@example.com")


def test_a_sign_up_that_is_refused_is_an_error() -> None:
    """Where an override lets nobody in, the kit does not either."""

    def functions(original: Any) -> Any:
        async def sign_up(**_: Any) -> Any:
            return emailpassword.EmailAlreadyExistsError()

        original.sign_up = sign_up
        return original

    recipe = emailpassword.init(override=EmailPasswordOverrideConfig(functions=functions))
    with make_app([session.init(), recipe]) as app, pytest.raises(ConfigurationError, match="could not be signed up"):
        sign_in(app, "ann@example.com")


def test_a_session_lives_in_the_tenant_asked_for(app: App) -> None:
    """Users and sessions of a tenant are its own."""
    here, there = sign_in(app, "ann@example.com"), sign_in(app, "ann@example.com", tenant="customer")
    assert here.user_id != there.user_id
    assert there.session_handle.endswith("_customer")
    assert there.payload["tId"] == there.tenant_id == "customer"


@pytest.mark.parametrize("who", [None, {"id": "u1"}, 17, ""])
def test_whoever_cannot_be_meant_is_refused(app: App, who: Any) -> None:
    """What is no address, id, user or login method is an error that lists these."""
    with pytest.raises(ConfigurationError, match=r"pass an e-mail address, a user id, a User or a RecipeUserId"):
        sign_in(app, who)


# Through the chain


def test_a_session_goes_through_the_override_chain() -> None:
    """What an application's override adds to a session is in a minted one, too."""
    seen: list[str] = []

    def functions(original: Any) -> Any:
        create = original.create_new_session

        async def create_new_session(user_id: str, access_token_payload: Any, **kwargs: Any) -> Any:
            seen.append(user_id)
            return await create(user_id=user_id, access_token_payload={**access_token_payload, "role": "x"}, **kwargs)

        original.create_new_session = create_new_session
        return original

    with make_app([session.init(override=InputOverrideConfig(functions=functions)), emailpassword.init()]) as app:
        signed_in = sign_in(app, "ann@example.com")
        assert signed_in.payload["role"] == "x"
        assert seen == [signed_in.user_id]


# Claims


def test_claims_have_the_values_given(app: App, second_factor: BooleanClaim) -> None:
    """A claim that nobody fetches is in the session all the same."""
    signed_in = sign_in(app, "ann@example.com", claims={second_factor: True})
    assert signed_in.payload[second_factor.key] == {"v": True, "t": app.clock.now_ms()}


def test_claims_win_over_what_is_fetched(second_factor: BooleanClaim) -> None:
    """Token and database hold the given value where the recipe builds another, and an override yet another."""

    def functions(original: Any) -> Any:
        create = original.create_new_session

        async def create_new_session(access_token_payload: Any, **kwargs: Any) -> Any:
            fetched = await second_factor.build(kwargs["user_id"])
            return await create(access_token_payload={**access_token_payload, **fetched}, **kwargs)

        original.create_new_session = create_new_session
        return original

    for recipe in (
        session.init(claims=[second_factor]),
        session.init(override=InputOverrideConfig(functions=functions)),
    ):
        with make_app([recipe]) as app:
            assert sign_in(app, "u1").payload[second_factor.key]["v"] is False
            signed_in = sign_in(app, "u1", claims={second_factor: True})
            assert signed_in.payload[second_factor.key]["v"] is True
            stored = session.sync.get_session_information(signed_in.session_handle)
            assert stored is not None
            assert stored.custom_claims_in_access_token_payload[second_factor.key]["v"] is True
            assert json.loads(base64.b64decode(signed_in.front_token))["up"] == signed_in.payload


def test_none_takes_a_claim_away(second_factor: BooleanClaim) -> None:
    """A session can be minted without a claim that every session has."""
    with make_app([session.init(claims=[second_factor])]) as app:
        assert second_factor.key not in sign_in(app, "u1", claims={second_factor: None}).payload


def test_claims_are_given_as_claims(app: App, second_factor: BooleanClaim) -> None:
    """A key in place of a claim, or a list of claims, is an error that shows how it is done."""
    wrong: list[Any] = [{second_factor.key: True}, [second_factor], second_factor]
    for claims in wrong:
        with pytest.raises(ConfigurationError, match=r"claims=\{SecondFactorClaim: True\}"):
            sign_in(app, "u1", claims=claims)


# Age


def test_age_may_be_a_number_of_seconds(app: App) -> None:
    """As for a clock, an age is a timedelta or a number of seconds."""
    ages = (3_000, timedelta(minutes=50))
    issued = [sign_in(app, "u1", age=age).payload["iat"] for age in ages]
    assert issued == [app.clock.now_ms() // 1000 - 3_000] * 2


def test_a_session_is_as_old_as_asked_for(app: App, second_factor: BooleanClaim) -> None:
    """Session, tokens, claims and the new user date from then, and the clock is back where it was."""
    now_ms, age = app.clock.now_ms(), timedelta(minutes=50)
    signed_in = sign_in(app, "ann@example.com", claims={second_factor: True}, age=age)
    then_ms = now_ms - 3_000_000
    assert app.clock.now_ms() == now_ms
    assert signed_in.payload["iat"] * 1000 == then_ms
    assert signed_in.payload[second_factor.key]["t"] == then_ms
    assert signed_in.refresh_expires_ms == then_ms + 8_640_000_000
    stored = session.sync.get_session_information(signed_in.session_handle)
    user = asyncio.run(get_user(signed_in.user_id))
    assert stored is not None
    assert user is not None
    assert stored.time_created == user.time_joined == then_ms


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_an_access_token_older_than_its_validity_has_expired(app: App, site: Site, mode: Mode) -> None:
    """After an hour a request is answered 401, and a refresh goes on with the session."""
    old = sign_in(app, "ann@example.com", age=timedelta(hours=2))
    browser = old.client(site(app), mode)
    browser.automatic_refresh = False
    assert_session(browser.get("/me")).refused(401, "try refresh token").unchanged()
    assert_session(browser.refresh()).refreshed().by(mode).for_user(old)
    assert browser.get("/me").json()["user"] == old.user_id


def test_a_session_older_than_its_refresh_token_is_over(app: App, site: Site) -> None:
    """After a hundred days nothing is left to refresh."""
    over = sign_in(app, "ann@example.com", age=timedelta(days=101))
    answer = client(site(app)).post("/auth/session/refresh", headers=over.refresh_headers)
    assert_session(answer).refused(401, "unauthorised").cleared()


def test_signing_in_after_an_old_session_works(app: App, site: Site) -> None:
    """A session from before the signing keys' time disturbs no later one."""
    sign_in(app, "ann@example.com", age=timedelta(days=30))
    now = sign_in(app, "ann@example.com")
    earlier = sign_in(app, "ann@example.com", age=timedelta(minutes=1))
    for signed_in in (now, earlier):
        assert client(site(app)).get("/me", headers=signed_in.headers).status_code == 200


def test_age_needs_a_clock_that_can_be_set_back(second_factor: BooleanClaim) -> None:
    """On the system's clock a session is new or not at all."""
    with make_app(clock=Clock()) as app:
        assert sign_in(app, "u1").user_id == "u1"
        with pytest.raises(ConfigurationError, match="ManualClock"):
            sign_in(app, "u1", age=timedelta(hours=1))


def test_nobody_has_signed_in_in_the_future(app: App) -> None:
    """A negative age is an error, and the clock stays where it is."""
    now_ms = app.clock.now_ms()
    with pytest.raises(ValueError, match="negative"):
        sign_in(app, "u1", age=timedelta(seconds=-1))
    assert app.clock.now_ms() == now_ms


# Where it is good


def test_headers_are_all_a_request_needs(app: App, site: Site) -> None:
    """With them, any client is let in, whatever the method."""
    signed_in = sign_in(app, "ann@example.com")
    anybody = client(site(app))
    for method in ("GET", "POST"):
        answer = anybody.request(method, "/me", headers=signed_in.headers)
        assert answer.json() == {"user": signed_in.user_id, "tenant": "public"}
    assert_session(anybody.post("/auth/session/refresh", headers=signed_in.refresh_headers)).refreshed().by("header")


@pytest.mark.parametrize("protection", ["VIA_TOKEN", "VIA_CUSTOM_HEADER", "NONE"])
def test_cookies_and_their_headers_are_all_a_request_needs(site: Site, protection: Any) -> None:
    """Whatever protects against other websites, a request with cookies and cookie headers is let in."""
    with make_app([session.init(anti_csrf=protection)]) as app:
        signed_in = sign_in(app, "u1")
        cookies = "; ".join(f"{name}={value}" for name, value in signed_in.cookies.items())
        answer = client(site(app)).post("/me", headers={**signed_in.cookie_headers, "cookie": cookies})
        assert answer.json()["user"] == "u1"


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_a_client_starts_with_the_session(site: Site, mode: Mode) -> None:
    """A client of a minted session refreshes and signs out like one that has signed in."""
    with make_app([session.init(anti_csrf="VIA_TOKEN")]) as app:
        signed_in = sign_in(app, "u1")
        browser = signed_in.client(site(app), mode)
        assert browser.post("/me").json()["user"] == "u1"
        assert_session(browser.refresh()).refreshed().by(mode)
        assert browser.post("/me").json()["user"] == "u1"
        assert_session(browser.sign_out()).cleared()
        assert browser.get("/me").status_code == 401


def test_cookies_that_browsers_drop_are_not_handed_over() -> None:
    """Where the API refuses to sign anybody in, the kit does so, too (docs/protocol.md, rule 8.4)."""
    info = InputAppInfo("Test", "http://localhost:3567", website_domain="https://other.org")
    with make_app(app_info=info) as app:
        ann = sign_in(app, "ann@example.com")
        with pytest.raises(ConfigurationError, match="Since your API and website domain are different"):
            ann.client(app)
        assert ann.client(app, "header").refresh().status_code == 200


def test_a_stateless_back_end_verifies_the_token(app: App) -> None:
    """Whoever has the key set alone verifies a minted token, issue and expiry included, and reads what is in it."""
    signed_in = sign_in(app, "ann@example.com", age=timedelta(minutes=59))
    for keys in (client(app).get("/auth/jwt/jwks.json").json(), session.sync.get_jwks()):
        payload = verified(signed_in, keys)
        assert payload == signed_in.payload
        assert payload["sub"] == signed_in.user_id


def test_a_stateless_back_end_lives_on_the_real_clock(app: App) -> None:
    """An access token older than its hour is refused there; so is one from an App whose clock has been advanced."""
    keys = session.sync.get_jwks()
    with pytest.raises(jwt.ExpiredSignatureError):
        verified(sign_in(app, "u1", age=timedelta(hours=2)), keys)
    manual_clock(app).advance(timedelta(minutes=5))
    with pytest.raises(jwt.ImmatureSignatureError):
        verified(sign_in(app, "u1"), keys)


def test_a_stateless_back_end_fetches_the_keys_itself(app: App) -> None:
    """PyJWT's own client finds the key of a minted token over real HTTP."""
    signed_in = sign_in(app, "ann@example.com")
    with live_server(app) as server:
        keys = jwt.PyJWKClient(f"{server.url}/auth/jwt/jwks.json")
        key = keys.get_signing_key_from_jwt(signed_in.access_token)
    assert jwt.decode(signed_in.access_token, key, algorithms=["RS256"])["sub"] == signed_in.user_id


def verified(signed_in: SignedIn, keys: dict[str, Any]) -> dict[str, Any]:
    """Return what a back end that has the keys reads in an access token, with all of PyJWT's checks."""
    kid = jwt.get_unverified_header(signed_in.access_token)["kid"]
    payload: dict[str, Any] = jwt.decode(
        signed_in.access_token, jwt.PyJWKSet.from_dict(keys)[kid], algorithms=["RS256"], issuer=ISSUER
    )
    return payload


def test_tokens_are_not_shown(app: App) -> None:
    """Printing a minted session, as pytest does with every variable of a failed test, shows no token."""
    signed_in = sign_in(app, "ann@example.com")
    secrets = (signed_in.access_token, signed_in.refresh_token, signed_in.front_token)
    assert not any(secret in repr(signed_in) for secret in secrets)
    assert signed_in.session_handle in repr(signed_in)


# In an event loop


def test_it_works_within_a_running_loop(app: App) -> None:
    """An asynchronous test mints sessions by the plain function."""

    async def minted() -> SignedIn:
        return sign_in(app, "ann@example.com")

    assert asyncio.run(minted()).user_id


def awaiting(original: Any) -> Any:
    """Override that awaits what belongs to the running loop."""
    create = original.create_new_session

    async def create_new_session(**kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return await create(**kwargs)

    original.create_new_session = create_new_session
    return original


def test_overrides_that_need_a_loop() -> None:
    """They work by the awaitable function, or by a loop of the App's own; otherwise the error names the override."""
    recipes = [session.init(override=InputOverrideConfig(functions=awaiting))]
    with make_app(recipes) as app:
        assert asyncio.run(async_sign_in(app, "u1", age=timedelta(minutes=1))).user_id == "u1"
        with pytest.raises(ForeignAwaitError, match="create_new_session"):
            sign_in(app, "u1")
    with make_app(recipes, sync_overrides="loop") as app:
        assert sign_in(app, "u1").user_id == "u1"


def test_an_age_is_nobody_elses() -> None:
    """Who signs in meanwhile does so now."""

    async def both(app: App) -> tuple[SignedIn, SignedIn]:
        return await asyncio.gather(async_sign_in(app, "now"), async_sign_in(app, "old", age=7200))

    with make_app([session.init(override=InputOverrideConfig(functions=awaiting))]) as app:
        now, old = asyncio.run(both(app))
        assert [one.payload["iat"] - app.clock.now_ms() // 1000 for one in (now, old)] == [0, -7200]


def test_a_clock_is_put_right_after_an_error(app: App) -> None:
    """A sign-in as of some time ago that fails leaves the clock where it was."""
    assert isinstance(app.clock, ManualClock)
    now_ms = app.clock.now_ms()
    broken = BooleanClaim("broken", lambda *_: 1 / 0 > 1)
    with make_app([session.init(claims=[broken])], clock=app.clock) as other, pytest.raises(ZeroDivisionError):
        sign_in(other, "u1", age=timedelta(hours=1))
    assert app.clock.now_ms() == now_ms
