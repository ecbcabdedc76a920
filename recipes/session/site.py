"""Whether API and website are one site, and what follows for SameSite, Secure and anti-CSRF."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Literal, TypeAlias

from publicsuffixlist import PublicSuffixList

from ..exceptions import ConfigurationError
from ..kit.app_info import host_of, is_local, normal_host

SameSite: TypeAlias = Literal["lax", "none", "strict"]
AntiCsrf: TypeAlias = Literal["VIA_TOKEN", "VIA_CUSTOM_HEADER", "NONE"]


@lru_cache(maxsize=256)
def top_level(origin: str) -> str:
    """Return the site of a normalised origin: its registrable domain, or `localhost` for local hosts.

    The public suffix list is the one bundled with its package, private suffixes included; nothing is fetched. A host
    that is itself a listed suffix has no site: ConfigurationError (docs/protocol.md, rule 8.2).
    """
    host = host_of(origin)
    if is_local(host):
        return "localhost"
    # Names no list knows: mDNS hosts, machines of Amazon, and single labels (a container's name, `testserver`).
    if host.endswith(".local") or "." not in host:
        return host
    site = _public_suffixes().privatesuffix(host)
    if site is not None:
        return site
    if host.endswith(".amazonaws.com"):
        return host
    raise ConfigurationError(
        f"Please make sure that the apiDomain and websiteDomain have correct values: {host!r} is a public suffix"
    )


def default_same_site(api_domain: str, website_origin: str) -> SameSite:
    """Return `lax` for one site and one scheme, else `none`; decided per request (docs/protocol.md, rule 8.3)."""
    same_scheme = _scheme(api_domain) == _scheme(website_origin)
    return "lax" if same_scheme and top_level(api_domain) == top_level(website_origin) else "none"


def default_secure(api_domain: str) -> bool:
    """Tell whether cookies are Secure by default: the API is served over https (docs/protocol.md, rule 8.3)."""
    return _scheme(api_domain) == "https"


def default_anti_csrf(same_site: SameSite, *, origin_varies: bool = False) -> AntiCsrf:
    """Return the protection cookies of this SameSite need (docs/protocol.md, rule 7.1).

    Where the website's origin is a function, SameSite says nothing: it answers pages that it does not know with some
    website or other, which must not lift the protection of cookies that were set for another one.
    """
    return "VIA_CUSTOM_HEADER" if origin_varies or same_site == "none" else "NONE"


def cookies_cannot_work(api_domain: str, website_origin: str, *, same_site: SameSite, secure: bool) -> bool:
    """Tell whether browsers would drop the cookies of a session: SameSite=None without Secure.

    Local hosts are let through. Asked when a cookie session is about to be created (docs/protocol.md, rule 8.4).
    """
    if same_site != "none" or secure:
        return False
    return not top_level(api_domain) == top_level(website_origin) == "localhost"


def normalise_cookie_domain(text: str) -> str:
    """Return the domain of session cookies: the host alone, a leading dot kept unless it is local.

    ConfigurationError where there is no host in it (docs/protocol.md, rule 8.6).
    """
    try:
        host = normal_host(text, "session_scope")
    except ConfigurationError:
        raise ConfigurationError(f"Please provide a valid session_scope, such as .example.com, not {text!r}") from None
    after_scheme = text.strip().rpartition("://")[2]
    return f".{host}" if after_scheme.startswith(".") and not is_local(host) else host


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _scheme(origin: str) -> str:
    return origin.partition("://")[0]
