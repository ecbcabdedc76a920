"""How the tokens of one request travel: which token counts, and what the response does to the client's tokens.

Below the class are pure functions of the request's headers and of the answer of the transfer method selector: `cookie`,
`header`, or `any`, where a header has precedence over a cookie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from starlette.requests import Request

from ...claims.clock import Clock
from ...claims.payload import UserContext
from ..exceptions import ConfigurationError
from ..kit.app_info import AppInfo
from ..kit.request import is_handshake
from . import response
from .config import (
    AntiCsrf,
    SameSite,
    SessionConfig,
    TokenTransferMethod,
    TransferMethod,
    cookies_cannot_work,
    default_anti_csrf,
    default_same_site,
    default_secure,
)

Cookies: TypeAlias = list[tuple[str, str]]


METHODS: tuple[TransferMethod, TransferMethod] = ("cookie", "header")


class Transport:
    """One request as the session recipe sees it: the tokens it carries, and what its response does to them."""

    def __init__(
        self, config: SessionConfig, info: AppInfo, clock: Clock, request: Request, user_context: UserContext
    ) -> None:
        self.request = request
        self._config = config
        self._info = info
        self._clock = clock
        self._user_context = user_context

    @property
    def _origin(self) -> str:
        return self._info.website_origin(self.request, self._user_context)

    @cached_property
    def _same_site(self) -> SameSite:
        return self._config.cookie_same_site or default_same_site(self._info.api_domain, self._origin)

    @property
    def _secure(self) -> bool:
        secure = self._config.cookie_secure
        return default_secure(self._info.api_domain) if secure is None else secure

    @cached_property
    def settings(self) -> response.CookieSettings:
        """How session cookies are written in the response to this request."""
        return response.CookieSettings(
            domain=self._config.cookie_domain,
            secure=self._secure,
            same_site=self._same_site,
            refresh_path=self._info.refresh_path,
            older_domain=self._config.older_cookie_domain,
            expose_access_token=self._config.expose_access_token_to_frontend_in_cookie_based_auth,
        )

    def anti_csrf_mode(self) -> AntiCsrf:
        """Return the protection that is configured, or else what SameSite needs (docs/protocol.md, rule 7.1)."""
        return self._config.anti_csrf or default_anti_csrf(self._same_site, origin_varies=callable(self._info.origin))

    def foreign_handshake(self) -> bool:
        """Whether a page of another origin than the website's opens a websocket (docs/protocol.md, rule 7.7)."""
        origin = self.request.headers.get("origin") if is_handshake(self.request) else None
        return origin is not None and origin != self._origin

    def cookies_cannot_work(self) -> bool:
        """Whether browsers would drop the cookies of a new session."""
        return cookies_cannot_work(self._info.api_domain, self._origin, same_site=self._same_site, secure=self._secure)

    # What the request carries

    def _answer(self, *, creating: bool) -> TokenTransferMethod:
        selector = self._config.get_token_transfer_method
        if selector is None:
            return default_answer(self.request, creating=creating)
        return checked_answer(selector(self.request, creating, self._user_context))

    def method_for_new_session(self) -> TransferMethod:
        """Return how the tokens of a new session travel."""
        return creation_method(self.request, self._answer(creating=True))

    def refresh_token(self) -> SelectedToken | None:
        """Return the refresh token to use, None if there is none."""
        return select_refresh_token(self.request, self._answer(creating=False))

    def has_any_access_token(self) -> bool:
        """Whether an access token came by either way."""
        return has_access_cookie(self.request) or bearer_token(self.request) is not None

    def duplicate_cookies(self) -> tuple[str, ...]:
        """Return the session cookies that came twice, if cookies can be used at all."""
        return () if self._answer(creating=False) == "header" else duplicated(self.request)

    # What the response does

    def clear_older(self, names: tuple[str, ...]) -> None:
        """Clear cookies on the domain that was configured earlier."""
        response.response_log(self.request).add(response.ClearOlderCookies(names, self.settings))

    def clear_legacy_cookie(self) -> None:
        """Clear the cookie of a very old SDK if the request carried it."""
        if has_legacy_cookie(response.cookies_of(self.request)):
            response.response_log(self.request).add(response.ClearLegacyCookie(self.settings))

    def clear_other_at_creation(self, used: TransferMethod) -> None:
        """Clear the other method's tokens if the request carried an access token there."""
        self.clear(*cleared_at_creation(self.request, used))

    def clear_other_at_refresh(self, used: TransferMethod) -> None:
        """Clear the other method's tokens if the request carried a refresh token there."""
        self.clear(*cleared_at_refresh(self.request, used))

    def clear_all(self) -> None:
        """Clear the tokens of both methods."""
        self.clear(*METHODS)

    def clear(self, *methods: TransferMethod) -> None:
        """Clear the tokens of these methods."""
        response.response_log(self.request).add(*(response.ClearTokens(method, self.settings) for method in methods))

    def send(
        self,
        method: TransferMethod,
        access_token: str,
        front_token: str,
        refresh_token: response.ExpiringToken | None = None,
        anti_csrf_token: str | None = None,
    ) -> None:
        """Send tokens with the response; without a refresh token only access and front token change."""
        now_ms = self._clock.now_ms()
        entry = response.SetTokens(
            method, access_token, front_token, self.settings, now_ms, refresh_token, anti_csrf_token
        )
        response.response_log(self.request).add(entry)


# Which token counts


@dataclass(slots=True)  # not frozen: that takes three times as long to make, for every request
class SelectedToken:
    """The token of a request that counts, and its transfer method.

    `duplicated` says that the Cookie header holds it more than once, so that it is not clear which one is meant.
    """

    method: TransferMethod
    token: str = field(repr=False)
    duplicated: bool = False


def carried_by(request: Request) -> tuple[str | None, str | None, Cookies]:
    """Return the Authorization and anti-CSRF headers of a request, and its cookies, in one pass over its headers.

    If a header came twice, the first one counts.
    """
    authorization: str | None = None
    anti_csrf: str | None = None
    cookies: Cookies | None = None
    for name, value in request.scope["headers"]:
        if name == b"authorization" and authorization is None:
            authorization = str(value, "latin-1")
        elif name == b"cookie" and cookies is None:
            cookies = response.cookies_of(request)  # of all Cookie headers at once
        elif name == b"anti-csrf" and anti_csrf is None:
            anti_csrf = str(value, "latin-1")
    return authorization, anti_csrf, cookies or []


def select_access_token(
    authorization: str | None, cookies: Cookies, answer: TokenTransferMethod, looks_like_ours: Callable[[str], bool]
) -> SelectedToken | None:
    """Return the access token to verify, None if there is none (docs/protocol.md, rule 9.2).

    A string that does not look like ours is ignored, so a foreign Bearer token does not hide the cookie.
    """
    if authorization is not None and answer != "cookie":
        bearer = parse_bearer(authorization)
        if bearer is not None and looks_like_ours(bearer):
            return SelectedToken("header", bearer)
    if answer == "header":
        return None
    values = [value for name, value in cookies if name == response.ACCESS_COOKIE]
    ours = next((value for value in values if value and looks_like_ours(value)), None)
    return None if ours is None else SelectedToken("cookie", ours, duplicated=len(values) > 1)


def select_refresh_token(request: Request, answer: TokenTransferMethod) -> SelectedToken | None:
    """Return the refresh token to use, in any form; None if there is none (docs/protocol.md, rule 9.3)."""
    bearer = bearer_token(request) if answer != "cookie" else None
    if bearer is not None:
        return SelectedToken("header", bearer)
    values = [] if answer == "header" else _cookie_values(request, response.REFRESH_COOKIE)
    first = next(filter(None, values), None)
    return None if first is None else SelectedToken("cookie", first, duplicated=len(values) > 1)


def cleared_at_creation(request: Request, used: TransferMethod) -> tuple[TransferMethod, ...]:
    """Return the method to clear before a session is created: the other one, if any token came by it.

    A token that is not ours counts, too (docs/protocol.md, rule 9.4).
    """
    return _other_with_token(request, used, response.ACCESS_COOKIE)


def cleared_at_refresh(request: Request, used: TransferMethod) -> tuple[TransferMethod, ...]:
    """Return the method to clear before a refresh answers: the other one, if a refresh token came by it (rule 9.4)."""
    return _other_with_token(request, used, response.REFRESH_COOKIE)


def _other_with_token(request: Request, used: TransferMethod, cookie: str) -> tuple[TransferMethod, ...]:
    if used == "header":
        return ("cookie",) if any(_cookie_values(request, cookie)) else ()
    return () if bearer_token(request) is None else ("header",)


def duplicated(request: Request) -> tuple[str, ...]:
    """Return the session cookies that a request holds more than once (docs/protocol.md, rules 11.1 and 11.2)."""
    names = [name for name, _ in response.cookies_of(request)]
    return tuple(name for name in (response.ACCESS_COOKIE, response.REFRESH_COOKIE) if names.count(name) > 1)


def has_access_cookie(request: Request) -> bool:
    """Whether any access token came by cookie, ours or not."""
    return any(_cookie_values(request, response.ACCESS_COOKIE))


def has_legacy_cookie(cookies: Cookies) -> bool:
    """Whether the session dates from before access tokens were self-contained (docs/protocol.md, rule 11.4)."""
    return response.LEGACY_COOKIE in [name for name, _ in cookies]


# Which transfer method is used

_AUTH_MODES: dict[str, TransferMethod] = {"cookie": "cookie", "header": "header"}
_ANSWERS: dict[str, TokenTransferMethod] = {"any": "any", **_AUTH_MODES}


def default_answer(request: Request, *, creating: bool) -> TokenTransferMethod:
    """Return what the client wants for a new session, `any` for an existing one (docs/protocol.md, rule 9.1)."""
    wish = _auth_mode(request) if creating else None
    return "any" if wish is None else wish


def checked_answer(answer: object) -> TokenTransferMethod:
    """Return what a selector answered; ConfigurationError if it is no transfer method."""
    known = _ANSWERS.get(answer) if isinstance(answer, str) else None
    if known is not None:
        return known
    raise ConfigurationError(f'get_token_transfer_method must return "cookie", "header" or "any", not {answer!r}')


def creation_method(request: Request, answer: TokenTransferMethod) -> TransferMethod:
    """Return how the tokens of a new session travel: by cookie only on request (docs/protocol.md, rule 9.1)."""
    if answer != "any":
        return answer
    return _auth_mode(request) or "header"


def _auth_mode(request: Request) -> TransferMethod | None:
    return _AUTH_MODES.get(request.headers.get("st-auth-mode", "").lower())


# Headers and cookies

_BEARER = "Bearer "


def bearer_token(request: Request) -> str | None:
    """Return the token of the Authorization header, None if it has none (docs/protocol.md, rule 2.3)."""
    return parse_bearer(request.headers.get("authorization", ""))


def parse_bearer(header: str) -> str | None:
    """Return what follows exactly `Bearer ` in an Authorization header, trimmed; None if that is nothing."""
    return header[len(_BEARER) :].strip() or None if header.startswith(_BEARER) else None


def has_rid(request: Request) -> bool:
    """Whether the request has the header `rid`, with any value (docs/protocol.md, rule 7.3)."""
    return "rid" in request.headers


def _cookie_values(request: Request, name: str) -> list[str]:
    return [value for cookie, value in response.cookies_of(request) if cookie == name]
