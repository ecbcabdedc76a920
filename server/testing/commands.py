"""The testing routes: the clock, the outbox, the stub providers and the sessions of an App."""

from __future__ import annotations

import logging
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ...claims.clock import Clock, ManualClock
from ...recipes import session
from ...recipes.app import current_app
from ...recipes.delivery.outbox import Mail
from ...recipes.exceptions import BadInputError
from ...recipes.kit.routing import ApiResponse
from ..stub import stub_providers
from ..stub.page import Persona
from ..stub.provider import StubProvider
from ..stub.script import Script
from .guard import LATEST_MS, ClockMove, NewPersona, NoQuery, OutboxQuery, Plan, body_of, only_one, query_of

logger = logging.getLogger("coatcheck.server")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# The clock


class ClockRoute(HTTPEndpoint):
    """`GET clock`, `POST clock`."""

    async def get(self, request: Request) -> Response:
        """Answer with the time of the App."""
        query_of(request, NoQuery)
        return _time(current_app().clock)

    async def post(self, request: Request) -> Response:
        """Move the clock by seconds or to a time, never backwards."""
        query_of(request, NoQuery)
        move = await body_of(request, ClockMove)
        only_one(move, "advance_seconds", "now_ms")
        clock = current_app().clock
        if not isinstance(clock, ManualClock):
            raise HTTPException(
                409, "this App follows the clock of the system: serve it with --manual-clock, or give it a ManualClock"
            )
        clock.advance(_seconds(move, clock.now_ms()))
        logger.info("the clock was moved to %s", _text(clock.now_ms()))
        return _time(clock)


def _seconds(move: ClockMove, now_ms: int) -> float:
    if move.now_ms is not None and move.now_ms < now_ms:
        raise BadInputError(f"now_ms is {move.now_ms}, but it is {now_ms} already, and time only moves forward")
    seconds = (move.now_ms - now_ms) / 1000 if move.now_ms is not None else move.advance_seconds or 0.0
    if now_ms + seconds * 1000 > LATEST_MS:
        raise BadInputError(f"that is beyond the last moment the clock can show, {_text(LATEST_MS)}")
    return seconds


def _time(clock: Clock) -> Response:
    now_ms = clock.now_ms()
    manual = isinstance(clock, ManualClock)
    return ApiResponse({"status": "OK", "now_ms": now_ms, "now": _text(now_ms), "manual": manual})


def _text(ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# The outbox

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_CODE = re.compile(r"(?<![\w.,:-])[0-9]{4,8}(?![\w:-]|[.,][0-9])")


class OutboxRoute(HTTPEndpoint):
    """`GET outbox`, `DELETE outbox`."""

    async def get(self, request: Request) -> Response:
        """Answer with all mails, or with those to one address; the oldest first."""
        query = query_of(request, OutboxQuery)
        outbox = current_app().outbox
        mails = outbox.mails if query.to is None else outbox.to(query.to)
        return ApiResponse({"status": "OK", "mails": [mail_json(mail) for mail in mails]})

    async def delete(self, request: Request) -> Response:
        """Forget all mails."""
        query_of(request, NoQuery)
        outbox = current_app().outbox
        cleared = len(outbox)
        outbox.clear()
        return ApiResponse({"status": "OK", "cleared": cleared})


def mail_json(mail: Mail) -> dict[str, Any]:
    """Return a mail as JSON: `{"to", "subject", "text", "html", "links": [{"url", "parameters"}], "codes": [...]}`."""
    return {
        "to": mail.to,
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
        "links": [{"url": link, "parameters": parameters_of(link)} for link in mail.links],
        "codes": codes_in(mail.text),
    }


def parameters_of(url: str) -> dict[str, str]:
    """Return the parameters of a URL's query and fragment; none if the URL is malformed."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return {}
    return dict(parse_qsl(parts.query, keep_blank_values=True) + parse_qsl(parts.fragment, keep_blank_values=True))


def codes_in(text: str) -> list[str]:
    """Return the separate numbers of four to eight digits in a text, outside its URLs."""
    return _CODE.findall(_URL.sub(" ", text))


# The stub providers


class ProvidersRoute(HTTPEndpoint):
    """`GET providers`."""

    async def get(self, request: Request) -> Response:
        """Answer with every stub provider and its personas."""
        query_of(request, NoQuery)
        listed = [_provider_json(provider) for provider in stub_providers(current_app())]
        return ApiResponse({"status": "OK", "providers": listed})


class ScriptRoute(HTTPEndpoint):
    """`POST providers/{third_party_id}/script`, `DELETE ...`."""

    async def post(self, request: Request) -> Response:
        """Plan the next person to sign in, or the next error."""
        query_of(request, NoQuery)
        provider, plan = _provider(request), await body_of(request, Plan)
        only_one(plan, "persona", "error")
        if plan.persona is not None:
            if plan.at is not None:
                raise BadInputError("at says where an error happens; a persona has no use for it")
            provider.script.next_persona(_persona(provider, plan.persona))
        else:
            _plan_error(provider.script, plan)
        return ApiResponse({"status": "OK"})

    async def delete(self, request: Request) -> Response:
        """Forget all plans and all recorded requests."""
        query_of(request, NoQuery)
        _provider(request).script.clear()
        return ApiResponse({"status": "OK"})


class RequestsRoute(HTTPEndpoint):
    """`GET providers/{third_party_id}/requests`."""

    async def get(self, request: Request) -> Response:
        """Answer with the requests that the provider has received, the oldest first, with secrets masked."""
        query_of(request, NoQuery)
        requests = [asdict(asked) for asked in _provider(request).script.requests]
        return ApiResponse({"status": "OK", "requests": requests})


def _provider_json(provider: StubProvider) -> dict[str, Any]:
    """Return a stub provider as JSON: `{"third_party_id", "name", "client_ids": [...], "personas": [{...}]}`."""
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


# Sessions


class SessionRoute(HTTPEndpoint):
    """`DELETE sessions/{handle}`."""

    async def delete(self, request: Request) -> Response:
        """End one session."""
        query_of(request, NoQuery)
        return ApiResponse({"status": "OK", "revoked": await session.revoke_session(_named(request, "handle"))})


class UserSessionsRoute(HTTPEndpoint):
    """`GET users/{user_id}/sessions`, `DELETE ...`."""

    async def get(self, request: Request) -> Response:
        """Answer with the handles of a user's sessions."""
        query_of(request, NoQuery)
        handles = await session.get_all_session_handles_for_user(_named(request, "user_id"))
        return ApiResponse({"status": "OK", "session_handles": handles})

    async def delete(self, request: Request) -> Response:
        """End all sessions of a user."""
        query_of(request, NoQuery)
        revoked = await session.revoke_all_sessions_for_user(_named(request, "user_id"))
        return ApiResponse({"status": "OK", "revoked": revoked})


def _named(request: Request, name: str) -> str:
    value: str = request.path_params[name]
    if "\0" in value:  # PostgreSQL cannot store it
        raise BadInputError(f"{name} has a NUL character in it")
    return value
