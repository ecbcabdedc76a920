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
from ...recipes.kit.services import Services
from ...recipes.kit.request import app_of
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
from .page import PERSONAS, Persona, choice, hand_over, refusal, typed
from .script import ANSWER_ERRORS, ID_TOKEN_ERRORS, PERSONA_ERRORS, Endpoint, Script, StubError
from .shapes import shape_of, shared_issuer

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


def _asked(provider: StubProvider, request: Request, app: Services) -> Asked | Response:
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


_HUGE_BYTES = 10 * 1024 * 1024
_NO_STORE = {"cache-control": "no-store"}


class SlowAnswerError(Exception):
    """The stub was told not to answer in time; its transport turns this into a time-out."""


class StubProvider:
    """One provider with its clients, its personas, its script and what it has issued."""

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
        """Serve one request, on whatever host."""
        await self._app(scope, receive, send)

    async def page(self, request: Request) -> Response:
        """Answer a browser at the authorization endpoint, the only one that browsers need."""
        return await authorize(self, request)

    def access_token(self, persona: Persona, client_id: str) -> str:
        """Return an access token as if `client_id`, which may be anybody's, had obtained it."""
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
        asked = bearer if scheme.lower() in ("bearer", "token") else ""
        if not asked and self.shape.kind == "facebook":
            asked = fields.get("access_token", "")
        known = self.grants.token(asked)
        answer = self.shape.answer_of(request.url.path)
        if known is None or answer is None:
            return _error(401, "invalid_token")
        told = answer(known.persona)
        if self.shape.kind == "facebook":  # tells what it is asked for
            wanted = {"id", *fields.get("fields", "id,name").split(",")}
            told = {name: value for name, value in told.items() if name in wanted}
        return JSONResponse(told, headers=_NO_STORE)

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
    """Return the parameters of the query, or of the body where there is one; a body in JSON counts too."""
    query = dict(parse_qsl(request.scope["query_string"].decode(errors="replace"), keep_blank_values=True))
    if request.method != "POST":
        return query
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return await form_of(request)
    raw = await request.body()
    try:
        body = json.loads(raw) if len(raw) <= MAX_FORM_BYTES else None
    except ValueError:
        return {}
    return {name: str(value) for name, value in body.items()} if isinstance(body, dict) else {}
