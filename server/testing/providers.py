"""The testing routes of stub providers: who can sign in there, what happens next, and what they were asked."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ...recipes.exceptions import BadInputError
from ...recipes.kit.routing import ApiResponse
from ...recipes.kit.services import current_app
from ..stub.personas import Persona
from ..stub.provider import StubProvider
from ..stub.routes import stub_providers
from ..stub.script import Script
from .body import NewPersona, NoQuery, Plan, body_of, only_one, query_of


class ProvidersRoute(HTTPEndpoint):
    """`GET providers`."""

    async def get(self, request: Request) -> Response:
        """Answer with every stub provider and its personas."""
        query_of(request, NoQuery)
        listed = [provider_json(provider) for provider in stub_providers(current_app())]
        return ApiResponse({"status": "OK", "providers": listed})


class ScriptRoute(HTTPEndpoint):
    """`POST providers/{third_party_id}/script`, `DELETE ...`."""

    async def post(self, request: Request) -> Response:
        """Plan who signs in next, or what goes wrong next."""
        query_of(request, NoQuery)
        provider, plan = _provider(request), await body_of(request, Plan)
        only_one(plan, "persona", "error")
        if plan.persona is not None:
            _refuse_place(plan)
            provider.script.next_persona(_persona(provider, plan.persona))
        else:
            _plan_error(provider.script, plan)
        return ApiResponse({"status": "OK"})

    async def delete(self, request: Request) -> Response:
        """Forget what was planned, and what was asked."""
        query_of(request, NoQuery)
        _provider(request).script.clear()
        return ApiResponse({"status": "OK"})


class RequestsRoute(HTTPEndpoint):
    """`GET providers/{third_party_id}/requests`."""

    async def get(self, request: Request) -> Response:
        """Answer with what the provider has been asked, oldest first, secrets masked."""
        query_of(request, NoQuery)
        requests = [asdict(asked) for asked in _provider(request).script.requests]
        return ApiResponse({"status": "OK", "requests": requests})


def provider_json(provider: StubProvider) -> dict[str, Any]:
    """Return a stub provider as JSON."""
    return {
        "third_party_id": provider.third_party_id,
        "name": provider.name,
        "client_ids": list(provider.clients),
        "personas": [asdict(persona) for persona in provider.personas],
    }


def _provider(request: Request) -> StubProvider:
    wanted = request.path_params["third_party_id"]
    known = {provider.third_party_id: provider for provider in stub_providers(current_app())}
    if wanted not in known:
        raise HTTPException(
            404, f"no stub plays the provider {wanted!r} here; there are stubs of: {', '.join(known) or 'none'}"
        )
    return known[wanted]


def _refuse_place(plan: Plan) -> None:
    if plan.at is not None:
        raise BadInputError("at says where an error happens; a persona has no use for it")


def _plan_error(script: Script, plan: Plan) -> None:
    assert plan.error is not None  # only_one
    try:
        script.next_error(plan.error, at=plan.at or "token")
    except ValueError as error:
        raise BadInputError(str(error)) from None


def _persona(provider: StubProvider, wanted: str | NewPersona) -> Persona:
    if isinstance(wanted, NewPersona):
        return Persona(wanted.user_id, wanted.email, wanted.email_verified, wanted.name)
    for persona in provider.personas:
        if wanted in (persona.user_id, persona.email):
            return persona
    known = ", ".join(f"{persona.user_id} ({persona.email})" for persona in provider.personas) or "nobody"
    raise BadInputError(f"{provider.third_party_id} knows no persona {wanted!r}; it knows {known}")
