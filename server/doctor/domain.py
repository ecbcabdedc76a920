"""Whether browsers accept the Domain of the session's cookies."""

from __future__ import annotations

from collections.abc import Iterator

from ...recipes.kit.app_info import is_local
from .finding import Finding
from .setup import Setup, has_site


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


CHECKS = (local_domain, suffix_domain, foreign_domain, older_domain, foreign_older_domain)


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
