"""The stub providers of an App: a test plans who signs in there next, and which error comes next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..recipes.app import App
from ..server.stub import stub_providers
from ..server.stub.page import Persona
from ..server.stub.provider import StubProvider
from ..server.stub.script import Endpoint, RecordedRequest, StubError


@dataclass(frozen=True, slots=True)
class ScriptedProvider:
    """One stub provider; each planned event happens once, in the order of the plan."""

    stub: StubProvider

    @property
    def personas(self) -> tuple[Persona, ...]:
        """The personas who have an account there."""
        return self.stub.personas

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests to the provider, oldest first, with secrets masked."""
        return list(self.stub.script.requests)

    def persona(self, who: str) -> Persona:
        """Return the persona with this user id or e-mail address; else a LookupError lists all personas."""
        for persona in self.stub.personas:
            if who in (persona.user_id, persona.email):
                return persona
        known = ", ".join(f"{persona.user_id} ({persona.email})" for persona in self.stub.personas) or "nobody"
        raise LookupError(f"{self.stub.third_party_id} knows no persona {who!r}; it knows {known}")

    def next_persona(self, who: Persona | str) -> None:
        """Sign the next browser in as this persona and send it back at once."""
        self.stub.script.next_persona(self.persona(who) if isinstance(who, str) else who)

    def next_error(self, error: StubError, *, at: Endpoint = "token") -> None:
        """Let one error happen; `at` names the endpoint for server_error, slow and huge_answer."""
        self.stub.script.next_error(error, at=at)

    def clear(self) -> None:
        """Forget the plan and the requests."""
        self.stub.script.clear()


class Providers(Mapping[str, ScriptedProvider]):
    """The stub providers of an App by third-party id."""

    def __init__(self, app: App) -> None:
        self._providers = {stub.third_party_id: ScriptedProvider(stub) for stub in stub_providers(app)}

    def __getitem__(self, third_party_id: str) -> ScriptedProvider:
        found = self._providers.get(third_party_id)
        if found is None:
            known = ", ".join(self._providers) or "none"
            raise LookupError(
                f"no stub plays the provider {third_party_id!r} in this App; there are stubs of: {known}. "
                f"Add stub({third_party_id!r}) to the providers of thirdparty.init"
            )
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._providers)

    def __len__(self) -> int:
        return len(self._providers)

    def __repr__(self) -> str:
        return f"<Providers {', '.join(self._providers) or 'none'}>"
