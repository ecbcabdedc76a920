"""Assertions about the session in a response, which say what the response did instead.

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
from ..recipes.chain.trace import shown, without_tokens
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

Effect = Literal["created", "refreshed", "updated", "cleared", "rid of older cookies", "left unchanged"]

_COOKIES = (ACCESS_COOKIE, REFRESH_COOKIE, LEGACY_COOKIE)
_HEADERS = (FRONT_HEADER, ACCESS_HEADER, REFRESH_HEADER, ANTI_CSRF_HEADER)
_REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class SetCookie:
    """One Set-Cookie header; `attributes` as they were written."""

    name: str
    value: str = field(repr=False)
    attributes: tuple[str, ...]

    @classmethod
    def of(cls, header: str) -> SetCookie:
        """Read the header."""
        pair, *attributes = (part.strip() for part in header.split(";"))
        name, _, value = pair.partition("=")
        return cls(name.strip(), value.strip().strip('"'), tuple(attributes))


class SeenResponse:
    """A response of httpx2, Starlette, Flask or Django: its status, its body, and the session tokens in it."""

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
        """The body as a JSON object; empty where it is none."""
        try:
            content = json.loads(self.body)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def session_cookies(self) -> list[SetCookie]:
        """The cookies that concern the session."""
        return [cookie for cookie in self.cookies if cookie.name in _COOKIES]

    # The tokens

    @property
    def access_token(self) -> str | None:
        """The access token that was handed out, None if there is none."""
        return self._cookie(ACCESS_COOKIE) or self.headers.get(ACCESS_HEADER) or None

    @property
    def refresh_token(self) -> str | None:
        """The refresh token that was handed out, None if there is none."""
        return self._cookie(REFRESH_COOKIE) or self.headers.get(REFRESH_HEADER) or None

    @property
    def method(self) -> TransferMethod | None:
        """How the tokens travel, None where none were handed out."""
        if self._cookie(ACCESS_COOKIE):
            return "cookie"
        return "header" if self.headers.get(ACCESS_HEADER) else None

    @cached_property
    def payload(self) -> JSONObject | None:
        """The payload of the access token that was handed out, else of the front token; None without either."""
        token, front = self.access_token, self.front
        if token is not None and token.count(".") == 2:
            return decoded_object(token.split(".")[1])
        return None if front is None else front.get("up")

    @cached_property
    def front(self) -> JSONObject | None:
        """What the front token says, None where there is none."""
        text = self.headers.get(FRONT_HEADER)
        if text is None or text == _REMOVE:
            return None
        content: JSONObject = json.loads(base64.b64decode(text))
        return content

    @property
    def effect(self) -> Effect:
        """What becomes of the session."""
        if self.refresh_token is not None:
            parent = (self.payload or {}).get("parentRefreshTokenHash1")
            return "created" if parent is None else "refreshed"
        if self.access_token is not None:
            return "updated"
        if self.headers.get(FRONT_HEADER) == _REMOVE:
            return "cleared"
        # Cookies of an older domain, or of an older SDK; the session itself stays.
        return "rid of older cookies" if self.session_cookies else "left unchanged"

    def _cookie(self, name: str) -> str | None:
        return next((cookie.value for cookie in self.cookies if cookie.name == name and cookie.value), None)


def _header_pairs(response: Any) -> Iterator[tuple[str, str]]:
    headers = response.headers
    # Most list a repeated header repeatedly; httpx2 does so only if it is asked to.
    pairs = headers.multi_items() if hasattr(headers, "multi_items") else headers.items()
    return ((str(name), str(value)) for name, value in pairs)


def _django_cookies(response: Any) -> list[SetCookie]:
    """Return the cookies that a Django response will set, which are not among its headers."""
    cookies = getattr(response, "cookies", None)
    if not isinstance(cookies, BaseCookie):
        return []
    return [SetCookie.of(morsel.OutputString()) for morsel in cookies.values()]


def _body_of(response: Any) -> str:
    # A response that streams has no text to ask for.
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


_LONGEST = 300


def report(seen: SeenResponse) -> str:
    """Return what was answered, and which tokens were handed out or taken away."""
    lines = {
        "status": str(seen.status),
        "body": _body(seen),
        "session": seen.effect,
        "cookies": "; ".join(_cookie(cookie) for cookie in seen.session_cookies) or "none set or cleared",
        "headers": "; ".join(_header(name, value) for name, value in seen.headers.items()) or "none set or cleared",
    }
    if seen.payload is not None:
        lines |= {"user": _user(seen.payload), "claims": str(shown("", without_protected(seen.payload)))}
    return "\n".join(f"  {name:<8} {value}" for name, value in lines.items())


def _body(seen: SeenResponse) -> str:
    told = str(seen.json["message"]) if "message" in seen.json else seen.body
    failures = seen.json.get("claimValidationErrors")
    more = f"; failed claims: {shown('', failures)}" if failures else ""
    text = without_tokens(told) + more
    for secret in (seen.headers.get("anti-csrf"), (seen.payload or {}).get("antiCsrfToken")):
        if secret:
            text = text.replace(secret, "***")
    return f"{text[:_LONGEST]}..." if len(text) > _LONGEST else text or "empty"


def _cookie(cookie: SetCookie) -> str:
    return f"{cookie.name} {_done(cookie.value)} ({', '.join(cookie.attributes)})"


def _header(name: str, value: str) -> str:
    return f"{name} {'cleared' if value == 'remove' else _done(value)}"


def _done(value: str) -> str:
    return f"set, {len(value)} characters" if value else "cleared"


def _user(payload: JSONObject) -> str:
    user, login, tenant, handle = (payload.get(name) for name in ("sub", "rsub", "tId", "sessionHandle"))
    by = "" if login == user else f", login method {login}"
    where = "" if tenant == "public" else f", tenant {tenant}"
    return f"{user}{by}{where}, session {handle}"


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
