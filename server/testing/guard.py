"""Which requests the testing routes accept (the token, a local host, no website), and what their bodies may say."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from ...recipes.app import App
from ...recipes.exceptions import BadInputError, ConfigurationError
from ...recipes.kit.app_info import host_of
from ...recipes.kit.routing import ApiResponse, json_body
from ..address import is_loopback
from ..stub.script import Endpoint, StubError

Kind = TypeVar("Kind", bound="Sent")

TESTING_HEADER = "x-coatcheck-testing"
TOKEN_VARIABLE = "COATCHECK_TESTING_TOKEN"  # noqa: S105 (a name, not a token)
"""The environment variable that holds the token; there is no option for it, because others can read a command line."""

_TOKEN = re.compile(r"[\x21-\x7e]{8,256}")
_HOST = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses every request that lacks the token, names a foreign host, or comes from a web page."""

    token: str = field(repr=False)
    api_host: str
    """The host of the API's domain; besides loopback names, requests may name it as their host."""

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to a refused request, None for one that may pass."""
        return self._wrong_host(request) or _from_website(request) or self._wrong_token(request)

    def _wrong_host(self, request: Request) -> Response | None:
        # A website can point its own name at 127.0.0.1 (DNS rebinding), but it cannot choose this header.
        sent = request.headers.getlist("host")
        host = host_named(sent[0]) if len(sent) == 1 else None
        if host is not None and (is_loopback(host) or host == self.api_host):
            return None
        names = ["localhost", "a loopback address"] + ([] if is_loopback(self.api_host) else [self.api_host])
        return _refused(
            403,
            f"the testing routes answer only under {', '.join(names[:-1])} or {names[-1]}, and the Host header of this "
            "request names none of them: call one of those, or start the server with an api_domain (--api-domain) of "
            "the name you use",
        )

    def _wrong_token(self, request: Request) -> Response | None:
        sent = request.headers.getlist(TESTING_HEADER)
        if len(sent) == 1 and compare_digest(sent[0].encode(), self.token.encode()):
            return None
        wrong = "is not the token of this server" if sent else "is missing"
        return _refused(
            401,
            f"the header {TESTING_HEADER} {wrong}: send the value of {TOKEN_VARIABLE}, or the token that was printed "
            "when the server started",
        )


def host_named(header: str) -> str | None:
    """Return the host in a Host header, in lower case, without port and brackets; None if it is malformed."""
    found = _HOST.fullmatch(header.lower())
    return None if found is None else found[1] or found[2]


def guard_of(app: App, token: str) -> Guard:
    """Return the guard of an App's testing routes; ConfigurationError if the App or the token is unfit for them."""
    if not app.unsafe_for_tests:
        raise ConfigurationError(
            "the testing routes let anybody who reaches them read mails and move the time: they are served only for an "
            "App made with unsafe_for_tests=True"
        )
    return Guard(checked_token(token), host_of(app.info.api_domain))


def checked_token(token: str) -> str:
    """Return the token; ConfigurationError if it could be guessed, or could not be sent in a header."""
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            f"the testing token ({TOKEN_VARIABLE}) must be 8 to 256 visible ASCII characters without spaces: "
            "leave it out, and one is drawn and printed"
        )
    return token


def token_of(environment: Mapping[str, str]) -> str | None:
    """Return the token in the environment, None if there is none."""
    given = environment.get(TOKEN_VARIABLE)
    return checked_token(given) if given else None


def drawn_token() -> str:
    """Return a new token that nobody can guess."""
    return secrets.token_urlsafe(24)


def _from_website(request: Request) -> Response | None:
    if "origin" not in request.headers:
        return None
    return _refused(
        403,
        "the testing routes are closed to web pages, since any website may send requests to this machine, and browsers "
        "mark those with an Origin header: call them from the test itself, and without that header",
    )


def _refused(status: int, message: str) -> Response:
    return ApiResponse({"message": message}, status)


# Bodies and queries

LATEST_MS = 221_845_392_000_000
"""The beginning of the year 9000: for a later clock, expiry times could lie after the last year of the calendar."""


class Sent(BaseModel):
    """What a test sends: exact types, and no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoQuery(Sent):
    """The query of a route that takes none."""


class ClockMove(Sent):
    """How far the clock moves, or where to: exactly one of both."""

    advance_seconds: Annotated[float, Field(ge=0, le=LATEST_MS / 1000, allow_inf_nan=False)] | None = None
    now_ms: Annotated[int, Field(ge=0, le=LATEST_MS)] | None = None


class OutboxQuery(Sent):
    """The address whose mails are asked for; all mails if it is None."""

    to: Annotated[str, Field(min_length=1)] | None = None


class NewPersona(Sent):
    """A person who is not among a stub provider's personas."""

    user_id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
    email: Annotated[str, Field(min_length=1, max_length=254)] | None = None
    email_verified: bool = True
    name: Annotated[str, Field(max_length=200)] = ""


class Plan(Sent):
    """What a stub provider does next: exactly one of `persona` (a user id, an address or a new one) and `error`."""

    persona: Annotated[str, Field(min_length=1)] | NewPersona | None = None
    error: StubError | None = None
    at: Endpoint | None = None


async def body_of(request: Request, kind: type[Kind]) -> Kind:
    """Return a request's body after checking it; BadInputError says what is wrong with it."""
    names = ", ".join(kind.model_fields)
    return _checked(kind, await json_body(request, f"send a JSON object as the body; it may have the fields {names}"))


def query_of(request: Request, kind: type[Kind]) -> Kind:
    """Return a request's query after checking it; BadInputError says what is wrong with it."""
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    if len(set(names)) < len(names):
        raise BadInputError("a parameter of the query was sent twice: send it once")
    return _checked(kind, dict(given))


def only_one(sent: Sent, *names: str) -> None:
    """Raise BadInputError unless exactly one of these fields has a value."""
    if sum(getattr(sent, name) is not None for name in names) != 1:
        raise BadInputError(f"send exactly one of {' and '.join(names)}")


def _checked(kind: type[Kind], given: dict[str, Any]) -> Kind:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        known = ", ".join(kind.model_fields) or "none"
        wrong = "; ".join(
            f"{'.'.join(map(str, found['loc']))!r}: {found['msg'][:1].lower()}{found['msg'][1:]}"
            for found in error.errors(include_url=False, include_context=False, include_input=False)
        )
        raise BadInputError(f"{wrong} (known fields: {known})") from None
