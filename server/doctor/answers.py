"""What an application's own functions answer for a request that a page of its website might make."""

from __future__ import annotations

from starlette.requests import Request

from ...recipes.app import App
from ...recipes.session.config import SessionConfig
from ...recipes.session.selection import checked_answer, creation_method
from .finding import Unchecked


def website_of(app: App) -> tuple[str | None, list[Unchecked]]:
    """Return the origin of the website, None where a request is needed to tell; and what is not known of it."""
    if isinstance(app.info.origin, str):
        return app.info.origin, []
    try:
        with app.active():
            website = app.info.website_origin(None, {})
    except Exception as error:
        return None, [Unchecked(f"what depends on the website: origin without a request failed ({_told(error)})")]
    return website, [Unchecked(f"other websites than {website}, which origin returns without a request")]


def allows_cookies(app: App, website: str | None) -> tuple[bool, list[Unchecked]]:
    """Tell whether a client that asks for its tokens in cookies gets them there; and whether that is not known."""
    config: SessionConfig = app.recipe("session").config
    if config.get_token_transfer_method is None:
        return True, []
    request = _sign_in(app, website)
    try:
        with app.active():
            answer = checked_answer(config.get_token_transfer_method(request, True, {}))
    except Exception as error:
        return True, [Unchecked(f"which clients get cookies: get_token_transfer_method failed ({_told(error)})")]
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


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
