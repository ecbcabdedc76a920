"""The authorization endpoint of a stub provider: who may ask, the page, and the answer (RFC 6749, section 4.1.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ...claims.clock import current_clock
from ...recipes.app import App
from ...recipes.kit.request import app_of
from .grants import CODE_LIFETIME_MS, Authorization
from .page import choice, hand_over, refusal
from .personas import Persona, typed
from .script import PERSONA_ERRORS

if TYPE_CHECKING:
    from .provider import StubProvider

MAX_FORM_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request whose client and redirect URI were found right."""

    parameters: Mapping[str, str]
    website: str

    @property
    def redirect_uri(self) -> str:
        """Where the answer goes."""
        return self.parameters["redirect_uri"]

    def answer(self, fields: Mapping[str, str]) -> Response:
        """Return the answer, by a redirect or by a form; `state` goes back as it came."""
        state = self.parameters.get("state")
        fields = fields if state is None else {**fields, "state": state}
        if self.parameters.get("response_mode") == "form_post":
            return hand_over(self.redirect_uri, fields, website=self.website)
        parts = urlsplit(self.redirect_uri)
        query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *fields.items()])
        return RedirectResponse(urlunsplit(parts._replace(query=query)), 303, {"cache-control": "no-store"})

    def error(self, code: str, description: str = "") -> Response:
        """Return an error to the client (RFC 6749, section 4.1.2.1)."""
        return self.answer({"error": code, **({"error_description": description} if description else {})})


def redirect_uri_allowed(uri: str, *, website: str, apple_callback: str) -> bool:
    """Tell whether an answer may go there: below the website's origin, or to the API's own callback for Apple."""
    if not uri.isascii() or not uri.isprintable() or any(sign in uri for sign in ' \\#"<>'):
        return False
    return uri in (website, apple_callback) or uri.startswith((f"{website}/", f"{website}?"))


async def authorize(provider: StubProvider, request: Request) -> Response:
    """Answer a browser: with the page, or, once somebody was chosen, by sending it back to the client."""
    app = app_of(request)
    if app is None:
        return refusal("This page is there for browsers only, under an auth server.")
    asked = _asked(provider, request, app)
    if isinstance(asked, Response):
        return asked
    wrong = _fault(provider, asked)
    if wrong is not None:
        return asked.error(*wrong)
    if request.method == "POST":
        return _chosen(provider, asked, await form_of(request))
    if provider.script.take_error(["access_denied"]):
        return asked.error("access_denied")
    if provider.script.take_error(["server_error"], "authorization"):
        return asked.error("server_error")
    planned = provider.script.take_persona()
    return _page(provider, asked) if planned is None else grant(provider, asked, planned)


def grant(provider: StubProvider, asked: Asked, persona: Persona) -> Response:
    """Send a one-time code for a persona to the client."""
    error = provider.script.take_error(PERSONA_ERRORS)
    if error == "no_email":
        persona = replace(persona, email=None)
    if error == "unverified_email":
        persona = replace(persona, email_verified=False)
    code = provider.grants.issue_code(
        Authorization(
            persona,
            asked.parameters["client_id"],
            asked.redirect_uri,
            scope=asked.parameters.get("scope", ""),
            challenge=asked.parameters.get("code_challenge") or None,
            nonce=asked.parameters.get("nonce") or None,
            expires_ms=current_clock.get().now_ms() + CODE_LIFETIME_MS,
        )
    )
    return asked.answer({"code": code, **_apple_user(provider, asked, persona)})


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of an urlencoded body, none where it is too long."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_FORM_BYTES:
            return {}
    return dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))


def _asked(provider: StubProvider, request: Request, app: App) -> Asked | Response:
    """Check what decides where an answer may go; whoever gets that wrong is not redirected anywhere."""
    parameters = dict(parse_qsl(request.scope["query_string"].decode(errors="replace"), keep_blank_values=True))
    provider.script.record(
        endpoint="authorization", method=request.method, url=request.url.path, parameters=parameters, authorization=None
    )
    if parameters.get("client_id") not in provider.clients:
        return refusal("The client_id is not one of this provider's clients.")
    website = app.info.website_origin(request, {})
    callback = f"{app.info.issuer}/callback/apple"
    if not redirect_uri_allowed(parameters.get("redirect_uri", ""), website=website, apple_callback=callback):
        return refusal(f"The redirect_uri must lie on the website, {website}, or be {callback}.")
    return Asked(parameters, website)


def _fault(provider: StubProvider, asked: Asked) -> tuple[str, str] | None:
    parameters = asked.parameters
    if parameters.get("response_type") != "code":
        return "unsupported_response_type", "response_type must be code"
    challenge = parameters.get("code_challenge")
    if challenge and parameters.get("code_challenge_method") != "S256":
        return "invalid_request", "code_challenge_method must be S256"
    client = provider.clients[parameters["client_id"]]
    if not challenge and client.client_secret is None and provider.shape.kind != "apple":
        return "invalid_request", "a client without a secret must send a code_challenge"
    return None


def _chosen(provider: StubProvider, asked: Asked, form: Mapping[str, str]) -> Response:
    if form.get("deny"):
        return asked.error("access_denied", "the user denied the request")
    if "persona" in form:
        persona = next((known for known in provider.personas if known.user_id == form["persona"]), None)
        note = "There is nobody of that name here."
    else:
        persona = typed(form.get("email", ""))
        note = f"{form.get('email', '')!r} is no e-mail address."
    return _page(provider, asked, note=note) if persona is None else grant(provider, asked, persona)


def _page(provider: StubProvider, asked: Asked, note: str = "") -> Response:
    client = asked.parameters["client_id"]
    return choice(provider.name, client, provider.personas, target=asked.redirect_uri, note=note)


def _apple_user(provider: StubProvider, asked: Asked, persona: Persona) -> dict[str, str]:
    """Return what Apple tells beside the code, and nowhere else: the user's name, as JSON in a form field."""
    if provider.shape.kind != "apple" or asked.parameters.get("response_mode") != "form_post" or not persona.name:
        return {}
    first, _, last = persona.name.partition(" ")
    user: dict[str, object] = {"name": {"firstName": first, "lastName": last}}
    return {"user": json.dumps(user if persona.email is None else {**user, "email": persona.email})}
