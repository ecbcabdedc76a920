"""Sessions made without HTTP: `sign_in(app, "ann@example.com")` returns a session like any other, ready for use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from ..claims.claim import SessionClaim
from ..claims.clock import Duration, ManualClock
from ..claims.payload import JSONObject
from ..claims.recipe_user_id import RecipeUserId
from ..recipes import session
from ..recipes.accountlinking import get_user, list_users_by_account_info
from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..recipes.session.config import TransferMethod
from ..recipes.session.container import SessionContainer
from ..recipes.session.response import ACCESS_COOKIE, REFRESH_COOKIE
from ..recipes.users.user import AccountInfo, User
from ..server.stub import stub_providers
from ..server.stub.page import Persona, persona_for
from ..sessions.access_token import read_unverified
from .clients import BrowserClient, client

Claims = Mapping[SessionClaim[Any], Any]

Who: TypeAlias = User | RecipeUserId | str
"""A user, one of its login methods, an id of either, or an e-mail address."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session made for a test: its user and its tokens, which are as valid as all tokens of the App.

    `refresh_expires_ms` is the time at which the refresh token expires, in ms since the epoch.
    """

    user_id: str
    recipe_user_id: RecipeUserId
    tenant_id: str
    session_handle: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    front_token: str = field(repr=False)
    anti_csrf_token: str | None = field(repr=False)
    refresh_expires_ms: int

    @property
    def payload(self) -> JSONObject:
        """The payload of the access token."""
        return read_unverified(self.access_token)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request of this session that carries its token in headers."""
        return {"authorization": f"Bearer {self.access_token}", "st-auth-mode": "header"}

    @property
    def refresh_headers(self) -> dict[str, str]:
        """The headers of a request that refreshes this session and carries its token in headers."""
        return {"authorization": f"Bearer {self.refresh_token}", "st-auth-mode": "header"}

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of this session by name, for requests that carry its tokens in cookies."""
        return {ACCESS_COOKIE: self.access_token, REFRESH_COOKIE: self.refresh_token}

    @property
    def cookie_headers(self) -> dict[str, str]:
        """The headers that go with the cookies; they protect requests other than GET against other websites."""
        token = {} if self.anti_csrf_token is None else {"anti-csrf": self.anti_csrf_token}
        return {"rid": "anti-csrf", "st-auth-mode": "cookie", **token}

    def client(self, app: Any, mode: TransferMethod = "cookie") -> BrowserClient:
        """Return a client of an App, or of an ASGI or WSGI application; it starts with this session."""
        return client(app, signed_in=self, mode=mode)


class SignIn(Protocol):
    """`sign_in` for one App."""

    def __call__(
        self, who: Who, *, claims: Claims | None = None, age: Duration = 0, tenant: str = "public"
    ) -> SignedIn:
        """Make a session."""
        ...


def sign_in(app: App, who: Who, *, claims: Claims | None = None, age: Duration = 0, tenant: str = "public") -> SignedIn:
    """Make a session for a user, a login method, an id or an e-mail address, which may be new.

    It is created through the App's override chain, like any other session. Then `claims` get these values in place of
    the fetched ones; None removes a claim. `age` (a timedelta, or seconds) is the age of the session: the clock is set
    back for the call, so that tokens and claims are really that old, and an access token older than its validity has
    expired. `tenant` is not checked, as in every function; only the paths of the API know which tenants exist.
    """
    with app.active():
        return app.driver(async_sign_in(app, who, claims=claims, age=age, tenant=tenant))


async def async_sign_in(
    app: App, who: Who, *, claims: Claims | None = None, age: Duration = 0, tenant: str = "public"
) -> SignedIn:
    """Do what `sign_in` does in the running event loop, for overrides that need that loop."""
    with app.active(), _clock_set_back(app, age):
        recipe_user_id = await _login_method_of(app, who, tenant)
        wanted = _payload_of(claims or {})
        present = {key: value for key, value in wanted.items() if value is not None}
        created = await session.create_new_session_without_request_response(tenant, recipe_user_id, present)
        payload = created.get_access_token_payload()
        if any(payload.get(key) != value for key, value in wanted.items()):
            await created.merge_into_access_token_payload(wanted)
        return _signed_in(created)


@contextmanager
def _clock_set_back(app: App, age: Duration) -> Iterator[None]:
    if not age:
        yield
    elif isinstance(app.clock, ManualClock):
        with app.clock.set_back(age):
            yield
    else:
        raise ConfigurationError("age=... needs an App made with clock=ManualClock()")


def _payload_of(claims: Claims) -> JSONObject:
    update: JSONObject = {}
    if not isinstance(claims, Mapping) or not all(isinstance(claim, SessionClaim) for claim in claims):
        raise ConfigurationError(
            f"claims is {claims!r}: pass a dict from the claims themselves to their values, as in "
            "claims={SecondFactorClaim: True}"
        )
    for claim, value in claims.items():
        update.update(claim.remove_from_payload_by_merge_({}) if value is None else claim.add_to_payload_({}, value))
    return update


def _signed_in(created: SessionContainer) -> SignedIn:
    refresh = created.refresh_token
    if refresh is None:
        raise ConfigurationError("an override of create_new_session returned a session that is not new")
    return SignedIn(
        user_id=created.user_id,
        recipe_user_id=created.recipe_user_id,
        tenant_id=created.tenant_id,
        session_handle=created.session_handle,
        access_token=created.access_token,
        refresh_token=refresh.token,
        front_token=created.front_token,
        anti_csrf_token=created.anti_csrf_token,
        refresh_expires_ms=refresh.expiry,
    )


async def _login_method_of(app: App, who: Who, tenant: str) -> RecipeUserId:
    """Return the login method that signs somebody in; App and clock must be the current ones.

    For an address that is new in the tenant, a user is created: with a random password or, in an App without e-mail and
    password, as if by a provider. An id without a user is returned as it is, since sessions take any id.
    """
    if isinstance(who, RecipeUserId):
        return who
    if isinstance(who, User):
        return _first_login_method(who, tenant)
    if not isinstance(who, str) or not who:
        raise ConfigurationError(
            f"sign_in cannot sign in {who!r}: pass an e-mail address, a user id, a User or a RecipeUserId"
        )
    if "@" in who:
        known = await list_users_by_account_info(tenant, AccountInfo(email=who))
        return _first_login_method(known[0], tenant) if known else await _create_user(app, who, tenant)
    user = await get_user(who)
    if user is None or who in {method.recipe_user_id.get_as_string() for method in user.login_methods}:
        return RecipeUserId(who)
    return _first_login_method(user, tenant)


def _first_login_method(user: User, tenant: str) -> RecipeUserId:
    in_tenant = [method for method in user.login_methods if tenant in method.tenant_ids]
    return (in_tenant or user.login_methods)[0].recipe_user_id


async def _create_user(app: App, email: str, tenant: str) -> RecipeUserId:
    persona = _persona(app, email)
    for recipe in sorted(app.recipes, key=lambda recipe: recipe.test_rank):
        made: RecipeUserId | None = await recipe.test_login_method(
            tenant,
            email,
            subject="" if persona is None else persona.user_id,
            verified=persona is not None and persona.email_verified,
        )
        if made is not None:
            return made
    raise ConfigurationError(
        f"this App cannot create a user for {email}: it has neither emailpassword.init(...) nor "
        "thirdparty.init(...): sign in a RecipeUserId"
    )


def _persona(app: App, email: str) -> Persona | None:
    """Return the persona that a stub provider has, or would create, for an address; None if it is no address."""
    known = [persona for stub in stub_providers(app) for persona in stub.personas if persona.email == email]
    return known[0] if known else persona_for(email)
