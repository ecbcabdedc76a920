"""A response as any client or framework hands it out, and what it does to the session of whoever gets it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from http.cookies import BaseCookie
from typing import Any, Literal

from ..claims.payload import JSONObject
from ..recipes.session.config import TransferMethod
from ..recipes.session.cookies import ACCESS_COOKIE, LEGACY_COOKIE, REFRESH_COOKIE
from ..recipes.session.response import ACCESS_HEADER, ANTI_CSRF_HEADER, FRONT_HEADER, REFRESH_HEADER
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
