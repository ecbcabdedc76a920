"""Whether the access token still fits where clients keep it, measured on a session in a database of its own.

The values of claims are fetched for a user who does not exist, because reading those of real users would touch the
application's database. Overrides are not run, because they may have side effects.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ...claims.claim import SessionClaim
from ...claims.payload import JSONObject
from ...claims.recipe_user_id import RecipeUserId
from ...recipes import session
from ...recipes.app import App
from ...recipes.kit.app_info import AppInfo, InputAppInfo
from ...recipes.kit.driver import LoopThread
from ...recipes.session.recipe import SessionRecipe
from ...recipes.session.response import ACCESS_COOKIE
from ...sessions.access_token import LONGEST_TOKEN
from .finding import Finding, Note, Unchecked
from .setup import error_text

COOKIE_LIMIT = 4096
"""The longest cookie, in bytes of name and value, that browsers have to keep (RFC 6265, section 6.1)."""

_NEAR_LIMIT = 3500

_SDK_COOKIE = "st-access-token"
_TENANT = "public"
_NOBODY = RecipeUserId(str(uuid.UUID(int=0)))


@dataclass(slots=True)
class _Measured:
    """The claims of a new session, the reasons why some are missing, and the length of its access token."""

    payload: JSONObject = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    token_bytes: int = 0


def check(app: App, *, in_cookies: bool) -> Iterator[Note]:
    """Find an access token that is too long, and name what could not be measured."""
    measured = measure(app)
    yield from _token_size(measured, in_cookies=in_cookies)
    yield from _header_size(measured)
    yield from _unmeasured(measured, SessionRecipe.of(app))


def measure(app: App) -> _Measured:
    """Make and refresh a session with the claims of `app` in memory; the database of `app` is not touched."""
    recipe = SessionRecipe.of(app)
    measured = _Measured()
    with closing(_twin(app.info, recipe)) as twin, closing(LoopThread()) as loop, twin.active():
        for claim in recipe.claims:
            loop(_fetch(claim, measured))
        measured.token_bytes = len(_access_token(recipe, measured.payload))
    return measured


def _token_size(measured: _Measured, *, in_cookies: bool) -> Iterator[Finding]:
    """Find an access token that does not fit, or hardly fits, into a cookie."""
    name = ACCESS_COOKIE if in_cookies else _SDK_COOKIE
    size = len(f"{name}=") + measured.token_bytes
    if size <= _NEAR_LIMIT:
        return
    too_large = size > COOKIE_LIMIT
    kept = (
        "Browsers drop larger cookies without an error, and nobody stays signed in."
        if in_cookies
        else "The browser SDKs keep tokens that travel in headers in cookies, too, and browsers drop larger ones."
    )
    yield Finding(
        "error" if too_large and in_cookies else "warning",
        f"the access token {'does not fit' if too_large else 'hardly fits'} into a cookie: {size} of at most "
        f"{COOKIE_LIMIT} bytes",
        f"{kept} {_largest(measured)}",
        "Keep large values in the session's data or in your own tables, and only what every request needs in claims.",
    )


def _header_size(measured: _Measured) -> Iterator[Finding]:
    """Find an access token that many servers refuse."""
    if measured.token_bytes > LONGEST_TOKEN:
        yield Finding(
            "warning",
            f"the access token is {measured.token_bytes} bytes long, more than many servers accept in a header",
            f"Proxies and servers often refuse headers beyond {LONGEST_TOKEN} bytes, and a token as long is verified "
            "again for every request.",
            "Keep large values in the session's data or in your own tables, and only what every request needs in "
            "claims.",
        )


def _unmeasured(measured: _Measured, recipe: SessionRecipe) -> Iterator[Unchecked]:
    """Name what may make access tokens larger than the measured one."""
    for key, reason in measured.unknown.items():
        yield Unchecked(f"how large the claim {key!r} is: fetching it for a user who does not exist failed ({reason})")
    for link in recipe.chains["functions"].layers("create_new_session")[:-1]:
        yield Unchecked(f"what the override {link.place.name} ({link.place}) adds to access tokens: it was not run")


def _twin(info: AppInfo, recipe: SessionRecipe) -> App:
    config = recipe.config
    return App(
        app_info=InputAppInfo(
            app_name=info.app_name,
            api_domain=info.api_domain,
            api_gateway_path=info.api_gateway_path,
            api_base_path=info.api_base_path.removeprefix(info.api_gateway_path),
            website_domain=info.api_domain,
        ),
        recipe_list=[
            session.init(
                anti_csrf=config.anti_csrf,
                use_dynamic_access_token_signing_key=config.use_dynamic_access_token_signing_key,
            )
        ],
        database="sqlite://",
        unsafe_for_tests=True,
    )


async def _fetch(claim: SessionClaim[Any], measured: _Measured) -> None:
    """Add the entry of one claim to the payload, as a new session would."""
    try:
        entry = await claim.build(_NOBODY.get_as_string(), _NOBODY, _TENANT, measured.payload, {})
        _size(entry)
    except Exception as error:
        measured.unknown[claim.key] = error_text(error)
    else:
        measured.payload.update(entry)


def _access_token(recipe: SessionRecipe, payload: JSONObject) -> str:
    # After a refresh, because only then does a token hold the hash of its parent.
    plain = recipe.config.anti_csrf != "VIA_TOKEN"
    created = session.sync.create_new_session_without_request_response(
        _TENANT, _NOBODY, payload, disable_anti_csrf=plain
    )
    assert created.refresh_token is not None
    refreshed = session.sync.refresh_session_without_request_response(
        created.refresh_token.token, plain, created.anti_csrf_token
    )
    return refreshed.access_token


def _largest(measured: _Measured) -> str:
    sizes = sorted(((_size(entry), key) for key, entry in measured.payload.items()), reverse=True)
    listed = ", ".join(f"{key} ({size} bytes)" for size, key in sizes[:3])
    return f"The largest claims, before they are encoded: {listed}." if listed else ""


def _size(entry: Any) -> int:
    return len(json.dumps(entry, separators=(",", ":"), allow_nan=False))
