"""The subject of the doctor's checks: an API, one website, and how the tokens of sessions travel between them."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from ...recipes.app import App
from ...recipes.exceptions import ConfigurationError
from ...recipes.kit.app_info import host_of, is_local
from ...recipes.session.config import (
    AntiCsrf,
    SameSite,
    SessionConfig,
    default_anti_csrf,
    default_same_site,
    default_secure,
    top_level,
)
from ...recipes.session.transport import checked_answer, creation_method
from ..address import is_loopback
from .finding import Unchecked

_OF_THIS_NETWORK = (".localhost", ".local", ".test")


@dataclass(frozen=True, slots=True)
class Setup:
    """An API, a website, and the session recipe's configuration.

    `in_cookies` is whether clients may ask for their tokens in cookies. Both hosts must have a site: see `has_site`.
    """

    api: str
    website: str
    config: SessionConfig
    in_cookies: bool = True

    @property
    def api_host(self) -> str:
        """The host of the API."""
        return host_of(self.api)

    @property
    def same_site(self) -> SameSite:
        """The SameSite attribute of a session's cookies."""
        return self.config.cookie_same_site or default_same_site(self.api, self.website)

    @property
    def secure(self) -> bool:
        """Whether a session's cookies are Secure."""
        secure = self.config.cookie_secure
        return default_secure(self.api) if secure is None else secure

    @property
    def anti_csrf(self) -> AntiCsrf:
        """The anti-CSRF protection of requests with cookies."""
        return self.config.anti_csrf or default_anti_csrf(self.same_site)

    @property
    def crosses_sites(self) -> bool:
        """Whether API and website are different sites to Chrome, which also compares the schemes."""
        return is_https(self.api) != is_https(self.website) or site_of(self.api) != site_of(self.website)

    @property
    def mixes_content(self) -> bool:
        """Whether browsers refuse to call the API because the website is on https and the API is not."""
        return is_https(self.website) and not is_https(self.api) and not is_own_machine(self.api_host)


def website_of(app: App) -> tuple[str | None, list[Unchecked]]:
    """Return the origin of the website, None if only a request tells it; and what is not known about it."""
    if isinstance(app.info.origin, str):
        return app.info.origin, []
    try:
        with app.active():
            website = app.info.website_origin(None, {})
    except Exception as error:
        return None, [Unchecked(f"what depends on the website: origin without a request failed ({error_text(error)})")]
    return website, [Unchecked(f"other websites than {website}, which origin returns without a request")]


def allows_cookies(app: App, website: str | None) -> tuple[bool, list[Unchecked]]:
    """Whether a client that asks for its tokens in cookies gets them there; and what is not known about it."""
    config: SessionConfig = app.recipe("session").config
    if config.get_token_transfer_method is None:
        return True, []
    request = _sign_in(app, website)
    try:
        with app.active():
            answer = checked_answer(config.get_token_transfer_method(request, True, {}))
    except Exception as error:
        return True, [Unchecked(f"which clients get cookies: get_token_transfer_method failed ({error_text(error)})")]
    return creation_method(request, answer) == "cookie", []


def _sign_in(app: App, website: str | None) -> Request:
    headers = [(b"st-auth-mode", b"cookie"), (b"rid", b"emailpassword")]
    headers += [] if website is None else [(b"origin", website.encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": app.info.api_domain.partition("://")[0],
        "path": f"{app.info.api_base_path.removeprefix(app.info.api_gateway_path)}/signin",
        "query_string": b"",
        "headers": headers,
        "state": {},
    }
    return Request(scope)


def error_text(error: Exception) -> str:
    """Return the type and the message of an error."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def site_of(origin: str) -> str:
    """Return the site of an origin as browsers see it, without its scheme; ConfigurationError if it has none."""
    host = host_of(origin)
    if not is_local(host):
        return top_level(origin)
    # The library treats localhost and all addresses as one site, so that no test needs certificates.
    return host if is_address(host) or host == "localhost" else top_level(f"https://x.{host}")


def has_site(origin: str) -> bool:
    """Whether an origin belongs to a site; if it does not, its host is a public suffix."""
    try:
        top_level(origin)
    except ConfigurationError:
        return False
    return True


def is_https(origin: str) -> bool:
    """Whether an origin is on https."""
    return origin.startswith("https://")


def is_own_machine(host: str) -> bool:
    """Whether browsers know that a host is their own machine, and trust it without https."""
    return is_loopback(host) or host.endswith(".localhost")


def is_deployed(origin: str) -> bool:
    """Whether an origin certainly serves other people: its host is a full name, and not one for tests."""
    host = host_of(origin)
    return "." in host and not is_local(host) and not host.endswith(_OF_THIS_NETWORK)


def is_address(host: str) -> bool:
    """Whether a host is an IP address."""
    return is_local(host) and not host.startswith("localhost")
