"""What tests send to the testing routes, checked by pydantic; fields that nobody knows are refused."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from ...recipes.exceptions import BadInputError
from ...recipes.kit.routing import json_body
from ..stub.script import Endpoint, StubError

LATEST_MS = 221_845_392_000_000
"""The beginning of the year 9000: beyond it, what expires later would fall out of the calendar."""


class Sent(BaseModel):
    """Anything that a test sends: exact types, and no fields beside the known ones."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoQuery(Sent):
    """The query of a route that takes none."""


class ClockMove(Sent):
    """How far the clock moves, or where to: exactly one of both."""

    advance_seconds: Annotated[float, Field(ge=0, le=LATEST_MS / 1000, allow_inf_nan=False)] | None = None
    now_ms: Annotated[int, Field(ge=0, le=LATEST_MS)] | None = None


class OutboxQuery(Sent):
    """Whose mails are asked for; everybody's where nobody is named."""

    to: Annotated[str, Field(min_length=1)] | None = None


class NewPersona(Sent):
    """Somebody who is none of a stub provider's personas."""

    user_id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
    email: Annotated[str, Field(min_length=1, max_length=254)] | None = None
    email_verified: bool = True
    name: Annotated[str, Field(max_length=200)] = ""


class Plan(Sent):
    """What a stub provider does next: exactly one of `persona` (a user id, an address or a new one) and `error`."""

    persona: Annotated[str, Field(min_length=1)] | NewPersona | None = None
    error: StubError | None = None
    at: Endpoint | None = None


Kind = TypeVar("Kind", bound=Sent)


async def body_of(request: Request, kind: type[Kind]) -> Kind:
    """Return a request's body, once it was found right; BadInputError says what is wrong with it."""
    names = ", ".join(kind.model_fields)
    return _checked(kind, await json_body(request, f"send a JSON object as the body; it may have the fields {names}"))


def query_of(request: Request, kind: type[Kind]) -> Kind:
    """Return a request's query, once it was found right; BadInputError says what is wrong with it."""
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    if len(set(names)) < len(names):
        raise BadInputError("a parameter of the query was sent twice: send it once")
    return _checked(kind, dict(given))


def only_one(sent: Sent, *names: str) -> None:
    """Refuse, with a BadInputError, what has none of these fields or several."""
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
