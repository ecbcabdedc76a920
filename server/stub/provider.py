"""A stub identity provider: an ASGI application that speaks OAuth 2.0 and OpenID Connect as a real one does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ...claims.clock import current_clock
from ...recipes.kit.request import app_of
from ...recipes.kit.services import Services
from .grants import (
    ACCESS_TOKEN_LIFETIME_MS,
    CODE_LIFETIME_MS,
    AccessToken,
    Authorization,
    ClientError,
    GrantError,
    Grants,
    StubClient,
    authenticated,
    basic_credentials,
    id_token,
    jwks,
)
from .page import PERSONAS, Persona, choice, hand_over, persona_for, refusal
from .script import ANSWER_ERRORS, ID_TOKEN_ERRORS, PERSONA_ERRORS, Endpoint, Script, StubError
from .shapes import shape_of, shared_issuer

_MAX_FORM_BYTES = 65_536
_HUGE_BYTES = 10 * 1024 * 1024
_NO_STORE = {"cache-control": "no-store"}


class SlowAnswerError(Exception):
    """The stub must not answer in time; its transport turns this into a time-out."""


def browser_path(third_party_id: str, api_base_path: str) -> str:
    """Return the path of a stub provider's authorization page on the API's domain."""
    return f"{api_base_path}/stub/{third_party_id}/authorize"


class StubProvider:
    """One provider with its clients, personas, script, codes and tokens."""

    def __init__(
        self,
        third_party_id: str,
        clients: Iterable[StubClient],
        *,
        name: str | None = None,
        personas: Iterable[Persona] = PERSONAS,
    ) -> None:
        self.third_party_id = third_party_id
        self.name = name or third_party_id
        self.clients = {client.client_id: client for client in clients}
        self.personas = tuple(personas)
        self.shape = shape_of(third_party_id)
        self.script = Script(id_tokens=self.shape.id_tokens)
        self.grants = Grants()
        self._app = Starlette(routes=[Route("/{path:path}", self._dispatch, methods=["GET", "POST"])])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, on any host name."""
        await self._app(scope, receive, send)

    async def page(self, request: Request) -> Response:
        """Answer a browser at the authorization endpoint, the only one that browsers need."""
        return await _authorize(self, request)

    def access_token(self, persona: Persona, client_id: str) -> str:
        """Return an access token as if this client had obtained it; the client need not be known."""
        return self.grants.issue_token(persona, client_id, "")

    def id_token(
        self, persona: Persona, client_id: str, *, issuer: str, nonce: str | None = None, error: StubError | None = None
    ) -> str:
        """Return an id token for a client, wrong in the way `error` says."""
        client = self.clients.get(client_id, StubClient(client_id))
        claims = self.shape.claims(persona, issuer, client.additional)
        return id_token({**claims, "aud": client_id, **({} if nonce is None else {"nonce": nonce})}, error)

    async def _dispatch(self, request: Request) -> Response:
        endpoint = self.shape.endpoint_of(request.url.path)
        if endpoint is None:
            return _error(404, "not_found")
        if endpoint == "authorization":
            return await self.page(request)
        fields = await _fields(request)
        self.script.record(
            endpoint=endpoint,
            method=request.method,
            url=str(request.url).partition("?")[0],
            parameters=fields,
            authorization=request.headers.get("authorization"),
        )
        return self._planned_answer(endpoint) or self._answer(endpoint, request, fields)

    def _planned_answer(self, endpoint: Endpoint) -> Response | None:
        error = self.script.take_error(ANSWER_ERRORS, endpoint)
        if error == "slow":
            raise SlowAnswerError
        if error == "huge_answer":
            return Response(b'{"padding":"' + b"x" * _HUGE_BYTES + b'"}', media_type="application/json")
        return _error(500, "server_error") if error else None

    def _answer(self, endpoint: Endpoint, request: Request, fields: Mapping[str, str]) -> Response:
        if endpoint == "discovery":
            return JSONResponse(self._discovery(str(request.url).partition("?")[0]))
        if endpoint == "jwks":
            return JSONResponse(jwks())
        if endpoint == "token":
            return self._token(request, fields)
        return self._user_info(request, fields) if endpoint == "userinfo" else self._check(request, fields)

    def _discovery(self, url: str) -> dict[str, Any]:
        issuer = self.shape.issuer_at(url)
        document = {
            "issuer": shared_issuer(issuer) if self.shape.kind == "active-directory" else issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        }
        return document | ({"userinfo_endpoint": f"{issuer}/userinfo"} if self.shape.user_info else {})

    def _token(self, request: Request, fields: Mapping[str, str]) -> Response:
        if request.method != "POST" or fields.get("grant_type") != "authorization_code":
            return _error(400, "unsupported_grant_type")
        try:
            client = authenticated(
                self.clients, fields, request.headers.get("authorization"), apple=self.shape.kind == "apple"
            )
            known, token = self.grants.redeem(
                fields.get("code", ""),
                client_id=client.client_id,
                redirect_uri=fields.get("redirect_uri", ""),
                verifier=fields.get("code_verifier", ""),
            )
        except ClientError as error:
            return _error(401, "invalid_client", str(error))
        except GrantError as error:
            return _error(400, "invalid_grant", str(error))
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": ACCESS_TOKEN_LIFETIME_MS // 1000}
        if self.shape.id_tokens:
            issuer = self.shape.issuer_at(str(request.url).partition("?")[0])
            planned = self.script.take_error(ID_TOKEN_ERRORS)
            answer["id_token"] = self.id_token(
                known.persona, client.client_id, issuer=issuer, nonce=known.nonce, error=planned
            )
        return JSONResponse({**answer, "scope": known.scope}, headers=_NO_STORE)

    def _user_info(self, request: Request, fields: Mapping[str, str]) -> Response:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        # Facebook takes the token in the query as well; nobody else should (RFC 9700, section 4.3.2).
        token = bearer if scheme.lower() in ("bearer", "token") else ""
        if not token and self.shape.kind == "facebook":
            token = fields.get("access_token", "")
        known = self.grants.token(token)
        answer = self.shape.answer_of(request.url.path)
        if known is None or answer is None:
            return _error(401, "invalid_token")
        info = answer(known.persona)
        if self.shape.kind == "facebook":  # answers only with the fields that the query names
            named = {"id", *fields.get("fields", "id,name").split(",")}
            info = {name: value for name, value in info.items() if name in named}
        return JSONResponse(info, headers=_NO_STORE)

    def _check(self, request: Request, fields: Mapping[str, str]) -> Response:
        if self.shape.kind == "facebook":
            app_id, _, secret = fields.get("access_token", "").partition("|")
            known = self.grants.token(fields.get("input_token", ""))
            return _error(401, "invalid_client") if not self._proves(app_id, secret) else _debugged(known)
        known = self.grants.token(fields.get("access_token", ""))
        if self.shape.kind == "github":
            user, secret = basic_credentials(request.headers.get("authorization")) or ("", "")
            # GitHub answers 404 for tokens of other applications as well.
            if not self._proves(user, secret) or known is None or known.client_id != user:
                return _error(404, "not_found")
            return JSONResponse({"app": {"client_id": user}, "scopes": known.scope.split()})
        if known is None:
            return _error(400, "invalid_token")
        return JSONResponse({"aud": known.client_id, "azp": known.client_id, "sub": known.persona.user_id})

    def _proves(self, client_id: str, secret: str) -> bool:
        try:
            authenticated(self.clients, {"client_id": client_id, "client_secret": secret}, None)
        except ClientError:
            return False
        return True


def _debugged(known: AccessToken | None) -> Response:
    if known is None:
        return JSONResponse({"data": {"is_valid": False}})
    return JSONResponse({"data": {"app_id": known.client_id, "is_valid": True, "user_id": known.persona.user_id}})


def _error(status: int, code: str, description: str = "") -> Response:
    return JSONResponse(
        {"error": code, **({"error_description": description} if description else {})}, status, _NO_STORE
    )


async def _fields(request: Request) -> dict[str, str]:
    """Return the parameters of a GET request's query, or of a POST request's body, a form or JSON."""
    query = dict(parse_qsl(request.scope["query_string"].decode(errors="replace"), keep_blank_values=True))
    if request.method != "POST":
        return query
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return await _form_of(request)
    raw = await request.body()
    try:
        body = json.loads(raw) if len(raw) <= _MAX_FORM_BYTES else None
    except ValueError:
        return {}
    return {name: str(value) for name, value in body.items()} if isinstance(body, dict) else {}


async def _form_of(request: Request) -> dict[str, str]:
    """Return the fields of an urlencoded body, none if it is too long."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _MAX_FORM_BYTES:
            return {}
    return dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))


# The authorization endpoint (RFC 6749, section 4.1.1)


async def _authorize(provider: StubProvider, request: Request) -> Response:
    """Answer a browser with the page or, once a persona is chosen, with a redirect back to the client."""
    app = app_of(request)
    if app is None:
        return refusal("This page is there for browsers only, under an auth server.")
    wanted = _checked_request(provider, request, app)
    if isinstance(wanted, Response):
        return wanted
    wrong = _fault(provider, wanted)
    if wrong is not None:
        return wanted.error(*wrong)
    if request.method == "POST":
        return _after_choice(provider, wanted, await _form_of(request))
    if provider.script.take_error(["access_denied"]):
        return wanted.error("access_denied")
    if provider.script.take_error(["server_error"], "authorization"):
        return wanted.error("server_error")
    planned = provider.script.take_persona()
    return _page(provider, wanted) if planned is None else _grant(provider, wanted, planned)


def _grant(provider: StubProvider, wanted: _AuthorizationRequest, persona: Persona) -> Response:
    """Send a one-time code for a persona to the client."""
    error = provider.script.take_error(PERSONA_ERRORS)
    if error == "no_email":
        persona = replace(persona, email=None)
    if error == "unverified_email":
        persona = replace(persona, email_verified=False)
    code = provider.grants.issue_code(
        Authorization(
            persona,
            wanted.parameters["client_id"],
            wanted.redirect_uri,
            scope=wanted.parameters.get("scope", ""),
            challenge=wanted.parameters.get("code_challenge") or None,
            nonce=wanted.parameters.get("nonce") or None,
            expires_ms=current_clock.get().now_ms() + CODE_LIFETIME_MS,
        )
    )
    return wanted.answer({"code": code, **_apple_user(provider, wanted, persona)})


def _checked_request(provider: StubProvider, request: Request, app: Services) -> _AuthorizationRequest | Response:
    """Check client and redirect URI; a request with a wrong one gets a page and is not redirected."""
    parameters = dict(parse_qsl(request.scope["query_string"].decode(errors="replace"), keep_blank_values=True))
    provider.script.record(
        endpoint="authorization", method=request.method, url=request.url.path, parameters=parameters, authorization=None
    )
    if parameters.get("client_id") not in provider.clients:
        return refusal("The client_id is not one of this provider's clients.")
    website = app.info.website_origin(request, {})
    callback = f"{app.info.issuer}/callback/apple"
    if not _redirect_uri_allowed(parameters.get("redirect_uri", ""), website=website, apple_callback=callback):
        return refusal(f"The redirect_uri must lie on the website, {website}, or be {callback}.")
    return _AuthorizationRequest(parameters, website)


def _fault(provider: StubProvider, wanted: _AuthorizationRequest) -> tuple[str, str] | None:
    parameters = wanted.parameters
    if parameters.get("response_type") != "code":
        return "unsupported_response_type", "response_type must be code"
    challenge = parameters.get("code_challenge")
    if challenge and parameters.get("code_challenge_method") != "S256":
        return "invalid_request", "code_challenge_method must be S256"
    client = provider.clients[parameters["client_id"]]
    if not challenge and client.client_secret is None and provider.shape.kind != "apple":
        return "invalid_request", "a client without a secret must send a code_challenge"
    return None


def _after_choice(provider: StubProvider, wanted: _AuthorizationRequest, form: Mapping[str, str]) -> Response:
    if form.get("deny"):
        return wanted.error("access_denied", "the user denied the request")
    if "persona" in form:
        persona = next((known for known in provider.personas if known.user_id == form["persona"]), None)
        note = "There is nobody of that name here."
    else:
        persona = persona_for(form.get("email", ""))
        note = f"{form.get('email', '')!r} is no e-mail address."
    return _page(provider, wanted, note=note) if persona is None else _grant(provider, wanted, persona)


def _page(provider: StubProvider, wanted: _AuthorizationRequest, note: str = "") -> Response:
    client = wanted.parameters["client_id"]
    return choice(provider.name, client, provider.personas, target=wanted.redirect_uri, note=note)


def _apple_user(provider: StubProvider, wanted: _AuthorizationRequest, persona: Persona) -> dict[str, str]:
    """Return the form field in which only Apple sends the user's name: `{"user": "<JSON>"}`."""
    if provider.shape.kind != "apple" or wanted.parameters.get("response_mode") != "form_post" or not persona.name:
        return {}
    first, _, last = persona.name.partition(" ")
    user: dict[str, object] = {"name": {"firstName": first, "lastName": last}}
    return {"user": json.dumps(user if persona.email is None else {**user, "email": persona.email})}


def _redirect_uri_allowed(uri: str, *, website: str, apple_callback: str) -> bool:
    """Whether an answer may go to a URI: below the website's origin, or the API's own callback for Apple."""
    if not uri.isascii() or not uri.isprintable() or any(sign in uri for sign in ' \\#"<>'):
        return False
    return uri in (website, apple_callback) or uri.startswith((f"{website}/", f"{website}?"))


@dataclass(frozen=True, slots=True)
class _AuthorizationRequest:
    """An authorization request with a known client and an allowed redirect URI."""

    parameters: Mapping[str, str]
    website: str

    @property
    def redirect_uri(self) -> str:
        """The address that gets the answer."""
        return self.parameters["redirect_uri"]

    def answer(self, fields: Mapping[str, str]) -> Response:
        """Return the answer, a redirect or a form, with `state` unchanged."""
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
