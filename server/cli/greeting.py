"""The lines that `coatcheck serve` logs when it starts: what is served where, and warnings."""

from __future__ import annotations

import os

from ...recipes.app import ENCRYPTION_KEY_VARIABLE, App
from ...recipes.kit.app_info import host_of, is_local
from ...sessions.engines import parse_url
from ..address import is_loopback
from ..stub import stub_providers
from ..testing import testing_path
from ..testing.guard import TESTING_HEADER, TOKEN_VARIABLE
from .settings import Settings

_MAILS_STAY_HERE = (
    "mails are sent to nobody: they are written to this log (at level info), links included; "
    "let --recipes name a list that configures email_delivery"
)


def startup_lines(app: App, settings: Settings) -> list[str]:
    """Return the lines that say what is served, where, and where its data is kept."""
    base = app.info.issuer
    website = app.info.origin if isinstance(app.info.origin, str) else "decided for each request"
    workers = f", {settings.workers} workers" if settings.workers > 1 else ""
    lines = [
        f"serving {base} (listening on {settings.host} port {settings.port}{workers}); press Ctrl-C to stop",
        f"sessions, users and signing keys are kept in {_kept_in(app)}",
        f"website whose pages may call this API: {website}",
    ]
    lines[1:1] = [line for recipe in app.recipes for line in recipe.startup_lines()]
    if settings.manual_clock:
        lines.append(
            f"the clock stands still until it is moved: POST {app.info.api_domain}{testing_path(app)}/clock with the "
            f'body {{"advance_seconds": 3600}} and the header {TESTING_HEADER}, whose value is '
            f"{TOKEN_VARIABLE} or, without that variable, was drawn and is printed on standard output"
        )
    played = [provider.third_party_id for provider in stub_providers(app)]
    if played:
        lines.append(f"providers played by stubs: {', '.join(played)}; their pages lie below {base}/stub/")
    return lines


def startup_warnings(app: App, settings: Settings) -> list[str]:
    """Return the lines that warn about settings that are not secure or do not work."""
    # A manual clock on this machine, with all data in memory, leaves nothing to protect from others.
    open_to_others = not (settings.manual_clock and app.database.inline and is_loopback(settings.host))
    found = [
        (open_to_others and app.info.api_domain.startswith("http://"), _plain_http(settings)),
        (open_to_others and not os.environ.get(ENCRYPTION_KEY_VARIABLE), _plain_keys(settings)),
        (any("email" in recipe.undelivered_channels() for recipe in app.recipes), _MAILS_STAY_HERE),
        (app.database.inline, "the database is in memory: everything is forgotten when the server stops"),
        (app.unsafe_for_tests, "the App was made with unsafe_for_tests=True: anybody may be signed in as anybody"),
    ]
    return [line for applies, line in found if applies] + _different_sites(app)


def _kept_in(app: App) -> str:
    url = parse_url(app.database.url)
    if url.get_backend_name() == "sqlite" and not app.database.inline:
        return f"{os.path.abspath(url.database or '')} (SQLite)"
    return "memory" if app.database.inline else app.database.url


def _plain_http(settings: Settings) -> str:
    reach = "" if is_loopback(settings.host) else ", and other machines can reach this port"
    return (
        f"plain http: cookies are not marked Secure and tokens travel in the clear{reach}; "
        "put https in front and name its address with --api-domain https://..."
    )


def _plain_keys(settings: Settings) -> str:
    unless = " unless the App was given an encryption_key" if settings.recipes else ""
    return (
        f"private signing keys are stored unencrypted{unless}: anybody who reads the database can sign tokens; "
        f"set {ENCRYPTION_KEY_VARIABLE} to 32 random bytes in base64 before the first start"
    )


def _different_sites(app: App) -> list[str]:
    if not isinstance(app.info.origin, str):
        return []
    api, website = host_of(app.info.api_domain), host_of(app.info.origin)
    # The library treats local names as one site, so that tests need no certificates; browsers do not.
    if api == website or not (is_local(api) and is_local(website)):
        return []
    return [f"browsers take {api} and {website} for different sites and will not send cookies from one to the other"]
