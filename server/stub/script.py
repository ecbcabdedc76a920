"""The plan of a stub provider that a test writes, and the record of the requests that the stub has received."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from .page import Persona

StubError: TypeAlias = Literal[
    "access_denied",
    "server_error",
    "slow",
    "huge_answer",
    "malformed_id_token",
    "wrong_audience",
    "wrong_issuer",
    "expired_id_token",
    "alg_none",
    "unverified_email",
    "no_email",
]
Endpoint: TypeAlias = Literal["authorization", "token", "userinfo", "jwks", "discovery", "check"]

ID_TOKEN_ERRORS = frozenset({"malformed_id_token", "wrong_audience", "wrong_issuer", "expired_id_token", "alg_none"})
PERSONA_ERRORS = frozenset({"unverified_email", "no_email"})
ANSWER_ERRORS = frozenset({"server_error", "slow", "huge_answer"})
"""The errors that can happen at every endpoint that the server calls."""

_SECRET = frozenset(
    {"client_secret", "code", "code_verifier", "access_token", "id_token", "input_token", "refresh_token"}
)
_KEPT = 200


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request that a stub received; secrets, codes and tokens stand as `***`."""

    endpoint: str
    method: str
    url: str
    parameters: Mapping[str, str]
    authorization: str | None
    """The scheme of the Authorization header, such as `Bearer`."""


@dataclass(frozen=True, slots=True)
class _Planned:
    error: StubError
    at: Endpoint


@dataclass(slots=True)
class Script:
    """The plan of one stub provider: each persona and each error is used once, in the order given."""

    id_tokens: bool = True
    requests: deque[RecordedRequest] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _personas: deque[Persona] = field(default_factory=deque)
    _errors: list[_Planned] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_persona(self, persona: Persona) -> None:
        """Make the next authorization succeed at once, without the page, as this persona."""
        with self._lock:
            self._personas.append(persona)

    def next_error(self, error: StubError, *, at: Endpoint = "token") -> None:
        """Plan one error; `at` names the endpoint for server_error, slow and huge_answer."""
        if error not in get_args(StubError) or at not in get_args(Endpoint):
            raise ValueError(f"a stub knows no error {error!r} at {at!r}")
        if error in ID_TOKEN_ERRORS and not self.id_tokens:
            raise ValueError(f"this provider issues no id tokens, so {error!r} would never happen")
        if at == "authorization" and error in ("slow", "huge_answer"):
            raise ValueError(f"the authorization page is asked by browsers only, so {error!r} would tell nothing")
        with self._lock:
            self._errors.append(_Planned(error, at))

    def clear(self) -> None:
        """Forget all plans and all recorded requests."""
        with self._lock:
            self._personas.clear()
            self._errors.clear()
            self.requests.clear()

    def take_persona(self) -> Persona | None:
        """Return the next planned persona, and remove it from the plan."""
        with self._lock:
            return self._personas.popleft() if self._personas else None

    def take_error(self, among: Iterable[str], at: Endpoint | None = None) -> StubError | None:
        """Return the first planned error among these (at this endpoint), and remove it from the plan."""
        with self._lock:
            for planned in self._errors:
                if planned.error in among and at in (None, planned.at):
                    self._errors.remove(planned)
                    return planned.error
        return None

    def record(
        self, *, endpoint: str, method: str, url: str, parameters: Mapping[str, str], authorization: str | None
    ) -> None:
        """Record a request with its secrets masked."""
        masked = {name: "***" if name in _SECRET else value for name, value in parameters.items()}
        scheme = authorization.partition(" ")[0] if authorization else None
        self.requests.append(RecordedRequest(endpoint, method, url, masked, scheme))
