"""How the tokens of one request travel: which are chosen, and what its response does to them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from starlette.requests import Request

from ...claims.payload import UserContext
from ..kit.request import is_handshake
from .config import TokenTransferMethod, TransferMethod
from .cookies import cookies_of
from .response import ClearLegacyCookie, ClearOlderCookies, ClearTokens, CookieSettings, SetTokens, response_log
from .selection import (
    METHODS,
    SelectedToken,
    bearer_token,
    checked_answer,
    cleared_at_creation,
    cleared_at_refresh,
    creation_method,
    default_answer,
    duplicated,
    has_access_cookie,
    has_legacy_cookie,
    select_refresh_token,
)
from .site import AntiCsrf, SameSite, cookies_cannot_work, default_anti_csrf, default_same_site, default_secure

if TYPE_CHECKING:
    from .container import SessionContainer
    from .recipe import SessionRecipe


class Transport:
    """One request seen by the session recipe; what depends on the website's origin is decided once per request."""

    def __init__(self, recipe: SessionRecipe, request: Request, user_context: UserContext) -> None:
        self.recipe = recipe
        self.request = request
        self._config = recipe.config
        self._info = recipe.app.info
        self._user_context = user_context

    @cached_property
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
    def settings(self) -> CookieSettings:
        """How session cookies are written in the response to this request."""
        return CookieSettings(
            domain=self._config.cookie_domain,
            secure=self._secure,
            same_site=self._same_site,
            refresh_path=self._info.refresh_path,
            older_domain=self._config.older_cookie_domain,
            expose_access_token=self._config.expose_access_token_to_frontend_in_cookie_based_auth,
        )

    def anti_csrf_mode(self) -> AntiCsrf:
        """Return the protection that is configured, or else what SameSite asks for (docs/protocol.md, rule 7.1)."""
        return self._config.anti_csrf or default_anti_csrf(self._same_site, origin_varies=callable(self._info.origin))

    def foreign_handshake(self) -> bool:
        """Tell whether a page of another origin than the website's opens a websocket (docs/protocol.md, rule 7.7)."""
        origin = self.request.headers.get("origin") if is_handshake(self.request) else None
        return origin is not None and origin != self._origin

    def cookies_cannot_work(self) -> bool:
        """Tell whether browsers would drop the cookies of a new session."""
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
        """Tell whether an access token came by either way."""
        return has_access_cookie(self.request) or bearer_token(self.request) is not None

    def has_legacy_cookie(self) -> bool:
        """Tell whether the request belongs to a session of a very old SDK."""
        return has_legacy_cookie(cookies_of(self.request))

    def duplicate_cookies(self) -> tuple[str, ...]:
        """Return the session cookies that came twice, where cookies can be used at all."""
        return () if self._answer(creating=False) == "header" else duplicated(self.request)

    # What the response does

    def clear_older(self, names: tuple[str, ...]) -> None:
        """Clear cookies on the domain that was configured earlier."""
        response_log(self.request).add(ClearOlderCookies(names, self.settings))

    def clear_legacy_cookie(self) -> None:
        """Clear the cookie of a very old SDK if the request carried it."""
        if self.has_legacy_cookie():
            response_log(self.request).add(ClearLegacyCookie(self.settings))

    def clear_other_at_creation(self, used: TransferMethod) -> None:
        """Clear the other method's tokens if the request carried an access token there."""
        self._clear(*cleared_at_creation(self.request, used))

    def clear_other_at_refresh(self, used: TransferMethod) -> None:
        """Clear the other method's tokens if the request carried a refresh token there."""
        self._clear(*cleared_at_refresh(self.request, used))

    def clear_all(self) -> None:
        """Clear the tokens of both methods."""
        self._clear(*METHODS)

    def clear(self, method: TransferMethod) -> None:
        """Clear the tokens of one method."""
        self._clear(method)

    def _clear(self, *methods: TransferMethod) -> None:
        response_log(self.request).add(*(ClearTokens(method, self.settings) for method in methods))

    def send(self, session: SessionContainer, method: TransferMethod, *, access_token_only: bool) -> None:
        """Let the tokens of a session travel with the response."""
        entry = SetTokens(
            method=method,
            access_token=session.access_token,
            front_token=session.front_token,
            settings=self.settings,
            now_ms=self.recipe.app.clock.now_ms(),
            refresh_token=None if access_token_only else session.refresh_token,
            anti_csrf_token=None if access_token_only else session.anti_csrf_token,
        )
        response_log(self.request).add(entry)
