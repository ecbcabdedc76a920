"""Whether browsers keep and send the session's cookies, and whether their Domain is right."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from ...recipes.kit.app_info import host_of, is_local
from .finding import Finding
from .setup import Setup, has_site, is_address, is_deployed, is_https, is_own_machine, site_of

_HEADERS = (
    "let the clients carry tokens in headers (tokenTransferMethod in the browser SDK; "
    "get_token_transfer_method in session.init to insist)"
)


def check(setup: Setup) -> Iterator[Finding]:
    """Find what keeps the session's cookies from working, or lets others use them."""
    for one in _CHECKS:
        yield from one(setup)
    if setup.in_cookies:
        for one in _DOMAIN_CHECKS:
            yield from one(setup)


def public_suffix(whose: str, origin: str) -> Iterator[Finding]:
    """Find an API or a website on a host that is itself a public suffix."""
    if has_site(origin):
        return
    yield Finding(
        "error",
        f"the host of the {whose} is a public suffix: {host_of(origin)}",
        "Names below a public suffix belong to many owners, so nobody can tell whether API and website are one site, "
        "and every sign-in is answered with 500.",
        f"Give the address at which the {whose} is really found: a name below {host_of(origin)}, or another.",
    )


def _mixed_content(setup: Setup) -> Iterator[Finding]:
    """Find a website on https whose API is not."""
    if setup.mixes_content:
        yield Finding(
            "error",
            "the website is on https, but the API is not",
            f"Browsers do not let a page of {setup.website} call {setup.api} (mixed content).",
            f"Serve the API over https, and say so: api_domain={_https(setup.api)!r}.",
        )


def _local_names(setup: Setup) -> Iterator[Finding]:
    """Find 127.0.0.1 in one place and localhost in the other."""
    if not setup.in_cookies or setup.same_site == "none" or not _differ_in_local_names(setup):
        return
    api, website = setup.api_host, host_of(setup.website)
    yield Finding(
        "error",
        f"browsers take {api} and {website} for different sites",
        f"The API is {setup.api} and the website {setup.website}: names of one machine, perhaps, but browsers compare "
        f"the names. SameSite={setup.same_site.capitalize()} cookies do not travel between sites, so nobody stays "
        "signed in.",
        f"Call both by one name: api_domain={_under_host_of(setup.website, setup.api)!r}, and open the website as "
        f"{setup.website}.",
    )


def _lax_across_sites(setup: Setup) -> Iterator[Finding]:
    """Find a configured SameSite that keeps cookies from travelling between website and API."""
    same_site = setup.config.cookie_same_site
    if not setup.in_cookies or same_site not in ("lax", "strict") or not setup.crosses_sites:
        return
    if not _differ_in_local_names(setup):
        yield Finding(
            "error",
            f"cookie_same_site={same_site!r} keeps cookies from travelling between website and API",
            f"{_why_different(setup)} {_chrome_or_all(setup)} neither keep nor send "
            f"SameSite={same_site.capitalize()} cookies when a page of one calls the other, so nobody stays signed in.",
            f"Leave cookie_same_site out: it is 'none' then, which needs https. Or serve both {_as_one_site(setup)}.",
        )


def _same_site_none_without_secure(setup: Setup) -> Iterator[Finding]:
    """Find cookies that browsers drop because they are SameSite=None without being Secure."""
    if not setup.in_cookies or setup.mixes_content or setup.same_site != "none" or setup.secure:
        return
    yield Finding(
        "error",
        "browsers drop the cookies: SameSite=None, but not Secure",
        f"{_why_none(setup)} Chrome and all browsers built like it keep such cookies only if they are Secure, so "
        "nobody stays signed in.",
        _how_secure(setup),
    )


def _plain_http(setup: Setup) -> Iterator[Finding]:
    """Find an API that others call over plain http, unless a more serious finding says so."""
    drops = setup.in_cookies and (setup.same_site == "none" or setup.secure)
    if is_deployed(setup.api) and not is_https(setup.api) and not setup.mixes_content and not drops:
        yield Finding(
            "warning",
            "the API is deployed on plain http",
            f"Passwords and tokens travel to {setup.api} in the clear, and anybody on the way can use them.",
            f"Serve the API over https, and say so: api_domain={_https(setup.api)!r}.",
        )


def _insecure_on_https(setup: Setup) -> Iterator[Finding]:
    """Find cookies that are not Secure although the API is on https."""
    if setup.in_cookies and is_https(setup.api) and not setup.secure and setup.same_site != "none":
        yield Finding(
            "warning",
            "cookie_secure=False, though the API is on https",
            f"Browsers also send the session's tokens to http://{setup.api_host}, in the clear, where anybody on the "
            "way can read them.",
            "Leave cookie_secure out: cookies are Secure then, because api_domain is on https.",
        )


def _secure_on_http(setup: Setup) -> Iterator[Finding]:
    """Find Secure cookies of an API on plain http."""
    if not setup.in_cookies or setup.mixes_content or is_https(setup.api) or not setup.secure:
        return
    trusted = is_own_machine(setup.api_host)
    yield Finding(
        "warning" if trusted else "error",
        "cookie_secure=True, but the API is on plain http",
        "Not every browser keeps Secure cookies that come over http from this machine: Safari does not."
        if trusted
        else f"Browsers drop Secure cookies that come over http, as they do from {setup.api}: nobody stays signed in.",
        "Leave cookie_secure out: cookies are Secure then if, and only if, api_domain is on https.",
    )


def _third_party(setup: Setup) -> Iterator[Finding]:
    """Find cookies that some browsers block because they belong to another site than the page."""
    if not setup.in_cookies or setup.same_site != "none" or not setup.secure or not setup.crosses_sites:
        return
    if site_of(setup.api) == site_of(setup.website) or is_own_machine(setup.api_host):
        return
    yield Finding(
        "advice",
        "Safari, for one, blocks the cookies: they are those of a third party",
        f"{_why_different(setup)} Browsers that block third-party cookies do not keep any that the API sets, so their "
        "users cannot sign in with cookies.",
        f"Serve both under one domain, such as https://example.com and https://api.example.com. Or {_HEADERS}.",
    )


def _no_csrf_protection(setup: Setup) -> Iterator[Finding]:
    """Find cookies that any website can use: browsers send them from everywhere, and no anti-CSRF check is made."""
    if setup.in_cookies and setup.same_site == "none" and setup.config.anti_csrf == "NONE":
        yield Finding(
            "error",
            "anti_csrf='NONE' with SameSite=None: any website can act as a signed-in user",
            f"{_why_none(setup)} Browsers send such cookies with requests that any other website makes, too, and "
            "nothing tells those from your own (cross-site request forgery).",
            "Leave anti_csrf out: it is 'VIA_CUSTOM_HEADER' then, which the browser SDKs know.",
        )


_CHECKS = (
    _mixed_content,
    _local_names,
    _lax_across_sites,
    _same_site_none_without_secure,
    _plain_http,
    _insecure_on_https,
    _secure_on_http,
    _third_party,
    _no_csrf_protection,
)


def _differ_in_local_names(setup: Setup) -> bool:
    api, website = setup.api_host, host_of(setup.website)
    return is_local(api) and is_local(website) and site_of(setup.api) != site_of(setup.website)


def _why_different(setup: Setup) -> str:
    if site_of(setup.api) == site_of(setup.website):
        return f"{setup.api} and {setup.website} are different sites because one is on https and the other is not."
    return (
        f"{setup.api} and {setup.website} are different sites: by the public suffix list the domain of one is "
        f"{site_of(setup.api)}, that of the other {site_of(setup.website)}."
    )


def _chrome_or_all(setup: Setup) -> str:
    # Not every browser compares the schemes.
    return "Chrome and all browsers built like it" if site_of(setup.api) == site_of(setup.website) else "Browsers"


def _as_one_site(setup: Setup) -> str:
    return "over https" if site_of(setup.api) == site_of(setup.website) else "under one domain"


def _why_none(setup: Setup) -> str:
    if setup.config.cookie_same_site is not None:
        return "Cookies are SameSite=None because of cookie_same_site."
    return f"Cookies are SameSite=None because they have to travel between sites. {_why_different(setup)}"


def _how_secure(setup: Setup) -> str:
    if is_https(setup.api):
        return "Leave cookie_secure out: cookies are Secure then, because api_domain is on https."
    if setup.config.cookie_same_site is not None and not setup.crosses_sites:
        return "Leave cookie_same_site out: website and API are one site, and cookies are SameSite=Lax then."
    return f"Serve the API over https, and say so: api_domain={_https(setup.api)!r}."


def _https(origin: str) -> str:
    return f"https://{urlsplit(origin).netloc}"


def _under_host_of(named: str, origin: str) -> str:
    parts = urlsplit(origin)
    host = host_of(named)
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


# The Domain of the cookies


def _local_domain(setup: Setup) -> Iterator[Finding]:
    """Find a Domain on a host that has nothing to share cookies with."""
    domain = setup.config.cookie_domain
    if domain is not None and is_local(setup.api_host) and _bare(domain) == setup.api_host:
        yield Finding(
            "advice",
            f"cookie_domain={domain!r} is of no use on {setup.api_host}",
            "It is there to share cookies among the sub-domains of a domain, which neither localhost nor an address "
            "has, and not every browser accepts such a Domain.",
            "Leave cookie_domain out for local addresses.",
        )


def _suffix_domain(setup: Setup) -> Iterator[Finding]:
    """Find a Domain that would share cookies with everybody."""
    domain = setup.config.cookie_domain
    if domain is not None and _covers(domain, setup.api_host) and _is_suffix(domain, setup.api_host):
        yield Finding(
            "error",
            f"browsers drop the cookies: cookie_domain={domain!r} is a public suffix",
            f"Anybody can register names below {_bare(domain)}, so no browser keeps a cookie for all of them.",
            "Name the domain of your own, such as .example.com, or leave cookie_domain out.",
        )


def _foreign_domain(setup: Setup) -> Iterator[Finding]:
    """Find a Domain to which the API does not belong."""
    domain = setup.config.cookie_domain
    if domain is not None and not _covers(domain, setup.api_host):
        yield Finding(
            "error",
            f"browsers drop the cookies: {setup.api_host} does not belong to cookie_domain={domain!r}",
            "A host can set cookies for itself and for domains above it, and for no others (RFC 6265, section 5.3).",
            f"Leave cookie_domain out, or name a domain of which {setup.api_host} is a part.",
        )


def _older_domain(setup: Setup) -> Iterator[Finding]:
    """Find an older Domain that is the current one."""
    older, domain = setup.config.older_cookie_domain, setup.config.cookie_domain
    if older is not None and _bare(older) == _bare(domain or ""):
        yield Finding(
            "warning",
            f"older_cookie_domain={older!r} is the domain that cookies have now",
            "It names the domain that cookies had before cookie_domain was changed, so that those left over there can "
            "be cleared. As it is, the new cookies are cleared and the old ones stay.",
            "Name the earlier domain ('' if there was none), or leave it out if cookie_domain was never changed.",
        )


def _foreign_older_domain(setup: Setup) -> Iterator[Finding]:
    """Find an older Domain to which the API does not belong."""
    older = setup.config.older_cookie_domain
    if older and not _covers(older, setup.api_host):
        yield Finding(
            "warning",
            f"older_cookie_domain={older!r} has no effect: {setup.api_host} does not belong to it",
            "Browsers neither send cookies of that domain to the API nor let the API clear them.",
            "Name the domain that cookie_domain was before, or leave older_cookie_domain out.",
        )


_DOMAIN_CHECKS = (_local_domain, _suffix_domain, _foreign_domain, _older_domain, _foreign_older_domain)


def _bare(domain: str) -> str:
    return domain.removeprefix(".").strip("[]")


def _covers(domain: str, host: str) -> bool:
    if host == _bare(domain):
        return True
    return host.endswith(f".{_bare(domain)}") and not is_address(host)


def _is_suffix(domain: str, host: str) -> bool:
    # Browsers ignore the Domain on a host that is itself a suffix or a single label.
    bare = _bare(domain)
    return bare != host and ("." not in bare or not has_site(f"https://{bare}"))
