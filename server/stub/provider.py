"""A stub identity provider: an ASGI application that speaks OAuth 2.0 and OpenID Connect as a real one does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .authorization import MAX_FORM_BYTES, authorize, form_of
from .clients import ClientError, StubClient, authenticated, basic_credentials
from .grants import ACCESS_TOKEN_LIFETIME_MS, AccessToken, GrantError, Grants
from .id_token import id_token, jwks
from .personas import PERSONAS, Persona
from .script import ANSWER_ERRORS, ID_TOKEN_ERRORS, Endpoint, Script, StubError
from .shapes import shape_of, shared_issuer

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
