"""How the sessions of an App travel between its API and one website: what the checks of the doctor look at."""

from __future__ import annotations

from dataclasses import dataclass

from ...recipes.exceptions import ConfigurationError
from ...recipes.kit.app_info import host_of, is_local
from ...recipes.session.config import SessionConfig
from ...recipes.session.site import AntiCsrf, SameSite, default_anti_csrf, default_same_site, default_secure, top_level
from ..address import is_loopback

_OF_THIS_NETWORK = (".localhost", ".local", ".test")


@dataclass(frozen=True, slots=True)
class Setup:
    """An API, a website, and the session recipe's configuration.

    `in_cookies` says whether clients may ask for their tokens in cookies. Both hosts must have a site: see `has_site`.
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
        """The SameSite that the cookies of a session have."""
        return self.config.cookie_same_site or default_same_site(self.api, self.website)

    @property
    def secure(self) -> bool:
        """Whether the cookies of a session are Secure."""
        secure = self.config.cookie_secure
        return default_secure(self.api) if secure is None else secure

    @property
    def anti_csrf(self) -> AntiCsrf:
        """The protection that requests with cookies have."""
        return self.config.anti_csrf or default_anti_csrf(self.same_site)

    @property
    def crosses_sites(self) -> bool:
        """Whether browsers take API and website for different sites, as Chrome does: the scheme counts."""
        return is_https(self.api) != is_https(self.website) or site_of(self.api) != site_of(self.website)

    @property
    def mixes_content(self) -> bool:
        """Whether browsers refuse to call the API because the website is on https and the API is not."""
        return is_https(self.website) and not is_https(self.api) and not is_own_machine(self.api_host)


def site_of(origin: str) -> str:
    """Return the site of an origin as browsers see it, without its scheme; ConfigurationError where it has none."""
    host = host_of(origin)
    if not is_local(host):
        return top_level(origin)
    # The library counts localhost and all addresses as one site, so that no test needs certificates.
    return host if _is_address(host) or host == "localhost" else top_level(f"https://x.{host}")


def has_site(origin: str) -> bool:
    """Tell whether an origin belongs to a site: the host of one that does not is a public suffix."""
    try:
        top_level(origin)
    except ConfigurationError:
        return False
    return True


def is_https(origin: str) -> bool:
    """Tell whether an origin is on https."""
    return origin.startswith("https://")


def is_own_machine(host: str) -> bool:
    """Tell whether browsers know that a host is the machine they run on, and trust it without https."""
    return is_loopback(host) or host.endswith(".localhost")


def is_deployed(origin: str) -> bool:
    """Tell whether an origin is certainly meant for others: its host is a full name, and none for tests."""
    host = host_of(origin)
    return "." in host and not is_local(host) and not host.endswith(_OF_THIS_NETWORK)


def _is_address(host: str) -> bool:
    return is_local(host) and not host.startswith("localhost")
