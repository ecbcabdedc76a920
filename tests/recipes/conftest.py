"""Empty databases for the tables of the recipes, calls made at the same time, and browsers at stub providers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.testclient import TestClient

from coatcheck.claims.clock import Clock
from coatcheck.recipes.thirdparty.config import ProviderInput
from coatcheck.server.stub import Persona, provider_of
from coatcheck.sessions.database import Database

ADA = Persona("1001", "ada@example.com")


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Yield an empty database in memory; `@every_database` makes it each kind in turn."""
    kind = getattr(request, "param", "memory")
    if kind == "postgres":
        url: str = request.getfixturevalue("postgres_url")
    elif kind == "file":
        path: Path = request.getfixturevalue("tmp_path")
        url = f"sqlite:///{path / 'store.db'}"
    else:
        url = "sqlite://"
    with closing(Database(url, clock=Clock(), prepared=True)) as database:
        yield database


@pytest.fixture
def together() -> Callable[..., list[Any]]:
    """Return a function that calls others at the same moment, each in a thread, and returns what they return."""

    def call(*functions: Callable[[], Any]) -> list[Any]:
        barrier = threading.Barrier(len(functions))

        def wait_and_call(function: Callable[[], Any]) -> Any:
            barrier.wait()
            return function()

        with ThreadPoolExecutor(len(functions)) as threads:
            return list(threads.map(wait_and_call, functions))

    return call


class Journey:
    """A browser on its way to a stub provider and back, step by step."""

    def __init__(self, client: TestClient, provider: ProviderInput) -> None:
        self.client = client
        self.id = provider.config.third_party_id
        self.stub = provider_of(provider)
        self.landing = f"http://localhost:3000/auth/callback/{self.id}"
        client.follow_redirects = False

    def leave(self, **query: str) -> dict[str, Any]:
        """Ask where to go."""
        asked = {"thirdPartyId": self.id, "redirectURIOnProviderDashboard": self.landing, **query}
        body: dict[str, Any] = self.client.get("/auth/authorisationurl", params=asked).json()
        return body

    def come_back(self, url: str, persona: Persona = ADA) -> dict[str, str]:
        """Go there, sign in, and return what the callback is told."""
        self.stub.script.next_persona(persona)
        response = self.client.get(f"{url}&state=s")
        assert response.status_code == 303, response.text
        return dict(parse_qsl(urlsplit(response.headers["location"]).query))

    def hand_in(self, params: dict[str, str], verifier: str | None, **others: Any) -> Any:
        """Hand in what the callback was told, as the website does."""
        info = {"redirectURIOnProviderDashboard": self.landing, "redirectURIQueryParams": params}
        if verifier is not None:
            info["pkceCodeVerifier"] = verifier
        body = {"thirdPartyId": self.id, "redirectURIInfo": info}
        return self.client.post("/auth/signinup", json={**body, **others.pop("body", {})}, **others)

    def sign_in(self, persona: Persona = ADA, **others: Any) -> Any:
        """Go the whole way."""
        left = self.leave()
        assert left["status"] == "OK", left
        params = self.come_back(left["urlWithQueryParams"], persona)
        return self.hand_in(params, left.get("pkceCodeVerifier"), **others)


@pytest.fixture
def journey() -> type[Journey]:
    """Return what makes journeys: `journey(client, provider)`."""
    return Journey
