"""How the sessions of an App travel between its API and one website: what the checks of the doctor look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
from ..address import is_loopback
from .finding import Finding

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


def local_domain(setup: Setup) -> Iterator[Finding]:
    """Find a Domain where there is nothing to share cookies with."""
    domain = setup.config.cookie_domain
    if domain is not None and is_local(setup.api_host) and _bare(domain) == setup.api_host:
        yield Finding(
            "advice",
            f"cookie_domain={domain!r} is of no use on {setup.api_host}",
            "It is there to share cookies among the sub-domains of a domain, which neither localhost nor an address "
            "has, and not every browser accepts such a Domain.",
            "Leave cookie_domain out for local addresses.",
        )


def suffix_domain(setup: Setup) -> Iterator[Finding]:
    """Find a Domain that would share cookies with everybody."""
    domain = setup.config.cookie_domain
    if domain is not None and _covers(domain, setup.api_host) and _is_suffix(domain, setup.api_host):
        yield Finding(
            "error",
            f"browsers drop the cookies: cookie_domain={domain!r} is a public suffix",
            f"Anybody can register names below {_bare(domain)}, so no browser keeps a cookie for all of them.",
            "Name the domain of your own, such as .example.com, or leave cookie_domain out.",
        )


def foreign_domain(setup: Setup) -> Iterator[Finding]:
    """Find a Domain to which the API does not belong."""
    domain = setup.config.cookie_domain
    if domain is not None and not _covers(domain, setup.api_host):
        yield Finding(
            "error",
            f"browsers drop the cookies: {setup.api_host} does not belong to cookie_domain={domain!r}",
            "A host can set cookies for itself and for domains above it, and for no others (RFC 6265, section 5.3).",
            f"Leave cookie_domain out, or name a domain of which {setup.api_host} is a part.",
        )


def older_domain(setup: Setup) -> Iterator[Finding]:
    """Find an older Domain that is the present one."""
    older, domain = setup.config.older_cookie_domain, setup.config.cookie_domain
    if older is not None and _bare(older) == _bare(domain or ""):
        yield Finding(
            "warning",
            f"older_cookie_domain={older!r} is the domain that cookies have now",
            "It names the domain that cookies had before cookie_domain was changed, so that those left over there can "
            "be cleared. As it is, the new cookies are cleared and the old ones stay.",
            "Name the earlier domain ('' if there was none), or leave it out if cookie_domain was never changed.",
        )


def foreign_older_domain(setup: Setup) -> Iterator[Finding]:
    """Find an older Domain to which the API does not belong."""
    older = setup.config.older_cookie_domain
    if older and not _covers(older, setup.api_host):
        yield Finding(
            "warning",
            f"older_cookie_domain={older!r} has no effect: {setup.api_host} does not belong to it",
            "Browsers neither send cookies of that domain to the API nor let the API clear them.",
            "Name the domain that cookie_domain was before, or leave older_cookie_domain out.",
        )


DOMAIN_CHECKS = (local_domain, suffix_domain, foreign_domain, older_domain, foreign_older_domain)


def _bare(domain: str) -> str:
    return domain.removeprefix(".").strip("[]")


def _covers(domain: str, host: str) -> bool:
    if host == _bare(domain):
        return True
    return host.endswith(f".{_bare(domain)}") and not (is_local(host) and not host.startswith("localhost"))


def _is_suffix(domain: str, host: str) -> bool:
    # For a host that is itself a suffix, or a single label, the Domain reads as if it were not there.
    bare = _bare(domain)
    return bare != host and ("." not in bare or not has_site(f"https://{bare}"))
