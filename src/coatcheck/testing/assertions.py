"""Assertions about the session in a response, which say what the response did instead.

assert_session(response).created().for_user(user).has_claim(SecondFactorClaim, False)
assert_session(response).refused(403).failed_claim(SecondFactorClaim)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NoReturn, Protocol

from ..claims.claim import SessionClaim
from ..claims.payload import JSONObject
from ..claims.recipe_user_id import RecipeUserId
from ..recipes.session.config import TransferMethod
from .report import report
from .response import Effect, SeenResponse

__tracebackhide__ = True  # pytest then points at the assertion that a test made

Claim = SessionClaim[Any] | str
"""A claim, or the key of one; a key stands for what the payload holds there, as it is."""

_ANY: Any = object()


class HasUser(Protocol):
    """A session of somebody, such as a SignedIn."""

    @property
    def user_id(self) -> str:
        """The primary id."""
        ...


class IsUser(Protocol):
    """A User."""

    @property
    def id(self) -> str:
        """The primary id."""
        ...


def assert_session(response: Any) -> SessionAssertion:
    """Return what can be asserted about the session in a response of httpx2, Starlette, Flask or Django."""
    return SessionAssertion(SeenResponse(response))


class SessionAssertion:
    """Assertions about one response; each returns this object, or raises an AssertionError that tells what happened.

    No token is ever part of what it tells.
    """

    def __init__(self, seen: SeenResponse) -> None:
        self._seen = seen

    # What became of the session

    def created(self) -> SessionAssertion:
        """Assert that the response begins a session: it hands out an access, a refresh and a front token."""
        return self._effect("created", "a session to be created")

    def refreshed(self) -> SessionAssertion:
        """Assert that the response hands out the tokens that follow those of the request."""
        return self._effect("refreshed", "the session to be refreshed")

    def updated(self) -> SessionAssertion:
        """Assert that the response renews the access token and leaves the refresh token alone."""
        return self._effect("updated", "the access token to be renewed")

    def cleared(self) -> SessionAssertion:
        """Assert that the response takes the tokens away, as signing out does."""
        return self._effect("cleared", "the session to be cleared")

    def unchanged(self) -> SessionAssertion:
        """Assert that the response neither hands out nor takes away a token."""
        return self._effect("left unchanged", "the session to be left unchanged")

    def by(self, method: TransferMethod) -> SessionAssertion:
        """Assert that tokens were handed out in cookies, or in headers."""
        actual = self._seen.method
        return self._must(actual == method, f"tokens to travel by {method}", f"they travel by {actual or 'nothing'}")

    # Whether the request was let in

    def accepted(self) -> SessionAssertion:
        """Assert that the status is below 400."""
        return self._must(self._seen.status < 400, "the request to be accepted")

    def refused(self, status: int | None = None, message: str | None = None) -> SessionAssertion:
        """Assert that the request was refused, with 401 or 403 unless `status` is given, and with this message."""
        wanted = (401, 403) if status is None else (status,)
        expected = "the request to be refused with " + " or ".join(map(str, wanted))
        self._must(self._seen.status in wanted, expected, f"the status is {self._seen.status}")
        told = self._seen.json.get("message")
        return self._must(message in (None, told), f"the message {message!r}", f"it is {told!r}")

    def failed_claim(self, claim: Claim, reason: Any = _ANY) -> SessionAssertion:
        """Assert that a claim (or the validator with this id) is what the request was refused for."""
        wanted = _key(claim)
        failures = self._failures()
        listed = ", ".join(failures) or "none"
        self._must(wanted in failures, f"the claim {wanted!r} to have failed", f"those that failed are: {listed}")
        expected = f"{wanted!r} to have failed because of {reason!r}"
        return self._must(reason is _ANY or failures[wanted] == reason, expected, f"it was {failures[wanted]!r}")

    # What the access token says

    def has_claim(self, claim: Claim, value: Any = _ANY) -> SessionAssertion:
        """Assert that the access token handed out holds a claim, with this value if one is given."""
        key, actual = self._claim(claim)
        self._must(actual is not None, f"the access token to have the claim {key!r}", "it has no such claim")
        same = value is _ANY or (actual == value and type(actual) is type(value))
        return self._must(same, f"the claim {key!r} to be {value!r}", f"it is {actual!r}")

    def lacks_claim(self, claim: Claim) -> SessionAssertion:
        """Assert that the access token handed out does not hold a claim."""
        key, actual = self._claim(claim)
        return self._must(actual is None, f"the access token to lack the claim {key!r}", f"it is {actual!r}")

    def for_user(self, user: IsUser | HasUser | RecipeUserId | str) -> SessionAssertion:
        """Assert whose session it is: a user's (by object or primary id), or a login method's."""
        field, wanted = _identity(user)
        actual = self._payload(f"a session for {wanted}").get(field)
        return self._must(actual == wanted, f"a session for {wanted}", f"it is for {actual}")

    def in_tenant(self, tenant: str) -> SessionAssertion:
        """Assert in which tenant the session lives."""
        actual = self._payload(f"a session in the tenant {tenant!r}").get("tId")
        return self._must(actual == tenant, f"a session in the tenant {tenant!r}", f"it is in {actual!r}")

    def expires_in(self, duration: timedelta) -> SessionAssertion:
        """Assert how long the access token lives from when it was issued; it counts whole seconds."""
        expected = f"the access token to expire in {duration}"
        payload = self._payload(expected)
        actual = timedelta(seconds=payload["exp"] - payload["iat"])
        return self._must(actual == duration, expected, f"it expires in {actual}")

    # How it is told

    def _effect(self, wanted: Effect, expected: str) -> SessionAssertion:
        actual = self._seen.effect
        self._must(actual == wanted, expected, f"the session was {actual}")
        if wanted in ("created", "refreshed", "updated"):
            front = self._seen.front
            mirrors = front is not None and front.get("up") == self._seen.payload
            self._must(mirrors, f"{expected}, with a front token that mirrors it", "the front token does not")
        return self

    def _claim(self, claim: Claim) -> tuple[str, Any]:
        key = _key(claim)
        payload = self._payload(f"an access token with the claim {key!r}")
        return key, payload.get(key) if isinstance(claim, str) else claim.get_value_from_payload(payload, {})

    def _payload(self, expected: str) -> JSONObject:
        payload = self._seen.payload
        if payload is None:
            self._fail(expected, "no access token was handed out")
        return payload

    def _failures(self) -> Mapping[str, Any]:
        failures = self._seen.json.get("claimValidationErrors")
        return {entry["id"]: entry.get("reason") for entry in failures} if isinstance(failures, list) else {}

    def _must(self, holds: bool, expected: str, instead: str = "") -> SessionAssertion:
        if not holds:
            self._fail(expected, instead)
        return self

    def _fail(self, expected: str, instead: str) -> NoReturn:
        but = f", but {instead}" if instead else ""
        raise AssertionError(f"expected {expected}{but}\n{report(self._seen)}")


def _key(claim: Claim) -> str:
    key = claim if isinstance(claim, str) else getattr(claim, "key", None)
    if not isinstance(key, str):
        raise TypeError(f"a claim is a SessionClaim or the key of one, not {claim!r}")
    return key


def _identity(user: IsUser | HasUser | RecipeUserId | str) -> tuple[str, str]:
    if isinstance(user, RecipeUserId):
        return "rsub", user.get_as_string()
    if isinstance(user, str):
        return "sub", user
    identity: str | None = getattr(user, "user_id", None) or getattr(user, "id", None)
    if identity is None:
        raise TypeError(f"for_user takes a user, its id, or a RecipeUserId, not {user!r}")
    return "sub", identity
