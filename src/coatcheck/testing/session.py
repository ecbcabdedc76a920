"""Sessions minted without HTTP: `sign_in(app, "ann@example.com")` is a session like any other, ready to be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..claims.claim import SessionClaim
from ..claims.clock import Duration, ManualClock
from ..claims.payload import JSONObject
from ..claims.recipe_user_id import RecipeUserId
from ..recipes import session
from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..recipes.session.config import TransferMethod
from ..recipes.session.container import SessionContainer
from ..recipes.session.response import ACCESS_COOKIE, REFRESH_COOKIE
from ..sessions.access_token import read_unverified
from .app import Who, login_method_of
from .clients import BrowserClient, client

Claims = Mapping[SessionClaim[Any], Any]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session minted for a test: who it is for, and its tokens, which are good wherever the App's are.

    `refresh_expires_ms` is when the refresh token expires, in ms.
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
        """The headers of any request of this session, where tokens travel in headers."""
        return {"authorization": f"Bearer {self.access_token}", "st-auth-mode": "header"}

    @property
    def refresh_headers(self) -> dict[str, str]:
        """The headers of a request that refreshes this session, where tokens travel in headers."""
        return {"authorization": f"Bearer {self.refresh_token}", "st-auth-mode": "header"}

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of this session by name, where tokens travel in cookies."""
        return {ACCESS_COOKIE: self.access_token, REFRESH_COOKIE: self.refresh_token}

    @property
    def cookie_headers(self) -> dict[str, str]:
        """The headers that go with the cookies: what protects requests other than GET from other websites."""
        token = {} if self.anti_csrf_token is None else {"anti-csrf": self.anti_csrf_token}
        return {"rid": "anti-csrf", "st-auth-mode": "cookie", **token}

    def client(self, app: Any, mode: TransferMethod = "cookie") -> BrowserClient:
        """Return a client of an App, or of an ASGI or WSGI application, that starts with this session."""
        return client(app, signed_in=self, mode=mode)


class SignIn(Protocol):
    """`sign_in`, bound to one App."""

    def __call__(
        self, who: Who, *, claims: Claims | None = None, age: Duration = 0, tenant: str = "public"
    ) -> SignedIn:
        """Mint a session."""
        ...


def sign_in(app: App, who: Who, *, claims: Claims | None = None, age: Duration = 0, tenant: str = "public") -> SignedIn:
    """Mint a session for a user, a login method, an id or an e-mail address, which need not be known before.

    It is created through the App's override chain, as any other. `claims` are then set to these values, whatever was
    fetched; None takes a claim away. `age` (a timedelta, or seconds) is how long ago that was: the clock is set back
    meanwhile, so that tokens and claims are really that old, and an access token older than its validity has expired.
    `tenant` is taken as it is, as by every function; only paths of the API know which tenants there are.
    """
    with app.active():
        return app.driver(async_sign_in(app, who, claims=claims, age=age, tenant=tenant))


async def async_sign_in(
    app: App, who: Who, *, claims: Claims | None = None, age: Duration = 0, tenant: str = "public"
) -> SignedIn:
    """Do what `sign_in` does, in the running event loop: for overrides that await what belongs to it."""
    with app.active(), _set_back(app, age):
        recipe_user_id = await login_method_of(app, who, tenant)
        wanted = _payload(claims or {})
        present = {key: value for key, value in wanted.items() if value is not None}
        made = await session.create_new_session_without_request_response(tenant, recipe_user_id, present)
        payload = made.get_access_token_payload()
        if any(payload.get(key) != value for key, value in wanted.items()):
            await made.merge_into_access_token_payload(wanted)
        return _signed_in(made)


@contextmanager
def _set_back(app: App, age: Duration) -> Iterator[None]:
    if not age:
        yield
    elif isinstance(app.clock, ManualClock):
        with app.clock.set_back(age):
            yield
    else:
        raise ConfigurationError("only an App with a ManualClock can sign somebody in as of some time ago")


def _payload(claims: Claims) -> JSONObject:
    update: JSONObject = {}
    if not isinstance(claims, Mapping) or not all(isinstance(claim, SessionClaim) for claim in claims):
        raise ConfigurationError(
            f"claims is {claims!r}: pass a dict from the claims themselves to their values, as in "
            "claims={SecondFactorClaim: True}"
        )
    for claim, value in claims.items():
        update.update(claim.remove_from_payload_by_merge_({}) if value is None else claim.add_to_payload_({}, value))
    return update


def _signed_in(made: SessionContainer) -> SignedIn:
    refresh = made.refresh_token
    if refresh is None:
        raise ConfigurationError("an override of create_new_session returned a session that is not new")
    return SignedIn(
        user_id=made.user_id,
        recipe_user_id=made.recipe_user_id,
        tenant_id=made.tenant_id,
        session_handle=made.session_handle,
        access_token=made.access_token,
        refresh_token=refresh.token,
        front_token=made.front_token,
        anti_csrf_token=made.anti_csrf_token,
        refresh_expires_ms=refresh.expiry,
    )
