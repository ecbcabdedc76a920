"""Assertions about the session in a response; a failure says what the response did instead.

assert_session(response).created().for_user(user).has_claim(SecondFactorClaim, False)
assert_session(response).refused(403).failed_claim(SecondFactorClaim)
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from http.cookies import BaseCookie
from typing import Any, Literal, NoReturn, Protocol

from ..claims.claim import SessionClaim
from ..claims.payload import JSONObject, without_protected
from ..claims.recipe_user_id import RecipeUserId
from ..recipes.chain.trace import masked, without_tokens
from ..recipes.session.config import TransferMethod
from ..recipes.session.response import (
    ACCESS_COOKIE,
    ACCESS_HEADER,
    ANTI_CSRF_HEADER,
    FRONT_HEADER,
    LEGACY_COOKIE,
    REFRESH_COOKIE,
    REFRESH_HEADER,
)
from ..sessions.encoding import decoded_object

__tracebackhide__ = True  # pytest then shows the assertion in the test

Claim = SessionClaim[Any] | str
"""A claim or its key; a key means the stored value in the payload, unchanged."""

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
    """Return the assertions about the session in a response of httpx2, Starlette, Flask or Django."""
    return SessionAssertion(AnyResponse(response))


class SessionAssertion:
    """Assertions about one response; each returns this object, or raises an AssertionError with a report.

    The report never contains a token.
    """

    def __init__(self, response: AnyResponse) -> None:
        self._response = response

    # What became of the session

    def created(self) -> SessionAssertion:
        """Assert that the response creates a session: it sets an access, a refresh and a front token."""
        return self._effect("created", "a session to be created")

    def refreshed(self) -> SessionAssertion:
        """Assert that the response sets the tokens that follow those of the request."""
        return self._effect("refreshed", "the session to be refreshed")

    def updated(self) -> SessionAssertion:
        """Assert that the response renews the access token and not the refresh token."""
        return self._effect("updated", "the access token to be renewed")

    def cleared(self) -> SessionAssertion:
        """Assert that the response removes the tokens, as after a sign-out."""
        return self._effect("cleared", "the session to be cleared")

    def unchanged(self) -> SessionAssertion:
        """Assert that the response neither sets nor removes a token."""
        return self._effect("left unchanged", "the session to be left unchanged")

    def by(self, method: TransferMethod) -> SessionAssertion:
        """Assert that tokens were handed out in cookies, or in headers."""
        actual = self._response.method
        return self._must(actual == method, f"tokens to travel by {method}", f"they travel by {actual or 'nothing'}")

    # Whether the request was accepted

    def accepted(self) -> SessionAssertion:
        """Assert that the status is below 400."""
        return self._must(self._response.status < 400, "the request to be accepted")

    def refused(self, status: int | None = None, message: str | None = None) -> SessionAssertion:
        """Assert that the request was refused, with 401 or 403 unless `status` is given, and with this message."""
        wanted = (401, 403) if status is None else (status,)
        expected = "the request to be refused with " + " or ".join(map(str, wanted))
        self._must(self._response.status in wanted, expected, f"the status is {self._response.status}")
        actual = self._response.json.get("message")
        return self._must(message in (None, actual), f"the message {message!r}", f"it is {actual!r}")

    def failed_claim(self, claim: Claim, reason: Any = _ANY) -> SessionAssertion:
        """Assert that a claim (or the validator with this id) is a reason for the refusal."""
        wanted = _key(claim)
        failures = self._failures()
        listed = ", ".join(failures) or "none"
        self._must(wanted in failures, f"the claim {wanted!r} to have failed", f"those that failed are: {listed}")
        expected = f"{wanted!r} to have failed because of {reason!r}"
        return self._must(reason is _ANY or failures[wanted] == reason, expected, f"it was {failures[wanted]!r}")

    # What the access token says

    def has_claim(self, claim: Claim, value: Any = _ANY) -> SessionAssertion:
        """Assert that the new access token has a claim, with this value if one is given."""
        key, actual = self._claim(claim)
        self._must(actual is not None, f"the access token to have the claim {key!r}", "it has no such claim")
        same = value is _ANY or (actual == value and type(actual) is type(value))
        return self._must(same, f"the claim {key!r} to be {value!r}", f"it is {actual!r}")

    def lacks_claim(self, claim: Claim) -> SessionAssertion:
        """Assert that the new access token does not have a claim."""
        key, actual = self._claim(claim)
        return self._must(actual is None, f"the access token to lack the claim {key!r}", f"it is {actual!r}")

    def for_user(self, user: IsUser | HasUser | RecipeUserId | str) -> SessionAssertion:
        """Assert whose session it is: that of a user (an object or a primary id) or of a login method."""
        field, wanted = _identity(user)
        actual = self._payload(f"a session for {wanted}").get(field)
        return self._must(actual == wanted, f"a session for {wanted}", f"it is for {actual}")

    def in_tenant(self, tenant: str) -> SessionAssertion:
        """Assert the tenant of the session."""
        actual = self._payload(f"a session in the tenant {tenant!r}").get("tId")
        return self._must(actual == tenant, f"a session in the tenant {tenant!r}", f"it is in {actual!r}")

    def expires_in(self, duration: timedelta) -> SessionAssertion:
        """Assert how long the access token lives after it was issued; tokens count whole seconds."""
        expected = f"the access token to expire in {duration}"
        payload = self._payload(expected)
        actual = timedelta(seconds=payload["exp"] - payload["iat"])
        return self._must(actual == duration, expected, f"it expires in {actual}")

    # The messages

    def _effect(self, wanted: Effect, expected: str) -> SessionAssertion:
        actual = self._response.effect
        self._must(actual == wanted, expected, f"the session was {actual}")
        if wanted in ("created", "refreshed", "updated"):
            front = self._response.front
            mirrors = front is not None and front.get("up") == self._response.payload
            self._must(mirrors, f"{expected}, with a front token that mirrors it", "the front token does not")
        return self

    def _claim(self, claim: Claim) -> tuple[str, Any]:
        key = _key(claim)
        payload = self._payload(f"an access token with the claim {key!r}")
        return key, payload.get(key) if isinstance(claim, str) else claim.get_value_from_payload(payload, {})

    def _payload(self, expected: str) -> JSONObject:
        payload = self._response.payload
        if payload is None:
            self._fail(expected, "no access token was handed out")
        return payload

    def _failures(self) -> Mapping[str, Any]:
        failures = self._response.json.get("claimValidationErrors")
        return {entry["id"]: entry.get("reason") for entry in failures} if isinstance(failures, list) else {}

    def _must(self, holds: bool, expected: str, instead: str = "") -> SessionAssertion:
        if not holds:
            self._fail(expected, instead)
        return self

    def _fail(self, expected: str, instead: str) -> NoReturn:
        but = f", but {instead}" if instead else ""
        raise AssertionError(f"expected {expected}{but}\n{report(self._response)}")


Effect = Literal["created", "refreshed", "updated", "cleared", "rid of older cookies", "left unchanged"]
_COOKIES = (ACCESS_COOKIE, REFRESH_COOKIE, LEGACY_COOKIE)
_HEADERS = (FRONT_HEADER, ACCESS_HEADER, REFRESH_HEADER, ANTI_CSRF_HEADER)
_REMOVE = "remove"
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class SetCookie:
    """One Set-Cookie header; `attributes` is the unchanged text of each."""

    name: str
    value: str = field(repr=False)
    attributes: tuple[str, ...]

    @classmethod
    def of(cls, header: str) -> SetCookie:
        """Read the header."""
        pair, *attributes = (part.strip() for part in header.split(";"))
        name, _, value = pair.partition("=")
        return cls(name.strip(), value.strip().strip('"'), tuple(attributes))


class AnyResponse:
    """A response of any client or framework: its status, its body, and the session tokens in it."""

    def __init__(self, response: Any) -> None:
        status = getattr(response, "status_code", None)
        if not isinstance(status, int):
            raise TypeError(f"{response!r} is not a response: it has no status_code")
        self.status = status
        self.body = _body_of(response)
        pairs = [(name.lower(), value) for name, value in _header_pairs(response)]
        cookies = [SetCookie.of(value) for name, value in pairs if name == "set-cookie"]
        self.cookies = [*cookies, *(one for one in _django_cookies(response) if one not in cookies)]
        self.headers = {name: value for name, value in pairs if name in _HEADERS}

    @cached_property
    def json(self) -> JSONObject:
        """The body as a JSON object; empty if it is none."""
        try:
            content = json.loads(self.body)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def session_cookies(self) -> list[SetCookie]:
        """The cookies of the session."""
        return [cookie for cookie in self.cookies if cookie.name in _COOKIES]

    # The tokens

    @property
    def access_token(self) -> str | None:
        """The new access token, None if there is none."""
        return self._cookie(ACCESS_COOKIE) or self.headers.get(ACCESS_HEADER) or None

    @property
    def refresh_token(self) -> str | None:
        """The new refresh token, None if there is none."""
        return self._cookie(REFRESH_COOKIE) or self.headers.get(REFRESH_HEADER) or None

    @property
    def method(self) -> TransferMethod | None:
        """How the new tokens travel, None if there are none."""
        if self._cookie(ACCESS_COOKIE):
            return "cookie"
        return "header" if self.headers.get(ACCESS_HEADER) else None

    @cached_property
    def payload(self) -> JSONObject | None:
        """The payload of the new access token, else that of the front token; None without both."""
        token, front = self.access_token, self.front
        if token is not None and token.count(".") == 2:
            return decoded_object(token.split(".")[1])
        return None if front is None else front.get("up")

    @cached_property
    def front(self) -> JSONObject | None:
        """The content of the front token (`{"uid": ..., "ate": ..., "up": ...}`), None if there is none."""
        text = self.headers.get(FRONT_HEADER)
        if text is None or text == _REMOVE:
            return None
        content: JSONObject = json.loads(base64.b64decode(text))
        return content

    @property
    def effect(self) -> Effect:
        """What the response does to the session."""
        if self.refresh_token is not None:
            parent = (self.payload or {}).get("parentRefreshTokenHash1")
            return "created" if parent is None else "refreshed"
        if self.access_token is not None:
            return "updated"
        if self.headers.get(FRONT_HEADER) == _REMOVE:
            return "cleared"
        # The response clears cookies of an older domain or an older SDK; the session itself stays.
        return "rid of older cookies" if self.session_cookies else "left unchanged"

    def _cookie(self, name: str) -> str | None:
        return next((cookie.value for cookie in self.cookies if cookie.name == name and cookie.value), None)


def _header_pairs(response: Any) -> Iterator[tuple[str, str]]:
    headers = response.headers
    # httpx2 lists a repeated header repeatedly only in multi_items().
    pairs = headers.multi_items() if hasattr(headers, "multi_items") else headers.items()
    return ((str(name), str(value)) for name, value in pairs)


def _django_cookies(response: Any) -> list[SetCookie]:
    """Return the cookies that a Django response will set; Django does not list them among the headers."""
    cookies = getattr(response, "cookies", None)
    if not isinstance(cookies, BaseCookie):
        return []
    return [SetCookie.of(morsel.OutputString()) for morsel in cookies.values()]


def _body_of(response: Any) -> str:
    # A streaming response has no text.
    for name in ("text", "content", "body"):
        try:
            body = getattr(response, name, None)
        except (RuntimeError, AttributeError):
            continue
        if isinstance(body, str):
            return body
        if isinstance(body, bytes):
            return body.decode(errors="replace")
    return ""


def report(response: AnyResponse) -> str:
    """Return lines with the answer and the tokens that were set or cleared; they contain no token."""
    lines = {
        "status": str(response.status),
        "body": _body(response),
        "session": response.effect,
        "cookies": "; ".join(_cookie(cookie) for cookie in response.session_cookies) or "none set or cleared",
        "headers": "; ".join(_header(name, value) for name, value in response.headers.items()) or "none set or cleared",
    }
    if response.payload is not None:
        lines |= {"user": _user(response.payload), "claims": str(masked("", without_protected(response.payload)))}
    return "\n".join(f"  {name:<8} {value}" for name, value in lines.items())


def _body(response: AnyResponse) -> str:
    message = str(response.json["message"]) if "message" in response.json else response.body
    failures = response.json.get("claimValidationErrors")
    more = f"; failed claims: {masked('', failures)}" if failures else ""
    text = without_tokens(message) + more
    for secret in (response.headers.get("anti-csrf"), (response.payload or {}).get("antiCsrfToken")):
        if secret:
            text = text.replace(secret, "***")
    return f"{text[:_LONGEST]}..." if len(text) > _LONGEST else text or "empty"


def _cookie(cookie: SetCookie) -> str:
    return f"{cookie.name} {_set_or_cleared(cookie.value)} ({', '.join(cookie.attributes)})"


def _header(name: str, value: str) -> str:
    return f"{name} {'cleared' if value == 'remove' else _set_or_cleared(value)}"


def _set_or_cleared(value: str) -> str:
    return f"set, {len(value)} characters" if value else "cleared"


def _user(payload: JSONObject) -> str:
    user, login, tenant, handle = (payload.get(name) for name in ("sub", "rsub", "tId", "sessionHandle"))
    by = "" if login == user else f", login method {login}"
    where = "" if tenant == "public" else f", tenant {tenant}"
    return f"{user}{by}{where}, session {handle}"


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
